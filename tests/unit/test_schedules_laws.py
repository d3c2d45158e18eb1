"""What holds for every time-driven family, whatever its settings."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lrsweep
from lrsweep.errors import ScheduleError
from lrsweep.schedules import Schedule, schedule_from_json
from lrsweep.schedules.clock import progress_of
from lrsweep.schedules.noise import dip
from tests.drawn_schedules import MAY_RISE, TIME_DRIVEN, any_schedule, usual_schedule

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NEVER_RISE = [one for one in TIME_DRIVEN if one.family not in MAY_RISE]


@law
@given(any_schedule(), st.lists(st.floats(0, 1.5), min_size=1))
def test_factors_are_finite_and_between_0_and_1(s: Schedule, progress: list[float]) -> None:
    """No setting and no progress gives another factor; a numerical warning would fail the test."""
    factors = s.factor(progress)
    assert np.isfinite(factors).all()
    assert (factors >= 0).all()
    assert (factors <= 1).all()


@law
@given(any_schedule(), st.integers(1, 300), st.floats(1e-9, 1e9))
def test_no_rate_is_below_0_or_above_the_peak(s: Schedule, total_steps: int, peak_lr: float) -> None:
    """``rates`` has one finite rate per step, none above the peak."""
    rates = s.rates(total_steps, peak_lr)
    assert rates.shape == (total_steps,)
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert (rates <= peak_lr).all()


def risen(s: Schedule, x: float) -> float:
    """The warm-up's factor at its own progress, in plain numbers."""
    start = s.warmup_start
    if s.warmup_shape == "exponential":
        return float(start ** (1 - x))
    way = {
        "linear": x,
        "cosine": (1 - math.cos(math.pi * x)) / 2,
        "polynomial": x**s.warmup_power,
        "constant": 0.0,
    }[s.warmup_shape]
    return float(start + (1 - start) * way)


@law
@given(any_schedule(), st.data())
def test_each_step_has_the_rate_of_the_convention(s: Schedule, data: st.DataObject) -> None:
    """Step i alone, by the written rule and in plain numbers, has the rate that ``rates`` gives it."""
    total_steps = data.draw(st.integers(1, 300))
    i = data.draw(st.integers(0, total_steps - 1))
    w, k, rest = s.clock(total_steps)
    assert w + k + rest == total_steps
    assert abs(w - float(s.warmup) * total_steps) <= 0.5 + 1e-9 or w == 1
    assert abs(k - float(s.hold) * total_steps) <= 0.5 + 1e-9 or w + k == total_steps
    if i < w:
        expected = risen(s, (i + 1) / (w + 1))
    else:
        u = (i - w - k) / rest if i >= w + k else 0.0
        noise = s.noise * float(dip(np.asarray(i / total_steps), s.noise_seed))
        decay = float(s.decay(np.asarray(u)))
        expected = s.floor + (1 - s.floor) * decay * (1 - noise)
    assert s.rates(total_steps)[i] == pytest.approx(expected, rel=1e-12, abs=1e-15)


@law
@given(any_schedule(), st.integers(1, 300))
def test_without_a_warm_up_rates_are_the_curve_at_i_of_t(s: Schedule, total_steps: int) -> None:
    """The rate at step i is ``factor(i / T)``, asked for one by one and in any order."""
    plain = dataclasses.replace(s, warmup=0.0, hold=0.0)
    curve = [plain.factor(i / total_steps) for i in reversed(range(total_steps))]
    np.testing.assert_allclose(plain.rates(total_steps), curve[::-1], rtol=1e-12, atol=1e-15)


@law
@given(any_schedule(), st.integers(1, 300), st.integers(0, 1000))
def test_a_course_gives_each_step_alone_and_holds_after_the_end(s: Schedule, total_steps: int, beyond: int) -> None:
    """``course.factor(i)`` is the factor of step i; from step T on it is that of the end, the same for ever."""
    course = s.course(total_steps)
    assert [course.factor(i) for i in range(total_steps)] == s.rates(total_steps).tolist()
    assert course.factor(total_steps + beyond) == course.factor(total_steps)
    assert course.factor(total_steps) == pytest.approx(s.factor(1.0), rel=1e-12, abs=1e-15)


@law
@given(usual_schedule(), st.floats(0, 0.999))
def test_the_curve_is_the_limit_of_many_steps(s: Schedule, progress: float) -> None:
    """With 20,000 steps the rate at a progress lies between the curve's values just before and just after it."""
    total_steps = 20_000
    rate = s.rates(total_steps)[int(progress * total_steps)]
    near = s.factor(np.clip(progress + np.array([-2, -1, 0, 1, 2]) / total_steps, 0, None))
    assert near.min() - 0.01 <= rate <= near.max() + 0.01


