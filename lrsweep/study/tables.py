"""The tables of a study file and their keys, as pydantic models; the JSON Schema for editors is made of them too.

A field's ``description`` completes the sentence "… is not …", so that most messages are made of it and of what was
given. Readers that have to know another table find it in ``Around``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from lrsweep.records import Direction, EngineSettings, WorkloadSpec
from lrsweep.schedules import core_names
from lrsweep.study import fields, part_fields, space_fields
from lrsweep.study.adjusted import Adjusted, read_settings
from lrsweep.study.commands import CommandTable, Duration, Table
from lrsweep.study.extra import Extra
from lrsweep.study.lines import Place
from lrsweep.study.objectives import Objective
from lrsweep.study.optimizers import DEFAULT_OPTIMIZERS, OPTIMIZERS
from lrsweep.study.part_fields import ONE_BUDGET, TIME, BaselineTable, BudgetTable, TrackingTable
from lrsweep.study.spaces import SEARCHABLE, Range
from lrsweep.study.specs import (
    PLAIN,
    PRUNERS,
    RESTARTS,
    SAMPLERS,
    BudgetSpec,
    NightlySpec,
    Plugin,
    RunSpec,
    SearchSpec,
    SelectionSpec,
    TrackingSpec,
)
from lrsweep.workloads.horizon import WANTED

Numbers = float | list[float]


class StudyTable(Table):
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$",
        description='a name of up to 100 letters, digits, - and _, a letter or digit first, such as "my-net"',
    )
    workload: Annotated[
        WorkloadSpec, PlainValidator(fields.read_workload, json_schema_input_type=str | CommandTable | dict[str, Any])
    ] = Field(
        description='a workload\'s name, such as "digits" or "file.py:Name", or a table with name and its settings, or '
        "with command",
    )
    objective: Annotated[Objective, PlainValidator(fields.read_objective, json_schema_input_type=str)] = Field(
        default=Objective(), description='"last", "best", or a target such as "val_acc >= 0.94"'
    )
    metric: Annotated[str, PlainValidator(fields.read_metric, json_schema_input_type=str)] = Field(
        default="val_loss", description='the name of a metric, such as "val_loss" or "val_acc"'
    )
    direction: Annotated[Direction, AfterValidator(fields.read_direction)] | None = Field(
        default=None, description='"minimize" or "maximize"'
    )
    horizon: Annotated[int | str | None, PlainValidator(fields.read_horizon, json_schema_input_type=int | str)] = Field(
        default=None, description=WANTED
    )
    # Samplers take a seed of 32 bits.
    seed: int = Field(default=0, ge=0, lt=2**32, description="a whole number from 0 to 4294967295")
    engine: Annotated[EngineSettings, PlainValidator(fields.read_engine, json_schema_input_type=fields.EngineTable)] = (
        Field(default=PLAIN, description="a table [study.engine]")
    )


class SpaceTable(Table):
    families: Annotated[
        tuple[str, ...],
        PlainValidator(space_fields.read_families),
        WithJsonSchema({"anyOf": [{"enum": ["core", "all"]}, {"type": "array", "items": {"enum": list(SEARCHABLE)}}]}),
    ] = Field(
        default_factory=core_names,
        description='"core", "all", or a list of schedule families, such as ["cosine", "wsd"]',
    )
    optimizers: Annotated[
        tuple[str, ...],
        PlainValidator(space_fields.read_optimizers),
        WithJsonSchema({"type": "array", "items": {"enum": list(OPTIMIZERS)}}),
    ] = Field(default=DEFAULT_OPTIMIZERS, description='a list of optimizers, such as ["sgd", "adamw"]')
    warmup: Annotated[
        float | str | Range, PlainValidator(space_fields.read_warmup, json_schema_input_type=Numbers | str)
    ] = Field(
        default=0.0,
        description="a share of the steps: a number from 0 to below 1, or a rising range such as [0.0, 0.2]; nor a "
        'count such as "200 steps"',
    )
    floor: Annotated[float | Range, PlainValidator(space_fields.read_floor, json_schema_input_type=Numbers)] = Field(
        default=0.0,
        description="a share of the peak: a number from 0 to 1, or a rising range such as [0.0, 0.1]",
    )
    # Below `optimizers`, since their readers look at what they are; so `settings` at the families.
    peak_lr: Annotated[
        Mapping[str, Range],
        PlainValidator(space_fields.read_peak_lr, json_schema_input_type=dict[str, list[float]] | list[float]),
    ] = Field(default_factory=dict, description="a table with a range for each optimizer, such as sgd = [0.01, 1.0]")
    weight_decay: Annotated[
        Mapping[str, float | Range],
        PlainValidator(space_fields.read_weight_decay, json_schema_input_type=Numbers | dict[str, Numbers]),
    ] = Field(
        default_factory=dict,
        description="a number from 0, a rising range such as [1e-5, 0.1], or a table of these by optimizer",
    )
    settings: Annotated[
        Mapping[str, Adjusted],
        PlainValidator(read_settings, json_schema_input_type=dict[str, dict[str, Any]]),
    ] = Field(
        default_factory=dict, description="a table of tables, such as [space.settings.wsd] with cooldown = [0.1, 0.3]"
    )
    extra: Annotated[
        Mapping[str, Extra], PlainValidator(space_fields.read_extra_table, json_schema_input_type=dict[str, Any])
    ] = Field(default_factory=dict, description="a table [space.extra] of the script's own parameters")


def _named(names: Sequence[str]) -> dict[str, Any]:
    """Editors offer the names; a path of one's own is a text too."""
    return {"anyOf": [{"enum": list(names)}, {"type": "string"}, {"type": "object", "required": ["name"]}]}


