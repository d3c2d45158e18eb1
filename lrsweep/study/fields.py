"""The values of [study] that need more than a type: each reader gives the value, or says what is wrong with it.

A reader raises a plain ValueError where the field's own description says enough, and ``refuse`` where several things
are wrong inside one value or the message has to name a part of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pydantic import Field, ValidationInfo

from lrsweep.errors import did_you_mean
from lrsweep.records import Direction, EngineSettings, WorkloadSpec, stable_hash
from lrsweep.study.commands import Around, Table, around_of, read_command
from lrsweep.study.lines import Place
from lrsweep.study.objectives import METRIC, Objective, read_aim
from lrsweep.study.problems import listed, no_metric, refuse, shown
from lrsweep.workloads import catalog
from lrsweep.workloads import horizon as horizons


class EngineTable(Table):
    """The fields of ``EngineSettings``; their defaults are there."""

    clip_norm: float = Field(default=0.0, gt=0, description="a number above 0 for the largest norm of all gradients")
    precision: Literal["float32", "bfloat16"] = Field(default="float32", description='"float32" or "bfloat16"')
    channels_last: bool = Field(default=False, description="true or false")
    compile: bool = Field(default=False, description="true or false")
    graphs: bool = Field(default=False, description="true or false")


MORE_IS_BETTER = re.compile(
    "acc|accuracy|auc|auroc|ap|map|iou|miou|dice|f1|recall|precision|bleu|rouge|meteor|score|reward|return|psnr|ssim|"
    "mcc|kappa|r2|hits"
)
LESS_IS_BETTER = re.compile("loss|error|err|perplexity|ppl|nll|mse|rmse|mae|wer|cer|fid|regret")
"""Words in the names of metrics; the latter win, as in ``accuracy_loss``."""


def read_metric(given: object, info: ValidationInfo) -> str:
    if not isinstance(given, str) or not re.fullmatch(METRIC, given):
        raise ValueError
    around = around_of(info)
    if around.aim is not None and around.aim.metric not in (None, given):
        refuse([((), f"{given!r} is not the metric of the objective, which is {around.aim.metric!r}. Take one out.")])
    if text := _not_its_metric(given, around):
        refuse([((), text)])
    if around.is_command and not _has_direction(around) and (word := _more_is_better(given)):
        refuse(
            [
                (
                    (),
                    f"{given!r} sounds ({word}) as if more of it were better, and a script does not say. Add "
                    'direction = "maximize" or direction = "minimize".',
                )
            ]
        )
    return given


def read_direction(given: Direction, info: ValidationInfo) -> Direction:
    aim = around_of(info).aim
    if aim is not None and aim.direction not in (None, given):
        refuse([((), f"{given!r} is the other way round than the objective's sign. Take this line out.")])
    return given


def read_objective(given: object, info: ValidationInfo) -> Objective:
    aim = read_aim(given)
    if aim is None:
        raise ValueError
    if aim.metric is not None and (text := _not_its_metric(aim.metric, around_of(info))):
        refuse([((), text)])
    return aim.objective


def _not_its_metric(metric: str, around: Around) -> str | None:
    """Of a built-in workload it is known at once, also where its settings are wrong."""
    given = around.study.get("workload")
    name = given.get("name") if isinstance(given, dict) else given
    known = catalog.metrics(name) if isinstance(name, str) and not around.is_command else None
    return None if known is None or metric in known else no_metric(str(name), metric, known)


def _has_direction(around: Around) -> bool:
    return "direction" in around.study or (around.aim is not None and around.aim.direction is not None)


def _more_is_better(metric: str) -> str | None:
    """The word that says so."""
    words = [word for part in re.split(r"[^a-z0-9]+", metric.lower()) for word in (part, part.rstrip("0123456789"))]
    if any(map(LESS_IS_BETTER.fullmatch, words)):
        return None
    return next(filter(MORE_IS_BETTER.fullmatch, words), None)


def read_horizon(given: object, info: ValidationInfo) -> int | str:
    if around_of(info).is_command:
        refuse(
            [((), "the horizon of a script is its own. Take this line out, and write steps under [study.workload].")]
        )
    horizons.read_horizon(given)  # raises InvalidInput, a ValueError: the field's description says what is wanted
    assert isinstance(given, int | str)
    return given


def read_engine(given: object, info: ValidationInfo) -> EngineSettings:
    if not isinstance(given, dict):
        raise ValueError
    if around_of(info).is_command:
        refuse([((), "a script computes its own updates. Take this table out.")])
    return EngineSettings(**EngineTable.model_validate(given).model_dump(exclude_unset=True))


def read_workload(given: object, info: ValidationInfo) -> WorkloadSpec:
    """``"digits"``, or a table with ``name`` and the workload's settings, or one with ``command``.

    What is built in comes back with every setting; of the user's own, the class checks them.
    """
    if isinstance(given, str):
        spec = WorkloadSpec(given)
        if problems := catalog.check(spec):
            refuse(((), text) for _, text in problems)
        return catalog.complete(spec)
    if not isinstance(given, dict):
        raise ValueError
    if "command" in given:
        return read_command(given, around_of(info))
    settings = {key: value for key, value in given.items() if key != "name"}
    name = given.get("name")
    if not isinstance(name, str):
        if "name" not in given and (typos := [key for key in given if did_you_mean(key, ["command"])]):
            refuse([((typos[0],), "unknown. Did you mean 'command'?")])
        wrong = f"{shown(name)} is not" if "name" in given else "missing: wanted is"
        text = f"{wrong} the name of a workload. Known: {listed(catalog.workload_names())}."
        refuse([(("name",), text), *_in_places(not_storable(settings))])
    spec = WorkloadSpec(name, settings)
    problems = catalog.check(spec)
    told = {key for key, _ in problems}
    if problems := problems + [(key, text) for key, text in not_storable(settings) if key not in told]:
        refuse(_in_places(problems))
    return catalog.complete(spec)


def _in_places(problems: Iterable[tuple[str, str]]) -> Iterator[tuple[Place, str]]:
    return (((key,), text) for key, text in problems)


def not_storable(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Settings that no hash can be made of: dates, NaN and infinities."""
    problems = []
    for key, value in settings.items():
        try:
            stable_hash(value)
        except (TypeError, ValueError):
            problems.append((key, f"{shown(value)} is not a text, a finite number, true or false, or made of these."))
    return problems
