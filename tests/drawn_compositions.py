"""Strategies of Hypothesis for what is made of other schedules, time-driven and reactive, nested too."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import lrsweep
from lrsweep.schedules import CooledDown, Extended, Schedule, Sequence, schedule
from lrsweep.schedules.cooldowns import COOLDOWNS
from tests.drawn_schedules import usual_schedule

REACTIVE: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "plateau": {"gamma": st.floats(0.1, 0.9), "patience": st.integers(0, 2)},
    "threshold": {"gamma": st.floats(0.1, 0.9)},
    "slope": {"gamma": st.floats(0.1, 0.9), "window": st.integers(1, 3)},
    "greedy": {"gamma": st.floats(0.1, 0.9), "start": st.floats(0.1, 1.0)},
}
FLOORS = st.sampled_from([0.0, 0.1, 0.5])

LONG_ENOUGH = 100
"""Steps with which every part of what is drawn here has some. Counts of steps are drawn outside alone: what is inside
may have few."""

# From good to bad and back, so that every machine moves; what is not finite comes too.
METRICS = st.sampled_from([3.0, 2.0, 1.0, 0.6, 0.4, 0.2, float("nan"), float("inf")])


@st.composite
def reactive_schedule(draw: st.DrawFn) -> Schedule:
    name = draw(st.sampled_from(sorted(REACTIVE)))
    base = draw(st.sampled_from(["constant", "linear", "cosine"]))
    own = {setting: draw(values) for setting, values in REACTIVE[name].items()}
    return schedule(name, base=schedule(base), floor=draw(FLOORS), warmup=draw(st.sampled_from([0.0, 0.2])), **own)


@st.composite
def sequence_of(draw: st.DrawFn, inside: st.SearchStrategy[Schedule], counts: bool = True) -> Sequence:
    parts = draw(st.lists(inside, min_size=1, max_size=3))
    weights = draw(st.lists(st.integers(1, 4), min_size=len(parts), max_size=len(parts)))
    lengths: list[float | str] = [weight / sum(weights) for weight in weights]
    rest = draw(st.integers(-1, len(parts) - 1))
    if rest >= 0:
        lengths[rest] = "rest"
        if counts and len(parts) > 1:
            lengths[rest - 1] = draw(st.sampled_from([lengths[rest - 1], "14 steps"]))
    return lrsweep.sequence(*zip(parts, lengths, strict=True), **draw(some_shared(counts)))


@st.composite
def extended(draw: st.DrawFn, inside: st.SearchStrategy[Schedule], counts: bool = True) -> Extended:
    longer = draw(inside).extended(draw(st.sampled_from([1, 1.5, 2.0, 3.0])))
    found = longer.with_settings(**draw(some_shared(counts)))
    assert isinstance(found, Extended)
    return found


@st.composite
def cooled_down(draw: st.DrawFn, inside: st.SearchStrategy[Schedule], counts: bool = True) -> CooledDown:
    at: float | str = draw(st.sampled_from([0.0, 0.3, 0.55]) | (st.just("20 steps") if counts else st.nothing()))
    over: float | str = draw(st.sampled_from([0.1, 0.25, 0.45]) | (st.just("9 steps") if counts else st.nothing()))
    branched = draw(inside).cooled_down(at, over, draw(st.sampled_from(sorted(COOLDOWNS))))
    found = branched.with_settings(**draw(some_shared(counts)))
    assert isinstance(found, CooledDown)
    return found


def some_shared(counts: bool) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "floor": FLOORS,
            "warmup": st.sampled_from([0.0, 0.1, *["3 steps"] * counts]),
            "hold": st.sampled_from([0.0, 0.1, *["2 steps"] * counts]),
            "noise": st.sampled_from([0.0, 0.3]),
        },
    )


def any_composition(*, reactive: bool) -> st.SearchStrategy[Schedule]:
    """A composition of families or of compositions of families."""
    leaves = usual_schedule() | reactive_schedule() if reactive else usual_schedule()
    inner = sequence_of(leaves, counts=False) | extended(leaves, counts=False) | cooled_down(leaves, counts=False)
    return sequence_of(leaves | inner) | extended(leaves | inner) | cooled_down(leaves | inner)


@st.composite
def with_few_steps(draw: st.DrawFn) -> Schedule:
    """A family with counts of steps and all that is shared, a reactive one over it, or a composition of such: on few
    steps some are refused, and in others nothing is left for what lies inside."""
    leaves = _counted() | _counted().flatmap(_reacting_to)
    inner = leaves | sequence_of(leaves) | extended(leaves) | cooled_down(leaves)
    outer = inner | sequence_of(inner) | extended(inner) | cooled_down(inner)
    return draw(outer | _with_long_warmup(outer))


LONG_WARMUPS = st.sampled_from(["1 step", "2 steps", "4 steps", 0.9])


def _with_long_warmup(inside: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Schedule]:
    return st.builds(lambda s, warmup: s.with_settings(warmup=warmup, hold=0.0), inside, LONG_WARMUPS)


@st.composite
def _counted(draw: st.DrawFn) -> Schedule:
    own: dict[str, dict[str, Any]] = {
        "linear": {},
        "wsd": {"cooldown": draw(st.sampled_from([0.5, "2 steps"]))},
        "one_cycle": {"cycle_momentum": draw(st.booleans())},
    }
    name = draw(st.sampled_from(sorted(own)))
    return schedule(name, **own[name], **draw(some_shared(counts=True)))


def _reacting_to(base: Schedule) -> st.SearchStrategy[Schedule]:
    return st.builds(schedule, st.sampled_from(sorted(REACTIVE)), base=st.just(base), warmup=LONG_WARMUPS)


def metrics_at(total_steps: int) -> st.SearchStrategy[dict[int, float]]:
    """Evaluations after some of the updates."""
    return st.dictionaries(st.integers(1, total_steps), METRICS, max_size=25)
