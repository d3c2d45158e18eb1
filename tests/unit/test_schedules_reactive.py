"""Reactive schedules by hand: what each rule does with a few metrics, and how a multiplier lies in the curve."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import numpy as np
import pytest
import torch

import lrsweep
from lrsweep.errors import NeedsMetric, ScheduleError
from lrsweep.schedules import Course, Reactive, family, schedule, schedule_from_json
from lrsweep.schedules.course import Floats, join
from lrsweep.schedules.reactive.greedy import SMALLEST

NAN, INF = float("nan"), float("inf")
NAMES = ("plateau", "threshold", "slope", "greedy")


def at_once(**settings: Any) -> Reactive:
    """A plateau that halves the rate at every evaluation without an improvement."""
    made = schedule("plateau", **{"patience": 0, "gamma": 0.5, **settings})
    assert isinstance(made, Reactive)
    return made


# family, settings, one metric after each step, the rates of a peak of 1: metric i counts from step i + 1 on
HALVES: dict[str, Any] = {"gamma": 0.5}
TABLE: list[tuple[str, dict[str, Any], list[float], list[float]]] = [
    ("plateau", {"patience": 0}, [4, 3, 3, 2, 5, 6], [1, 1, 1, 0.5, 0.5, 0.25]),
    ("plateau", {"patience": 1}, [4, 4, 4, 4, 4, 4], [1, 1, 1, 0.5, 0.5, 0.25]),
    ("plateau", {"patience": 1}, [4, 5, 3, 4, 4, 4], [1, 1, 1, 1, 1, 0.5]),  # an improvement ends the bad row
    ("plateau", {"patience": 0, "cooldown": 2}, [4, 5, 5, 5, 5, 5], [1, 1, 0.5, 0.5, 0.5, 0.25]),
    ("plateau", {"patience": 0, "mode": "max"}, [1, 2, 2, 3], [1, 1, 1, 0.5]),
    ("plateau", {"patience": 0, "threshold": 0.25}, [4, 3, 2, 2], [1, 1, 0.5, 0.5]),  # 3 is not below 4 - 1, 2 is
    ("plateau", {"patience": 0, "threshold": 0.25, "mode": "max"}, [4, 5, 6, 6], [1, 1, 0.5, 0.5]),
    ("plateau", {"patience": 0, "threshold": 1, "threshold_mode": "abs"}, [4, 3, 2.5, 2], [1, 1, 0.5, 0.5]),
    ("plateau", {"patience": 0}, [-1, -0.95, -0.92, -0.9], [1, 1, 0.5, 0.25]),  # worse and worse below 0
    ("plateau", {"patience": 0, "threshold": 0.25}, [-4, -5, -6, -6], [1, 1, 0.5, 0.5]),  # -5 is not below -4 - 1
    ("plateau", {"patience": 0, "threshold": 0.25, "mode": "max"}, [-4, -3, -2, -2], [1, 1, 0.5, 0.5]),
    ("plateau", {"patience": 0}, [0, 0, -1, -1], [1, 1, 0.5, 0.5]),  # best 0: any smaller metric is better
    ("threshold", {"levels": [2, 1]}, [3, 2, 1.5, 1, 3, 0.5, 0.5], [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]),
    ("threshold", {"levels": [2, 1]}, [3, 0.5, 9], [1, 1, 0.25]),  # two levels at once
    ("threshold", {"levels": [1, 2]}, [3, 1.5, 1.5], [1, 1, 0.5]),  # the order of the levels carries no meaning
    ("threshold", {"levels": [0.5, 0.75], "mode": "max"}, [0.4, 0.5, 0.8, 0.9], [1, 1, 0.5, 0.25]),
    ("threshold", {"levels": [-1, -2]}, [0, -1, -2, 0], [1, 1, 0.5, 0.25]),
    ("slope", {"window": 1, "rate": 0.25}, [4, 3, 3, 2, 2, 2], [1, 1, 1, 0.5, 0.5, 0.25]),
    # The line through 4, 0, 2 falls from 3 to 1; the one through 0, 2, 1 rises.
    ("slope", {"window": 2, "rate": 0.25}, [4, 0, 2, 1, 1], [1, 1, 1, 1, 0.5]),
    # The line through 4, 4, 0, 4 falls by 1.2 from 3.6, though the last metric is no better than the first.
    ("slope", {"window": 3, "rate": 0.25}, [4, 4, 0, 4, 4], [1, 1, 1, 1, 1]),
    ("slope", {"window": 3, "rate": 0.5}, [4, 4, 0, 4, 4], [1, 1, 1, 1, 0.5]),
    # After the drop at the second 4 the next window is 4, 3: the first two metrics are forgotten.
    ("slope", {"window": 1, "rate": 0.25}, [4, 4, 4, 3, 3], [1, 1, 0.5, 0.5, 0.5]),
    ("slope", {"window": 1, "rate": 0.5, "mode": "max"}, [1, 2, 2, 2], [1, 1, 1, 0.5]),
    ("slope", {"window": 1, "rate": 0.25}, [-4, -5, -5, -5], [1, 1, 1, 0.5]),
    ("slope", {"window": 1, "rate": 0.0}, [4, 4, 5, 5], [1, 1, 1, 0.5]),  # flat is no fall; only worse is less than 0
    ("greedy", {}, [4, 3, 5, 5, 4, 2], [0.5, 1, 1, 0.5, 0.25, 0.125]),  # never above the peak
    ("greedy", {}, [4, 5, 5, 3, 2, 1], [0.5, 1, 0.5, 0.25, 0.5, 1]),
    ("greedy", {"mode": "max"}, [4, 3, 5, 5, 4, 2], [0.5, 1, 0.5, 1, 0.5, 0.25]),
    ("greedy", {"start": 0.25, "patience": 1}, [5, 4, 3, 3, 3, 3], [0.25, 0.25, 0.5, 0.5, 0.5, 0.25]),
    ("greedy", {"patience": 1}, [5, 6, 4, 6, 3, 9], [0.5] * 6),  # good and bad in turn: no row of two
    ("greedy", {"gamma": 1e-310}, [4, 5, 3, 9], [0.5, 1, SMALLEST, 1]),  # from 0 it could not come up again
    ("greedy", {"threshold": 0.25}, [4, 3, 2, 2], [0.5, 1, 0.5, 1]),
    ("greedy", {"floor": 0.25}, [4, 5, 5, 5, 3, 3], [0.5, 1, 0.5, 0.25, 0.25, 0.5]),  # up at once from the floor
    ("greedy", {"floor": 0.6}, [4, 5, 5], [0.6, 1, 0.6]),
    # What is not finite: an evaluation at which nothing improved.
    ("plateau", {"patience": 0}, [4, NAN, 3, INF, -INF, 2], [1, 1, 0.5, 0.5, 0.25, 0.125]),
    ("plateau", {"patience": 0}, [NAN, 4, 5, 5], [1, 0.5, 0.5, 0.25]),
    ("plateau", {"patience": 0, "mode": "max"}, [4, INF, 5, 5], [1, 1, 0.5, 0.5]),
    ("threshold", {"levels": [2]}, [NAN, -INF, INF, 1, 1], [1, 1, 1, 1, 0.5]),
    ("threshold", {"levels": [2], "mode": "max"}, [NAN, -INF, INF, 2, 1], [1, 1, 1, 1, 0.5]),
    # Left out, then 4, then 4 again in place of NaN: a drop. Then 3, and 3 again in place of NaN: another.
    ("slope", {"window": 1, "rate": 0.25}, [NAN, 4, NAN, 3, NAN, NAN], [1, 1, 1, 0.5, 0.5, 0.25]),
    # A training that is lost: the last finite metric takes every place, and the rate drops with each window.
    ("slope", {"window": 1, "rate": 0.25}, [4, NAN, NAN, INF, -INF, NAN], [1, 1, 0.5, 0.5, 0.25, 0.25]),
    ("greedy", {}, [NAN, 4, INF, -INF, 3], [0.5, 0.25, 0.5, 0.25, 0.125]),
    # In the curve.
    ("plateau", {"patience": 0, "floor": 0.3}, [4, 4, 4, 4], [1, 1, 0.5, 0.3]),
    ("plateau", {"patience": 0, "base": schedule("linear")}, [4, 4, 4, 4], [1, 0.75, 0.25, 0.0625]),
    ("plateau", {"patience": 0, "base": schedule("linear"), "floor": 0.2}, [4, 4, 4, 4], [1, 0.75, 0.25, 0.2]),
    ("plateau", {"patience": 0, "warmup": 0.5}, [4] * 8, [0.2, 0.4, 0.6, 0.8, 1, 1, 0.5, 0.25]),
    ("plateau", {"patience": 0, "hold": 0.5}, [4] * 8, [1, 1, 1, 1, 1, 1, 0.5, 0.25]),
    ("plateau", {"patience": 0, "warmup": "2 steps", "hold": "1 step"}, [4] * 7, [1 / 3, 2 / 3, 1, 1, 1, 0.5, 0.25]),
    ("threshold", {"levels": [5], "warmup": 0.5}, [4] * 4, [1 / 3, 2 / 3, 1, 0.5]),
    ("threshold", {"levels": [5], "base": schedule("linear")}, [4] * 4, [1, 0.375, 0.25, 0.125]),
    ("threshold", {"levels": [5, 6], "floor": 0.4}, [4] * 3, [1, 0.4, 0.4]),
    ("slope", {"window": 1, "warmup": 0.5}, [4] * 8, [0.2, 0.4, 0.6, 0.8, 1, 1, 0.5, 0.5]),
    ("slope", {"window": 1, "base": schedule("linear"), "floor": 0.2}, [4] * 4, [1, 0.75, 0.25, 0.2]),
    ("greedy", {"warmup": 0.5}, [4] * 4, [1 / 6, 1 / 3, 0.5, 1]),  # the warm-up rises to the first multiplier
    ("greedy", {"warmup": 0.5, "floor": 0.6}, [4] * 4, [0.2, 0.4, 0.6, 1]),
    ("greedy", {"base": schedule("linear")}, [4, 5, 5, 5], [0.5, 0.75, 0.25, 0.0625]),
]


@pytest.mark.parametrize(("name", "settings", "metrics", "expected"), TABLE)
def test_replay_gives_the_rates_of_the_table(
    name: str, settings: dict[str, Any], metrics: list[float], expected: list[float]
) -> None:
    """One metric after each step; the last comes after the last step and changes nothing."""
    rates = schedule(name, **{"gamma": 0.5, **settings}).replay(metrics, len(expected))
    np.testing.assert_allclose(rates, expected, rtol=1e-14)


@pytest.mark.parametrize("shared", ["warmup", "floor", "base", "mode"])
def test_the_table_has_every_family_with_what_they_share(shared: str) -> None:
    """A family that is missing in the table is named here."""
    assert {name for name, settings, _, _ in TABLE if shared in settings} == set(NAMES)


def test_all_four_are_families_with_defaults() -> None:
    """Each can be made by its name alone, says what it is, and has search ranges around its defaults."""
    ranks = []
    for name in NAMES:
        one = family(name)
        made = schedule(name)
        assert isinstance(made, Reactive)
        assert made.needs_metric
        assert one.formula
        assert one.source
        assert one.use.endswith(".")
        ranks.append(one.simplicity)
        own = [setting for setting in one.settings() if setting.name not in ("base", "mode", "floor", "warmup")]
        assert all(setting.search for setting in own if not setting.implied)
    assert ranks == [210, 220, 230, 240]


@pytest.mark.parametrize("name", NAMES)
def test_no_rates_without_metrics(name: str) -> None:
    """``rates`` and ``factor`` name the way to get them."""
    text = r"reacts to a metric.* s\.replay\(metrics, total_steps\)"
    with pytest.raises(NeedsMetric, match=text):
        schedule(name, warmup=0.1).rates(10)
    with pytest.raises(NeedsMetric, match=text):
        schedule(name, warmup=0.1).factor(0.5)


def test_metrics_may_come_by_the_updates_before_them() -> None:
    """A mapping has any evaluations, in any order; a metric counts from the next step on."""
    expected = [1, 1, 1, 1, 0.5, 0.5]
    assert at_once().replay({2: 4.0, 4: 4.0}, 6).tolist() == expected
    assert at_once().replay({4: 4.0, np.int64(2): np.float32(4)}, 6).tolist() == expected  # type: ignore[dict-item]
    assert at_once().replay({}, 3).tolist() == [1, 1, 1]
    assert at_once().replay(np.array([4.0, 4.0, 4.0]), 6, peak_lr=0.1).tolist() == [0.1, 0.1, 0.1, 0.1, 0.05, 0.05]  # type: ignore[arg-type]


def test_a_time_driven_schedule_takes_no_notice_of_metrics() -> None:
    """Its replay is its rates."""
    cosine = schedule("cosine", warmup=0.2)
    assert cosine.replay([1, NAN, 3], 10, 0.3).tolist() == cosine.rates(10, 0.3).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_evaluations_on_another_horizon_give_the_compressed_curve(name: str) -> None:
    """Patience and windows count evaluations: every tenth rate of 120 steps is a rate of 12 steps."""
    metrics = [4, 3, 3, NAN, 3, 2, 2, 2, 2, 0.9, 0.9, 0.9]
    s = schedule(name, warmup=0.25, base=schedule("cosine"), floor=0.01)
    short, long = s.replay(metrics, 12), s.replay(metrics, 120)
    np.testing.assert_allclose(long[30::10], short[3:], rtol=1e-12)
    assert len(set(np.round(short / schedule("cosine", warmup=0.25).rates(12), 6))) > 1


def test_noise_goes_before_the_multiplier_and_the_floor() -> None:
    """The rates are those of the noisy base times the multiplier, and never below the floor."""
    noisy = schedule("constant", noise=0.6, noise_seed=3).rates(8)
    expected = noisy * [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]
    rates = at_once(noise=0.6, noise_seed=3, floor=0.05).replay([4] * 8, 8)
    np.testing.assert_allclose(rates, np.maximum(expected, 0.05), rtol=1e-14)
    assert (np.diff(noisy) != 0).all()


def test_a_base_with_counts_of_steps_lies_on_the_clock_after_the_warm_up() -> None:
    """The base's own two steps of warm-up follow the reactive schedule's two."""
    s = at_once(warmup="2 steps", base=schedule("constant", warmup="2 steps"))
    assert s.has_counts
    np.testing.assert_allclose(s.replay([4, 4], 6), [1 / 3, 2 / 3, 1 / 3, 2 / 3, 1, 1], rtol=1e-14)
    on_six = s.on_horizon(6)
    assert on_six.base == schedule("constant", warmup=0.5)
    np.testing.assert_allclose(on_six.replay([4, 4], 6), s.replay([4, 4], 6), rtol=1e-14)


def test_nothing_is_heard_in_the_warm_up_and_the_hold_of_the_base() -> None:
    """Metrics after each of 6 steps: those after steps 1 to 3 fall into two steps of warm-up and one of hold."""
    s = at_once(base=schedule("constant", warmup="2 steps", hold="1 step"))
    np.testing.assert_allclose(s.replay([4] * 6, 6), [1 / 3, 2 / 3, 1, 1, 1, 0.5], rtol=1e-14)


# ── courses: what sequences and cool-downs are made of ───────────────────────────────────────────────────────────────


def same_by_step(course: Course, states: tuple[dict[str, Any], ...]) -> list[float]:
    """All factors, after a look that each step alone has the same."""
    factors: list[float] = course.factors(states).tolist()
    assert [course.factor(step, states) for step in range(course.total_steps + 1)] == factors
    assert course.factor(course.total_steps + 7, states) == factors[-1]
    return factors


def heard(course: Course, metrics: dict[int, float]) -> tuple[dict[str, Any], ...]:
    states = course.begin()
    for done, metric in metrics.items():
        states = course.heard(states, metric, done)
    return states


@pytest.mark.parametrize("total_steps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shared", [{"noise": 0.3}, {"warmup": 0.1}, {"warmup": "3 steps"}, {"hold": 0.5}])
def test_a_warm_up_may_take_all_steps_whatever_the_base_has(shared: dict[str, Any], total_steps: int) -> None:
    """The rates are those of the same warm-up over a base without it, and what holds afterwards is the base's end."""
    base = schedule("linear", floor=0.5, **shared)
    s, plain = (schedule("plateau", base=one, warmup=0.9) for one in (base, schedule("linear")))
    rates = s.replay([1.0], total_steps)
    assert rates.tolist() == plain.replay([1.0], total_steps).tolist()
    course = s.course(total_steps)
    assert course.factor(total_steps, course.begin()) == 0.5


