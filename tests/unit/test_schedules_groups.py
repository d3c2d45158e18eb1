"""A schedule for each parameter group: rates by name, one table, weight decay beside it, and refusals."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lrsweep
from lrsweep import NeedsMetric, ScheduleError, grouped, grouped_from_json, layerwise, schedule
from lrsweep.schedules import Group, Grouped, Schedule, rate_table
from tests.drawn_compositions import any_composition
from tests.drawn_schedules import falling, usual_schedule

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

LINEAR, CONSTANT = schedule("linear"), schedule("constant")
PLATEAU = schedule("plateau", patience=0, gamma=0.5)


def test_each_group_has_its_own_curve_and_its_own_peak() -> None:
    """A tenth of the peak that falls in a line, beside the whole peak that stays."""
    groups = grouped({"backbone": (LINEAR, 0.1), "head": CONSTANT})
    rates = groups.rates(4, peak_lr=2.0)
    np.testing.assert_allclose(rates["backbone"], [0.2, 0.15, 0.1, 0.05])
    assert rates["head"].tolist() == [2, 2, 2, 2]
    assert list(rates) == ["backbone", "head"]
    np.testing.assert_allclose(groups.table(4), [[0.1, 0.075, 0.05, 0.025], [1.0, 1.0, 1.0, 1.0]])


def test_a_floor_is_a_fraction_of_the_groups_own_peak() -> None:
    """Both end at a half: one of its peak 4, one of its peak 0.4; a floor of the whole would lift the second."""
    half = schedule("linear", floor=0.5)
    rates = grouped({"big": (half, 2), "small": (half, 0.2)}).rates(2, peak_lr=2.0)
    np.testing.assert_allclose(rates["big"], [4, 3])
    np.testing.assert_allclose(rates["small"], [0.4, 0.3])


def test_layers_are_lower_towards_the_input() -> None:
    """The last name has the whole peak, each one before it the decay times the next; the curve is one."""
    layers = layerwise(LINEAR, ["stem", "body", "head"], decay=0.5)
    assert layers.multipliers == {"stem": 0.25, "body": 0.5, "head": 1.0}
    assert layers == grouped({"stem": (LINEAR, 0.25), "body": (LINEAR, 0.5), "head": LINEAR})
    np.testing.assert_allclose(layers.table(2), [[0.25, 0.125], [0.5, 0.25], [1, 0.5]])
    assert layerwise(LINEAR, (name for name in ("a", "b"))).multipliers == {"a": 0.75, "b": 1.0}
    assert layerwise(LINEAR, ["only"], decay=1).multipliers == {"only": 1.0}


def test_a_weight_decay_follows_its_schedule_or_stays() -> None:
    """The same kind of table, with the weight decay as its peak; 0 is one too."""
    following = grouped({"all": CONSTANT}, weight_decay=LINEAR)
    np.testing.assert_allclose(following.weight_decays(4, 0.1), [0.1, 0.075, 0.05, 0.025])
    assert grouped({"all": LINEAR}).weight_decays(3, 0.1).tolist() == [0.1, 0.1, 0.1]
    assert following.weight_decays(3, 0).tolist() == [0, 0, 0]
    for bad in (-0.1, float("nan"), float("inf"), "0.1", True):
        with pytest.raises(ScheduleError, match="weight_decay must be a finite number of 0 or more, not "):
            following.weight_decays(3, bad)  # type: ignore[arg-type]


def test_one_reactive_group_reacts_and_its_neighbours_do_not() -> None:
    """The rates need metrics then, and say of which group; ``replay`` has them, ``course`` each group's machine."""
    groups = grouped({"still": (LINEAR, 0.5), "moved": (PLATEAU, 2.0)})
    assert groups.needs_metric
    assert not grouped({"still": LINEAR}).needs_metric
    for ask in (groups.rates, groups.table):
        with pytest.raises(NeedsMetric, match=r"of group 'moved': 'plateau' reacts to a metric"):
            ask(4)
    rates = groups.replay([1.0, 2.0, 3.0, 4.0], 4, peak_lr=0.1)
    np.testing.assert_allclose(rates["still"], [0.05, 0.0375, 0.025, 0.0125])
    np.testing.assert_allclose(rates["moved"], [0.2, 0.2, 0.1, 0.05])
    courses = groups.course(4)
    assert [len(courses[name].reactors) for name in groups.names] == [0, 1]
    assert courses["moved"].factors(courses["moved"].begin()).max() == 1.0  # of the group's own peak


