"""What bad input gets: the text a stranger reads, in full."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrsweep.errors import ScheduleError
from lrsweep.schedules import Cosine, Wsd, family, schedule, schedule_from_json

KNOWN = (
    "The families: constant, step, exponential, linear, cosine, wsd, one_cycle, rex, polynomial, multistep, piecewise, "
    "inverse_time, inverse_sqrt, inverse_power, tanh, cosine_restarts, cyclic, knots, table, function, plateau, "
    "threshold, slope, greedy"
)
COOLDOWN = "how much of the decay's own clock the final descent to 0 takes"
STEPS_TOO = "or a count such as '500 steps'"
SHARED = "floor, warmup, warmup_shape, warmup_start, warmup_power, hold, noise, noise_seed"
FLOOR = "the fraction of the peak that a decay to 0 ends at"
WARMUP = "the fraction of all steps in which the rate rises to the peak before the decay begins"
ENDS = "0 is the start of the training and 1 its end; step i of T stands at i/T"


def text_of(error: pytest.ExceptionInfo[ScheduleError]) -> str:
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cosin", f"there is no schedule family 'cosin'. Did you mean 'cosine'? {KNOWN}"),
        ("OneCycle", f"there is no schedule family 'OneCycle'. Did you mean 'one_cycle'? {KNOWN}"),
        ("WSD", f"there is no schedule family 'WSD'. Did you mean 'wsd'? {KNOWN}"),
        ("zigzag", f"there is no schedule family 'zigzag'. {KNOWN}"),
        (None, "a schedule family is named by a string, such as 'cosine', not by None"),
        (["cosine"], "a schedule family is named by a string, such as 'cosine', not by ['cosine']"),
    ],
)
def test_an_unknown_family_is_told_with_the_known_ones(name: Any, text: str) -> None:
    """The name that was given, one that is near, and all that exist."""
    for ask in (schedule, family):
        with pytest.raises(ScheduleError) as error:
            ask(name)
        assert text_of(error) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"colldown": 0.1},
            f"schedule 'wsd': 'colldown' is not a setting. Did you mean 'cooldown'? wsd has: cooldown, shape, {SHARED}",
        ),
        ({"gamma": 0.1}, f"schedule 'wsd': 'gamma' is not a setting. wsd has: cooldown, shape, {SHARED}"),
        ({"cooldown": 0}, f"schedule 'wsd': cooldown must be a number in (0, 1], {STEPS_TOO}, not 0: {COOLDOWN}"),
        ({"cooldown": -0.1}, f"schedule 'wsd': cooldown must be a number in (0, 1], {STEPS_TOO}, not -0.1: {COOLDOWN}"),
        ({"cooldown": True}, f"schedule 'wsd': cooldown must be a number in (0, 1], {STEPS_TOO}, not True: {COOLDOWN}"),
        (
            {"cooldown": "0.2"},
            f"schedule 'wsd': cooldown must be a number in (0, 1], {STEPS_TOO}, not '0.2': {COOLDOWN}",
        ),
        (
            {"cooldown": float("nan")},
            f"schedule 'wsd': cooldown must be a number in (0, 1], {STEPS_TOO}, not nan: {COOLDOWN}",
        ),
        ({"cooldown": 0.2j}, f"schedule 'wsd': cooldown must be a number in (0, 1], {STEPS_TOO}, not 0.2j: {COOLDOWN}"),
        ({"warmup": 1}, f"schedule 'wsd': warmup must be a number in [0, 1), {STEPS_TOO}, not 1: {WARMUP}"),
        ({"floor": 1.5}, f"schedule 'wsd': floor must be a number in [0, 1], not 1.5: {FLOOR}"),
        (
            {"warmup": 5, "nu": 1, "floor": None},
            "schedule 'wsd': 3 problems\n"
            f"  warmup must be a number in [0, 1), {STEPS_TOO}, not 5: {WARMUP}\n"
            f"  'nu' is not a setting. wsd has: cooldown, shape, {SHARED}\n"
            f"  floor must be a number in [0, 1], not None: {FLOOR}",
        ),
    ],
)
def test_bad_settings_are_told_all_at_once(settings: dict[str, Any], text: str) -> None:
    """Each setting with what was given, what is wanted and what it means."""
    with pytest.raises(ScheduleError) as error:
        schedule("wsd", **settings)
    assert text_of(error) == text


def test_a_class_checks_as_the_name_does() -> None:
    """Building the value by its class refuses the same, all at once; numbers beyond a float are out of range too."""
    with pytest.raises(
        ScheduleError, match=r"schedule 'wsd': 2 problems\n  cooldown .* not 2: .*\n  warmup .* not -1: "
    ):
        Wsd(cooldown=2, warmup=-1)
    with pytest.raises(ScheduleError, match=r"floor must be a number in \[0, 1\], not 1000+\.\.\."):
        Cosine(floor=10**400)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (
            -0.1,
            f"progress must be 0 or more, not -0.1: {ENDS}",
        ),
        (
            [0.5, float("nan")],
            f"progress must be 0 or more, not nan: {ENDS}",
        ),
        (True, "progress must be a number or an array of numbers, not True"),
        ("0.5", "progress must be a number or an array of numbers, not '0.5'"),
        (None, "progress must be a number or an array of numbers, not None"),
        ([[0.1], [0.2, 0.3]], "progress must be a number or an array of numbers, not [[0.1], [0.2, 0.3]]"),
    ],
)
def test_progress_must_be_a_number_from_0_up(progress: Any, text: str) -> None:
    """Negative progress, NaN and what is no number are refused; nothing is repaired."""
    with pytest.raises(ScheduleError) as error:
        schedule("cosine").factor(progress)
    assert text_of(error) == text


STEPS = "rates: total_steps must be a whole number of 1 or more, not {}: the number of updates"
PEAK = "rates: peak_lr must be a finite number above 0, not {}: the largest rate"


@pytest.mark.parametrize(
    ("total_steps", "peak_lr", "text"),
    [
        (0, 1.0, STEPS.format("0")),
        (-3, 1.0, STEPS.format("-3")),
        (600.0, 1.0, STEPS.format("600.0")),
        (True, 1.0, STEPS.format("True")),
        ("600", 1.0, STEPS.format("'600'")),
        (np.array([1, 2]), 1.0, STEPS.format("array([1, 2])")),
        (10, 0, PEAK.format("0")),
        (10, -0.1, PEAK.format("-0.1")),
        (10, float("inf"), PEAK.format("inf")),
        (10, float("nan"), PEAK.format("nan")),
        (10, True, PEAK.format("True")),
        (
            0,
            "0.1",
            "rates: 2 problems\n"
            "  total_steps must be a whole number of 1 or more, not 0: the number of updates\n"
            "  peak_lr must be a finite number above 0, not '0.1': the largest rate",
        ),
    ],
)
def test_a_horizon_is_a_positive_int_and_a_peak_a_positive_number(total_steps: Any, peak_lr: Any, text: str) -> None:
    """What cannot be a number of steps or a rate is refused with the value that was given."""
    with pytest.raises(ScheduleError) as error:
        schedule("cosine").rates(total_steps, peak_lr)
    assert text_of(error) == text


def test_numbers_of_numpy_are_numbers() -> None:
    """A NumPy int is a horizon, a NumPy float a peak and a setting."""
    rates = schedule("wsd", cooldown=np.float64(0.5)).rates(np.int64(4), np.float64(0.5))
    assert rates.tolist() == [0.5, 0.5, 0.5, 0.25]


SMALLEST = '{"family": "cosine"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", f"schedule JSON: family is missing; the smallest schedule is {SMALLEST}"),
        ('{"family": "cosin"}', f"schedule JSON: there is no schedule family 'cosin'. Did you mean 'cosine'? {KNOWN}"),
        (
            '{"family": 3}',
            "schedule JSON: a schedule family is named by a string, such as 'cosine', not by 3",
        ),
        (
            '{"family": "cosine", "warm_up": 0.1}',
            f"schedule JSON: 'warm_up' is not a setting. Did you mean 'warmup'? cosine has: {SHARED}",
        ),
        (
            '{"family": "cosine", "floor": NaN}',
            f"schedule JSON: floor must be a number in [0, 1], not nan: {FLOOR}",
        ),
        (
            '{"family": "cosine", "floor": -Infinity}',
            f"schedule JSON: floor must be a number in [0, 1], not -inf: {FLOOR}",
        ),
        (
            '{"family": "cosine", "floor": 1e999}',
            f"schedule JSON: floor must be a number in [0, 1], not inf: {FLOOR}",
        ),
        (
            '{"family": "cosine", "floor": {"a": 1}}',
            f"schedule JSON: floor must be a number in [0, 1], not {{'a': 1}}: {FLOOR}",
        ),
        (
            '{"family": "cosine", "floor": 0.1, "floor": 0.2}',
            "schedule JSON: 'floor' is given more than once; keep one",
        ),
        (
            '{"version": 2, "family": "spiral", "turns": 3}',
            "schedule JSON: version 2 was written by a newer lrsweep; this one reads version 1. "
            "Upgrade lrsweep, or write the schedule again with this one",
        ),
        ('{"version": 0, "family": "cosine"}', "schedule JSON: version must be 1 or left out, not 0"),
        ('{"version": true, "family": "cosine"}', "schedule JSON: version must be 1 or left out, not True"),
        ('{"version": "1", "family": "cosine"}', "schedule JSON: version must be 1 or left out, not '1'"),
        ("[1]", f"schedule JSON: wanted one object such as {SMALLEST}, not [1]"),
        ('"cosine"', f"schedule JSON: wanted one object such as {SMALLEST}, not 'cosine'"),
        (
            "cosine",
            f"schedule JSON: 'cosine' is not JSON (Expecting value: line 1 column 1 (char 0)); wanted {SMALLEST}",
        ),
        ({"family": "cosine"}, f"schedule JSON: wanted a text such as {SMALLEST}, not {{'family': 'cosine'}}"),
        (
            '{"version": 1.5, "family": "wsd", "family": "wsd", "cooldown": 0, "x": 1}',
            "schedule JSON: 4 problems\n"
            "  'family' is given more than once; keep one\n"
            "  version must be 1 or left out, not 1.5\n"
            f"  cooldown must be a number in (0, 1], {STEPS_TOO}, not 0: {COOLDOWN}\n"
            f"  'x' is not a setting. wsd has: cooldown, shape, {SHARED}",
        ),
    ],
)
def test_json_that_is_no_schedule_is_told_with_all_its_problems(text: Any, message: str) -> None:
    """Each text that cannot be meant gets the message that says what to change."""
    with pytest.raises(ScheduleError) as error:
        schedule_from_json(text)
    assert text_of(error) == message


@pytest.mark.parametrize("text", ["[" * 100_000, '{"family": "cosine", "floor": ' + "9" * 5000 + "}", ""])
def test_hostile_json_is_refused_as_any_other(text: str) -> None:
    """Deep nesting, endless digits and nothing at all are a ScheduleError too, with a short message."""
    with pytest.raises(ScheduleError, match="is not JSON") as error:
        schedule_from_json(text)
    assert len(text_of(error)) < 300


def test_json_is_one_flat_object_with_all_settings() -> None:
    """Version and family come first, then the family's settings, floor and warm-up; defaults are written too."""
    assert schedule("wsd", warmup=0.05).to_json() == (
        '{"version": 1, "family": "wsd", "cooldown": 0.2, "floor": 0.0, "warmup": 0.05}'
    )
    assert schedule("one_cycle").to_json() == (
        '{"version": 1, "family": "one_cycle", "rise": 0.3, "start": 0.04, "final": 4e-06, "floor": 0.0, "warmup": 0.0}'
    )


def test_a_family_alone_is_a_schedule_in_json() -> None:
    """Version and settings may be left out; ints are numbers."""
    assert schedule_from_json(SMALLEST) == schedule("cosine")
    assert schedule_from_json('{"warmup": 0, "family": "wsd", "cooldown": 1}') == schedule("wsd", cooldown=1.0)


def test_the_text_of_a_schedule_can_be_pasted() -> None:
    """Only what is not default is written, the family's own settings first."""
    assert repr(schedule("cosine", warmup=0.05)) == "lrsweep.schedule('cosine', warmup=0.05)"
    assert repr(schedule("wsd", warmup=0.1, floor=0, cooldown=1)) == "lrsweep.schedule('wsd', cooldown=1.0, warmup=0.1)"
    assert str(schedule("rex")) == "lrsweep.schedule('rex')"
