"""What holds for every family, whatever its settings."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import math
import pickle
import pkgutil
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lrsweep
from lrsweep import schedules
from lrsweep.schedules import Schedule, Setting, family, family_names, schedule, schedule_from_json

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

FAMILIES = [family(name) for name in family_names()]


def allowed_values(setting: Setting) -> st.SearchStrategy[float]:
    allowed = setting.allowed
    return st.floats(allowed.low, allowed.high, exclude_min=allowed.open_low, exclude_max=allowed.open_high)


def searched_values(setting: Setting) -> st.SearchStrategy[float]:
    if setting.search is None:
        return st.just(setting.default)
    return st.floats(setting.search.low, setting.search.high)


@st.composite
def any_schedule(draw: st.DrawFn) -> Schedule:
    """Any family with anything that is allowed, the strangest values too."""
    chosen = draw(st.sampled_from(FAMILIES))
    return schedule(chosen.family, **{one.name: draw(allowed_values(one)) for one in chosen.settings()})


@st.composite
def usual_schedule(draw: st.DrawFn) -> Schedule:
    """Any family as a search draws it: no slope is so steep that a step cannot follow it."""
    chosen = draw(st.sampled_from(FAMILIES))
    values = {one.name: draw(searched_values(one)) for one in chosen.settings()}
    values["floor"] = draw(st.floats(0, 1))
    values["warmup"] = draw(st.just(0.0) | st.floats(0.01, 0.8))
    return schedule(chosen.family, **values)


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


@law
@given(any_schedule(), st.data())
def test_each_step_has_the_rate_of_the_convention(s: Schedule, data: st.DataObject) -> None:
    """Step i alone, by the written rule and in plain numbers, has the rate that ``rates`` gives it."""
    total_steps = data.draw(st.integers(1, 300))
    i = data.draw(st.integers(0, total_steps - 1))
    w = s.warmup_steps(total_steps)
    assert abs(w - s.warmup * total_steps) <= 0.5 + 1e-9 or w == 1
    if i < w:
        expected = (i + 1) / (w + 1)
    else:
        expected = s.floor + (1 - s.floor) * float(s.decay(np.asarray((i - w) / (total_steps - w))))
    assert s.rates(total_steps)[i] == pytest.approx(expected, rel=1e-12, abs=1e-15)


@law
@given(any_schedule(), st.integers(1, 300))
def test_without_a_warm_up_rates_are_the_curve_at_i_of_t(s: Schedule, total_steps: int) -> None:
    """The rate at step i is ``factor(i / T)``."""
    plain = dataclasses.replace(s, warmup=0.0)
    curve = [plain.factor(i / total_steps) for i in range(total_steps)]
    np.testing.assert_allclose(plain.rates(total_steps), curve, rtol=1e-12, atol=1e-15)


@law
@given(usual_schedule(), st.floats(0, 0.999))
def test_the_curve_is_the_limit_of_many_steps(s: Schedule, progress: float) -> None:
    """With 20,000 steps the rate at a progress lies between the curve's values just before and just after it."""
    total_steps = 20_000
    rate = s.rates(total_steps)[int(progress * total_steps)]
    near = s.factor(np.clip(progress + np.array([-2, -1, 0, 1, 2]) / total_steps, 0, None))
    assert near.min() - 0.01 <= rate <= near.max() + 0.01


@law
@given(any_schedule(), st.lists(st.floats(0, 1), min_size=2))
def test_only_one_cycle_ever_rises_after_its_warm_up(s: Schedule, progress: list[float]) -> None:
    """Every other decay goes down or holds."""
    if s.family == "one_cycle":
        return
    decay = s.decay(np.sort(progress))
    assert (np.diff(decay) <= 1e-12).all()


@law
@given(any_schedule(), st.floats(1, allow_infinity=True))
def test_past_the_end_the_value_at_1_holds(s: Schedule, progress: float) -> None:
    """No schedule rises again, falls on or raises after its end."""
    assert s.factor(progress) == s.factor(1.0)


@law
@given(any_schedule())
def test_every_form_gives_the_same_value_back(s: Schedule) -> None:
    """JSON, the pasteable text, a pickle and a copy are equal to the schedule, and hash alike."""
    pasted = eval(repr(s), {"lrsweep": lrsweep})
    for other in (schedule_from_json(s.to_json()), pasted, pickle.loads(pickle.dumps(s)), copy.deepcopy(s)):
        assert other == s
        assert hash(other) == hash(s)
        assert type(other) is type(s)


@pytest.mark.parametrize("one", FAMILIES, ids=lambda one: one.family)
def test_a_family_says_what_it_is(one: type[Schedule]) -> None:
    """Formula, source, use and settings are written; defaults and search ranges lie in what is allowed."""
    assert one.formula
    assert one.source
    assert one.use.endswith(".")
    assert [setting.name for setting in one.settings()][-2:] == ["floor", "warmup"]
    for setting in one.settings():
        assert setting.meaning
        assert setting.default in setting.allowed
        if setting.search is not None:
            assert setting.search.low in setting.allowed
            assert setting.search.high in setting.allowed
            assert setting.search.low <= setting.default <= setting.search.high


def test_the_families_are_the_eight_in_a_fixed_order() -> None:
    """Names, order, and ranks of simplicity, which are all different and begin with constant's 0."""
    assert family_names() == ("constant", "step", "exponential", "linear", "cosine", "wsd", "one_cycle", "rex")
    ranks = [one.simplicity for one in FAMILIES]
    assert len(set(ranks)) == len(ranks)
    assert min(ranks) == family("constant").simplicity == 0


def test_a_schedule_cannot_be_changed() -> None:
    """A schedule is a frozen value."""
    cosine = schedule("cosine")
    with pytest.raises(dataclasses.FrozenInstanceError):
        cosine.warmup = 0.5  # type: ignore[misc]


def test_families_and_settings_tell_schedules_apart() -> None:
    """Two families with the same settings differ, and so do two settings of one family; an int is its float."""
    assert schedule("cosine") != schedule("linear")
    assert schedule("cosine", warmup=0.1) != schedule("cosine")
    assert schedule("wsd", cooldown=1) == schedule("wsd", cooldown=np.float64(1.0))
    assert schedule("wsd", cooldown=1).to_json() == schedule("wsd", cooldown=1.0).to_json()
    assert math.copysign(1, schedule("cosine", floor=-0.0).floor) == 1


def test_the_examples_in_the_docstrings_run() -> None:
    """Each example of the package prints what it says, and there are some."""
    modules = [
        schedules,
        *(import_module(f"lrsweep.schedules.{m.name}") for m in pkgutil.iter_modules(schedules.__path__)),
    ]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 9


def test_schedules_need_numpy_alone() -> None:
    """A machine without torch, Optuna and the rest can import and use schedules."""
    code = (
        "import sys; before = set(sys.modules); import lrsweep; lrsweep.schedule('rex').rates(3)\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "print(sorted(name for name in new if not name.startswith('_')))\n"
        "print(sorted({name.split('.')[1] for name in sys.modules if name.startswith('lrsweep.')}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == ["['lrsweep', 'numpy']", "['errors', 'schedules']"]
