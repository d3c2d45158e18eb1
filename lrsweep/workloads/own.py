"""The user's own workload: ``"package.module:Name"``, or ``"file.py:Name"`` from the working folder.

This runs the user's code, in an engine's process alone. Whatever goes wrong is told in a sentence that says what is
wanted; what raised is its cause.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Json, WorkloadFacts, WorkloadSpec
from lrsweep.workloads.base import Maker, Workload

TEMPLATE = "`lrsweep new workload` writes one that trains as it stands"


def load_own(spec: WorkloadSpec, device: torch.device, data: Path) -> Workload:
    """An instance of the class, its facts under the name that was given. Raises InvalidInput."""
    home, _, name = spec.name.rpartition(":")
    subject = f"workload {spec.name!r}"
    made: Maker = _class(_file(home, subject) if home.endswith(".py") else _module(home, subject), name, subject)
    try:
        workload = made(spec.settings, device, data)
    except InvalidInput:
        raise
    except (Exception, SystemExit) as error:
        wanted = f"wanted is {name}(settings, device, data), settings here {dict(spec.settings)}"
        raise InvalidInput(f"{subject}: making it raised {_told(error)}; {wanted}.") from error
    facts = getattr(workload, "facts", None)
    if problems := _problems(facts, spec.settings):
        raise InvalidInput(f"{subject}: its facts do not fit: {'; '.join(problems)}. {TEMPLATE}.")
    assert isinstance(facts, WorkloadFacts)
    workload.facts = replace(facts, name=spec.name, settings={**facts.settings, **spec.settings})
    workload.device = device
    return workload


def _file(path: str, subject: str) -> ModuleType:
    """The file as a module, its folder first among those that it imports from, as when Python runs it."""
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise InvalidInput(f"{subject}: there is no file {str(file)!r}. {TEMPLATE}.")
    name = f"lrsweep_own_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _importable_from(file.parent)
    sys.modules[name] = module  # a dataclass in it looks itself up here
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{subject}: running {path} raised {_told(error)}. Mend it there.") from error
    return module


def _module(name: str, subject: str) -> ModuleType:
    _importable_from(Path.cwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"{subject}: importing {name!r} raised {_told(error)}. Wanted is a module that Python can import here: in "
            "the working folder, installed, or with its folder on PYTHONPATH."
        ) from error


def _importable_from(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _class(module: ModuleType, name: str, subject: str) -> type[Workload]:
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Workload):
        return found
    there = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Workload)]
    own = [key for key in there if vars(module)[key].__module__ == module.__name__]
    if found is None:
        known = f" Its workloads: {', '.join(own)}." if own else f" It has no workload; {TEMPLATE}."
        raise InvalidInput(f"{subject}: there is no {name!r} in it.{did_you_mean(name, own)}{known}")
    raise InvalidInput(
        f"{subject}: {name!r} is {_kind(found)}, not a subclass of lrsweep.workloads.base.Workload. {TEMPLATE}."
    )


OPTIONAL = ("examples_per_epoch", "tokens_per_example", "parameters")


def _problems(facts: object, given: Mapping[str, Json]) -> list[str]:
    """What an engine and a study file would stumble over."""
    if not isinstance(facts, WorkloadFacts):
        return [f"self.facts is {_kind(facts)}, wanted is a lrsweep.records.WorkloadFacts set by the constructor"]
    problems = [
        f"{name} is {value!r}, wanted is a whole number from 1"
        for name in ("batch_size", "horizon", *OPTIONAL)
        if not (_is_whole(value := getattr(facts, name)) or (value is None and name in OPTIONAL))
    ]
    if not isinstance(facts.version, int):
        problems.append(f"version is {facts.version!r}, wanted is a whole number")
    if not (isinstance(facts.data_hash, str) and facts.data_hash):
        problems.append(f"data_hash is {facts.data_hash!r}, wanted is a text that changes when the data change")
    tables = {
        "settings": (facts.settings, "a mapping from names to values, which may be empty"),
        "peak_lr": (facts.peak_lr, 'a mapping such as {"sgd": (0.01, 1.0)}'),
        "metrics": (facts.metrics, 'a mapping such as {"loss": "minimize"}'),
    }
    wrong = [
        f"{name} is {table!r}, wanted is {wanted}"
        for name, (table, wanted) in tables.items()
        if not isinstance(table, Mapping)
    ]
    if wrong:
        return problems + wrong
    problems += [
        f"settings[{name!r}] is {value!r}, wanted is what JSON has: texts, finite numbers, lists and tables of them"
        for name, value in {**facts.settings, **given}.items()
        if not _is_json(value)
    ]
    problems += [
        f"peak_lr[{name!r}] is {limits!r}, wanted is a range (low, high) with 0 < low < high"
        for name, limits in facts.peak_lr.items()
        if not _is_range(limits)
    ]
    if "loss" not in facts.metrics:
        problems.append('metrics has no "loss", wanted is at least {"loss": "minimize"}')
    problems += [
        f'metrics[{name!r}] is {direction!r}, wanted is "minimize" or "maximize"'
        for name, direction in facts.metrics.items()
        if direction not in ("minimize", "maximize")
    ]
    return problems


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_range(value: object) -> bool:
    if not (isinstance(value, Sequence) and len(value) == 2 and all(isinstance(each, int | float) for each in value)):
        return False
    return bool(0 < value[0] < value[1] < math.inf)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _kind(value: object) -> str:
    if value is None:
        return "not there"
    return f"the class {value.__name__}" if isinstance(value, type) else f"of type {type(value).__name__}"


def _told(error: BaseException) -> str:
    """The error with the place in the user's code that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
