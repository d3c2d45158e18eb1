"""The values of the other tables that need more than a type: [search], [budget], [baseline] and [tracking]."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo

from lrsweep.errors import ScheduleError
from lrsweep.records import Json
from lrsweep.schedules import Schedule, family_names, schedule, schedule_from_json
from lrsweep.scripts.command import OPTIMIZER, Command
from lrsweep.scripts.command_line import LR_TABLE, placeholders
from lrsweep.study.baselines import AskedBaseline
from lrsweep.study.commands import Around, Duration, Table, around_of, unheard
from lrsweep.study.fields import not_storable
from lrsweep.study.lines import Place
from lrsweep.study.optimizers import DEFAULT_OPTIMIZERS, OPTIMIZERS
from lrsweep.study.problems import listed, refuse, sound_part, unknown
from lrsweep.study.specs import BUDGETS, PRUNERS, RESTARTS, SAMPLERS, BudgetSpec, Plugin, TrackingSpec
from lrsweep.templates import problems_of_tracking

ONE_BUDGET = f"one of {listed(BUDGETS)}, such as trainings = 40"
TIME = 'a time above 0 in seconds, or a text such as "90m" or "6h"'
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


# ── [search] ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_sampler(given: object) -> Plugin:
    return _read_plugin(given, "sampler", SAMPLERS)


def read_pruner(given: object) -> Plugin:
    return _read_plugin(given, "pruner", PRUNERS)


def read_fidelity(given: Literal["compressed", "full"], info: ValidationInfo) -> Literal["compressed", "full"]:
    if given == "compressed" and _waits_for_a_target(around_of(info)):
        text = "a compressed training says nothing of the time to a target."
        refuse([((), f'{text} Write "full", or take this line out.')])
    return given


def _waits_for_a_target(around: Around) -> bool:
    return around.aim is not None and around.aim.objective.kind == "target"


def _read_plugin(given: object, kind: str, known: Sequence[str]) -> Plugin:
    settings: Mapping[str, Json] = {}
    place: Place = ()
    name = given
    if isinstance(given, dict):
        place = ("name",)
        name = given.get("name")
        settings = {key: value for key, value in given.items() if key != "name"}
    if not isinstance(name, str):
        raise ValueError
    problems: list[tuple[Place, str]] = []
    if name not in known and not _DOTTED.fullmatch(name):
        problems.append(
            (place, f'{unknown(kind, name, known)} Or one of your own by its path: "package.module.Class".')
        )
    if name in ("auto", "halving", "none"):
        problems += [((key,), f"{name!r} takes no settings. Take this out.") for key in settings]
    else:
        problems += [((key,), text) for key, text in not_storable(settings)]
    if problems:
        refuse(problems)
    return Plugin(name, settings)


# ── [budget] ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class BudgetTable(Table):
    """Exactly one of them, and the price beside any."""

    trainings: float | None = Field(
        default=None, ge=1, le=10**6, description="a number of full trainings from 1 to 1000000, such as 40"
    )
    trials: int | None = Field(
        default=None, ge=1, le=10**6, description="a whole number of trials from 1 to 1000000, such as 60"
    )
    steps: int | None = Field(
        default=None, ge=1, le=10**15, description="a whole number of updates from 1, such as 100000"
    )
    wall_clock: Duration | None = Field(default=None, description=TIME)
    gpu_hours: float | None = Field(default=None, gt=0, description="a number of hours above 0")
    money: float | None = Field(default=None, gt=0, description="an amount above 0, in the currency of price_per_hour")
    price_per_hour: float | None = Field(
        default=None, gt=0, description="what an hour of one device costs, a number above 0"
    )


def read_budget(given: object) -> BudgetSpec:
    if not isinstance(given, dict):
        raise ValueError
    table, wrong = sound_part(BudgetTable, given)
    amounts = [name for name in given if name in BUDGETS]
    problems: list[tuple[Place, str]] = []
    if not amounts and not _has_strangers(BudgetTable, given):
        problems.append(((), f"no amount is given. Add {ONE_BUDGET}."))
    problems += (((name,), f"{amounts[0]} is given too. Keep one of {listed(amounts)}.") for name in amounts[1:])
    if "money" in given and "price_per_hour" not in given:
        problems.append((("money",), "without price_per_hour nobody knows what it pays for. Add it beside."))
    if problems or wrong:
        refuse(problems, wrong)
    return BudgetSpec(**dict(table))


def _has_strangers(model: type[Table], given: Mapping[str, Any]) -> bool:
    """A key that nobody knows may be the one that is missing, misspelt."""
    return not given.keys() <= model.model_fields.keys()


# ── [baseline] ───────────────────────────────────────────────────────────────────────────────────────────────────────


class BaselineTable(Table):
    family: str | None = Field(default=None, description='the name of a schedule family, such as "cosine"')
    file: str | None = Field(default=None, description="the path of a schedule's JSON, relative to this file")
    scheduler: str | None = Field(
        default=None, description='the name of one of torch.optim.lr_scheduler, such as "CosineAnnealingLR"'
    )
    settings: dict[str, Any] | None = Field(default=None, description="a table of the family's or scheduler's settings")
    peak_lr: float = Field(gt=0, description="the largest rate, a number above 0")
    optimizer: str | None = Field(default=None, description='the name of an optimizer, such as "adamw"')
    optimizer_settings: dict[str, float] | None = Field(
        default=None, description="a table of the optimizer's settings where they are others, such as momentum = 0.95"
    )
    extra: dict[str, Any] | None = Field(default=None, description="a table of the script's own parameters")


SOURCES = ("family", "file", "scheduler")
SETTINGS_OF_ANY = tuple(dict.fromkeys(key for spec in OPTIMIZERS.values() for key in spec.settings))
REACTIVE_SCHEDULER = "ReduceLROnPlateau"
"""The one of PyTorch's that hears a metric."""


