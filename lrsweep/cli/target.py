"""What a command is asked to look at: a workload by name, a study file, or a user's own script.

digits                       a built-in workload, with --set NAME=VALUE
package.module:Name          the user's own, or file.py:Name
studies/mine.toml            the workload or the script of a study
--command "python train.py"  a script without a study
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsweep.cli.asked import read_value
from lrsweep.errors import InvalidInput, SettingsError, did_you_mean
from lrsweep.records import EngineSettings, Json, OptimizerSpec, WorkloadSpec
from lrsweep.schedules import Search
from lrsweep.schedules.kinds import listing
from lrsweep.scripts import command as scripts
from lrsweep.scripts.command import Command
from lrsweep.scripts.command_line import LR_TABLE, placeholders
from lrsweep.study import OPTIMIZERS, Study, load_study
from lrsweep.study.extra import Choices, Extra
from lrsweep.study.file import STUDIES
from lrsweep.workloads import catalog

SYNTHETIC = "synthetic"
"""The setting of a built-in workload that stands for its data."""
IN_A_SCRIPT = (LR_TABLE, "seed", "steps")
"""What --command may have in braces: there is no study that says more."""


@dataclass(frozen=True)
class Target:
    name: str
    """as it was given"""
    workload: WorkloadSpec
    study: Study | None = None

    @property
    def command(self) -> Command | None:
        """How the script is run; None for a workload."""
        return scripts.command_of(self.workload) if self.workload.name == scripts.NAME else None

    @property
    def is_synthetic(self) -> bool:
        """Whether its data are random, so that only its speed means anything."""
        return self.command is None and bool(self.workload.settings.get(SYNTHETIC))

    @property
    def engine(self) -> EngineSettings:
        return self.study.engine if self.study is not None else EngineSettings()

    @property
    def metric(self) -> str:
        return self.study.metric if self.study is not None else "val_loss"

    @property
    def extra(self) -> dict[str, Json]:
        """The script's own parameters, each at one value: the middle of its range, or the first choice."""
        given = self.study.space.extra if self.study is not None else {}
        return {name: _one(extra) for name, extra in given.items()}

    def optimizer(self, given: str | None) -> OptimizerSpec:
        """By name; else the study's first, else SGD. Raises SettingsError."""
        if self.command is not None:
            if given is not None:
                raise SettingsError(f"--optimizer {given}: {self.name} is a script, which has an optimizer of its own")
            return OptimizerSpec(scripts.OPTIMIZER)
        name = given or (self.study.space.optimizers[0] if self.study is not None else "sgd")
        if name not in OPTIMIZERS:
            raise SettingsError(
                f"--optimizer {name}: there is no such optimizer.{did_you_mean(name, OPTIMIZERS)} "
                f"There are: {', '.join(OPTIMIZERS)}."
            )
        return OPTIMIZERS[name]


def read_target(
    given: str | None, sets: Sequence[str] = (), *, command: str | None = None, synthetic: bool = False
) -> Target:
    """What was meant. Raises InvalidInput with everything that is wrong."""
    if (given is None) == (command is None):
        both = "is given twice: once by name, and by --command" if given is not None else "is not given"
        raise SettingsError(
            f"what to look at {both}; wanted one of: a workload such as digits or file.py:Name, a study file, or "
            '--command "python train.py"'
        )
    if command is not None:
        target = Target(command, _script(command))
    elif given is not None and (catalog.is_own(given) or given in catalog.workload_names()):
        return Target(given, _workload(given, sets, synthetic=synthetic))
    elif given is not None and (given.endswith(".toml") or (STUDIES / f"{given}.toml").exists()):
        study = load_study(given).on_random_data() if synthetic else load_study(given)
        target = Target(given, study.workload, study)
    else:
        raise SettingsError(_unknown(str(given)))
    if sets:
        where = "its file" if target.study is not None else "its command"
        raise SettingsError(f"--set is for a workload that is given by name; {target.name} has its settings in {where}")
    if synthetic and target.study is None:
        raise SettingsError(f"--synthetic is for built-in workloads, and {target.name} is a script")
    return target


def _workload(name: str, sets: Sequence[str], *, synthetic: bool) -> WorkloadSpec:
    problems: list[str] = []
    settings: dict[str, Any] = {}
    for text in sets:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals):
            problems.append(f"--set {text!r}: wanted NAME=VALUE, such as --set model=cnn")
        elif key in settings:
            problems.append(f"--set {key} is given more than once; keep one")
        else:
            settings[key] = read_value(value, f"--set {key}")
    if synthetic:
        having = [built_in for built_in in catalog.workload_names() if catalog.entry(built_in).has(SYNTHETIC)]
        if name in having:
            settings[SYNTHETIC] = True
        else:
            problems.append(f"--synthetic: {name} has no random data in its place; these have: {', '.join(having)}")
    problems += [f"--set {key}: {text}" for key, text in catalog.check(WorkloadSpec(name, settings))]
    if problems:
        raise SettingsError(listing(f"workload {name}", problems))
    return WorkloadSpec(name, settings)


def _script(command: str) -> WorkloadSpec:
    unknown = [name for name in placeholders(command) if name not in IN_A_SCRIPT]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in IN_A_SCRIPT)
        raise InvalidInput(
            f"--command {command!r}: nobody knows {{{unknown[0]}}} here; known are {known}. A study file can say more"
        )
    return Command(command).spec()


def _one(extra: Extra) -> Json:
    match extra:
        case Search(low, high, log, whole):
            middle = (low * high) ** 0.5 if log else (low + high) / 2
            return round(middle) if whole else middle
        case Choices(values):
            return values[0]
    return extra


def _unknown(given: str) -> str:
    studies = sorted(path.stem for path in STUDIES.glob("*.toml")) if STUDIES.is_dir() else []
    known = [*catalog.workload_names(), *studies]
    if given.endswith(".py") and Path(given).exists():
        return (
            f"{given!r} is a file; wanted {given}:NAME for the workload of that name in it, or for a script "
            f'--command "python {given}"'
        )
    return (
        f"{given!r} is neither a workload nor a study.{did_you_mean(given, known)} "
        f"Workloads: {', '.join(catalog.workload_names())}, or your own as file.py:Name; "
        f"studies: {', '.join(studies) or f'none in {str(STUDIES)!r}'}, or a path that ends in .toml."
    )
