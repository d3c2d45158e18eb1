"""One schedule after the other: rates that a reader can check in the head, borders, clocks and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lrsweep
from lrsweep import ScheduleError, schedule, schedule_from_json, sequence
from lrsweep.schedules import Schedule
from tests.drawn_compositions import METRICS, reactive_schedule
from tests.drawn_schedules import usual_schedule

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

LINEAR, CONSTANT = schedule("linear"), schedule("constant")
HALF = schedule("linear", floor=0.5)

# parts, shared settings, rates of a peak of 1; the number of steps is the number of rates
TABLE: list[tuple[list[tuple[Schedule, Any]], dict[str, Any], list[float]]] = [
    ([(LINEAR, 1)], {}, [1, 0.75, 0.5, 0.25]),
    ([(LINEAR, 0.5), (LINEAR, 0.5)], {}, [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25]),
    ([(CONSTANT, 0.5), (LINEAR, "rest")], {}, [1, 1, 1, 1, 0.5]),  # the border at 2.5 is step 3
    ([(HALF, 0.8), (CONSTANT, 0.2)], {}, [1, 0.875, 0.75, 0.625, 1]),
    ([(LINEAR, "2 steps"), (LINEAR, "rest")], {}, [1, 0.5, 1, 0.75, 0.5, 0.25]),
    ([(LINEAR, "rest"), (LINEAR, "2 steps")], {}, [1, 0.75, 0.5, 0.25, 1, 0.5]),
    ([(LINEAR, "1 step"), (CONSTANT, "rest"), (LINEAR, 0.5)], {}, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
    ([(schedule("constant", warmup="1 step"), 0.5), (LINEAR, 0.5)], {}, [0.5, 1, 1, 0.5]),
    ([(CONSTANT, 0.5), (schedule("linear", warmup=0.5), 0.5)], {}, [1, 1, 1, 1, 1 / 3, 2 / 3, 1, 0.5]),
    ([(LINEAR, 0.5), (LINEAR, 0.5)], {"floor": 0.5}, [1, 0.75, 1, 0.75]),
    ([(LINEAR, 0.5), (LINEAR, 0.5)], {"warmup": 0.2}, [0.5, 1, 0.5, 1, 0.5]),
    ([(LINEAR, 0.5), (LINEAR, 0.5)], {"hold": "2 steps"}, [1, 1, 1, 0.5, 1, 0.5]),
    ([(sequence((LINEAR, 0.5), (CONSTANT, 0.5)), 0.5), (LINEAR, 0.5)], {}, [1, 0.5, 1, 1, 1, 0.75, 0.5, 0.25]),
]


@pytest.mark.parametrize(("parts", "shared", "expected"), TABLE)
def test_rates_of_a_sequence_are_those_of_the_table(
    parts: list[tuple[Schedule, Any]], shared: dict[str, Any], expected: list[float]
) -> None:
    """Each part runs on its own clock; warm-up, hold and floor of the whole are laid around the work."""
    np.testing.assert_allclose(sequence(*parts, **shared).rates(len(expected)), expected, rtol=1e-14, atol=1e-15)


@law
@given(st.lists(usual_schedule(), min_size=1, max_size=4), st.integers(40, 120))
def test_a_sequence_is_its_parts_side_by_side(parts: list[Schedule], total_steps: int) -> None:
    """Each step has the rate that its part has alone, on as many steps as the part has in the sequence."""
    share = 1 / len(parts)
    s = sequence(*((part, share) for part in parts[:-1]), (parts[-1], "rest"))
    lengths = s.steps_of_parts(total_steps)
    assert sum(lengths) == total_steps
    assert max(lengths) - min(lengths) <= 1
    alone = [part.rates(own) for part, own in zip(parts, lengths, strict=True)]
    assert s.rates(total_steps).tolist() == np.concatenate(alone).tolist()


@law
@given(st.lists(reactive_schedule(), min_size=2, max_size=3), st.data())
def test_a_reactive_part_hears_only_what_falls_into_its_own_steps(parts: list[Schedule], data: st.DataObject) -> None:
    """The same evaluations, told to each part alone by its own count of updates, give the same rates.

    One at a border belongs to nobody: the part before has no step left for it, the next has not begun.
    """
    own = data.draw(st.integers(10, 30))
    metrics = data.draw(st.dictionaries(st.integers(1, own * len(parts)), METRICS, max_size=30))
    s = sequence(*((part, f"{own} steps") for part in parts[:-1]), (parts[-1], "rest"))
    alone = [
        part.replay({done - own * k: m for done, m in metrics.items() if own * k < done < own * (k + 1)}, own)
        for k, part in enumerate(parts)
    ]
    assert s.replay(metrics, own * len(parts)).tolist() == np.concatenate(alone).tolist()


def test_a_drop_in_one_part_ends_with_it() -> None:
    """A plateau in the middle: its drop lowers its own steps, and the part after it begins at the whole peak."""
    plateau = schedule("plateau", patience=0, gamma=0.5)
    s = sequence((CONSTANT, "2 steps"), (plateau, "4 steps"), (LINEAR, "rest"), floor=0.2)
    assert s.needs_metric
    # The metric after 1 update is not the plateau's; those after 3 and 4 are, and the second is worse.
    rates = s.replay({1: 0.0, 3: 1.0, 4: 2.0, 7: 9.0}, 8)
    np.testing.assert_allclose(rates, [1, 1, 1, 1, 0.6, 0.6, 1, 0.6])


def test_the_continuous_curve_has_the_next_parts_value_at_a_border() -> None:
    """The factor at 0.3 is the second part's first, also where 3 times 0.1 is a little more; after 1 the last holds."""
    s = sequence((HALF, 0.3), (LINEAR, 0.7), floor=0.0)
    np.testing.assert_allclose(s.factor([0, 0.15, 0.3, 3 * 0.1, 0.65, 1, 2]), [1, 0.75, 1, 1, 0.5, 0, 0], atol=1e-15)
    tenths = sequence((HALF, 0.1), (HALF, 0.2), (LINEAR, 0.7))  # 0.1 + 0.2 is a little more than 0.3
    assert tenths.factor(0.3) == 1.0
    counted = sequence((HALF, "30 steps"), (LINEAR, "rest"))
    assert counted.factor(0.15, total_steps=100) == 0.75
    with pytest.raises(ScheduleError, match="give total_steps as well"):
        counted.factor(0.15)