def test_each_metric_costs_the_steps_until_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay works out each step once, so that its time does not grow with the square of the steps."""
    worked_out: list[int] = []
    factors = Course.factors

    def counted(course: Course, *asked: Any) -> Floats:
        worked_out.append(len(found := factors(course, *asked)))
        return found

    monkeypatch.setattr(Course, "factors", counted)
    rates = at_once().replay([1.0] * 4, 8)
    assert rates.tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert sum(worked_out) == 8


def test_a_metric_does_not_read_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a table is, hearing a metric takes what the rule takes: the base is not even hashed."""
    s = at_once(base=schedule("table", values=[1.0, 0.5]))
    state = s.begin()

    def refused(self: object) -> int:
        raise AssertionError("the base was hashed")

    monkeypatch.setattr(type(s.base), "__hash__", refused)
    assert s.multiplier(s.heard(state, 1.0)) == 1.0


def test_nothing_is_heard_after_the_end() -> None:
    """However bad or good the metrics are then, the last value holds."""
    for name in NAMES:
        course = schedule(name).course(4)
        states = heard(course, dict.fromkeys(range(1, 4), 1.0))
        assert heard(course, dict.fromkeys(range(1, 40), 1.0)) == states
        later = states
        for done in range(4, 40):
            later = course.heard(later, -float(done), done)
        assert later == states
        assert course.extended(30).factors(states).tolist()[4:] == [course.factor(4, states)] * 31


