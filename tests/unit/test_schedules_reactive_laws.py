"""What holds for every reactive family, whatever its settings and its metrics."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrsweep.errors import ScheduleError
from lrsweep.schedules import Reactive, schedule
from lrsweep.schedules.reactive import Slots
from lrsweep.schedules.reactive.columns import running_sum
from lrsweep.schedules.reactive.greedy import SMALLEST

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAN, INF = float("nan"), float("inf")
NAMES = ("plateau", "threshold", "slope", "greedy")

# Few values that repeat, so that ties, plateaus and levels are met; and any float at all, the ends of the range too.
FINITE = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0]) | st.floats(
    allow_nan=False, allow_infinity=False
)
METRIC = FINITE | st.sampled_from([NAN, INF, -INF])
GAMMA = st.floats(0.01, 0.99)
OWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "plateau": {
        "gamma": GAMMA,
        "patience": st.integers(0, 3),
        "threshold": st.sampled_from([0.0, 1e-4, 0.3]),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 2),
    },
    "threshold": {"gamma": GAMMA, "levels": st.lists(st.sampled_from([-1.0, 0.25, 0.5, 2.0, 9.0]), min_size=1)},
    "slope": {"gamma": GAMMA, "rate": st.sampled_from([0.0, 0.01, 0.5, 1.0]), "window": st.integers(1, 12)},
    "greedy": {
        "gamma": GAMMA,
        "start": st.floats(0.01, 1),
        "patience": st.integers(0, 3),
        "threshold": st.sampled_from([0.0, 0.1, 0.9]),
    },
}


@st.composite
def machines(draw: st.DrawFn) -> Reactive:
    """Any reactive family with any settings of its own."""
    name = draw(st.sampled_from(NAMES))
    own = {setting: draw(values) for setting, values in OWN[name].items()}
    made = schedule(name, mode=draw(st.sampled_from(["min", "max"])), floor=draw(st.sampled_from([0.0, 0.2])), **own)
    assert isinstance(made, Reactive)
    return made


def told(machine: Reactive, metrics: list[float]) -> list[dict[str, Any]]:
    """The state before the first metric and after each."""
    states = [machine.begin()]
    for metric in metrics:
        states.append(machine.heard(states[-1], metric))
    return states


@law
@given(machines(), st.lists(METRIC, max_size=40))
def test_a_state_is_json_and_an_evaluation_changes_none_that_was(machine: Reactive, metrics: list[float]) -> None:
    """Every state has the same text before and after it was used, without infinities or NaN, and is one that the
    machine takes back as it is."""
    state = machine.begin()
    for metric in metrics:
        text = json.dumps(state, allow_nan=False)
        following = machine.heard(state, metric)
        assert json.dumps(state, allow_nan=False) == text
        assert json.loads(text) == state
        assert machine.checked_state(json.loads(text)) == state
        state = following
    assert machine.checked_state(state) == state


@law
@given(machines(), st.lists(METRIC, max_size=30))
def test_resuming_at_any_evaluation_equals_going_on(machine: Reactive, metrics: list[float]) -> None:
    """Saved as JSON and read back at each evaluation, in the middle of patience too, all later states are the same."""
    states = told(machine, metrics)
    for at in range(len(metrics)):
        resumed = machine.checked_state(json.loads(json.dumps(states[at])))
        for later, metric in enumerate(metrics[at:], start=at + 1):
            resumed = machine.heard(resumed, metric)
            assert resumed == states[later]


@law
@given(machines(), st.lists(METRIC, max_size=40), st.integers(0, 3))
def test_a_course_resumes_as_its_machines_do(machine: Reactive, metrics: list[float], cut: int) -> None:
    """The states of a course with warm-up, saved in the middle, give the same factors at every step."""
    course = machine.with_settings(warmup=0.1).course(len(metrics) + 4)
    states = course.begin()
    for done, metric in enumerate(metrics, start=1):
        if done % 4 == cut:
            states = tuple(json.loads(json.dumps(states)))
        states = course.heard(states, metric, done)
    factors = course.factors(states)
    assert [course.factor(step, states) for step in range(len(factors))] == factors.tolist()
    assert (factors >= 0).all()
    assert (factors <= 1).all()
    straight = course.begin()
    for done, metric in enumerate(metrics, start=1):
        straight = course.heard(straight, metric, done)
    assert straight == states


@law
@given(machines(), st.lists(METRIC, max_size=60))
def test_multipliers_lie_between_the_bounds_and_only_greedy_rises(machine: Reactive, metrics: list[float]) -> None:
    """From 0 to 1, and greedy's never below the floor, nor at 0."""
    multipliers = np.array([machine.multiplier(state) for state in told(machine, metrics)])
    assert (multipliers >= 0).all()
    assert (multipliers <= 1).all()
    if machine.family == "greedy":
        assert (multipliers >= max(machine.floor, SMALLEST)).all()
    else:
        assert (np.diff(multipliers) <= 0).all()