def test_counts_stay_and_fractions_stretch_when_the_horizon_changes() -> None:
    """Three steps and a half of all, on 10 steps and on 100; a warm-up of a part is a count of that part's steps."""
    s = sequence((schedule("linear", warmup="2 steps"), "3 steps"), (CONSTANT, "rest"), (LINEAR, 0.5))
    assert s.steps_of_parts(10) == [3, 2, 5]
    assert s.steps_of_parts(100) == [3, 47, 50]
    assert s.has_counts
    assert s.rates(100)[:4].tolist() == s.rates(10)[:4].tolist()


def test_counts_become_fractions_of_a_horizon_inside_too() -> None:
    """Half of 20 steps is the part's 10, of which its warm-up of 2 is a fifth."""
    s = sequence((schedule("linear", warmup="2 steps"), 0.5), (CONSTANT, "4 steps"), (LINEAR, "rest"))
    expected = sequence((schedule("linear", warmup=0.2), 0.5), (CONSTANT, 0.2), (LINEAR, "rest"))
    assert s.on_horizon(20) == expected
    assert not expected.has_counts
    assert expected.on_horizon(20) is expected


def test_borders_are_summed_up_before_they_are_rounded() -> None:
    """Ten parts of a tenth on 15 steps have 1 or 2 steps each and 15 in all, not ten times 2."""
    s = sequence(*[(LINEAR, 0.1)] * 10)
    assert s.steps_of_parts(15) == [2, 1] * 5