def test_parts_of_a_joined_course_hear_their_own_evaluations() -> None:
    """Two plateaus and a line: a metric moves the part that it falls into, and no other."""
    course = join([at_once().course(3), schedule("linear").course(2), at_once(gamma=0.25).course(3)])
    assert [(one.first, one.end) for one in course.reactors] == [(0, 3), (5, 8)]
    assert same_by_step(course, course.begin()) == [1, 1, 1, 1, 0.5, 1, 1, 1, 1]
    # Steps 1 and 2 hear 4, 4: the first part halves. The metrics after 3, 4 and 5 updates belong to nobody.
    states = heard(course, {1: 4, 2: 4, 3: 5, 4: 5, 5: 5})
    assert same_by_step(course, states) == [0.5, 0.5, 0.5, 1, 0.5, 1, 1, 1, 1]
    states = heard(course, {1: 4, 2: 4, 3: 5, 4: 5, 5: 5, 6: 9, 7: 9, 8: 9})
    assert same_by_step(course, states) == [0.5, 0.5, 0.5, 1, 0.5, 0.25, 0.25, 0.25, 0.25]


def test_a_joined_course_can_be_held_scaled_floored_and_begun_later() -> None:
    """Each operation keeps what a metric changes: by hand on a plateau that has been halved once, and a line."""
    course = join([at_once(floor=0.3).course(2), schedule("linear").course(2)])
    metrics = {1: 4.0}
    assert same_by_step(course, heard(course, metrics)) == [1, 1, 1, 0.5, 0]
    held = course.held(2)
    assert same_by_step(held, held.begin()) == [1, 1, 1, 1, 1, 0.5, 0]
    assert held.heard(held.begin(), 4.0, 2) == held.begin()  # after two updates nothing of the plateau has run
    assert held.heard(held.begin(), 4.0, 3) != held.begin()
    twice = join([at_once(floor=0.3).course(3), schedule("linear").course(2)])
    halved = heard(twice, {1: 4.0, 2: 4.0})
    assert same_by_step(twice, halved) == [0.5, 0.5, 0.5, 1, 0.5, 0]
    assert same_by_step(twice.scaled(np.full(6, 0.5)), halved) == [0.25, 0.25, 0.25, 0.5, 0.25, 0]
    assert same_by_step(twice.on_floor(0.5), halved) == [0.75, 0.75, 0.75, 1, 0.75, 0.5]
    later = twice.after(np.array([0.25, 0.75]))
    assert same_by_step(later, halved) == [0.25, 0.75, 0.5, 0.5, 0.5, 1, 0.5, 0]
    assert [(one.first, one.end) for one in later.reactors] == [(2, 5)]
    dropped = ({**halved[0], "multiplier": 0.125},)
    assert same_by_step(twice, dropped) == [0.3, 0.3, 0.3, 1, 0.5, 0]
    assert same_by_step(twice.scaled(np.full(6, 0.5)), dropped) == [0.15, 0.15, 0.15, 0.5, 0.25, 0]
    np.testing.assert_allclose(twice.on_floor(0.5).factors(dropped), [0.65, 0.65, 0.65, 1, 0.75, 0.5], rtol=1e-15)


