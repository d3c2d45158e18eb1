"""What each family says of itself, what values of schedules are, and what the package needs."""

from __future__ import annotations

import dataclasses
import doctest
import math
import pkgutil
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsweep import schedules
from lrsweep.schedules import (
    Interval,
    Options,
    Reactive,
    Schedule,
    Search,
    Setting,
    core_names,
    family,
    family_names,
    schedule,
)
from lrsweep.schedules.base import shared_names
from lrsweep.schedules.kinds import Whole
from lrsweep.schedules.setting import REQUIRED
from tests.drawn_schedules import MAY_RISE, TIME_DRIVEN, searched_values

ALL = [family(name) for name in family_names()]
SHARED = [
    "floor",
    "warmup",
    "warmup_shape",
    "warmup_start",
    "warmup_power",
    "hold",
    "noise",
    "noise_seed",
]


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.family)
def test_a_family_says_what_it_is(one: type[Schedule]) -> None:
    """Formula, source and use are written, and every setting says what it means; the shared ones come last."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", one.family)
    assert one.formula
    assert one.source
    assert one.use.endswith(".")
    assert one.use.count(".") == 1, "one sentence"
    assert one.__doc__
    names = [setting.name for setting in one.settings()]
    assert names[-8:] == SHARED
    assert len(set(names)) == len(names)
    for setting in one.settings():
        assert setting.meaning
        assert not setting.meaning.endswith(".")
        assert str(setting.allowed)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.family)
def test_defaults_and_searches_lie_in_what_is_allowed(one: type[Schedule]) -> None:
    """A default is in its normal form; a search's ends are allowed, and the default lies between them."""
    for setting in one.settings():
        if setting.default is REQUIRED:
            assert setting.search is None
            continue
        assert setting.allowed.read(setting.default) == setting.default
        assert type(setting.allowed.read(setting.default)) is type(setting.default)
        assert_search_is_sane(setting)


def assert_search_is_sane(setting: Setting) -> None:
    search = setting.search
    if search is None:
        return
    if isinstance(search, Options):
        assert setting.default in search.names
        for name in search.names:
            assert setting.allowed.read(name) == name
        return
    assert search.low < search.high
    assert search.low > 0 or not search.log
    assert search.whole == isinstance(setting.allowed, Whole)
    for end in (search.low, search.high):
        drawn = setting.drawn(dict.fromkeys(setting.searched(), end))
        assert setting.allowed.read(drawn) == drawn
    for value in setting.default if isinstance(setting.default, tuple) else [setting.default]:
        assert search.low <= value <= search.high


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("one", TIME_DRIVEN, ids=lambda one: one.family)
def test_whatever_a_search_draws_is_a_schedule(one: type[Schedule], data: st.DataObject) -> None:
    """Any point of a family's ranges goes together: a search never draws what is then refused."""
    values = {each.name: data.draw(searched_values(each)) for each in one.settings()}
    assert one.problems_with(values) == []


def test_every_own_setting_of_the_core_is_searched_or_is_known_not_to_be() -> None:
    """What a search leaves at its default is listed here, with its reason beside the setting in its family's file."""
    left_alone = {
        f"{one.family}.{each.name}"
        for one in TIME_DRIVEN
        for each in one.settings()
        if each.search is None and each.name not in SHARED
    }
    momentum = {"cycle_momentum", "momentum_low", "momentum_high"}
    assert left_alone == {
        *(f"{name}.{each}" for name in ("one_cycle", "cyclic") for each in momentum),
        "exponential.stairs",
        "function.path",
        "one_cycle.final",
        "table.values",
        "wsd.shape",
    }


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.family)
def test_no_setting_hides_a_method(one: type[Schedule]) -> None:
    """A setting is an attribute, so it must not be called what a schedule can do."""
    methods = {
        name
        for base in one.__mro__
        for name, value in vars(base).items()
        if callable(value) or isinstance(value, (property, classmethod, staticmethod))
    }
    assert not methods & {setting.name for setting in one.settings()}


