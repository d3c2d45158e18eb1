"""A schedule from flat names and values, as MLflow, Optuna, Weights & Biases and others store a training's parameters.

Three ways to name one are read. Values may be texts, since some tools store nothing else, and "/" is as good as ".":

- what lrsweep writes: ``family``, its settings as ``wsd.cooldown`` or plain ``cooldown``, a list as ``knots.points`` or
  as ``knots.points.1``, ``knots.points.2``…, and ``warmup``, ``floor`` and the other settings that all families have;
- the arguments of a transformers Trainer: ``lr_scheduler_type`` and what belongs to it (``trainer_names.py``);
- a schedule's JSON under ``lrsweep.schedule`` or ``schedule``. It is complete; what ``family`` and its settings say
  besides must agree with it.

Other names are left alone (``optimizer``, ``cosine.sgd.peak_lr``, ``batch_size``, the settings of another family), but
not one that looks like a slip: ``wsd.coldown`` and ``warm_up`` are refused. A plain name that is a setting is read as
one even where it may mean something else, such as ``beta`` beside the family rex; write ``rex.beta``, and ``beta`` is
left alone. A value None counts as not given.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from reprlib import repr as shortened
from typing import Any

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.kinds import NotOfThisKind, listing
from lrsweep.schedules.reading import TOO_DEEP, schedule_from_dict, schedule_from_json
from lrsweep.schedules.registry import family_names, kind_of_schedule
from lrsweep.schedules.setting import Setting
from lrsweep.schedules.trainer_names import TYPE, from_trainer

SUBJECT = "schedule from params"
FAMILY = "family"
JSON_NAMES = ("lrsweep.schedule", "schedule")

BLOCKS = ("schedule", "scheduler", "lr_schedule", "lr_scheduler")
"""Names before a point that say: this belongs to the schedule."""

HAVE_A_SCHEDULE = ("extended", "cooled_down")
"""What has a setting ``schedule`` of its own."""

LONGEST_TEXT = 10_000_000

# What trainings call their other parameters; some of these look like a setting that was misspelt.
OTHERS = frozenset(
    {
        "batch_size",
        "beta",
        "beta1",
        "beta2",
        "betas",
        "clip",
        "data",
        "dataset",
        "device",
        "dropout",
        "ema",
        "epochs",
        "eps",
        "grad_clip",
        "horizon",
        "learning_rate",
        "loss",
        "lr",
        "max_steps",
        "metric",
        "model",
        "models",
        "momentum",
        "name",
        "nesterov",
        "optimizer",
        "paths",
        "peak_lr",
        "precision",
        "rate_scale",
        "rung",
        "seed",
        "steps",
        "task",
        "total_steps",
        "weight_decay",
        "workers",
    }
)


def schedule_from_params(params: Mapping[str, Any], *, prefix: str = "", allow_code: bool = False) -> Schedule:
    """The schedule that flat parameters name. With a ``prefix``, only names that begin with it count, without it.

    All problems are told at once. The peak rate is no part of a schedule, so a name for it is left alone.

    >>> schedule_from_params({"family": "wsd", "wsd.cooldown": "0.3", "warmup": "500 steps", "batch_size": "64"})
    lrsweep.schedule('wsd', cooldown=0.3, warmup='500 steps')
    >>> schedule_from_params({"lr_scheduler_type": "cosine", "warmup_ratio": 0.05})
    lrsweep.schedule('cosine', warmup=0.05)
    """
    try:
        return _from_params(params, prefix, allow_code=allow_code)
    except RecursionError as error:
        raise ScheduleError(f"{SUBJECT}: {shortened(params)} {TOO_DEEP}; wanted {{'family': 'cosine'}}") from error


def _from_params(params: Mapping[str, Any], prefix: str, *, allow_code: bool) -> Schedule:
    given, problems = _without_prefix(params, prefix)
    inside = str(given.get(FAMILY)) in HAVE_A_SCHEDULE
    texts = [name for name in JSON_NAMES if name in given and not (inside and name == "schedule")]
    if len(texts) > 1 and given[texts[0]] != given[texts[1]]:
        problems.append(f"{texts[0]} and {texts[1]} differ; keep one")
    if texts and not problems:
        return _from_json(given, texts[0], problems, allow_code=allow_code)
    if FAMILY in given and TYPE in given:
        problems.append(
            f"{FAMILY} {shortened(given[FAMILY])} and {TYPE} {shortened(given[TYPE])} both name a schedule; keep one"
        )
    elif TYPE in given:
        named, told = from_trainer({name: value_of(value) for name, value in given.items()})
        problems += told
    elif FAMILY in given:
        named, told = _named(given)
        problems += told
    else:
        problems.append(_nothing_found(given, prefix))
    found = None if problems else schedule_from_dict(named, problems, allow_code=allow_code)
    if problems or found is None:
        raise ScheduleError(listing(SUBJECT, problems))
    return found


def value_of(value: object) -> Any:
    """A value from its text; what is no text, or the text of no value, stays."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        return value
    for read in (json.loads, ast.literal_eval):  # neither runs code
        try:
            return read(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def _without_prefix(params: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(params, Mapping):
        raise ScheduleError(
            f"{SUBJECT}: wanted names and values such as {{'family': 'cosine'}}, not {shortened(params)}"
        )
    if not isinstance(prefix, str):
        raise ScheduleError(f"{SUBJECT}: prefix must be a text such as 'params.', not {shortened(prefix)}")
    given: dict[str, Any] = {}
    problems = []
    for name, value in params.items():
        if not isinstance(name, str):
            problems.append(f"a parameter is named by a string, not by {shortened(name)}")
        elif name.startswith(prefix) and value is not None:
            short = name.removeprefix(prefix).replace("/", ".")
            if short in given:
                problems.append(f"{shortened(name)} is given twice, with '.' and with '/'; keep one")
            given[short] = value
    return given, problems


def _nothing_found(given: Mapping[str, Any], prefix: str) -> str:
    wanted = (FAMILY, TYPE, JSON_NAMES[0])
    near = next((name for name in given if did_you_mean(name, wanted)), None)
    meant = f"{did_you_mean(near, wanted)} There is {shortened(near)}." if near else ""
    among = f"{len(given)} names that begin with {prefix!r}" if prefix else f"the {len(given)} names"
    return f"no schedule is named: {', '.join(wanted[:2])} or {wanted[2]} must be among {among}.{meant}"


# ── the names that lrsweep writes ────────────────────────────────────────────────────────────────────────────────────


def _from_json(given: Mapping[str, Any], where: str, problems: list[str], *, allow_code: bool) -> Schedule:
    text = given[where]
    if not isinstance(text, Mapping) and not (isinstance(text, str) and text.lstrip().startswith("{")):
        raise ScheduleError(
            f"{SUBJECT}: {where} must be what to_json() wrote, not {shortened(text)}; "
            f"a family is named under {FAMILY!r}"
        )
    try:
        found = schedule_from_json(json.dumps(text) if isinstance(text, Mapping) else text, allow_code=allow_code)
    except (TypeError, ValueError) as refused:  # a ScheduleError is a ValueError too
        raise ScheduleError(f"{SUBJECT}: {where}: {refused}") from refused
    if FAMILY in given:
        named, told = _named({name: value for name, value in given.items() if name not in JSON_NAMES})
        problems += [*told, *([] if told else _differences(found, named, where))]
    if problems:
        raise ScheduleError(listing(SUBJECT, problems))
    return found


def _differences(found: Schedule, named: Mapping[str, Any], where: str) -> list[str]:
    if named[FAMILY] != found.family:
        return [f"{FAMILY} is {named[FAMILY]!r}, and {where} has {found.family!r}; keep one"]
    described = found.to_dict()
    problems = []
    for setting in found.settings():
        if setting.name not in named:
            continue
        value = described.get(setting.name, setting.default)
        if _read(setting, named[setting.name]) not in (getattr(found, setting.name), value):
            problems.append(
                f"{setting.name} is {shortened(named[setting.name])}, and {where} has {shortened(value)}; keep one"
            )
    return problems


def _read(setting: Setting, value: Any) -> Any:
    try:
        return setting.allowed.read(value)
    except NotOfThisKind:
        return value


def _named(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Family and settings as in a schedule's JSON, and what cannot be meant."""
    name = given[FAMILY]
    try:
        known = {setting.name: setting for setting in kind_of_schedule(name).settings()}
    except ScheduleError as unknown:
        return {}, [str(unknown)]
    forms: dict[str, list[tuple[str, Any]]] = {}
    problems: list[str] = []
    spelt_out = {key.split(".")[1] for key in given if key.startswith(f"{name}.")}
    for key, value in given.items():
        own = key.removeprefix(f"{name}.")
        setting, _, part = own.partition(".")
        if own == key and setting in OTHERS and setting in spelt_out:
            continue
        if setting in known:
            forms.setdefault(setting, []).append((part, value))
        elif key != FAMILY:
            problems += _slip(key, name, known)
    settings = {setting: _put_together(known[setting], form, problems) for setting, form in forms.items()}
    return {FAMILY: name, **settings}, problems


def _put_together(setting: Setting, form: Sequence[tuple[str, Any]], problems: list[str]) -> Any:
    """A setting's value from one name, from those of its places in a list, or from those inside an object."""
    parts = dict(form)
    if len(parts) < len(form):
        problems.append(f"{setting.name} is given twice, alone and after the family's name; keep one")
    if parts.keys() == {""}:
        return value_of(parts[""])
    if "" in parts:
        problems.append(f"{setting.name} is given as a whole and in parts, {', '.join(filter(None, parts))}; keep one")
    elif all(part.isascii() and part.isdigit() for part in parts):
        return _list_of(setting, {part: value_of(value) for part, value in parts.items()}, problems)
    elif FAMILY in parts:
        found, told = _named(parts)
        problems += [f"{setting.name}: {one}" for one in told]
        return found
    else:
        problems.append(f"{setting.name}.{next(iter(parts))} is no place in a list such as {setting.name}.1")
    return None


def _list_of(setting: Setting, places: Mapping[str, Any], problems: list[str]) -> list[Any]:
    """The list from its places 1, 2, …; one that must ascend is put in order, as a search's draws are."""
    wanted = [str(place) for place in range(1, len(places) + 1)]
    if missing := [place for place in wanted if place not in places]:
        problems.append(f"{setting.name} has {len(places)} numbers, so {setting.name}.{missing[0]} must be one of them")
    values = [places[place] for place in wanted if place in places]
    numbers = all(isinstance(value, (int, float)) for value in values)
    return sorted(values) if numbers and getattr(setting.allowed, "ascending", False) else values


def _slip(key: str, name: str, known: Iterable[str]) -> list[str]:
    """What to say of a name that is no setting; nothing where it is plainly somebody else's."""
    head, dot, rest = key.partition(".")
    if dot and head == name:
        if rest.split(".")[-1] in OTHERS:  # cosine.sgd.peak_lr
            return []
        return [f"{shortened(key)} is not a setting.{did_you_mean(rest, known)} {name} has: {', '.join(known)}"]
    if dot:
        looks_like_it = head in BLOCKS or (head not in family_names() and get_close_matches(head, [name], cutoff=0.8))
        return [f"{shortened(key)} is not read; did you mean '{name}.{rest}'?"] if looks_like_it else []
    if key.startswith(("warmup", "warm_up")):
        return [f"{shortened(key)} is not a setting; give warmup, a fraction or a count such as '500 steps'"]
    if key not in OTHERS and (near := get_close_matches(key, list(known), n=1, cutoff=0.8)):
        return [f"{shortened(key)} is not a setting; did you mean {near[0]!r}?"]
    return []