@law
@given(machines(), st.lists(METRIC, max_size=40), st.data())
def test_all_metrics_that_are_not_finite_are_one(machine: Reactive, metrics: list[float], data: st.DataObject) -> None:
    """NaN and the two infinities do the same everywhere."""
    swapped = [
        metric if math.isfinite(metric) else data.draw(st.sampled_from([NAN, INF, -INF]), label="in its place")
        for metric in metrics
    ]
    assert told(machine, swapped) == told(machine, metrics)


@law
@given(machines(), st.lists(FINITE, max_size=20), st.sampled_from([NAN, INF, -INF]))
def test_a_metric_that_is_not_finite_improves_nothing(machine: Reactive, metrics: list[float], bad: float) -> None:
    """No rate rises after it, the best stays, no level is reached, and to a window it is the last metric again."""
    before = told(machine, metrics)[-1]
    after = machine.heard(before, bad)
    assert machine.multiplier(after) <= machine.multiplier(before)
    for kept in {"best", "reached", "last"} & set(before):
        assert after[kept] == before[kept]
    if metrics and machine.family == "slope":
        assert after == machine.heard(before, metrics[-1])


@law
@given(machines(), st.lists(METRIC, max_size=30))
def test_the_mode_is_the_sign_of_the_metric(machine: Reactive, metrics: list[float]) -> None:
    """A larger metric as better is the same as its negative with smaller as better: no sign is preferred."""
    opposite: dict[str, Any] = {"mode": "max" if machine.mode == "min" else "min"}
    if machine.family == "threshold":
        opposite["levels"] = [-level for level in machine.settings_dict()["levels"]]
    mirrored = machine.with_settings(**opposite)
    found = [mirrored.multiplier(state) for state in told(mirrored, [-metric for metric in metrics])]
    assert found == [machine.multiplier(state) for state in told(machine, metrics)]


@law
@given(st.lists(machines(), max_size=9), st.data())
def test_k_slots_are_k_machines_alone(alone: list[Reactive], data: st.DataObject) -> None:
    """Families and settings mixed, masks, NaN: every slot's state and multiplier has the bits of its own machine, and
    what a slot that was not evaluated finds in its place of the metrics changes nothing."""
    slots = Slots(alone)
    states, expected = slots.begin(), [machine.begin() for machine in alone]
    count = len(alone)
    for _ in range(data.draw(st.integers(0, 12), label="evaluations")):
        metrics = data.draw(st.lists(METRIC, min_size=count, max_size=count), label="metrics")
        mask = data.draw(st.lists(st.booleans(), min_size=count, max_size=count), label="mask")
        states = slots.heard(states, np.array(metrics), np.array(mask, dtype=bool))
        expected = [
            machine.heard(state, metric) if evaluated else state
            for machine, state, metric, evaluated in zip(alone, expected, metrics, mask, strict=True)
        ]
        assert [slots.state_of(states, slot) for slot in range(count)] == expected
        multipliers = [machine.multiplier(state) for machine, state in zip(alone, expected, strict=True)]
        assert slots.multipliers(states).tolist() == multipliers
    again = slots.resumed(json.loads(json.dumps(expected)))
    assert [slots.state_of(again, slot) for slot in range(count)] == expected


