"""The tables of a study file and their keys, as pydantic models.

A field's ``description`` completes the sentence "… is not …", so that most messages are made of it and of what was
given. Readers that have to know another table find it in ``Around``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, PlainValidator

from lrsweep.records import Direction, EngineSettings, WorkloadSpec
from lrsweep.schedules import core_names
from lrsweep.study import fields
from lrsweep.study.commands import CommandTable, Table
from lrsweep.study.extra import Extra
from lrsweep.study.lines import Place
from lrsweep.study.values import DEFAULT_OPTIMIZERS, PLAIN, Range
from lrsweep.workloads.horizon import WANTED


class StudyTable(Table):
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$",
        description='a name of up to 100 letters, digits, - and _, a letter or digit first, such as "my-net"',
    )
    workload: Annotated[WorkloadSpec, PlainValidator(fields.read_workload)] = Field(
        description='a workload\'s name, such as "digits" or "file.py:Name", or a table with name and its settings, or '
        "with command",
    )
    metric: Annotated[str, PlainValidator(fields.read_metric)] = Field(
        default="val_loss", description='the name of a metric, such as "val_loss" or "val_acc"'
    )
    direction: Direction | None = Field(default=None, description='"minimize" or "maximize"')
    horizon: Annotated[int | str | None, PlainValidator(fields.read_horizon)] = Field(default=None, description=WANTED)
    # Samplers take a seed of 32 bits.
    seed: int = Field(default=0, ge=0, lt=2**32, description="a whole number from 0 to 4294967295")
    engine: Annotated[EngineSettings, PlainValidator(fields.read_engine)] = Field(
        default=PLAIN, description="a table [study.engine]"
    )


class SpaceTable(Table):
    families: Annotated[tuple[str, ...], PlainValidator(fields.read_families)] = Field(
        default_factory=core_names, description='a list of schedule families, such as ["cosine", "wsd"]'
    )
    optimizers: Annotated[tuple[str, ...], PlainValidator(fields.read_optimizers)] = Field(
        default=DEFAULT_OPTIMIZERS, description='a list of optimizers, such as ["sgd", "adamw"]'
    )
    warmup: Annotated[float | Range, PlainValidator(fields.read_warmup)] = Field(
        default=0.0,
        description="a share of the steps: a number from 0 to below 1, or a rising range such as [0.0, 0.2]",
    )
    floor: Annotated[float | Range, PlainValidator(fields.read_floor)] = Field(
        default=0.0,
        description="a share of the peak: a number from 0 to 1, or a rising range such as [0.0, 0.1]",
    )
    # Below `optimizers`, since its reader looks at what they are.
    peak_lr: Annotated[Mapping[str, Range], PlainValidator(fields.read_peak_lr)] = Field(
        default_factory=dict, description="a table with a range for each optimizer, such as sgd = [0.01, 1.0]"
    )
    extra: Annotated[Mapping[str, Extra], PlainValidator(fields.read_extra_table)] = Field(
        default_factory=dict, description="a table [space.extra] of the script's own parameters"
    )


class BudgetTable(Table):
    trials: int = Field(ge=1, le=10**6, description="a whole number of trials from 1 to 1000000, such as 60")


class File(Table):
    study: StudyTable = Field(description="a table [study] with at least name and workload")
    space: SpaceTable = Field(default_factory=SpaceTable, description="a table [space]")
    budget: BudgetTable = Field(description="a table [budget] with trials")


TABLES: Mapping[Place, type[Table]] = {
    (): File,
    ("study",): StudyTable,
    ("space",): SpaceTable,
    ("budget",): BudgetTable,
    ("study", "engine"): fields.EngineTable,
    ("study", "workload"): CommandTable,
}
"""The last one only for a workload that has a command."""