def test_a_cut_course_hears_nothing_after_the_cut() -> None:
    """The entry at the cut holds with the multiplier it had, and parts behind it sleep for ever."""
    course = join([at_once().course(4), at_once().course(4)]).cut(3)
    assert course.total_steps == 3
    assert same_by_step(course, heard(course, {1: 4, 2: 4})) == [0.5] * 4
    assert heard(course, {1: 4, 2: 4, 3: 4, 4: 4, 5: 4, 6: 4}) == heard(course, {1: 4, 2: 4})
    whole = join([at_once().course(4), at_once().course(4)])
    assert heard(whole, {1: 4, 2: 4, 3: 4}) != heard(whole, {1: 4, 2: 4})


# ── as data ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_has_the_base_inside() -> None:
    """A base is an object in the object; what was written is read back, and so is what is pasted."""
    s = schedule("plateau", base=schedule("cosine", floor=0.1), patience=4, mode="max")
    text = json.loads(s.to_json())
    assert text["family"] == "plateau"
    assert text["base"] == {"family": "cosine", "floor": 0.1, "warmup": 0.0}
    assert schedule_from_json(s.to_json()) == s
    assert schedule_from_json('{"family": "greedy", "base": {"family": "rex"}}') == schedule(
        "greedy", base=schedule("rex")
    )
    assert repr(s) == (
        "lrsweep.schedule('plateau', base=lrsweep.schedule('cosine', floor=0.1), mode='max', patience=4)"
    )
    assert eval(repr(s), {"lrsweep": lrsweep}) == s