@pytest.mark.parametrize("zeros", [1, 7, 30, 200])
def test_a_sum_does_not_depend_on_the_empty_places_before_it(zeros: int) -> None:
    """Windows of different lengths share an array: the bits of a row's sum are those of the row alone."""
    rows = np.random.default_rng(zeros).normal(size=(50, 20))
    beside_longer_ones = np.concatenate([np.zeros((50, zeros)), rows], axis=1)
    assert running_sum(beside_longer_ones).tolist() == running_sum(rows).tolist()


@law
@given(st.lists(machines(), min_size=2, max_size=6), st.lists(METRIC, max_size=15), st.data())
def test_a_slot_is_refilled_without_a_neighbour(
    alone: list[Reactive], metrics: list[float], data: st.DataObject
) -> None:
    """Another state in one slot leaves the states as they were, and in the new ones all other slots."""
    slots = Slots(alone)
    states = slots.begin()
    for metric in metrics:
        states = slots.heard(states, [metric] * len(alone))
    before = [slots.state_of(states, slot) for slot in range(len(alone))]
    at = data.draw(st.integers(0, len(alone) - 1), label="slot")
    given = told(alone[at], data.draw(st.lists(METRIC, max_size=15), label="its metrics"))[-1]
    refilled = slots.with_state(states, at, given)
    assert [slots.state_of(states, slot) for slot in range(len(alone))] == before
    assert [slots.state_of(refilled, slot) for slot in range(len(alone))] == [
        given if slot == at else state for slot, state in enumerate(before)
    ]


def test_a_slot_that_diverges_touches_no_neighbour() -> None:
    """Three plateaus hear 1, then NaN, 1 and infinity, and a fourth is not evaluated."""
    slots = Slots([schedule("plateau", patience=0, gamma=0.5, threshold=0) for _ in range(4)])  # type: ignore[misc]
    states = slots.heard(slots.begin(), [1, 1, 1, 1])
    states = slots.heard(states, [NAN, 0.5, INF, NAN], [True, True, True, False])
    assert slots.multipliers(states).tolist() == [0.5, 1, 0.5, 1]
    assert [slots.state_of(states, slot)["best"] for slot in range(4)] == [1, 0.5, 1, 1]


@pytest.mark.parametrize(
    ("metrics", "mask", "text"),
    [
        ([1.0], None, "metrics must be 2 numbers, one for each slot, not "),
        ([1.0, None], None, "metrics must be 2 numbers, one for each slot, not "),
        ([True, False], None, "metrics must be 2 numbers, one for each slot, not "),
        ([[1.0], [1.0, 2.0]], None, "metrics must be 2 numbers, one for each slot, not "),
        (1.0, None, "metrics must be 2 numbers, one for each slot, not "),
        ([1.0, 2.0], [True], "mask must be 2 times true or false, one for each slot, not "),
        ([1.0, 2.0], [1, 0], "mask must be 2 times true or false, one for each slot, not "),
    ],
)
def test_metrics_that_do_not_fit_the_slots_are_refused(metrics: Any, mask: Any, text: str) -> None:
    """The text says how many are wanted and what to give where there is none."""
    slots = Slots([schedule("greedy"), schedule("slope")])  # type: ignore[list-item]
    with pytest.raises(ScheduleError, match=f"^{text}"):
        slots.heard(slots.begin(), metrics, mask)


def test_slots_take_reactive_schedules_and_their_own_states_alone() -> None:
    """A time-driven schedule, a slot that does not exist, and a state that fits another slot are refused."""
    with pytest.raises(ScheduleError, match=r"^slots: slot 1 must have a reactive family such as .*, not .*cosine"):
        Slots([schedule("greedy"), schedule("cosine")])  # type: ignore[list-item]
    slots = Slots([schedule("greedy"), schedule("slope")])  # type: ignore[list-item]
    states = slots.begin()
    for missing in (2, -1):
        with pytest.raises(ScheduleError, match=f"^slots: there is no slot {missing}; they are 0 to 1"):
            slots.state_of(states, missing)
    with pytest.raises(ScheduleError, match=r"^state of a 'slope' schedule: "):
        slots.with_state(states, 1, slots.state_of(states, 0))
    with pytest.raises(ScheduleError, match=r"^slots: 1 states for 2 slots"):
        slots.resumed([schedule("greedy").begin()])  # type: ignore[attr-defined]
