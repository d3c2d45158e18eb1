"""What each family and the shared settings refuse: the text a stranger reads, in full."""

from __future__ import annotations

from typing import Any

import pytest

from lrsweep.errors import ScheduleError
from lrsweep.schedules import schedule, schedule_from_json

MEANS: dict[tuple[str, str], str] = {
    ("multistep", "at"): "where on the decay's own clock the rate drops",
    ("piecewise", "at"): "the borders between the intervals, on the decay's own clock",
    ("piecewise", "values"): "the factor in each interval, one more than there are borders",
    ("inverse_time", "d"): "how far it falls: the factor at the end is 1 / (1 + d)",
    ("inverse_power", "p"): "the power of the time: the larger, the later and steeper the fall",
    ("inverse_sqrt", "timescale"): "the stretch of the decay's own clock after which the rate is down to √(1/2)",
    ("polynomial", "power"): "the exponent: the larger, the earlier the rate falls",
    ("tanh", "low"): "the argument of tanh at the beginning: the smaller, the longer the rate stays near the peak",
    ("cosine_restarts", "cycles"): "how many cosines",
    ("cosine_restarts", "multiplier"): "the length of each cycle as a multiple of the one before",
    ("cosine_restarts", "shrink"): "the height of each restart as a fraction of the one before",
    ("cyclic", "mode"): "what becomes of the height of the cycles",
    ("cyclic", "cycle_momentum"): "whether the momentum (beta1 of Adam) moves against the rate",
    ("cyclic", "rise"): "the share of a cycle in which the rate goes up",
    ("one_cycle", "momentum_high"): "the momentum where a cycle begins and ends",
    ("knots", "points"): "the factors at evenly spaced places, the first at the beginning and the last at the end",
    ("table", "values"): "the factor of each step; a training of so many steps has just these",
    ("exponential", "stairs"): "the number of equal stairs, the last drop at the end; 0 is a smooth curve",
    ("wsd", "shape"): "the curve along which the cool-down falls",
    ("linear", "warmup_shape"): "the curve along which a warm-up rises",
    ("linear", "warmup_power"): "the exponent of a polynomial warm-up; others take no notice",
    ("linear", "hold"): "the fraction of all steps for which the decay waits after the warm-up",
    ("linear", "noise_seed"): "which noise: the same seed, the same curve",
}

PLACES = "must be a list of 1 or more numbers in (0, 1], none below the one before"
BORDERS = "must be a list of 1 or more numbers in (0, 1), none below the one before"


@pytest.mark.parametrize(
    ("name", "setting", "given", "told"),
    [
        ("multistep", "at", (0.5, 0.3), f"{PLACES}; number 2 is 0.3 after 0.5"),
        ("multistep", "at", (0.0, 0.5), f"{PLACES}; number 1 is 0.0"),
        ("multistep", "at", (0.5, float("nan")), f"{PLACES}; number 2 is nan"),
        ("multistep", "at", (30, 60), f"{PLACES}; number 1 is 30"),
        ("multistep", "at", 0.5, f"{PLACES}, not 0.5"),
        ("multistep", "at", "0.5", f"{PLACES}, not '0.5'"),
        ("multistep", "at", (), f"{PLACES}, not 0 of them"),
        ("piecewise", "at", (1.0,), f"{BORDERS}; number 1 is 1.0"),
        ("piecewise", "values", (1, 2, 0), "must be a list of 2 or more numbers in [0, 1]; number 2 is 2"),
        ("inverse_time", "d", -1, "must be a number in [0, 1e+09], not -1"),
        ("inverse_power", "p", 0, "must be a number in (0, 100], not 0"),
        ("inverse_sqrt", "timescale", 0, "must be a number in (0, 1e+06], not 0"),
        ("polynomial", "power", 0, "must be a number in (0, 100], not 0"),
        ("tanh", "low", -101, "must be a number in [-100, 100], not -101"),
        ("cosine_restarts", "cycles", 2.5, "must be a whole number from 1 to 1000, not 2.5"),
        ("cosine_restarts", "cycles", 0, "must be a whole number from 1 to 1000, not 0"),
        ("cosine_restarts", "multiplier", 0.5, "must be a number in [1, 100], not 0.5"),
        ("cosine_restarts", "shrink", 0, "must be a number in (0, 1], not 0"),
        ("cyclic", "mode", "triangle", "must be one of 'triangular', 'triangular2', 'exp_range', not 'triangle'"),
        ("cyclic", "cycle_momentum", 1, "must be true or false, not 1"),
        ("cyclic", "rise", 1, "must be a number in [1e-06, 0.999999], not 1"),
        ("one_cycle", "momentum_high", 1, "must be a number in [0, 1), not 1"),
        ("knots", "points", (1,), "must be a list of 2 to 1000 numbers in [0, 1], not 1 of them"),
        ("knots", "points", (1, -0.5), "must be a list of 2 to 1000 numbers in [0, 1]; number 2 is -0.5"),
        ("table", "values", (), "must be a list of 1 or more numbers in [0, 1], not 0 of them"),
        ("table", "values", (0.5, None), "must be a list of 1 or more numbers in [0, 1]; number 2 is None"),
        ("exponential", "stairs", -1, "must be a whole number from 0 to 1000000, not -1"),
        ("wsd", "shape", "sqrt", "must be one of 'linear', 'cosine', '1-sqrt', 'exponential', not 'sqrt'"),
        (
            "linear",
            "warmup_shape",
            "sine",
            "must be one of 'linear', 'cosine', 'exponential', 'polynomial', 'constant', not 'sine'",
        ),
        ("linear", "warmup_power", 0, "must be a number in (0, 100], not 0"),
        ("linear", "hold", "10 epochs", "must be a number in [0, 1), or a count such as '500 steps', not '10 epochs'"),
        ("linear", "noise_seed", 2**32, "must be a whole number from 0 to 4294967295, not 4294967296"),
    ],
)
def test_a_value_out_of_its_range_is_told_with_what_is_wanted(name: str, setting: str, given: Any, told: str) -> None:
    """What was given, what is wanted, and what the setting means; the same in JSON."""
    with pytest.raises(ScheduleError) as error:
        schedule(name, **{setting: given})
    assert str(error.value) == f"schedule {name!r}: {setting} {told}: {MEANS[name, setting]}"


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("tanh", {"low": 3, "high": 3}, "low 3 is not below high 3; wanted low below high, so that the rate falls"),
        (
            "one_cycle",
            {"momentum_low": 0.96},
            "momentum_low 0.96 is above momentum_high 0.95; wanted momentum_low at most momentum_high",
        ),
        (
            "cyclic",
            {"cycle_momentum": True, "momentum_high": 0.5},
            "momentum_low 0.85 is above momentum_high 0.5; wanted momentum_low at most momentum_high",
        ),
        (
            "piecewise",
            {"at": (0.3,)},
            "at has 1 and values has 3; wanted one value more than there are borders, 2",
        ),
        (
            "piecewise",
            {"values": (1, 0.5, 0.2, 0.1)},
            "at has 2 and values has 4; wanted one value more than there are borders, 3",
        ),
        (
            "cosine_restarts",
            {"cycles": 20, "multiplier": 3},
            "cycles 20 with multiplier 3 leave 6e-10 of the decay's own clock to the first cycle; "
            "wanted 1e-06 or more: fewer cycles, or a smaller multiplier",
        ),
        (
            "cosine_restarts",
            {"cycles": 1000, "multiplier": 100},
            "cycles 1000 with multiplier 100 leave 0 of the decay's own clock to the first cycle; "
            "wanted 1e-06 or more: fewer cycles, or a smaller multiplier",
        ),
        (
            "wsd",
            {"warmup": 0.5, "hold": 0.5},
            "warmup 0.5 and hold 0.5 are 1 of the training; wanted less than 1 together, "
            "so that something is left for the decay",
        ),
        (
            "wsd",
            {"warmup": "5 steps", "warmup_shape": "exponential"},
            "warmup_start must be above 0 for a warm-up of shape 'exponential', not 0: from 0 it would stay at 0",
        ),
    ],
)
def test_values_that_do_not_go_together_are_told(name: str, settings: dict[str, Any], told: str) -> None:
    """Each is allowed alone: both are named, and what would be allowed."""
    with pytest.raises(ScheduleError) as error:
        schedule(name, **settings)
    assert str(error.value) == f"schedule {name!r}: {told}"