@pytest.mark.parametrize("name", NAMES)
def test_every_reactive_family_survives_its_forms(name: str) -> None:
    """JSON and the pasteable text give the same value, with a base and without."""
    for s in (schedule(name), schedule(name, base=schedule("wsd", cooldown=0.5), mode="max", floor=0.1, warmup=0.2)):
        assert schedule_from_json(s.to_json()) == s
        assert eval(repr(s), {"lrsweep": lrsweep}) == s
        assert hash(schedule_from_json(s.to_json())) == hash(s)


def test_levels_are_a_set() -> None:
    """Whatever the order, it is one value with one text."""
    assert schedule("threshold", levels=[1, 3, 2]) == schedule("threshold", levels=(3.0, 2.0, 1.0))
    assert json.loads(schedule("threshold", levels=[1, 3, 2]).to_json())["levels"] == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("plateau", {"base": 1}, "base must be a time-driven schedule such as .*'cosine'.*, not 1: "),
        ("plateau", {"base": schedule("slope")}, "base must be a time-driven schedule such as .*, not lrsw.*slope.*: "),
        ("plateau", {"mode": "least"}, "mode must be one of 'min', 'max', not 'least': "),
        ("plateau", {"gamma": 1}, r"gamma must be a number in \(0, 1\), not 1: what each drop multiplies the rate by"),
        ("plateau", {"patience": 1.5}, "patience must be a whole number from 0 to 1000000, not 1.5: "),
        ("plateau", {"threshold": 1}, "threshold must be below 1 where it is a fraction of the best, not 1: .*'abs'"),
        ("plateau", {"factor": 0.5}, "'factor' is not a setting"),
        ("threshold", {"levels": []}, "levels must be a list of 1 to 1000 numbers in .*, not 0 of them"),
        ("threshold", {"levels": [1, NAN]}, "levels must be a list of 1 to 1000 numbers in .*; number 2 is nan: "),
        ("slope", {"window": 0}, "window must be a whole number from 1 to 10000, not 0: "),
        ("slope", {"rate": -0.1}, r"rate must be a number in \[0, 1\], not -0.1: "),
        ("greedy", {"gamma": 0}, r"gamma must be a number in \(0, 1\), not 0: "),
        ("greedy", {"start": 0}, r"start must be a number in \(0, 1\], not 0: "),
    ],
)
def test_bad_settings_are_refused(name: str, settings: dict[str, Any], text: str) -> None:
    """What was given, what is wanted, and what the setting means."""
    with pytest.raises(ScheduleError, match=f"^schedule '{name}': {text}"):
        schedule(name, **settings)