def test_momenta_are_those_of_the_parts_and_held_where_a_part_has_none() -> None:
    """A part that leaves the momentum alone keeps the last; before the first cycle its first value stands."""
    cycle = schedule("one_cycle", rise=0.5, cycle_momentum=True, momentum_low=0.8, momentum_high=0.9)
    own = cycle.momenta(4)
    assert own is not None
    np.testing.assert_allclose(own, [0.9, 0.85, 0.8, 0.85])
    s = sequence((CONSTANT, "2 steps"), (cycle, "4 steps"), (LINEAR, "rest"), warmup="1 step")
    momenta = s.momenta(9)
    assert momenta is not None
    np.testing.assert_allclose(momenta, [0.9, 0.9, 0.9, 0.9, 0.85, 0.8, 0.85, 0.85, 0.85])
    assert sequence((CONSTANT, 0.5), (LINEAR, 0.5)).momenta(8) is None


def test_a_sequence_is_json_with_its_parts_inside() -> None:
    """Parts are objects with a schedule and a length; what to_json wrote reads as the same schedule."""
    s = sequence((CONSTANT, 0.3), (LINEAR, "rest"), floor=0.1)
    assert s.to_json() == (
        '{"version": 1, "family": "sequence", "parts": ['
        '{"schedule": {"family": "constant", "floor": 0.0, "warmup": 0.0}, "length": 0.3}, '
        '{"schedule": {"family": "linear", "floor": 0.0, "warmup": 0.0}, "length": "rest"}], '
        '"floor": 0.1, "warmup": 0.0}'
    )
    assert schedule_from_json(s.to_json()) == s
    assert repr(s) == (
        "lrsweep.sequence((lrsweep.schedule('constant'), 0.3), (lrsweep.schedule('linear'), 'rest'), floor=0.1)"
    )
    assert s.with_settings(floor=0) == sequence((CONSTANT, 0.3), (LINEAR, "rest"))


PARTS = "parts must be 1 to 1000 pairs such as (lrsweep.schedule('cosine'), 0.5)"
MEANING = "the schedules in their order, and how long each has the rate"
LENGTH = "a number in (0, 1], or a count such as '500 steps', or 'rest'"
SHARE = "the part's share of the sequence"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([], f"sequence: {PARTS}, not (): {MEANING}"),
        (
            [LINEAR],
            "sequence: parts[0] must be a pair such as (lrsweep.schedule('cosine'), 0.5), "
            "not lrsweep.schedule('linear')",
        ),
        (
            [("linear", 1.0)],
            "sequence: parts[0].schedule must be a schedule such as lrsweep.schedule('cosine'), not 'linear': "
            "what has the rate in this part",
        ),
        (
            [(LINEAR, 0.0), (LINEAR, "0 steps"), (LINEAR, float("nan"))],
            "sequence: 3 problems\n"
            f"  parts[0].length must be {LENGTH}, not 0.0: {SHARE}\n"
            f"  parts[1].length must be {LENGTH}, not '0 steps': {SHARE}\n"
            f"  parts[2].length must be {LENGTH}, not nan: {SHARE}",
        ),
        ([(LINEAR, 0.3), (LINEAR, 0.6)], "sequence: the lengths are 0.3 + 0.6 = 0.9; wanted 1 in all, or one 'rest'"),
        ([(LINEAR, 0.5), (LINEAR, 0.6)], "sequence: the lengths are 0.5 + 0.6 = 1.1; wanted 1 in all, or one 'rest'"),
        (
            [(LINEAR, 1.0), (LINEAR, "rest")],
            "sequence: the lengths are 1 = 1, which leaves nothing for parts[1], 'rest'; wanted less than 1",
        ),
        (
            [(LINEAR, "rest"), (LINEAR, 0.5), (LINEAR, "rest")],
            "sequence: the length of parts[0] and parts[2] is 'rest'; wanted: of one part at most",
        ),
        (
            [(LINEAR, "500 steps"), (LINEAR, 0.5)],
            "sequence: the length of parts[0] is a count of steps, which no horizon stretches: "
            "one other part must be 'rest'",
        ),
    ],
)
def test_parts_that_cannot_be_meant_are_refused_all_at_once(parts: list[Any], text: str) -> None:
    """What was given, what is wanted, and in which part."""
    with pytest.raises(ScheduleError) as error:
        sequence(*parts)
    assert str(error.value) == text


