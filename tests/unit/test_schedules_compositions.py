"""What holds for everything that is made of other schedules, nested and reactive ones too."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import lrsweep
from lrsweep.errors import ScheduleError
from lrsweep.schedules import Schedule, schedule_from_json
from tests import drawn_schedules
from tests.drawn_compositions import LONG_ENOUGH, any_composition, metrics_at, with_few_steps
from tests.emitted import executed

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

TIME_DRIVEN = any_composition(reactive=False)
ANY = any_composition(reactive=True)
HORIZON = st.integers(LONG_ENOUGH, 2 * LONG_ENOUGH)


@law
@given(ANY)
def test_every_form_gives_the_same_composition_back(s: Schedule) -> None:
    """JSON, the pasteable text, a pickle and a copy are equal to the schedule, and hash alike."""
    pasted = eval(repr(s), {"lrsweep": lrsweep})
    read = schedule_from_json(s.to_json(), allow_code=True)
    for other in (read, pasted, pickle.loads(pickle.dumps(s)), copy.deepcopy(s)):
        assert other == s
        assert hash(other) == hash(s)
        assert type(other) is type(s)
    assert read.to_json() == s.to_json()


@law
@given(TIME_DRIVEN, HORIZON, st.floats(1e-6, 1e6))
def test_rates_of_a_composition_are_finite_and_in_range(s: Schedule, total_steps: int, peak_lr: float) -> None:
    """One finite rate per step, none below 0 or above the peak; a numerical warning would fail the test."""
    rates = s.rates(total_steps, peak_lr)
    assert rates.shape == (total_steps,)
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert (rates <= peak_lr).all()


@law
@given(TIME_DRIVEN, st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_factors_of_a_composition_are_in_range_and_hold_past_the_end(s: Schedule, progress: list[float]) -> None:
    """The continuous curve too is within [0, 1], and its value at 1 holds for ever after."""
    factors = s.factor(progress, LONG_ENOUGH)
    assert np.isfinite(factors).all()
    assert ((factors >= 0) & (factors <= 1)).all()
    assert s.factor(7.0, LONG_ENOUGH) == s.factor(1.0, LONG_ENOUGH)


@law
@given(TIME_DRIVEN, HORIZON)
def test_counts_turned_into_fractions_give_the_same_rates(s: Schedule, total_steps: int) -> None:
    """``on_horizon(T)`` has no counts left, those of its parts neither, and on T steps it is the same schedule."""
    fixed = s.on_horizon(total_steps)
    assert not fixed.has_counts
    np.testing.assert_allclose(fixed.rates(total_steps), s.rates(total_steps), rtol=1e-9, atol=1e-9)


@law
@given(ANY, HORIZON, st.data())
def test_the_rates_of_a_training_are_in_range_and_end_in_what_holds(
    s: Schedule, total_steps: int, data: st.DataObject
) -> None:
    """With any metrics each rate is finite and at most the peak, and the last entry of the course is a factor too."""
    metrics = data.draw(metrics_at(total_steps))
    rates = s.replay(metrics, total_steps, 2.0)
    assert rates.shape == (total_steps,)
    assert np.isfinite(rates).all()
    assert ((rates >= 0) & (rates <= 2.0)).all()
    course = s.course(total_steps)
    states = course.begin()
    for done, metric in sorted(metrics.items()):
        states = course.heard(states, metric, done)
    assert 0 <= course.factor(total_steps, states) <= 1
    assert course.factor(total_steps + 1000, states) == course.factor(total_steps, states)


@law
@given(ANY, HORIZON, st.data())
def test_a_training_that_stops_and_resumes_has_the_same_rates(
    s: Schedule, total_steps: int, data: st.DataObject
) -> None:
    """The states are plain JSON: written and read again after every evaluation, they lead to the same rates, and one
    step's factor alone is that of all."""
    metrics = data.draw(metrics_at(total_steps))
    course = s.course(total_steps)
    states = course.begin()
    rates = []
    for step in range(total_steps):
        rates.append(course.factor(step, states))
        assert rates[-1] == course.factors(states)[step]
        if step + 1 in metrics:
            heard = s.course(total_steps).heard(states, metrics[step + 1], step + 1)
            states = tuple(json.loads(json.dumps(heard, allow_nan=False)))
    assert rates == s.replay(metrics, total_steps).tolist()


@law
@given(ANY)
def test_a_composition_reacts_to_a_metric_when_a_part_does(s: Schedule) -> None:
    """``needs_metric`` is said truly: there are rates exactly when no metric is needed."""
    if s.needs_metric:
        assert s.course(LONG_ENOUGH).reactors
        with pytest.raises(lrsweep.NeedsMetric, match=r"s\.replay\(metrics, total_steps\)"):
            s.rates(LONG_ENOUGH)
    else:
        assert not s.course(LONG_ENOUGH).reactors
        assert s.rates(LONG_ENOUGH).shape == (LONG_ENOUGH,)


@settings(law, max_examples=300, suppress_health_check=list(HealthCheck))
@given(with_few_steps(), st.integers(1, 12), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_what_can_be_laid_out_can_be_asked_for_in_every_form(
    s: Schedule, total_steps: int, progress: list[float]
) -> None:
    """From one step up, and where a warm-up leaves no step to what lies inside: a horizon that ``course`` takes is one
    for the momenta, the fractions, the curve and the emitted code too."""
    try:
        course = s.course(total_steps)
    except ScheduleError:
        reject()
    factors = course.factors(course.begin())
    assert ((factors >= 0) & (factors <= 1)).all()  # NaN is neither
    momenta = s.momenta(total_steps)
    assert momenta is None or (((momenta >= 0.85) & (momenta <= 0.95)).all() and momenta.shape == (total_steps,))
    fixed = s.on_horizon(total_steps)
    assert not fixed.has_counts
    if not s.needs_metric:
        curve = s.factor([*progress, 1.0], total_steps)
        assert ((curve >= 0) & (curve <= 1)).all()
        rate = executed(s.to_code("python", total_steps))["rate"]
        found = [rate(step) for step in range(total_steps + 1)]
        np.testing.assert_allclose(found, factors, rtol=1e-9, atol=1e-12)


def test_a_function_inside_runs_only_when_that_is_allowed() -> None:
    """A composition's JSON that names a function is refused with its place, and read with ``allow_code``."""
    path = f"{drawn_schedules.__name__}:falling"
    s = lrsweep.schedule("function", path=path, allow_code=True).extended(2.0)
    with pytest.raises(lrsweep.ScheduleError, match=r"schedule JSON: schedule: schedule 'function': .*allow_code=True"):
        schedule_from_json(s.to_json())
    assert schedule_from_json(s.to_json(), allow_code=True) == s