def test_a_relative_threshold_of_1_is_fine_where_a_metric_can_reach_it() -> None:
    """Twice the best, or a whole unit below it, can be improvements."""
    assert schedule("plateau", threshold=1, mode="max")
    assert schedule("plateau", threshold=1, threshold_mode="abs")


# ── metrics and states from outside ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "metric", [None, "0.5", True, np.bool_(True), [0.5], np.array([0.5, 1.0]), 1j, np.complex64(1)]
)
@pytest.mark.parametrize("name", NAMES)
def test_a_metric_that_is_no_number_is_refused(name: str, metric: Any) -> None:
    """The text says what to give instead."""
    machine = schedule(name)
    assert isinstance(machine, Reactive)
    with pytest.raises(ScheduleError, match=r"^metric must be a number, not .*reacts to one .*Give the metric"):
        machine.heard(machine.begin(), metric)


@pytest.mark.parametrize("metric", [2, 2.0, np.float32(2), np.int8(2), np.array(2.0), torch.tensor(2.0)])
def test_every_kind_of_number_is_a_metric(metric: Any) -> None:
    """Numbers of NumPy and PyTorch, whole ones too; the state has plain floats."""
    state = at_once().heard(at_once().begin(), metric)
    assert state == {"best": 2.0, "bad": 0, "cooling": 0, "multiplier": 1.0}
    assert type(state["best"]) is float


