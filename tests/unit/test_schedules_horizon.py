"""Another horizon for a schedule: extended with its last value, and cooled down from a checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lrsweep
from lrsweep import ScheduleError, schedule
from lrsweep.schedules import Schedule
from lrsweep.schedules.cooldowns import COOLDOWNS
from tests.drawn_compositions import any_composition, metrics_at, reactive_schedule
from tests.drawn_schedules import usual_schedule

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

LINEAR, CONSTANT = schedule("linear"), schedule("constant")
HALF = schedule("linear", floor=0.5)
PLATEAU = schedule("plateau", patience=0, gamma=0.5)
ANY = usual_schedule() | reactive_schedule() | any_composition(reactive=True)
SHAPES = st.sampled_from(sorted(COOLDOWNS))

ROOT_HALF = 0.5**0.5

# schedule, rates of a peak of 1; the number of steps is the number of rates
TABLE: list[tuple[Schedule, list[float]]] = [
    (LINEAR.extended(1), [1, 0.75, 0.5, 0.25]),
    (LINEAR.extended(2), [1, 0.5, 0, 0]),
    (HALF.extended(2), [1, 0.75, 0.5, 0.5]),
    (HALF.extended(1.5), [1, 0.75, 0.5]),  # the schedule's own steps are 2 of 3
    (HALF.extended(2), [1, 5 / 6, 4 / 6, 0.5, 0.5]),  # 2.5 of 5 are 3
    (HALF.extended(100), [1, 0.5, 0.5]),  # never less than one step
    (schedule("linear", warmup="1 step").extended(2), [0.5, 1, 0.5, 0, 0, 0]),
    (LINEAR.extended(2).with_settings(floor=0.5), [1, 0.75, 0.5, 0.5]),
    (LINEAR.extended(2).extended(2), [1, 0.5, 0, 0, 0, 0, 0, 0]),
    (CONSTANT.cooled_down(0.5, 0.5), [1, 1, 1, 0.5]),
    (CONSTANT.cooled_down(0.5, 0.25), [1, 1, 1, 1, 1, 0.5, 0, 0]),
    (CONSTANT.cooled_down(0.5, 0.5), [1, 1, 1, 0.8, 0.4]),  # the cool-down begins at step 2.5
    (CONSTANT.cooled_down("2 steps", "2 steps"), [1, 1, 1, 0.5, 0, 0]),
    (CONSTANT.cooled_down(0.5, "2 steps"), [1, 1, 1, 1, 0.5, 0]),
    (CONSTANT.cooled_down(0, 1), [1, 0.75, 0.5, 0.25]),
    (CONSTANT.cooled_down(0.5, 0.5, "1-sqrt"), [1, 1, 1, 1 - ROOT_HALF]),
    (
        CONSTANT.cooled_down(0.5, 0.5, "cosine"),
        [1, 1, 1, 1, 1, 0.75 + (ROOT_HALF - 0.5) / 2, 0.5, 0.25 - (ROOT_HALF - 0.5) / 2],
    ),
    (CONSTANT.cooled_down(0.5, 0.5, "exponential"), [1, 1, 1, 2 * ROOT_HALF - 1]),
    (LINEAR.cooled_down(0.5, 0.5), [1, 0.75, 0.5, 0.25]),
    (LINEAR.cooled_down(0.5, 0.25), [1, 0.875, 0.75, 0.625, 0.5, 0.25, 0, 0]),
    (HALF.cooled_down(0.5, 0.25), [1, 0.9375, 0.875, 0.8125, 0.75, 0.625, 0.5, 0.5]),  # to its floor
    (schedule("constant", floor=0.5).cooled_down(0.5, 0.5), [1, 1, 1, 0.75]),
    (HALF.extended(2).cooled_down(0.5, 0.5), [1, 0.75, 0.5, 0.5]),  # it is at the floor already
    (schedule("constant", warmup=0.75, floor=0.9).cooled_down(0.25, 0.5), [0.25, 0.5, 0.5, 0.5]),  # below the floor
    (schedule("constant", warmup=0.75).cooled_down(0.25, 0.5), [0.25, 0.5, 0.25, 0]),
    (CONSTANT.extended(2).cooled_down(at=0.9, over=0.1, shape="1-sqrt"), [1.0] * 19 + [1 - ROOT_HALF]),
]


@pytest.mark.parametrize(("s", "expected"), TABLE)
def test_rates_on_another_horizon_are_those_of_the_table(s: Schedule, expected: list[float]) -> None:
    """Worked out by hand, with counts, floors, warm-ups and all four shapes."""
    np.testing.assert_allclose(s.rates(len(expected)), expected, rtol=1e-14, atol=1e-15)


# ── extended ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@law
@given(ANY, st.floats(1, 5), st.integers(100, 200), st.data())
def test_an_extended_schedule_is_bit_for_bit_what_it_was_and_then_holds(
    s: Schedule, ratio: float, own: int, data: st.DataObject
) -> None:
    """The first steps are the schedule's own at its own horizon, with the same metrics; after them nothing moves."""
    longer = s.extended(ratio)
    total = round(own * ratio)
    own = longer.own_steps(total)  # type: ignore[attr-defined]
    assert abs(own - total / ratio) <= 0.5 + 1e-6
    metrics = data.draw(metrics_at(total))
    rates = longer.replay(metrics, total)
    alone = {done: metric for done, metric in metrics.items() if done <= own}
    assert rates[:own].tolist() == s.replay(alone, own).tolist()
    course = s.course(own)
    states = course.begin()
    for done, metric in sorted(alone.items()):
        states = course.heard(states, metric, done)
    assert (rates[own:] == course.factor(own, states)).all()