def read_baseline(given: object, info: ValidationInfo) -> AskedBaseline:
    if not isinstance(given, dict):
        raise ValueError
    table, wrong = sound_part(BaselineTable, given)
    around = around_of(info)
    sources = [name for name in given if name in SOURCES]
    problems: list[tuple[Place, str]] = []
    if not sources and not _has_strangers(BaselineTable, given):
        problems.append(((), f'nothing says what it is. Add one of {listed(SOURCES)}, such as family = "cosine".'))
    problems += (((name,), f"{sources[0]} is given too. Keep one of them.") for name in sources[1:])
    if table.settings is not None and table.file is not None:
        problems.append((("settings",), "the file says all of them. Take this out, or change the file."))
    if table.extra is not None and not around.is_command:
        problems.append((("extra",), "only a script takes parameters of yours. Take it out."))
    problems += ((("extra", key), text) for key, text in not_storable(table.extra or {}))
    faulty = {details["loc"][0] for details in wrong}
    optimizer, told = _read_optimizer(table, around, is_known="optimizer" not in faulty)
    problems += told
    found: Schedule | None = None
    if len(sources) == 1 and not faulty & {*sources, "settings"}:
        found, told = _read_schedule(table, around)
        problems += told or _unheard(table, found, around.command)
    elif table.family is not None and table.family not in family_names():
        problems.append((("family",), unknown("family", table.family, family_names())))
    if problems or wrong:
        refuse(problems, wrong)
    return AskedBaseline(
        peak_lr=table.peak_lr,
        optimizer=optimizer,
        schedule=found,
        scheduler=table.scheduler,
        arguments=table.settings or {},
        optimizer_settings=table.optimizer_settings or {},
        extra=table.extra or {},
    )


def _read_optimizer(table: BaselineTable, around: Around, *, is_known: bool) -> tuple[str, list[tuple[Place, str]]]:
    """By default the first of the space. Where nobody can say which it is, its settings are one of any."""
    if around.is_command:
        told: list[tuple[Place, str]] = [
            ((key,), "a script has an optimizer of its own. Take this line out.")
            for key in ("optimizer", "optimizer_settings")
            if getattr(table, key) is not None
        ]
        return OPTIMIZER, told
    searched = around.space.get("optimizers")
    first = searched[0] if isinstance(searched, list) and searched else DEFAULT_OPTIMIZERS[0]
    name = table.optimizer if table.optimizer is not None else str(first)
    problems: list[tuple[Place, str]] = []
    if table.optimizer is not None and name not in OPTIMIZERS:
        problems.append((("optimizer",), unknown("optimizer", name, tuple(OPTIMIZERS))))
    is_one = is_known and name in OPTIMIZERS
    known = tuple(OPTIMIZERS[name].settings) if is_one else SETTINGS_OF_ANY
    of = f"setting of {name if is_one else 'any optimizer'}"
    strangers = [key for key in table.optimizer_settings or {} if key not in known]
    return name, problems + [(("optimizer_settings", key), unknown(of, key, known)) for key in strangers]