def test_a_number_beyond_all_floats_is_not_finite() -> None:
    """It is heard as infinity is, in a replay too."""
    assert at_once().heard(at_once().begin(), 10**400) == at_once().heard(at_once().begin(), INF)
    assert at_once().replay({1: 10**400, 2: 1, 3: 2}, 4).tolist() == [1, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({0: 1.0}, "replay: metrics are by the number of updates done, from 1 to 4, not 0"),
        ({5: 1.0}, "replay: metrics are by the number of updates done, from 1 to 4, not 5"),
        ({True: 1.0}, "replay: metrics are by the number of updates done, from 1 to 4, not True"),
        ({1: None}, "replay: the metric after 1 updates must be a number, not None"),
        ({1: True}, "replay: the metric after 1 updates must be a number, not True"),
        (
            {"1": 1.0, 2: "x"},
            "replay: 2 problems\n"
            "  metrics are by the number of updates done, from 1 to 4, not '1'\n"
            "  the metric after 2 updates must be a number, not 'x'",
        ),
        (
            [1.0] * 5,
            "replay: 5 metrics are more than the 4 steps that they are spread over; "
            "give at most one for each step, or a longer horizon",
        ),
        (
            0.5,
            "replay: metrics must be a list of numbers, or a mapping such as {100: 0.7} from the updates done before "
            "an evaluation to its metric, not 0.5",
        ),
    ],
)
def test_bad_metrics_of_a_replay_are_told(metrics: Any, text: str) -> None:
    """All of them, with the place."""
    with pytest.raises(ScheduleError) as error:
        at_once().replay(metrics, 4)
    assert str(error.value) == text