def test_a_plateau_that_was_extended_hears_nothing_after_its_own_end() -> None:
    """On 8 steps, 4 of them its own: a worse metric after 2 updates halves the rate, one after 6 does nothing."""
    rates = PLATEAU.extended(2.0).replay({1: 1.0, 2: 2.0, 6: 3.0, 7: 4.0}, 8)
    assert rates.tolist() == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_the_continuous_curve_of_an_extended_schedule_is_compressed() -> None:
    """Half the progress is the schedule's whole; a drop at its end has happened there."""
    longer = LINEAR.extended(2.0)
    np.testing.assert_allclose(longer.factor([0, 0.25, 0.5, 0.75, 1, 3]), [1, 0.5, 0, 0, 0, 0])
    steps = schedule("step", every=0.5, gamma=0.5).extended(3.0)
    assert steps.factor([0, 1 / 6, 1 / 3, 0.9]).tolist() == [1, 0.5, 0.25, 0.25]


def test_momenta_on_another_horizon_hold_the_last() -> None:
    """While the rate holds or cools down, the momentum stays what it was."""
    cycle = schedule("one_cycle", rise=0.5, cycle_momentum=True, momentum_low=0.8, momentum_high=0.9)
    longer, cooler = cycle.extended(2.0).momenta(8), cycle.cooled_down(0.25, 0.5).momenta(4)
    assert longer is not None
    assert cooler is not None
    np.testing.assert_allclose(longer, [0.9, 0.85, 0.8, 0.85, 0.85, 0.85, 0.85, 0.85])
    np.testing.assert_allclose(cooler, [0.9, 0.85, 0.85, 0.85])
    assert LINEAR.extended(2.0).momenta(8) is None
    assert LINEAR.cooled_down(0.5, 0.5).momenta(8) is None


@pytest.mark.parametrize("ratio", [0.5, 0, -1, float("nan"), float("inf"), 1e9, "2", None, True])
def test_a_ratio_is_a_number_from_1_up(ratio: Any) -> None:
    """A shorter horizon is no extension."""
    with pytest.raises(ScheduleError, match=r"schedule 'extended': ratio must be a number in \[1, 1e\+06\], not "):
        LINEAR.extended(ratio)


# ── cooled down ──────────────────────────────────────────────────────────────────────────────────────────────────────


@law
@given(ANY, st.integers(100, 200), st.floats(0, 0.9), st.floats(0.01, 1), SHAPES, st.data())
def test_a_cool_down_leaves_what_was_and_never_rises_again(
    s: Schedule, total: int, at: float, share: float, shape: str, data: st.DataObject
) -> None:
    """Steps up to ``at`` are the schedule's, bit for bit; after it the rate goes down to the floor and stays there."""
    branched = s.cooled_down(at, share * (1 - at), shape)
    metrics = data.draw(metrics_at(total))
    rates = branched.replay(metrics, total)
    last = int(at * total + 1e-9)
    known = {done: metric for done, metric in metrics.items() if done <= at * total + 1e-9}
    assert rates[: last + 1].tolist() == s.replay(known, total)[: last + 1].tolist()
    assert (np.diff(rates[last:]) <= 1e-15).all()
    assert (rates >= 0).all()
    course = branched.course(total)
    states = course.begin()
    for done, metric in sorted(metrics.items()):
        states = course.heard(states, metric, done)
    assert course.factor(total, states) == course.factor(10 * total, states) <= rates[-1]


