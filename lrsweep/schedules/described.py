"""What each family is, as JSON: from the one declaration that the checks and the search have too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrsweep.schedules import Options, Reactive, Schedule, Search, Setting, family, family_names, json_value
from lrsweep.schedules.setting import REQUIRED

TIME_DRIVEN, REACTIVE = "time-driven", "reactive"


def kind_of(chosen: type[Schedule]) -> str:
    """What moves the rate: the time alone, or a metric too."""
    return REACTIVE if issubclass(chosen, Reactive) else TIME_DRIVEN


def families_json(names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One object per family; those that ``names`` has, or all that ``lrsweep.schedule`` takes."""
    return [_family_json(family(name)) for name in names or family_names()]


def _family_json(chosen: type[Schedule]) -> dict[str, Any]:
    return {
        "name": chosen.family,
        "kind": kind_of(chosen),
        "formula": chosen.formula,
        "simplicity": chosen.simplicity,
        "use": chosen.use,
        "source": chosen.source,
        "settings": [_setting_json(one) for one in chosen.settings()],
    }


def _setting_json(one: Setting) -> dict[str, Any]:
    required = one.default is REQUIRED
    return {
        "name": one.name,
        "required": required,
        "default": None if required else json_value(one.default),
        "wanted": str(one.allowed),
        "search": _search_json(one.search),
        "meaning": one.meaning,
        "implied": one.implied,
    }


def _search_json(search: Search | Options | None) -> dict[str, Any] | None:
    if isinstance(search, Search):
        return {"low": search.low, "high": search.high, "log": search.log, "whole": search.whole}
    return {"names": list(search.names)} if search is not None else None