def _read_schedule(table: BaselineTable, around: Around) -> tuple[Schedule | None, list[tuple[Place, str]]]:
    """None where PyTorch's scheduler makes it, once the horizon is known."""
    try:
        if table.family is not None:
            if table.family not in family_names():
                return None, [(("family",), unknown("family", table.family, family_names()))]
            return schedule(table.family, **(table.settings or {})), []
        if table.file is not None:
            text = (around.folder / Path(table.file).expanduser()).read_text(encoding="utf-8")
            return schedule_from_json(text), []
    except (ScheduleError, TypeError) as error:
        return None, [(("settings",) if table.settings else (), f"{error}.")]
    except OSError as error:
        return None, [
            (("file",), f"{table.file!r} cannot be read: {error.strerror}. The path is relative to this file.")
        ]
    except UnicodeDecodeError:
        return None, [(("file",), f"{table.file!r} is no text. Wanted is what a schedule's to_json() wrote.")]
    return None, []


def _unheard(table: BaselineTable, found: Schedule | None, command: Command | None) -> list[tuple[Place, str]]:
    """What the script would not hear of the baseline, and train something else in its place."""
    if command is None:
        return []
    source = next(name for name in SOURCES if getattr(table, name) is not None)
    reacts = table.scheduler == REACTIVE_SCHEDULER if found is None else found.needs_metric
    if reacts and (reason := unheard(command)):
        named = table.scheduler if found is None else found.family
        return [((source,), f"{named!r} cannot be the baseline here: {reason}")]
    if command.follows != "flags":
        return []
    known = listed(command.families)
    if found is None:
        text = "the script makes its rates of flags, and a scheduler of PyTorch's has none."
        return [((source,), f"{text} Take one of {known} as family.")]
    if found.family not in command.families:
        text = f"the script has no flags for {found.family!r}, so it would not hear of it. Take one of {known}, or add"
        return [((source,), f"{text} its flags under [study.workload.families].")]
    reached = {*placeholders(command.command), *placeholders(command.families[found.family])}
    silent = [] if LR_TABLE in reached else [name for name in table.settings or {} if name not in reached]
    if not silent:
        return []
    places, it = listed(f"{{{name}}}" for name in silent), "them" if len(silent) > 1 else "it"
    text = f"{places} in neither the command nor the flags of {found.family!r}: the script would not hear {it}."
    return [(("settings",), f"{text} Add {it} there, or take {it} out.")]


# ── [run] ──────────────────────────────────────────────────────────────────────────────────────────────────────────


ONE_AT_A_TIME = ("auto", "sequential", "sequential:1")


def read_run_engine(given: str | None, info: ValidationInfo) -> str | None:
    if given is not None and given not in ONE_AT_A_TIME and around_of(info).is_command:
        text = "a script trains by itself. Take this line out; `concurrency` under [study.workload] says how many"
        refuse([((), f"{text} run at a time.")])
    return given


# ── [nightly] ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read_restarts(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ValueError
    problems: list[tuple[Place, str]] = [
        ((place,), unknown("part of a night's surroundings", each, RESTARTS))
        for place, each in enumerate(given)
        if each not in RESTARTS
    ]
    if problems:
        refuse(problems)
    return tuple(dict.fromkeys(given))


# ── [tracking] ───────────────────────────────────────────────────────────────────────────────────────────────────────


class TrackingTable(Table):
    experiment: str = Field(
        default=TrackingSpec.experiment, description='a name with places in braces, such as "lr/{study}"'
    )
    run_name: str = Field(
        default=TrackingSpec.run_name, description='a name with places in braces, such as "{trial:04d} {family}"'
    )
    tags: dict[str, str] = Field(
        default_factory=dict, description='a table of texts, such as team = "vision"; places in braces are filled in'
    )
    runs: Literal["all", "finalists", "sweep"] = Field(
        default=TrackingSpec.runs, description='"all", "finalists" or "sweep"'
    )
    user: bool = Field(default=False, description="true or false")


def read_tracking(given: object) -> TrackingSpec:
    if not isinstance(given, dict):
        raise ValueError
    table, wrong = sound_part(TrackingTable, given)
    problems = problems_of_tracking(table.experiment, table.run_name, table.tags)
    told: list[tuple[Place, str]] = [(tuple(key.split(".", 1)), text) for key, text in problems]
    if told or wrong:
        refuse(told, wrong)
    return TrackingSpec(**dict(table))
