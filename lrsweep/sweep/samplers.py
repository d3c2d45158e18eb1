"""Which sampler draws points and which pruner ends trials: by a name of ours, or by a dotted path from the study file.

``auto`` follows a measurement on surfaces of real trainings (``tests/benchmarks/samplers``): of all that ask in under
50 ms Optuna's grouped TPE had the smallest regret with 30, 60 and 100 trials (0.37 as a geometric mean of medians, n =
10; a TPE for each family 0.46, n = 20; random and quasi-random 1.14). The intervals of the two overlap. Its asks take
40 ms and grow; a TPE for each family takes 4, and so it is the choice for more trials than were measured. Gaussian
processes (0.43, n = 6) were best at 100 trials on one surface, and take 70 ms and torch in the driver.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.study import Plugin, ResolvedStudy
from lrsweep.sweep.by_family import ByFamily, QuasiRandom

Made = TypeVar("Made")
Settings = Mapping[str, Any]

MEASURED = 100
"""trials, the most for which regrets were compared"""

STARTUP_OF_A_FAMILY = 4
"""Of so many points in a family nothing is learnt yet: the next is drawn at random."""


def make_sampler(study: ResolvedStudy, seed: int) -> BaseSampler:
    """Raises InvalidInput for a name, a path or settings that make none."""
    plugin = study.search.sampler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if "." in plugin.name:
            own: BaseSampler = _own(plugin, BaseSampler, "search.sampler", {"seed": seed})
            return own
        make = _named(plugin, SAMPLERS, "search.sampler")
        return _called(lambda: make(study, seed, plugin.settings), plugin, "search.sampler")


def make_pruner(study: ResolvedStudy) -> BasePruner | None:
    """Optuna's, or None where trials are halted inside families (``halting.py``)."""
    plugin = study.search.pruner
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if "." in plugin.name:
            own: BasePruner = _own(plugin, BasePruner, "search.pruner", {})
            return own
        make = _named(plugin, PRUNERS, "search.pruner")
        return _called(lambda: make(study, plugin.settings), plugin, "search.pruner")


# ── samplers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tpe_by_family(study: ResolvedStudy, seed: int, settings: Settings) -> BaseSampler:
    given = {"n_startup_trials": STARTUP_OF_A_FAMILY, "multivariate": True, "constant_liar": True, **settings}
    return ByFamily(study, lambda own: _made(optuna.samplers.TPESampler, {"seed": own, **given}), seed)


def _tpe(_: ResolvedStudy, seed: int, settings: Settings) -> BaseSampler:
    given = {"multivariate": True, "group": True, "constant_liar": True, "seed": seed, **settings}
    return _made(optuna.samplers.TPESampler, given)


def _gp(study: ResolvedStudy, seed: int, settings: Settings) -> BaseSampler:
    given = {"n_startup_trials": STARTUP_OF_A_FAMILY, **settings}
    return ByFamily(study, lambda own: _made(optuna.samplers.GPSampler, {"seed": own, **given}), seed, completes=True)


def _qmc(study: ResolvedStudy, seed: int, settings: Settings) -> BaseSampler:
    return _made(partial(QuasiRandom, study), {"seed": seed, **settings})


def _random(_: ResolvedStudy, seed: int, settings: Settings) -> BaseSampler:
    return _made(optuna.samplers.RandomSampler, {"seed": seed, **settings})


def _cmaes(study: ResolvedStudy, seed: int, settings: Settings) -> BaseSampler:
    """Optuna's draws names by itself, and at random; the rest it moves together."""
    given = {"warn_independent_sampling": False, **settings}
    make = partial(_made, optuna.samplers.CmaEsSampler)
    return ByFamily(study, lambda own: make({"seed": own, **given}), seed, completes=True)


def _auto(study: ResolvedStudy, seed: int, settings: Settings) -> BaseSampler:
    return (_tpe if study.trials <= MEASURED else _tpe_by_family)(study, seed, settings)


SAMPLERS: Mapping[str, Callable[[ResolvedStudy, int, Settings], BaseSampler]] = MappingProxyType(
    {
        "auto": _auto,
        "tpe": _tpe,
        "tpe_by_family": _tpe_by_family,
        "gp": _gp,
        "qmc": _qmc,
        "random": _random,
        "cmaes": _cmaes,
    }
)