def test_the_core_is_the_eight_and_all_have_a_fixed_order() -> None:
    """The eight that a study searches by itself, then the other time-driven families, then the reactive ones."""
    eight = ("constant", "step", "exponential", "linear", "cosine", "wsd", "one_cycle", "rex")
    assert core_names() == eight
    assert family_names()[:20] == (
        *eight,
        *("polynomial", "multistep", "piecewise", "inverse_time", "inverse_sqrt", "inverse_power", "tanh"),
        *("cosine_restarts", "cyclic", "knots", "table", "function"),
    )
    assert all(issubclass(family(name), Reactive) for name in family_names()[20:])
    assert set(MAY_RISE) < set(family_names())


def test_ranks_of_simplicity_are_all_different() -> None:
    """They begin with constant's 0; a reactive family is less simple than any time-driven one."""
    ranks = [one.simplicity for one in ALL]
    assert len(set(ranks)) == len(ranks)
    assert min(ranks) == family("constant").simplicity == 0
    assert max(one.simplicity for one in TIME_DRIVEN) < min(one.simplicity for one in ALL if issubclass(one, Reactive))


def test_every_family_but_two_works_by_its_name_alone() -> None:
    """``table`` and ``function`` are nothing without their numbers and their path."""
    required = {one.family for one in ALL for setting in one.settings() if setting.default is REQUIRED}
    assert required == {"table", "function"}
    for name in set(family_names()) - required:
        assert schedule(name) == family(name)()


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.family)
def test_a_class_is_exported_by_its_name(one: type[Schedule]) -> None:
    """``lrsweep.schedules.MultiStep`` is the family ``multistep``: the same letters."""
    assert getattr(schedules, one.__name__) is one
    assert one.__name__ in schedules.__all__
    assert one.__name__.lower() == one.family.replace("_", "")


def test_the_shared_settings_are_those_of_every_family() -> None:
    """Only floor and warm-up are written in every JSON text; the others are left out where they change nothing."""
    assert sorted(shared_names()) == sorted(SHARED)
    assert [one.name for one in family("constant").settings() if one.implied] == SHARED[2:]


def test_a_schedule_cannot_be_changed() -> None:
    """A schedule is a frozen value."""
    cosine = schedule("cosine")
    with pytest.raises(dataclasses.FrozenInstanceError):
        cosine.warmup = 0.5  # type: ignore[misc]


def test_families_and_settings_tell_schedules_apart() -> None:
    """Two families with the same settings differ, and so do two settings of one family; an int is its float."""
    assert schedule("cosine") != schedule("linear")
    assert schedule("inverse_time", d=10) != schedule("inverse_power", d=10)
    assert schedule("cosine", warmup=0.1) != schedule("cosine")
    assert schedule("wsd", cooldown=1) == schedule("wsd", cooldown=np.float64(1.0))
    assert schedule("wsd", cooldown=1).to_json() == schedule("wsd", cooldown=1.0).to_json()
    assert schedule("cyclic", cycles=2.0).to_json() == schedule("cyclic", cycles=np.int64(2)).to_json()
    assert schedule("wsd", cooldown="007  steps") == schedule("wsd", cooldown="7 steps")
    assert schedule("multistep", at=[1]) == schedule("multistep", at=np.array([1.0]))
    assert math.copysign(1, schedule("cosine", floor=-0.0).floor) == 1


def test_searches_are_frozen_values() -> None:
    """A default range can be shared between families."""
    assert Search(0.1, 1.0) == Search(0.1, 1.0)
    assert Interval(low=0, high=1) == Interval(low=0.0, high=1.0)


def test_the_examples_in_the_docstrings_run() -> None:
    """Each example of the package prints what it says, and there are some."""
    modules = [
        schedules,
        *(import_module(m.name) for m in pkgutil.walk_packages(schedules.__path__, "lrsweep.schedules.")),
    ]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 20


def test_schedules_need_numpy_alone() -> None:
    """A machine without torch, Optuna and the rest can import and use schedules."""
    code = (
        "import sys; before = set(sys.modules); import lrsweep; lrsweep.schedule('rex').rates(3)\n"
        "lrsweep.schedule('knots').rates(3)\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "print(sorted(name for name in new if not name.startswith('_')))\n"
        "print(sorted({name.split('.')[1] for name in sys.modules if name.startswith('lrsweep.')}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == ["['lrsweep', 'numpy']", "['errors', 'schedules']"]