@law
@given(st.dictionaries(st.text(min_size=1), st.tuples(usual_schedule(), st.floats(1e-3, 1e3)), min_size=1, max_size=4))
def test_groups_are_their_schedules_one_by_one(members: dict[str, tuple[Schedule, float]]) -> None:
    """Rates and table rows are those of the schedule alone; every form gives the same groups back."""
    groups = grouped(members, weight_decay=LINEAR)
    table, rates = groups.table(50), groups.rates(50, 0.3)
    for row, (name, (one, multiplier)) in zip(table, members.items(), strict=True):
        assert row.tolist() == one.rates(50, multiplier).tolist()
        assert rates[name].tolist() == one.rates(50, 0.3 * multiplier).tolist()
    pasted = eval(repr(groups), {"lrsweep": lrsweep})
    read = grouped_from_json(groups.to_json(), allow_code=True)
    for other in (read, pasted, pickle.loads(pickle.dumps(groups)), copy.deepcopy(groups)):
        assert other == groups
        assert hash(other) == hash(groups)


@law
@given(st.lists(usual_schedule() | any_composition(reactive=False), max_size=5), st.floats(1e-3, 1e3))
def test_a_rate_table_is_the_rates_row_by_row(many: list[Schedule], peak_lr: float) -> None:
    """An array of schedules × steps; none at all is an array too."""
    table = rate_table(many, 100, peak_lr)
    assert table.shape == (len(many), 100)
    assert table.tolist() == [one.rates(100, peak_lr).tolist() for one in many]


def test_a_rate_table_tells_which_schedule_it_cannot_lay_out() -> None:
    """A reactive one by its place; counts that do not fit, all of them."""
    with pytest.raises(NeedsMetric, match=r"rate_table: schedules\[1\]: 'plateau' reacts"):
        rate_table([LINEAR, PLATEAU], 10)
    long = schedule("linear", warmup="20 steps")
    with pytest.raises(
        ScheduleError, match=r"rate_table: 2 problems\n  schedules\[0\]: .* 20 .* 10.*\n  schedules\[2\]: "
    ):
        rate_table([long, LINEAR, long], 10)


def test_groups_are_json_in_their_order() -> None:
    """A list, since the order of the groups is the order of the table's rows, and some stores sort an object's keys."""
    groups = grouped({"z": (CONSTANT, 0.5), "a": CONSTANT}, weight_decay=LINEAR)
    assert groups.to_json() == (
        '{"version": 1, "family": "grouped", "groups": ['
        '{"name": "z", "schedule": {"family": "constant", "floor": 0.0, "warmup": 0.0}, "multiplier": 0.5}, '
        '{"name": "a", "schedule": {"family": "constant", "floor": 0.0, "warmup": 0.0}, "multiplier": 1.0}], '
        '"weight_decay": {"family": "linear", "floor": 0.0, "warmup": 0.0}}'
    )
    assert repr(groups) == (
        "lrsweep.grouped({'z': (lrsweep.schedule('constant'), 0.5), 'a': lrsweep.schedule('constant')}, "
        "weight_decay=lrsweep.schedule('linear'))"
    )
    short = '{"family": "grouped", "groups": [{"name": "all", "schedule": {"family": "linear"}}]}'
    assert grouped_from_json(short) == grouped({"all": LINEAR})


def test_a_function_in_a_group_runs_only_when_that_is_allowed() -> None:
    """Reading groups runs no code either."""
    path = f"{falling.__module__}:falling"
    groups = grouped({"all": schedule("function", path=path, allow_code=True)})
    with pytest.raises(ScheduleError, match=r"grouped JSON: groups\[0\]\.schedule: .*allow_code=True"):
        grouped_from_json(groups.to_json())
    assert grouped_from_json(groups.to_json(), allow_code=True) == groups


MULTIPLIER = "the group's own peak as a multiple of peak_lr"


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ({}, "grouped: there must be one group or more, and there is none"),
        (
            [LINEAR],
            "grouped: groups must be a mapping of names to schedules such as {'head': lrsweep.schedule('cosine')}, "
            "not [lrsweep.schedule('linear')]",
        ),
        (
            {"a": "linear"},
            "grouped: group 'a': the schedule must be one such as lrsweep.schedule('cosine'), not 'linear'",
        ),
        (
            {"a": (LINEAR, 0)},
            f"grouped: group 'a': the multiplier must be a finite number above 0, not 0: {MULTIPLIER}",
        ),
        (
            {"": LINEAR, 3: (LINEAR, float("nan")), "c": (LINEAR, 1, 2)},
            "grouped: 4 problems\n"
            "  group 'c' must be a schedule, or a pair of a schedule and a multiplier, "
            "not (lrsweep.schedule('linear'), 1, 2)\n"
            "  a group is named by a string that is not empty, not by ''\n"
            "  a group is named by a string that is not empty, not by 3\n"
            f"  group 3: the multiplier must be a finite number above 0, not nan: {MULTIPLIER}",
        ),
    ],
)
def test_groups_that_cannot_be_meant_are_refused_all_at_once(groups: Any, text: str) -> None:
    """What was given, in which group, and what is wanted."""
    with pytest.raises(ScheduleError) as error:
        grouped(groups)
    assert str(error.value) == text