# ── pruners ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _percentile(study: ResolvedStudy, settings: Settings) -> BasePruner:
    """Unless told otherwise as many go on as where we halt: one in the reduction factor."""
    given = {"percentile": 100 / study.search.reduction_factor, **settings}
    return _made(optuna.pruners.PercentilePruner, given)


def _successive_halving(study: ResolvedStudy, settings: Settings) -> BasePruner:
    given = {"min_resource": 1, "reduction_factor": study.search.reduction_factor, **settings}
    return _made(optuna.pruners.SuccessiveHalvingPruner, given)


def _hyperband(study: ResolvedStudy, settings: Settings) -> BasePruner:
    factor = study.search.reduction_factor
    highest = factor ** (len(study.rungs) - 1)
    given = {"min_resource": 1, "max_resource": highest, "reduction_factor": factor, **settings}
    return _made(optuna.pruners.HyperbandPruner, given)


PRUNERS: Mapping[str, Callable[[ResolvedStudy, Settings], BasePruner | None]] = MappingProxyType(
    {
        "halving": lambda _study, _settings: None,
        "none": lambda _study, settings: _made(optuna.pruners.NopPruner, settings),
        "median": lambda _study, settings: _made(optuna.pruners.MedianPruner, settings),
        "percentile": _percentile,
        "successive_halving": _successive_halving,
        "hyperband": _hyperband,
        "threshold": lambda _study, settings: _made(optuna.pruners.ThresholdPruner, settings),
    }
)


# ── by name, by path ─────────────────────────────────────────────────────────────────────────────────────────────────


def _named(plugin: Plugin, known: Mapping[str, Made], key: str) -> Made:
    if plugin.name in known:
        return known[plugin.name]
    raise InvalidInput(
        f"{key} is {plugin.name!r}, which is not known.{did_you_mean(plugin.name, known)} There are "
        f'{", ".join(known)}, and any class by its path, as in "optuna.samplers.TPESampler".'
    )


FROM_A_FILE: Mapping[str, Any] = MappingProxyType(
    {"bool": bool, "int": int, "float": int | float, "str": str, "dict[str, Any]": dict}
)
"""By annotation: what of it a study file can give. It has no functions and no samplers."""


def _made(kind: Callable[..., Made], settings: Settings) -> Made:
    """Raises TypeError for a value of another type too, which some of Optuna's classes stumble over at an ask only."""
    for name, parameter in inspect.signature(kind).parameters.items():
        wanted = getattr(parameter.annotation, "__name__", str(parameter.annotation))
        types = [FROM_A_FILE[each] for each in wanted.split(" | ") if each in FROM_A_FILE]
        if name in settings and not any(isinstance(settings[name], each) for each in types):
            raise TypeError(f"{name} must be {wanted}, not {settings[name]!r}")
    return kind(**settings)


def _own(plugin: Plugin, base: type[Any], key: str, given: Settings) -> Any:
    """An instance of the class that the path names. This runs the code of whoever wrote the study file, and a study is
    only ever read from a file here."""
    home, _, name = plugin.name.rpartition(".")
    _importable_from(Path.cwd())
    try:
        found = getattr(importlib.import_module(home), name, None)
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"{key} {plugin.name!r} cannot be made: importing {home!r} raised {_told(error)}. Wanted is the path of a "
            "class in a module that Python can import here: in the working folder, installed, or with its folder on "
            "PYTHONPATH."
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise InvalidInput(
            f"{key} {plugin.name!r} cannot be made: {name!r} in {home!r} is {found!r}; wanted is a class made from "
            f"optuna's {base.__name__}."
        )
    taken = inspect.signature(found).parameters
    ours = {each: value for each, value in given.items() if each in taken}
    return _called(lambda: found(**{**ours, **plugin.settings}), plugin, key)


def _called(make: Callable[[], Made], plugin: Plugin, key: str) -> Made:
    try:
        return make()
    except (Exception, SystemExit) as error:
        settings = ", ".join(f"{name} = {value!r}" for name, value in plugin.settings.items()) or "no settings"
        raise InvalidInput(
            f"{key} {plugin.name!r} with {settings} raised {_told(error)}. Change its settings in the study file."
        ) from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _importable_from(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
