"""Strategies of Hypothesis for schedules: any allowed one, and one as a search draws it; and two functions to name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from lrsweep.schedules import Interval, Options, Reactive, Schedule, Setting, family, family_names, schedule
from lrsweep.schedules.base import shared_names
from lrsweep.schedules.families.function import FunctionPath
from lrsweep.schedules.kinds import Choice, Flag, Length, Numbers, Whole
from lrsweep.schedules.setting import REQUIRED

TIME_DRIVEN = [family(name) for name in family_names() if not issubclass(family(name), Reactive)]

MAY_RISE = ("one_cycle", "cosine_restarts", "cyclic", "knots", "piecewise", "table", "function")
"""Families whose factor may go up after the warm-up; of all others it goes down or holds."""


def falling(progress: float) -> float:
    return 1.0 - progress


def jumping_up(progress: float) -> float:
    return 0.25 if progress < 0.5 else 1.0


def numbers_in(allowed: Interval) -> st.SearchStrategy[float]:
    return st.floats(allowed.low, allowed.high, exclude_min=allowed.open_low, exclude_max=allowed.open_high)


def allowed_values(setting: Setting) -> st.SearchStrategy[Any]:
    """Anything that the setting takes, counts of steps left out."""
    match setting.allowed:
        case Interval() as numbers:
            return numbers_in(numbers)
        case Whole(low=low, high=high):
            return st.integers(low, min(high, low + 9)) | st.integers(low, high)
        case Choice(names):
            return st.sampled_from(names)
        case Flag():
            return st.booleans()
        case Length(fractions):
            return numbers_in(fractions)
        case Numbers(each=each, least=least, most=most, ascending=ascending):
            lists = st.lists(numbers_in(each), min_size=least, max_size=min(most, least + 9))
            return lists.map(lambda drawn: tuple(sorted(drawn) if ascending else drawn))
        case FunctionPath():
            return st.sampled_from([f"{__name__}:{one.__name__}" for one in (falling, jumping_up)])
    raise AssertionError(f"no strategy for {setting.allowed!r}")


def searched_values(setting: Setting) -> st.SearchStrategy[Any]:
    """What a search draws for the setting, its default where it draws nothing."""
    if setting.search is None:
        return allowed_values(setting) if setting.default is REQUIRED else st.just(setting.default)
    return st.fixed_dictionaries({name: _searched(search) for name, search in setting.searched().items()}).map(
        setting.drawn
    )


def _searched(search: Any) -> st.SearchStrategy[Any]:
    if isinstance(search, Options):
        return st.sampled_from(search.names)
    return st.integers(int(search.low), int(search.high)) if search.whole else st.floats(search.low, search.high)


@st.composite
def any_schedule(draw: st.DrawFn, families: Sequence[type[Schedule]] = tuple(TIME_DRIVEN)) -> Schedule:
    """Any time-driven family with anything that is allowed, the strangest values too."""
    chosen = draw(st.sampled_from(families))
    shared = [one for one in chosen.settings() if one.name in shared_names()]
    own = {one.name: draw(allowed_values(one)) for one in chosen.settings() if one.name not in shared_names()}
    # Many of the shared ones at once hide each other: each is drawn in half of the cases.
    values = {**own, **{one.name: draw(allowed_values(one)) for one in shared if draw(st.booleans())}}
    return made(chosen, agreeing(draw, chosen, values))


@st.composite
def usual_schedule(draw: st.DrawFn) -> Schedule:
    """Any family as a search draws it: no slope is so steep that a step cannot follow it."""
    chosen = draw(st.sampled_from(TIME_DRIVEN))
    values = {one.name: draw(searched_values(one)) for one in chosen.settings()}
    values["floor"] = draw(st.floats(0, 1))
    values["warmup"] = draw(st.just(0.0) | st.floats(0.01, 0.8))
    return made(chosen, values)


def made(chosen: type[Schedule], values: dict[str, Any]) -> Schedule:
    return schedule(chosen.family, allow_code=chosen.runs_code, **values)


def agreeing(draw: st.DrawFn, chosen: type[Schedule], given: dict[str, Any]) -> dict[str, Any]:
    """The same values, changed where the rules between settings want it: each rule has its line here."""
    values = dict(given)
    if values.get("warmup_shape") in ("exponential", "constant") and not values.get("warmup_start"):
        values["warmup_start"] = draw(st.floats(0, 1, exclude_min=True))
    if values.get("warmup", 0.0) + values.get("hold", 0.0) >= 1.0:
        values["hold"] = 0.0
    if "momentum_low" in values:
        values["momentum_low"], values["momentum_high"] = sorted((values["momentum_low"], values["momentum_high"]))
    if chosen.family == "tanh":
        low, high = sorted((values["low"], values["high"]))
        values["low"], values["high"] = (low, high) if low < high else (-7.0, 3.0)
    if chosen.family == "piecewise":
        count = len(values["at"]) + 1
        values["values"] = tuple(draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)))
    if chosen.family == "cosine_restarts" and chosen.problems_with(values):
        values["multiplier"] = 1.0
    return values
