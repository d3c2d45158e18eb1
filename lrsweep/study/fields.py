"""The values of a study file that need more than a type: each reader gives the value, or says what is wrong with it.

A reader raises a plain ValueError where the field's own description says enough, and ``refuse`` where several things
are wrong inside one value or the message has to name a part of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

from pydantic import Field, ValidationInfo

from lrsweep.errors import did_you_mean
from lrsweep.records import EngineSettings, WorkloadSpec, stable_hash
from lrsweep.schedules import family, family_names
from lrsweep.schedules.setting import REQUIRED
from lrsweep.scripts import command as scripts
from lrsweep.study.commands import PLACES, SHARED, Around, Table, in_braces, read_command, unheard
from lrsweep.study.extra import WANTED, Extra, read_extra
from lrsweep.study.lines import Place
from lrsweep.study.problems import listed, refuse, shown, unknown
from lrsweep.study.values import OPTIMIZERS, Range, hears
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
    if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]{0,99}", given):
        raise ValueError
    around = _around(info)
    if around.is_command and "direction" not in around.study and (word := _more_is_better(given)):
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


def _more_is_better(metric: str) -> str | None:
    """The word that says so."""
    words = [word for part in re.split(r"[^a-z0-9]+", metric.lower()) for word in (part, part.rstrip("0123456789"))]
    if any(map(LESS_IS_BETTER.fullmatch, words)):
        return None
    return next(filter(MORE_IS_BETTER.fullmatch, words), None)


def read_horizon(given: object, info: ValidationInfo) -> int | str:
    if _around(info).is_command:
        refuse(
            [((), "the horizon of a script is its own. Take this line out, and write steps under [study.workload].")]
        )
    horizons.read_horizon(given)  # raises InvalidInput, a ValueError: the field's description says what is wanted
    assert isinstance(given, int | str)
    return given


def read_engine(given: object, info: ValidationInfo) -> EngineSettings:
    if not isinstance(given, dict):
        raise ValueError
    if _around(info).is_command:
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
        return read_command(given, _around(info))
    settings = {key: value for key, value in given.items() if key != "name"}
    name = given.get("name")
    if not isinstance(name, str):
        if "name" not in given and (typos := [key for key in given if did_you_mean(key, ["command"])]):
            refuse([((typos[0],), "unknown. Did you mean 'command'?")])
        wrong = f"{shown(name)} is not" if "name" in given else "missing: wanted is"
        refuse([(("name",), f"{wrong} the name of a workload. Known: {listed(catalog.workload_names())}.")])
    spec = WorkloadSpec(name, settings)
    if problems := catalog.check(spec) or _not_storable(settings):
        refuse(((key,), text) for key, text in problems)
    return catalog.complete(spec)


def _not_storable(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Settings that no hash can be made of: dates, NaN and infinities."""
    problems = []
    for key, value in settings.items():
        try:
            stable_hash(value)
        except (TypeError, ValueError):
            problems.append((key, f"{shown(value)} is not a text, a finite number, true or false, or made of these."))
    return problems


def read_families(given: object, info: ValidationInfo) -> tuple[str, ...]:
    needs = {name: [one.name for one in family(name).settings() if one.default is REQUIRED] for name in family_names()}
    unfit = {
        name: f"{name!r} cannot be searched: only you can give its {listed(settings)}, and a search draws numbers. "
        "Take it out."
        for name, settings in needs.items()
        if settings
    }
    searched = [name for name in needs if name not in unfit]
    command = _around(info).command
    if command is not None:
        if reason := unheard(command):
            unfit |= {name: f"{name!r} cannot be searched here: {reason}" for name in searched if hears(name)}
        if command.families:
            unmapped = [name for name in searched if name not in command.families and name not in unfit]
            unfit |= {
                name: f"{name!r} has no flags under [study.workload.families]. Add them there, or take it out."
                for name in unmapped
            }
        searched = [name for name in searched if name not in unfit]
    return _read_names(given, "family", searched, unfit)


def read_optimizers(given: object, info: ValidationInfo) -> tuple[str, ...]:
    if _around(info).is_command:
        refuse([((), "a script has an optimizer of its own. Take this line out.")])
    return _read_names(given, "optimizer", tuple(OPTIMIZERS))


