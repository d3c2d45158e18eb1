"""``[space.extra]``: the parameters of a user's own script, that a search draws or that are passed on as they are.

dropout = [0.0, 0.5]                            a range; of whole numbers where both ends are
decay   = {low = 1e-5, high = 0.1, log = true}  on a log scale
width   = {choices = [64, 128, 256]}            one of these
head    = ["linear", "mlp"]                     one of these texts
depth   = 4                                     always this
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

from lrsweep.records import Json
from lrsweep.schedules import Search

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Choices:
    """One of these values."""

    values: tuple[Scalar, ...]


Extra = Search | Choices | Scalar

WANTED = (
    "a range [low, high] with low < high, a table {low, high, log, whole} or {choices}, a list of texts, or one value"
)


def is_searched(extra: Extra) -> TypeGuard[Search | Choices]:
    return isinstance(extra, Search | Choices)


def extra_to_json(extra: Extra) -> Json:
    match extra:
        case Search(low, high, log, whole):
            return {"low": low, "high": high, "log": log, "whole": whole}
        case Choices(values):
            return {"choices": list(values)}
    return extra


def read_extra(given: Any) -> Extra | None:
    """None for what is none of the forms above.

    >>> read_extra([1, 8]), read_extra(["linear", "mlp"])
    (Search(low=1, high=8, log=False, whole=True), Choices(values=('linear', 'mlp')))
    """
    match given:
        case [low, high] if _is_number(low) and _is_number(high):
            return _range(low, high, log=False, whole=isinstance(low, int) and isinstance(high, int))
        case [str(), *_]:
            return _choices(given) if all(isinstance(each, str) for each in given) else None
        case {"choices": list(values), **rest} if not rest:
            return _choices(values)
        case {"low": low, "high": high, **rest} if rest.keys() <= {"log", "whole"}:
            log, whole = rest.get("log", False), rest.get("whole", False)
            if not (_is_number(low) and _is_number(high) and isinstance(log, bool) and isinstance(whole, bool)):
                return None
            return _range(low, high, log=log, whole=whole)
        case bool() | str():
            return given
        case int() | float() if _is_number(given):
            return given
    return None


def _range(low: float, high: float, *, log: bool, whole: bool) -> Search | None:
    is_whole = float(low).is_integer() and float(high).is_integer()
    if not low < high or (log and not low > 0) or (whole and not is_whole):
        return None
    return Search(int(low), int(high), log, whole) if whole else Search(float(low), float(high), log, whole)


def _choices(values: list[Any]) -> Choices | None:
    is_scalar = all(isinstance(each, str | bool) or _is_number(each) for each in values)
    # 1, 1.0 and true are one choice: Optuna finds a choice by equality
    return Choices(tuple(values)) if values and is_scalar and len(set(values)) == len(values) else None


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < 2**63