def test_a_weight_decay_needs_a_time_driven_schedule() -> None:
    """It has no metric of its own."""
    for bad in (PLATEAU, "linear", 0.1):
        with pytest.raises(
            ScheduleError, match=r"grouped: weight_decay must be a time-driven schedule .*, or None, not "
        ):
            grouped({"all": LINEAR}, weight_decay=bad)  # type: ignore[arg-type]
    with pytest.raises(ScheduleError, match="must be a Group with name, schedule, multiplier, not "):
        Grouped((("all", LINEAR, 1.0),))  # type: ignore[arg-type]
    assert Grouped((Group("all", LINEAR, 2),)).multipliers == {"all": 2.0}


@pytest.mark.parametrize(
    ("names", "decay", "text"),
    [
        ("head", 0.5, "layerwise: names must be a list of names, from the input to the output, not 'head'"),
        ([], 0.5, "layerwise: names must be a list of names, from the input to the output, not []"),
        (["a", "a"], 0.5, "grouped: group 'a' is given more than once; keep one"),
        (["a"], 1.5, "layerwise: decay must be a number in (0, 1], not 1.5"),
        (["a"], 0, "layerwise: decay must be a number in (0, 1], not 0"),
    ],
)
def test_layers_that_cannot_be_meant_are_refused(names: Any, decay: Any, text: str) -> None:
    """Names are a list, and a decay raises nothing."""
    with pytest.raises(ScheduleError) as error:
        layerwise(LINEAR, names, decay)
    assert str(error.value) == text


def test_counts_that_do_not_fit_are_told_of_every_group() -> None:
    """On 10 steps two of three groups cannot be laid out."""
    long = schedule("linear", warmup="20 steps")
    groups = grouped({"a": long, "b": LINEAR, "c": long})
    for ask in (groups.rates, groups.table, groups.course):
        with pytest.raises(ScheduleError, match=r"2 problems\n  group 'a': .* 20 .* 10: .*\n  group 'c': "):
            ask(10)


ONE = {"name": "all", "schedule": {"family": "linear"}}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"groups": [ONE]},
            "family must be 'grouped', not None; a single schedule is read by lrsweep.schedule_from_json",
        ),
        ({"family": "cosine"}, "grouped JSON: 2 problems\n  family must be 'grouped', not 'cosine'"),
        ({"family": "grouped"}, r"groups must be a list of 1 to 100000 objects, not None; see \{\"family\""),
        ({"family": "grouped", "groups": []}, "groups must be a list of 1 to 100000 objects, not \\[\\]"),
        ({"version": 2, "family": "grouped", "x": 1}, "grouped JSON: version 2 was written by a newer lrsweep"),
        ({"version": 0, "family": "grouped", "groups": [ONE]}, "version must be 1 or left out, not 0"),
        ({"family": "grouped", "groups": [ONE], "weight_decay": 0}, "weight_decay must be an object .*, not 0"),
        (
            {"family": "grouped", "groups": [ONE], "weight_decay": {"family": "plateau"}},
            "weight_decay must be a time-driven schedule",
        ),
        ({"family": "grouped", "groups": [ONE, ONE]}, "group 'all' is given more than once"),
        (
            {
                "family": "grouped",
                "weightdecay": None,
                "groups": [
                    {"name": "a", "schedule": {"family": "linear", "floor": 2}, "multiplier": 0},
                    3,
                    {"name": "b", "schedul": {}},
                ],
            },
            r"grouped JSON: 6 problems\n"
            r"  'weightdecay' is not known. Did you mean 'weight_decay'\?.*\n"
            r"  groups\[0\].schedule: floor must be a number in \[0, 1\], not 2: .*\n"
            r"  groups\[1\] must be an object with name, schedule, multiplier, not 3\n"
            r"  groups\[2\]: 'schedul' is not known. Did you mean 'schedule'\?.*\n"
            r"  groups\[2\].schedule must be an object such as \{'family': 'cosine'\}, not None\n"
            r"  group 'a': the multiplier must be a finite number above 0, not 0",
        ),
    ],
)
def test_json_that_is_no_groups_is_told_with_all_its_problems(given: dict[str, Any], text: str) -> None:
    """Each with its place."""
    with pytest.raises(ScheduleError, match=text):
        grouped_from_json(json.dumps(given))


def test_groups_are_not_read_as_a_schedule() -> None:
    """The error names the function that reads them."""
    with pytest.raises(ScheduleError, match=r"lrsweep\.grouped_from_json\(text\)"):
        lrsweep.schedule_from_json(grouped({"all": LINEAR}).to_json())