def read_extra_table(given: object, info: ValidationInfo) -> Mapping[str, Extra]:
    if not isinstance(given, dict):
        raise ValueError
    around = _around(info)
    if not around.is_command:
        refuse([((), "only a script (`command` under [study.workload]) takes parameters of yours. Take it out.")])
    reserved = {*PLACES, *SHARED}
    reached = None
    if around.command is not None:
        reserved |= {one.name for name in around.command.families for one in family(name).settings()}
        reached = in_braces(around.command) if around.command.follows != "attach" else None
    problems: list[tuple[Place, str]] = []
    extra: dict[str, Extra] = {}
    for name, value in given.items():
        if not name.isidentifier() or name in reserved:
            taken = "is taken" if name in reserved else "is no name of letters, digits and _"
            problems.append(((name,), f"{name!r} {taken}. Give the parameter another name."))
        elif reached is not None and name not in reached:
            problems.append(((name,), f"the command has no {{{name}}}, so the script would not hear it. Add it there."))
        if (read := read_extra(value)) is None:
            problems.append(((name,), f"{shown(value)} is not {WANTED}."))
        else:
            extra[name] = read
    if problems:
        refuse(problems)
    return extra


def _around(info: ValidationInfo) -> Around:
    assert isinstance(info.context, Around)
    return info.context


def _read_names(
    given: object, kind: str, known: Sequence[str], unfit: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """``unfit``: what is said of names that exist, but not for this."""
    if not isinstance(given, list) or not given:
        raise ValueError
    problems: list[tuple[Place, str]] = []
    for index, name in enumerate(given):
        if isinstance(name, str) and name in unfit:
            problems.append(((index,), unfit[name]))
        elif name not in known:
            problems.append(((index,), unknown(kind, name, known)))
        elif name in given[:index]:
            problems.append(((index,), f"{shown(name)} is in the list twice. Take one out."))
    if problems:
        refuse(problems)
    return tuple(given)


def read_peak_lr(given: object, info: ValidationInfo) -> Mapping[str, Range]:
    """A table with one range per optimizer, each of them searched by this study; for a script, its one range."""
    if _around(info).is_command:
        if not (_is_range(given) and given[0] > 0):
            wanted = "a range of rates [low, high] with 0 < low < high, such as [0.001, 0.1]"
            refuse([((), f"{shown(given)} is not {wanted}: a script has one optimizer.")])
        return {scripts.OPTIMIZER: _range(given)}
    if not isinstance(given, dict):
        raise ValueError
    searched = info.data.get("optimizers", OPTIMIZERS)  # it is absent where the list has problems of its own
    problems: list[tuple[Place, str]] = []
    for name, limits in given.items():
        if name not in OPTIMIZERS:
            problems.append(((name,), unknown("optimizer", name, tuple(OPTIMIZERS))))
            continue
        if name not in searched:
            problems.append(((name,), f"{name} is not in space.optimizers. Add it there, or take this line out."))
        if not (_is_range(limits) and limits[0] > 0):
            wanted = f"a range of rates [low, high] with 0 < low < high, such as {name} = [0.001, 0.1]"
            problems.append(((name,), f"{shown(limits)} is not {wanted}."))
    if problems:
        refuse(problems)
    return {name: _range(limits) for name, limits in given.items()}


def read_warmup(given: object) -> float | Range:
    return _read_share(given, lambda share: 0 <= share < 1)


def read_floor(given: object) -> float | Range:
    return _read_share(given, lambda share: 0 <= share <= 1)


def _read_share(given: object, is_allowed: Callable[[float], bool]) -> float | Range:
    numbers: list[Any] = given if isinstance(given, list) else [given]
    if not all(_is_number(number) and is_allowed(number) for number in numbers):
        raise ValueError
    if not isinstance(given, list):
        return _number(numbers[0])
    if not _is_range(given):
        raise ValueError
    return _range(given)


def _is_number(given: Any) -> bool:
    # Compared rather than converted: an integer may be too large for a float.
    return isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= sys.float_info.max


def _is_range(given: Any) -> TypeGuard[list[float]]:
    return isinstance(given, list) and len(given) == 2 and all(map(_is_number, given)) and given[0] < given[1]


def _range(given: Sequence[float]) -> Range:
    low, high = given
    return _number(low), _number(high)


def _number(given: float) -> float:
    """One form for 0, 0.0 and -0.0: equal spaces then have equal hashes."""
    return float(given) + 0.0