@law
@given(usual_schedule(), st.integers(2, 200), st.data())
def test_a_cool_down_of_the_constant_is_wsd(s: Schedule, total: int, data: st.DataObject) -> None:
    """On any number of steps: where a cool-down begins between two steps, both have the same rates."""
    over, shape = data.draw(st.floats(0.01, 1)), data.draw(SHAPES)
    warm: dict[str, Any] = {
        "warmup": s.warmup,
        "warmup_shape": s.warmup_shape,
        "warmup_start": s.warmup_start,
        "floor": s.floor,
    }
    cooled = CONSTANT.cooled_down(1 - over, over, shape).with_settings(**warm)
    expected = schedule("wsd", cooldown=over, shape=shape, **warm).rates(total)
    np.testing.assert_allclose(cooled.rates(total), expected, rtol=1e-9, atol=1e-9)


def test_a_plateau_that_cools_down_hears_nothing_after_the_branch() -> None:
    """On 10 steps it is halved after 2 updates; from step 6 on it cools down to its floor, whatever comes."""
    s = schedule("plateau", patience=0, gamma=0.5, floor=0.1).cooled_down("6 steps", "4 steps")
    metrics = {1: 1.0, 2: 2.0, 7: 3.0, 8: 4.0}
    np.testing.assert_allclose(s.replay(metrics, 10), [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2])
    # An evaluation right at the branch is heard: the next step begins with it.
    np.testing.assert_allclose(s.replay({1: 1.0, 6: 2.0}, 10)[5:], [1, 0.5, 0.4, 0.3, 0.2])
    assert s.course(10).factor(10, s.course(10).begin()) == pytest.approx(0.1)


def test_a_branch_from_a_checkpoint_is_one_schedule_per_branch() -> None:
    """A constant training of 100 steps with cool-downs branched off at 30 and at 60: all share the steps before."""
    trunk = CONSTANT.rates(100)
    for branch in (30, 60):
        rates = CONSTANT.cooled_down(f"{branch} steps", "10 steps").rates(100)
        assert rates[: branch + 1].tolist() == trunk[: branch + 1].tolist()
        np.testing.assert_allclose(rates[branch : branch + 11], np.linspace(1, 0, 11), atol=1e-15)
        assert not rates[branch + 10 :].any()


def test_a_cool_down_goes_below_the_floors_of_parts_that_are_over() -> None:
    """To the lowest floor of all parts, 0 here; one step asked alone has what all steps have."""
    parts = lrsweep.sequence((schedule("constant", floor=1.0), 0.5), (CONSTANT, 0.5))
    course = parts.cooled_down(0.25, 0.5).course(4)
    assert [course.factor(step) for step in range(6)] == [*course.factors().tolist(), 0.0] == [1, 1, 0.5, 0, 0, 0]


def test_counts_become_fractions_of_a_horizon_inside_a_chain() -> None:
    """A warm-up of 2 of the 10 steps that an extended schedule has of 20; a cool-down of 5."""
    chain = schedule("linear", warmup="2 steps").extended(2.0).cooled_down("5 steps", 0.5)
    assert chain.has_counts
    assert chain.on_horizon(20) == schedule("linear", warmup=0.2).extended(2.0).cooled_down(0.25, 0.5)


def test_the_continuous_cool_down_leaves_from_the_value_at_its_beginning() -> None:
    """From 0.5 at half of a line down to 0 at three quarters; to the floor of a sequence's lowest part."""
    s = LINEAR.cooled_down(0.5, 0.25)
    np.testing.assert_allclose(s.factor([0, 0.25, 0.5, 0.625, 0.75, 1, 5]), [1, 0.75, 0.5, 0.25, 0, 0, 0], atol=1e-15)
    parts = lrsweep.sequence((HALF, 0.5), (schedule("constant", floor=0.2), 0.5))
    assert parts.cooled_down(0.75, 0.25).factor(1.0) == pytest.approx(0.2)
    assert parts.with_settings(floor=0.5).cooled_down(0.75, 0.25).factor(1.0) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("at", "over", "text"),
    [
        (0.9, 0.2, "schedule 'cooled_down': at 0.9 and over 0.2 are 1.1 of the horizon; wanted at most 1 together"),
        (
            1.0,
            0.1,
            "schedule 'cooled_down': at must be a number in [0, 1), or a count such as '500 steps', not 1.0: "
            "where the cool-down begins, as a fraction of the horizon",
        ),
        (
            0.5,
            0,
            "schedule 'cooled_down': over must be a number in (0, 1], or a count such as '500 steps', not 0: "
            "the fraction of the horizon that the cool-down takes",
        ),
    ],
)
def test_a_cool_down_that_cannot_be_meant_is_refused(at: Any, over: Any, text: str) -> None:
    """Both numbers, and what is wanted."""
    with pytest.raises(ScheduleError) as error:
        LINEAR.cooled_down(at, over)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("at", "over", "text"),
    [
        ("90 steps", 0.2, "at '90 steps' and over 0.2 end at step 110, and there are 100"),
        (0.95, "10 steps", "at 0.95 and over '10 steps' end at step 105, and there are 100"),
        ("90 steps", "20 steps", "at '90 steps', over '20 steps' take 110 steps, and there are 100"),
    ],
)
def test_counts_that_do_not_fit_a_cool_down_are_refused_with_the_numbers(at: Any, over: Any, text: str) -> None:
    """Only a horizon shows that they do not fit; on a longer one they do."""
    s = LINEAR.cooled_down(at, over)
    with pytest.raises(ScheduleError, match=f"schedule 'cooled_down': {text}: a longer horizon is needed"):
        s.rates(100)
    assert s.rates(1000).shape == (1000,)