def test_wrong_parts_and_wrong_shared_settings_are_told_together() -> None:
    """A slip in a part does not hide one in a shared setting."""
    with pytest.raises(
        ScheduleError, match=r"^sequence: 3 problems\n  parts\[0\].*\n  floor .*\n  'warm_up' .*'warmup'"
    ):
        sequence((LINEAR, 2.0), floor=3, warm_up=0.1)
    with pytest.raises(ScheduleError, match=r"schedule 'sequence': floor must be .*, not 3"):
        sequence((LINEAR, 1.0)).with_settings(floor=3)
    with pytest.raises(ScheduleError, match="parts is missing; wanted 1 to 1000 pairs"):
        schedule_from_json('{"family": "sequence"}')


@pytest.mark.parametrize(
    ("total_steps", "text"),
    [
        (
            15,
            "schedule 'sequence' on 15 steps; the counts take 20: "
            "parts[1], 'rest', gets 0: a longer horizon is needed, or other lengths",
        ),
        (
            20,
            "schedule 'sequence' on 20 steps; the counts take 20: "
            "parts[1], 'rest', gets 0: a longer horizon is needed, or other lengths",
        ),
    ],
)
def test_counts_that_do_not_fit_are_refused_with_both_numbers(total_steps: int, text: str) -> None:
    """The steps that there are, those that the counts take, and the parts that come away empty."""
    with pytest.raises(ScheduleError) as error:
        sequence((LINEAR, "20 steps"), (LINEAR, "rest")).rates(total_steps)
    assert str(error.value) == text


def test_a_warm_up_may_take_all_steps_of_a_sequence_but_those_that_are_counted() -> None:
    """One step, all of it warm-up: the last part's end holds. Counts of its own are refused by all, as a family's."""
    course = sequence((LINEAR, 0.5), (schedule("linear", floor=0.5), 0.5), warmup=0.1).course(1)
    assert course.factors().tolist() == [0.5, 0.5]
    counted = sequence((LINEAR, "2 steps"), (LINEAR, "rest"), warmup="4 steps")
    for ask in (counted.rates, counted.momenta, counted.on_horizon, lambda steps: counted.factor(0.5, steps)):
        with pytest.raises(ScheduleError, match="on 0 steps; the counts take 2: "):
            ask(4)


def test_parts_without_a_step_are_all_told() -> None:
    """Four quarters of two steps: two of the parts get nothing."""
    with pytest.raises(
        ScheduleError, match=r"on 2 steps: 2 problems\n  parts\[.\], 0.25, gets 0: .*\n  parts\[.\], 0.25"
    ):
        sequence(*[(LINEAR, 0.25)] * 4).rates(2)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("sequence", r"lrsweep\.sequence\(\(schedule, length\), …\)"),
        ("extended", r"s\.extended\(ratio\)"),
        ("cooled_down", r"s\.cooled_down\(at, over, shape\)"),
        ("grouped", r"lrsweep\.grouped\(\{name: schedule\}\) and read by lrsweep\.grouped_from_json"),
    ],
)
def test_a_composition_is_no_family_and_says_how_it_is_made(name: str, how: str) -> None:
    """``lrsweep.schedule`` takes families alone."""
    assert name not in lrsweep.family_names()
    with pytest.raises(ScheduleError, match=f"'{name}' is not a family but .*{how}"):
        schedule(name)