@law
@given(any_schedule(NEVER_RISE), st.lists(st.floats(0, 1), min_size=2))
def test_most_families_never_rise_after_their_warm_up(s: Schedule, progress: list[float]) -> None:
    """Their decay goes down or holds."""
    decay = s.decay(np.sort(progress))
    assert (np.diff(decay) <= 1e-12).all()


@law
@given(any_schedule(), st.floats(1, allow_infinity=True))
def test_past_the_end_the_value_at_1_holds(s: Schedule, progress: float) -> None:
    """No schedule rises again, falls on or raises after its end."""
    assert s.factor(progress) == s.factor(1.0)


@law
@given(any_schedule(), st.integers(0, 40), st.integers(0, 40), st.integers(1, 60), st.integers(2, 20))
def test_compressing_keeps_the_shape(s: Schedule, warm: int, held: int, rest: int, times: int) -> None:
    """After the warm-up a short training has the rates that a long one has at the same progress, noise and all."""
    short = warm + held + rest
    long = times * short
    same = dataclasses.replace(s, warmup=warm / short, hold=held / short)
    assert same.clock(short) == (warm, held, rest)
    assert same.clock(long) == (times * warm, times * held, times * rest)
    np.testing.assert_allclose(
        same.rates(short)[warm:], same.rates(long)[times * warm :: times], rtol=1e-12, atol=1e-15
    )


@law
@given(any_schedule(), st.integers(0, 40), st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
def test_counts_of_steps_stay_when_the_horizon_changes(s: Schedule, warm: int, held: int, one: int, two: int) -> None:
    """A warm-up and a hold in steps are as long at every horizon; the decay has what is left, on its own clock."""
    # Noise is on a grid of the whole training's progress; it moves with the horizon.
    counted = dataclasses.replace(s, warmup=f"{warm} steps", hold=f"{held} steps", noise=0.0)
    rates = [counted.rates(warm + held + rest) for rest in (one, two)]
    assert np.array_equal(rates[0][: warm + held], rates[1][: warm + held])
    decay = dataclasses.replace(s, warmup=0.0, hold=0.0, noise=0.0).rates(one)
    np.testing.assert_allclose(rates[0][warm + held :], decay, rtol=1e-12, atol=1e-15)
    if warm + held > 1:
        with pytest.raises(ScheduleError, match=f"take {warm + held} steps, and there are {warm + held - 1}: "):
            counted.rates(warm + held - 1)


@law
@given(any_schedule(), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_count_of_steps_is_its_fraction_of_the_horizon(s: Schedule, warm: int, held: int, rest: int) -> None:
    """With ``total_steps`` given, the curve is the one of the same schedule with fractions."""
    steps = warm + held + rest
    counted = dataclasses.replace(s, warmup=f"{warm} steps", hold=f"{held} steps")
    relative = dataclasses.replace(s, warmup=warm / steps, hold=held / steps)
    assert counted.has_counts
    assert not relative.has_counts
    assert counted.on_horizon(steps) == relative
    progress = progress_of(7)
    assert np.array_equal(counted.factor(progress, steps), relative.factor(progress))
    assert np.array_equal(counted.rates(steps), relative.rates(steps))


@law
@given(any_schedule(), st.integers(1, 300), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_noise_takes_off_and_never_adds(s: Schedule, total_steps: int, noise: float, seed: int) -> None:
    """A noisy rate is at most the plain one and at least the floor; the warm-up has no noise; a seed is its noise."""
    plain = dataclasses.replace(s, noise=0.0)
    noisy = dataclasses.replace(s, noise=noise, noise_seed=seed)
    without, with_noise = plain.rates(total_steps), noisy.rates(total_steps)
    warm = plain.warmup_steps(total_steps)
    assert np.array_equal(with_noise[:warm], without[:warm])
    assert (with_noise[warm:] <= without[warm:]).all()
    assert (with_noise[warm:] >= s.floor).all()
    least = s.floor + (1 - noise) * (without[warm:] - s.floor)
    assert (with_noise[warm:] >= least - 1e-12).all()
    assert np.array_equal(noisy.rates(total_steps), with_noise)


@law
@given(any_schedule())
def test_every_form_gives_the_same_value_back(s: Schedule) -> None:
    """JSON, the pasteable text, a pickle and a copy are equal to the schedule, and hash alike."""
    pasted = eval(repr(s), {"lrsweep": lrsweep})
    read = schedule_from_json(s.to_json(), allow_code=s.runs_code)
    for other in (read, pasted, pickle.loads(pickle.dumps(s)), copy.deepcopy(s), copy.copy(s)):
        assert other == s
        assert hash(other) == hash(s)
        assert type(other) is type(s)
        assert other.to_json() == s.to_json()
        assert np.array_equal(other.rates(7), s.rates(7))