def test_a_shape_is_one_of_four() -> None:
    """An unknown one is told with those that there are."""
    with pytest.raises(
        ScheduleError, match=r"shape must be one of 'linear', 'cosine', '1-sqrt', 'exponential', not 'sq'"
    ):
        LINEAR.cooled_down(0.5, 0.5, "sq")


def test_the_texts_can_be_pasted_and_read() -> None:
    """The chain of calls is the text; JSON has the schedule inside."""
    s = schedule("wsd").extended(2).with_settings(floor=0.1).cooled_down(0.9, 0.1, "1-sqrt")
    assert repr(s) == (
        "lrsweep.schedule('wsd').extended(2.0).with_settings(floor=0.1).cooled_down(at=0.9, over=0.1, shape='1-sqrt')"
    )
    assert CONSTANT.cooled_down("5 steps", 0.5).to_json() == (
        '{"version": 1, "family": "cooled_down", "schedule": {"family": "constant", "floor": 0.0, "warmup": 0.0}, '
        '"at": "5 steps", "over": 0.5, "shape": "linear", "floor": 0.0, "warmup": 0.0}'
    )
    assert repr(LINEAR.cooled_down(0.5, 0.5)) == "lrsweep.schedule('linear').cooled_down(at=0.5, over=0.5)"


def test_a_horizon_that_a_warm_up_takes_whole_is_laid_out_too() -> None:
    """One step, all of it warm-up: what holds after it is the value at the end."""
    for s, end in ((HALF.extended(2), 0.5), (HALF.cooled_down(0.5, 0.5), 0.5), (PLATEAU.extended(2), 1.0)):
        course = s.with_settings(warmup=0.1).course(1)
        states = course.begin()
        assert [course.factor(step, states) for step in (0, 1, 2)] == [0.5, end, end]


def test_counts_inside_ask_for_nothing_where_a_warm_up_takes_all_steps() -> None:
    """The curve is as well defined as the rates are: a warm-up, and at 1 the end of what lies inside."""
    inside = schedule("linear", warmup="2 steps", floor=0.25)
    for s in (inside.extended(2.0), inside.cooled_down(0.5, 0.5), lrsweep.sequence((inside, 1.0))):
        whole = s.with_settings(warmup="4 steps")
        assert whole.rates(4).tolist() == [0.2, 0.4, 0.6, 0.8]
        assert whole.course(4).factor(4) == 0.25
        np.testing.assert_allclose(whole.factor([0, 0.5, 1.0], 4), [0, 0.5, 0.25])
        assert whole.on_horizon(4).rates(4).tolist() == [0.2, 0.4, 0.6, 0.8]
        assert "def rate(" in whole.to_code("python", 4)


def test_schedules_cannot_be_nested_without_end() -> None:
    """Thirty inside one another are enough; Python's own stack would end soon after."""
    s: Schedule = LINEAR
    for _ in range(29):
        s = s.extended(1.0)
    assert s.rates(4).tolist() == LINEAR.rates(4).tolist()
    told = "that is not already made of 30 inside one another"
    with pytest.raises(ScheduleError, match=told):
        s.extended(1.0)
    with pytest.raises(ScheduleError, match=told):
        s.cooled_down(0.5, 0.5)
    with pytest.raises(ScheduleError, match=told):
        lrsweep.sequence((s, 1.0))