class SearchTable(Table):
    sampler: Annotated[Plugin, PlainValidator(part_fields.read_sampler), WithJsonSchema(_named(SAMPLERS))] = Field(
        default=SearchSpec.sampler,
        description='the name of a sampler such as "tpe", a path "package.module.Class", or a table with name '
        "and settings",
    )
    pruner: Annotated[Plugin, PlainValidator(part_fields.read_pruner), WithJsonSchema(_named(PRUNERS))] = Field(
        default=SearchSpec.pruner,
        description='the name of a pruner such as "halving", a path "package.module.Class", or a table with name '
        "and settings",
    )
    fidelity: Annotated[Literal["compressed", "full"], AfterValidator(part_fields.read_fidelity)] = Field(
        default=SearchSpec.fidelity, description='"compressed" or "full"'
    )
    rungs: int = Field(default=SearchSpec.rungs, ge=1, le=4, description="a whole number of rungs from 1 to 4")
    reduction_factor: int = Field(
        default=SearchSpec.reduction_factor, ge=2, le=10, description="a whole number from 2 to 10"
    )
    fit_exponent: bool | None = Field(default=None, description="true or false")
    advice: bool = Field(default=SearchSpec.advice, description="true or false")


def _not_one(finalists: int) -> int:
    if finalists == 1:
        raise ValueError
    return finalists


class SelectionTable(Table):
    share: float = Field(default=SelectionSpec.share, ge=0, le=0.9, description="a number from 0 to 0.9")
    finalists: Annotated[int, AfterValidator(_not_one)] = Field(
        default=SelectionSpec.finalists, ge=0, le=20, description="0 for none, or a whole number from 2 to 20"
    )
    seeds: int = Field(default=SelectionSpec.seeds, ge=2, le=100, description="a whole number of seeds from 2 to 100")
    racing: bool = Field(default=SelectionSpec.racing, description="true or false")
    worth: float | None = Field(default=None, gt=0, description="a number above 0, in units of the metric")


class RunTable(Table):
    device: str | None = Field(
        default=None,
        pattern=r"^(auto|cpu|cuda|cuda:\d{1,3}(, ?cuda:\d{1,3})*)$",
        description='"auto", "cpu", "cuda", "cuda:1" or "cuda:0,cuda:2"',
    )
    engine: Annotated[
        str | None,
        Field(pattern=r"^(auto|sequential(:[1-9]\d{0,3})?|fused(:[1-9]\d{0,3}(x[1-9]\d{0,3})?)?)$"),
        AfterValidator(part_fields.read_run_engine),
    ] = Field(
        default=None,
        description='what --engine takes: "auto", "sequential", "sequential:2", "fused", "fused:16" or "fused:16x2"',
    )
    deadline: Duration | None = Field(default=None, description=TIME)
    failures_that_stop: int = Field(
        default=RunSpec.failures_that_stop, ge=1, le=1000, description="a whole number of failures from 1 to 1000"
    )


class NightlyTable(Table):
    seeds: int = Field(default=NightlySpec.seeds, ge=2, le=100, description="a whole number of seeds from 2 to 100")
    challengers: int = Field(
        default=NightlySpec.challengers, ge=0, le=20, description="a whole number of challengers from 0 to 20"
    )
    max_age: Duration = Field(
        default=NightlySpec.max_age, description='a time above 0 in seconds, or a text such as "36h" or "7d"'
    )
    worth: float | None = Field(default=None, gt=0, description="a number above 0, in units of the metric")
    promote: bool = Field(default=NightlySpec.promote, description="true or false")
    restarts: Annotated[
        tuple[str, ...],
        PlainValidator(part_fields.read_restarts),
        WithJsonSchema({"type": "array", "items": {"enum": list(RESTARTS)}}),
    ] = Field(
        default=NightlySpec.restarts,
        description='a list of "device", "versions", "data" and "commit", such as ["device", "versions"]',
    )


class File(Table):
    study: StudyTable = Field(description="a table [study] with at least name and workload")
    space: SpaceTable = Field(default_factory=SpaceTable, description="a table [space]")
    search: SearchTable = Field(default_factory=SearchTable, description="a table [search]")
    budget: Annotated[BudgetSpec, PlainValidator(part_fields.read_budget, json_schema_input_type=BudgetTable)] = Field(
        description=f"a table [budget] with {ONE_BUDGET}"
    )
    selection: SelectionTable = Field(default_factory=SelectionTable, description="a table [selection]")
    # Any: pydantic would look into the dataclasses of schedules, whose fields it reads as its own
    baseline: Annotated[Any, PlainValidator(part_fields.read_baseline, json_schema_input_type=BaselineTable)] = Field(
        default=None, description="a table [baseline] with peak_lr, and with family, file or scheduler"
    )
    run: RunTable = Field(default_factory=RunTable, description="a table [run]")
    nightly: NightlyTable = Field(default_factory=NightlyTable, description="a table [nightly]")
    tracking: Annotated[
        TrackingSpec, PlainValidator(part_fields.read_tracking, json_schema_input_type=TrackingTable)
    ] = Field(default=TrackingSpec(), description="a table [tracking]")


TABLES: Mapping[Place, type[Table]] = {
    (): File,
    ("study",): StudyTable,
    ("space",): SpaceTable,
    ("search",): SearchTable,
    ("budget",): BudgetTable,
    ("selection",): SelectionTable,
    ("baseline",): BaselineTable,
    ("run",): RunTable,
    ("nightly",): NightlyTable,
    ("tracking",): TrackingTable,
    ("study", "engine"): fields.EngineTable,
    ("study", "workload"): CommandTable,
}
"""The last one only for a workload that has a command."""
