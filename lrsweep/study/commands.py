"""``[study.workload]`` with a ``command``, and what the other tables of the file have to know of it.

A script gets its rates in one of three ways: it calls ``lrsweep.attach``, it reads a file of rates (``{lr_table}``), or
it has schedules of its own that flags choose (``families``). What a search draws must reach the script, else it would
learn from numbers that do nothing: so each of them is looked for among the places in braces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadSpec
from lrsweep.schedules import family, family_names
from lrsweep.scripts.command import Command, TableFormat
from lrsweep.scripts.command_line import LR_TABLE, placeholders
from lrsweep.study.durations import seconds_of
from lrsweep.study.lines import Place
from lrsweep.study.objectives import Aim, read_aim
from lrsweep.study.problems import listed, refuse, shown, sound_part, unknown
from lrsweep.study.spaces import hears

PLACES = (LR_TABLE, "seed", "steps", "peak_lr")
"""What may stand in braces in any command."""
SHARED = ("warmup", "floor")
"""And in the flags of a family, beside its own settings."""

DURATION = 'a time above 0 in seconds, or a text such as "90s", "10m" or "6h"'


class Table(BaseModel):
    """A field's ``description`` completes the sentence "… is not …"."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Around:
    """What the tables of a file have to know of each other, read before any of them is checked."""

    is_command: bool = False
    command: Command | None = None
    """its sound part; None too where nobody can say how the script gets its rates"""
    study: Mapping[str, Any] = field(default_factory=dict)
    """[study] as it was given, and [space]"""
    space: Mapping[str, Any] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    """the keys of [space.extra]"""
    aim: Aim | None = None
    """None where the objective is the default one, or has problems of its own"""
    folder: Path = Path()
    """what paths in the file are relative to"""

    @classmethod
    def of(cls, tables: Mapping[str, Any], folder: Path) -> Around:
        study, space = _table(tables, "study"), _table(tables, "space")
        around = cls(
            is_command="command" in _table(study, "workload"),
            study=study,
            space=space,
            extra=tuple(_table(space, "extra")),
            aim=read_aim(study.get("objective")),
            folder=folder,
        )
        return replace(around, command=_sound_command(study["workload"])) if around.is_command else around


def around_of(info: ValidationInfo) -> Around:
    assert isinstance(info.context, Around)
    return info.context


def read_command(given: Mapping[str, Any], around: Around) -> WorkloadSpec:
    return _command(given, around).spec()


def unheard(command: Command) -> str | None:
    """Why the script cannot follow a schedule that reacts to a metric; None where it can."""
    reacts = "its rates follow from the metric while it trains, and"
    if command.follows == "table":
        return f"{reacts} a file of rates is written before. Let the script call lrsweep.attach, or take it out."
    if command.follows == "flags":
        return f"{reacts} flags are given before. Let the script call lrsweep.attach, or take it out."
    if command.gpus_per_training > 1:
        return f"{reacts} with gpus_per_training above 1 each process would hear a metric of its own. Take it out."
    return None