def test_rules_between_settings_are_told_at_once() -> None:
    """A family's own and the shared ones, in one message."""
    with pytest.raises(ScheduleError) as error:
        schedule("tanh", low=1, high=0, warmup=0.6, hold=0.4, warmup_shape="constant")
    lines = str(error.value).splitlines()
    assert lines[0] == "schedule 'tanh': 3 problems"
    assert [line.split()[0] for line in lines[1:]] == ["warmup", "warmup_start", "low"]


def test_json_is_refused_as_the_call_is() -> None:
    """A list and a rule between two settings, through a text."""
    with pytest.raises(ScheduleError) as error:
        schedule_from_json('{"family": "multistep", "at": [0.7, 0.2], "gamma": 2}')
    assert str(error.value) == (
        "schedule JSON: 2 problems\n"
        f"  at {PLACES}; number 2 is 0.2 after 0.7: {MEANS['multistep', 'at']}\n"
        "  gamma must be a number in (0, 1], not 2: what each drop multiplies the rate by"
    )
    with pytest.raises(ScheduleError, match=r"^schedule JSON: low 2 is not below high 1; "):
        schedule_from_json('{"family": "tanh", "low": 2, "high": 1}')
    with pytest.raises(ScheduleError, match=r"^schedule JSON: values is missing; wanted a list of 1 or more numbers"):
        schedule_from_json('{"family": "table"}')


def test_what_is_implied_is_not_written() -> None:
    """JSON leaves out the settings that a text without them means by itself, and has them where they say something."""
    assert schedule("wsd").to_json() == (
        '{"version": 1, "family": "wsd", "cooldown": 0.2, "floor": 0.0, "warmup": 0.0}'
    )
    assert schedule("wsd", shape="1-sqrt", cooldown="200 steps", hold=0.1).to_json() == (
        '{"version": 1, "family": "wsd", "cooldown": "200 steps", "shape": "1-sqrt", "floor": 0.0, "warmup": 0.0, '
        '"hold": 0.1}'
    )
    assert schedule("cyclic", cycle_momentum=True).to_json() == (
        '{"version": 1, "family": "cyclic", "mode": "triangular", "cycles": 4, "low": 0.1, "rise": 0.5, "final": 0.1, '
        '"cycle_momentum": true, "floor": 0.0, "warmup": 0.0}'
    )
    assert schedule("multistep", at=[0.5]).to_json() == (
        '{"version": 1, "family": "multistep", "at": [0.5], "gamma": 0.1, "floor": 0.0, "warmup": 0.0}'
    )