@pytest.mark.parametrize("name", NAMES)
def test_a_state_of_another_family_is_refused(name: str) -> None:
    """A machine takes its own states back and no other's."""
    machine = schedule(name)
    assert isinstance(machine, Reactive)
    assert machine.checked_state(machine.begin()) == machine.begin()
    for other in set(NAMES) - {name}:
        stranger = schedule(other)
        assert isinstance(stranger, Reactive)
        with pytest.raises(ScheduleError, match=f"^state of a '{name}' schedule: .*"):
            machine.checked_state(stranger.begin())


def test_a_refused_state_is_told_in_full() -> None:
    """Every entry that is wrong, with what it may be."""
    machine = schedule("plateau", patience=3)
    assert isinstance(machine, Reactive)
    with pytest.raises(ScheduleError) as error:
        machine.checked_state({"best": INF, "bads": 1, "cooling": 1, "multiplier": 1.5})
    assert str(error.value) == (
        "state of a 'plateau' schedule: 5 problems\n"
        "  best must be a finite number, or null before the first one, not inf\n"
        "  'bads' does not belong to it. Did you mean 'bad'? It has: best, bad, cooling, multiplier\n"
        "  cooling must be a whole number from 0 to 0, not 1\n"
        "  multiplier must be a number in [0, 1], not 1.5\n"
        "  bad is missing; wanted a whole number from 0 to 3\n"
        "Give a state that the same schedule saved, or begin anew"
    )


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("plateau", {"bad": 3}),
        ("plateau", {"bad": 0.5}),
        ("plateau", {"bad": True}),
        ("plateau", {"best": "1"}),
        ("plateau", {"multiplier": None}),
        ("plateau", {1: 2}),
        ("threshold", {"reached": 4}),
        ("threshold", {"reached": -1}),
        ("slope", {"recent": [1.0, None]}),
        ("slope", {"recent": [1.0] * 5}),
        ("slope", {"recent": "123"}),
        ("slope", {"last": NAN}),
        ("greedy", {"good": 1}),
    ],
)
def test_a_state_that_the_machine_cannot_be_in_is_refused(name: str, changes: dict[Any, Any]) -> None:
    """Wrong types, and counts that this schedule's settings never let grow so far."""
    machine = schedule(name)
    assert isinstance(machine, Reactive)
    with pytest.raises(ScheduleError, match="Give a state that the same schedule saved"):
        machine.checked_state({**machine.begin(), **changes})
    for given in (None, "x", [1]):
        with pytest.raises(ScheduleError, match="wanted an object with "):
            machine.checked_state(given)


def test_a_rule_has_no_branch_on_values() -> None:
    """One code moves one machine and many: no family replaces what the base has of hearing a metric."""
    for name in NAMES:
        one = family(name)
        assert "heard" not in vars(one)
        assert inspect.ismethod(one.advanced)  # type: ignore[attr-defined]
        assert dataclasses.is_dataclass(one)