def in_braces(command: Command) -> set[str]:
    """Every name that the command or one of its flags takes."""
    return {name for text in (command.command, *command.families.values()) for name in placeholders(text)}


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_template(given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError
    if text := _no_template(given):
        refuse([((), text)])
    return given


def _no_template(given: str) -> str | None:
    """What is wrong with its braces or quotes."""
    try:
        placeholders(given)
    except InvalidInput as error:
        return f"{error}."
    return None


def _read_flags(given: object) -> Mapping[str, str]:
    if not isinstance(given, dict) or not given:
        raise ValueError
    known = [name for name in family_names() if name not in ("table", "function")]
    problems: list[tuple[Place, str]] = []
    for name, flags in given.items():
        if name not in known:
            problems.append(((name,), unknown("family", name, known)))
        if not isinstance(flags, str):
            problems.append(((name,), f'{shown(flags)} is not a text of flags, such as "--sched {name}".'))
        elif text := _no_template(flags):
            problems.append(((name,), text))
    if problems:
        refuse(problems)
    return given


def read_duration(given: object) -> float:
    seconds = seconds_of(given) if isinstance(given, str | int | float) and not isinstance(given, bool) else None
    if seconds is None:
        raise ValueError
    return seconds


Duration = Annotated[float, PlainValidator(read_duration, json_schema_input_type=float | str)]


class CommandTable(Table):
    """The keys, which are the fields of ``Command``; their defaults are there."""

    command: Annotated[str, PlainValidator(_read_template, json_schema_input_type=str)] = Field(
        description='the command that trains, such as "python train.py"'
    )
    steps: int = Field(
        default=0, ge=1, le=10**9, description="a whole number of updates of a full training, such as 20000"
    )
    families: Annotated[Mapping[str, str], PlainValidator(_read_flags, json_schema_input_type=dict[str, str])] = Field(
        default_factory=dict, description='a table of flags by family, such as cosine = "--sched cosine --lr {peak_lr}"'
    )
    table_format: TableFormat = Field(default="json", description='"json", "csv" or "npy"')
    rate_exponent: float = Field(default=0.0, ge=0, le=1, description="a number from 0 to 1, such as 0.5 for SGD")
    version: int = Field(default=0, ge=1, description="a whole number from 1")
    gpus_per_training: int = Field(default=0, ge=0, le=1024, description="a whole number of GPUs from 0 to 1024")
    concurrency: int = Field(default=0, ge=1, le=10_000, description="a whole number of trainings from 1 to 10000")
    time_limit: Duration = Field(default=0.0, description=DURATION)
    stall_after: Duration = Field(default=0.0, description=DURATION)
    stop_grace: Duration = Field(default=0.0, description=DURATION)
    fork: bool = Field(default=True, description="true or false")


assert set(CommandTable.model_fields) == {each.name for each in fields(Command)}


def _command(given: Mapping[str, Any], around: Around) -> Command:
    table, wrong = sound_part(CommandTable, given)
    problems = [] if around.command is None else list(_problems(around.command, around))
    if problems or wrong:
        refuse(problems, wrong)
    return Command(**table.model_dump(exclude_unset=True))


def _sound_command(given: Mapping[str, Any]) -> Command | None:
    table, wrong = sound_part(CommandTable, given)
    if {"command", "families"} & {details["loc"][0] for details in wrong}:
        return None
    return Command(**table.model_dump(exclude_unset=True, warnings=False))


def _problems(command: Command, around: Around) -> Iterator[tuple[Place, str]]:
    known = (*PLACES, *around.extra)
    yield from ((("command",), text) for text in _strangers(command.command, known))
    for name, flags in command.families.items():
        place = ("families", name)
        searched = [one.name for one in family(name).settings() if one.search]
        own = [one.name for one in family(name).settings()]
        yield from ((place, text) for text in _strangers(flags, (*known, *own, *SHARED)))
        if hears(name) and (reason := unheard(command)):
            yield place, f"{name!r} cannot be searched here: {reason}"
            continue
        reached = {*placeholders(command.command), *placeholders(flags)}
        asked = [each for each in SHARED if each in around.space]
        silent = [each for each in ("peak_lr", "steps", *searched, *asked) if each not in reached]
        if silent and LR_TABLE not in reached:
            yield (
                place,
                f"{listed(f'{{{each}}}' for each in silent)} in neither the command nor these flags: the script would "
                "not hear what the search has drawn, nor how long a rung is. Add what is missing.",
            )
    if command.follows != "attach" and "peak_lr" not in around.space:
        yield (
            ("command",),
            "nobody knows a range of rates for a script that does not call lrsweep.attach. "
            "Add one under [space], such as peak_lr = [0.001, 0.1].",
        )


def _strangers(text: str, known: tuple[str, ...]) -> Iterator[str]:
    for name in placeholders(text):
        if name not in known:
            yield f"{unknown('name in braces:', name, known)} Your own parameters stand under [space.extra]."


def _table(tables: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Empty where it is missing or no table, which is said elsewhere."""
    found = tables.get(key)
    return found if isinstance(found, dict) else {}
