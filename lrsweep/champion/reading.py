"""A choice as JSON, and back. Only data is read: nothing in a text can run code.

    written(value) ──> the text of the file, the row and the artifact ──> from_json(text, source) ──> an equal value

Equal values have the same text, byte for byte, so that git shows a change where there is one. A reader judges all of a
text before it refuses it: every problem is told with its key, as in ``optimizer.settings.momentum: must be …``.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import islice
from reprlib import repr as shortened
from typing import Any, NoReturn

from lrsweep.champion.value import FORMAT, ChampionChoice, RateRule
from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Json, OptimizerSpec
from lrsweep.schedules import Schedule
from lrsweep.schedules.base import JSON_VERSION
from lrsweep.schedules.kinds import listing
from lrsweep.schedules.reading import schedule_from_dict

LARGEST_TEXT = 16 * 2**20
"""Characters. A choice has a few thousand; one with a table of a long training's rates has some millions."""
DEEPEST = 20
"""Objects inside objects, of what is kept as it was given; ``choose --json`` has 4."""
MOST_STEPS = 10**15
LARGEST = int(sys.float_info.max)
LOWEST = -LARGEST
"""Of whole numbers: whatever computes with one of a text may make a float of it."""
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
TOLD_AT_MOST = 20
MOST_PROBLEMS = 1000
"""Looked for in one part: a hostile text may have a million."""

KEYS = ("format", *(field.name for field in fields(ChampionChoice)))
MAY_BE_MISSING = ("extra", "evidence", "test", "provenance")
AGAIN = "Write it again with `lrsweep promote STUDY --to FILE.json`"


def to_json(value: ChampionChoice) -> dict[str, Json]:
    """One object of plain data, the format's number in it."""
    rule = value.rate_rule
    return {
        "format": FORMAT,
        "name": value.name,
        "schedule": {"version": JSON_VERSION, **value.schedule.to_dict()},
        "peak_lr": float(value.peak_lr),
        "optimizer": {
            "name": value.optimizer.name,
            "settings": {name: float(number) for name, number in value.optimizer.settings.items()},
        },
        "batch_size": value.batch_size,
        "horizon": value.horizon,
        "rate_rule": {
            "exponent": float(rule.exponent),
            "interval": None if rule.interval is None else [float(end) for end in rule.interval],
        },
        "extra": _plain(value.extra),
        "evidence": _plain(value.evidence),
        "test": None if value.test is None else _plain(value.test),
        "provenance": _plain(value.provenance),
    }


def written(value: ChampionChoice) -> str:
    """The text of a value: keys in order, a line for each, a line break at the end.

    Raises InvalidInput where it could not be read back, as a number in it is not finite or its schedule calls code.
    """
    found = to_json(value)
    subject = f"the choice {shortened(value.name)} cannot be written"
    problems: list[str] = []
    _read(found, problems)
    _refuse(subject, problems)
    try:
        return json.dumps(found, sort_keys=True, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{subject}: {error}; wanted numbers, texts, lists and objects of these") from error


def from_json(given: str | bytes | Mapping[str, Any], source: str) -> ChampionChoice:
    """The value that ``written`` wrote; ``source`` says in errors where it comes from.

    Raises InvalidInput with everything that is wrong with it.
    """
    problems: list[str] = []
    parsed = given if isinstance(given, Mapping) else _parsed(given, source, problems)
    _refuse_newer(parsed, source)
    found = _read(parsed, problems)
    _refuse(source, problems)
    assert found is not None, "nothing was found wrong"
    return found


def _plain(given: Mapping[str, Json]) -> dict[str, Json]:
    """Tuples as the lists that JSON has: equal to what is read back."""

    def plain(one: Json, depth: int) -> Json:
        if depth > DEEPEST:
            return one  # the reader refuses it
        if isinstance(one, Mapping):
            return {key: plain(inner, depth + 1) for key, inner in one.items()}
        return [plain(inner, depth + 1) for inner in one] if isinstance(one, list | tuple) else one

    return {key: plain(one, 1) for key, one in given.items()}


# ── a text ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(text: str | bytes, source: str, problems: list[str]) -> dict[str, Any]:
    """The one object in a text, however long, deep or odd it is."""

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                problems.append(f"{shortened(key)} is given more than once; keep one")
            found[key] = value
        return found

    if len(text) > LARGEST_TEXT:
        raise InvalidInput(
            f"{source}: it has {len(text):,} characters, and a choice {LARGEST_TEXT:,} at most. {AGAIN}."
        )
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        parsed = json.loads(decoded, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f"{source}: this is not JSON ({reason}). {AGAIN}.") from None
    if not isinstance(parsed, dict):
        raise InvalidInput(f"{source}: wanted one object, as of a choice, not {shortened(parsed)}. {AGAIN}.")
    return parsed


def _refuse_newer(given: Mapping[str, Any], source: str) -> None:
    """Whatever else looks wrong in the text may be right in the version that wrote it."""
    found = given.get("format")
    if type(found) is int and found > FORMAT:
        raise InvalidInput(
            f"{source}: its format {shortened(found)} was written by a newer lrsweep; this one reads format {FORMAT}. "
            "Upgrade lrsweep, or promote the study again with this one."
        )
    if "family" in given and "schedule" not in given:
        raise InvalidInput(
            f"{source}: this is a schedule alone, without peak rate and optimizer; wanted a choice. "
            "lrsweep.schedule_from_json(text) reads a schedule."
        )


def _refuse(source: str, problems: list[str]) -> None:
    if not problems:
        return
    told = problems[:TOLD_AT_MOST]
    if len(problems) > len(told):
        told.append(f"… and {len(problems) - len(told):,} more")
    raise InvalidInput(listing(source, told))


# ── its parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Wrong(Exception):
    """The text says what is wanted."""


def _read(given: Mapping[str, Any], problems: list[str]) -> ChampionChoice | None:
    """None, and every problem appended, where there is one."""
    before = len(problems)
    _check_keys(given, KEYS, [key for key in KEYS if key not in MAY_BE_MISSING], "", problems)
    if "format" in given and (type(given["format"]) is not int or given["format"] != FORMAT):
        problems.append(f"format: must be {FORMAT}, not {shortened(given['format'])}")
    part = _Part(given, "", problems)
    name = part.read("name", _name)
    schedule = _schedule(given, problems)
    peak_lr = part.read("peak_lr", _above_zero)
    optimizer = _optimizer(given, problems)
    batch_size = part.read("batch_size", lambda one: None if one is None else _count(one, "null or "))
    horizon = part.read("horizon", _count)
    rate_rule = _rate_rule(given, problems)
    extra, evidence, provenance = (part.read(key, _free, {}) for key in ("extra", "evidence", "provenance"))
    test = part.read("test", lambda one: None if one is None else _free(one, "null or "))
    for key in ("extra", "evidence", "test", "provenance"):
        problems += islice(_not_plain(given.get(key), key, 1), MOST_PROBLEMS)
    if len(problems) > before:
        return None
    assert schedule is not None
    assert optimizer is not None
    assert rate_rule is not None
    return ChampionChoice(
        name=name,
        schedule=schedule,
        peak_lr=peak_lr,
        optimizer=optimizer,
        batch_size=batch_size,
        horizon=horizon,
        rate_rule=rate_rule,
        extra=extra,
        evidence=evidence,
        test=test,
        provenance=provenance,
    )


class _Part:
    """An object of the text, read key by key; a wrong one is told with its place, and the reading goes on."""

    def __init__(self, given: Mapping[str, Any], place: str, problems: list[str]) -> None:
        self._given, self._place, self._problems = given, place, problems

    def read(self, key: str, reader: Any, default: Any = None) -> Any:
        if key not in self._given:
            return default
        try:
            return reader(self._given[key])
        except _Wrong as wanted:
            self._problems.append(f"{self._place}{key}: must be {wanted}, not {shortened(self._given[key])}")
            return default


def _schedule(given: Mapping[str, Any], problems: list[str]) -> Schedule | None:
    if "schedule" not in given:
        return None
    found = given["schedule"]
    if not isinstance(found, Mapping):
        problems.append(f'schedule: must be an object such as {{"family": "cosine"}}, not {shortened(found)}')
        return None
    return schedule_from_dict(found, problems, place="schedule.")


def _optimizer(given: Mapping[str, Any], problems: list[str]) -> OptimizerSpec | None:
    found = _object(given, "optimizer", ("name", "settings"), problems)
    if found is None:
        return None
    part = _Part(found, "optimizer.", problems)
    name = part.read("name", _name)
    settings = part.read("settings", _free, {})
    inner = _Part(settings, "optimizer.settings.", problems)
    return OptimizerSpec(name, {key: inner.read(key, _finite, math.nan) for key in settings})


def _rate_rule(given: Mapping[str, Any], problems: list[str]) -> RateRule | None:
    found = _object(given, "rate_rule", ("exponent", "interval"), problems)
    if found is None:
        return None
    part = _Part(found, "rate_rule.", problems)
    return RateRule(part.read("exponent", _exponent), part.read("interval", _interval))


def _object(given: Mapping[str, Any], key: str, keys: tuple[str, ...], problems: list[str]) -> Mapping[str, Any] | None:
    if key not in given:
        return None
    found = given[key]
    if not isinstance(found, Mapping):
        problems.append(f"{key}: must be an object with {' and '.join(keys)}, not {shortened(found)}")
        return None
    _check_keys(found, keys, keys, f"{key}.", problems)
    return found


def _check_keys(given: Mapping[str, Any], known: tuple[str, ...], needed: Any, place: str, problems: list[str]) -> None:
    problems += [
        f"{place}{_key(key)}: is not a key of a choice.{did_you_mean(str(key)[:100], known)} "
        f"Known here: {', '.join(known)}"
        for key in given
        if key not in known
    ]
    problems += [f"{place}{key}: is missing" for key in needed if key not in given]


# ── kinds of values: each gives the value, or says what is wanted ────────────────────────────────────────────────────


def _name(given: Any) -> str:
    if isinstance(given, str) and re.fullmatch(NAME, given):
        return given
    raise _Wrong("a text of letters, digits, - and _ (up to 100)")


def _number(given: Any, wanted: str) -> float:
    if not isinstance(given, int | float) or isinstance(given, bool):
        _wanted(wanted)
    try:
        return float(given)
    except OverflowError:
        _wanted(wanted)


def _finite(given: Any) -> float:
    number = _number(given, "a finite number")
    return number if math.isfinite(number) else _wanted("a finite number")


def _above_zero(given: Any) -> float:
    number = _number(given, "a finite number above 0")
    return number if 0 < number < math.inf else _wanted("a finite number above 0")


def _exponent(given: Any) -> float:
    """0 to 1 is what there is; one of 1000 would make a rate of any size."""
    number = _number(given, "a number in [-2, 2]")
    return number if -2 <= number <= 2 else _wanted("a number in [-2, 2]")


def _interval(given: Any) -> tuple[float, float] | None:
    if given is None:
        return None
    wanted = "null or a list of two finite numbers, the smaller first"
    if not isinstance(given, list | tuple) or len(given) != 2:
        _wanted(wanted)
    low, high = (_number(end, wanted) for end in given)
    return (low, high) if -math.inf < low <= high < math.inf else _wanted(wanted)


def _count(given: Any, before: str = "") -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MOST_STEPS:
        return given
    raise _Wrong(f"{before}a whole number of 1 or more")


def _free(given: Any, before: str = "") -> Mapping[str, Any]:
    """Kept as it is; ``_not_plain`` says what it may not hold."""
    if isinstance(given, Mapping):
        return given
    raise _Wrong(f"{before}an object")


def _wanted(text: str) -> NoReturn:
    raise _Wrong(text)


def _not_plain(given: Any, place: str, depth: int) -> Iterator[str]:
    """What JSON in the strict sense does not have, with its place."""
    if isinstance(given, float) and not math.isfinite(given):
        yield f"{place}: must be a finite number or null, not {given}"
    elif isinstance(given, int) and not LOWEST <= given <= LARGEST:
        yield f"{place}: must be a number between -1.8e308 and 1.8e308"
    elif given is None or isinstance(given, bool | int | float):
        return
    elif isinstance(given, str):
        if not given.isascii() and re.search("[\ud800-\udfff]", given):
            yield f"{place}: must be a text that UTF-8 has, not {shortened(given)}"
    elif not isinstance(given, Mapping | list | tuple):
        yield f"{place}: must be a number, a text, a list or an object of these, not {shortened(given)}"
    elif depth > DEEPEST:
        yield f"{place[:100]}: is nested deeper than {DEEPEST} levels"
    elif isinstance(given, Mapping):
        for key, one in given.items():
            if not isinstance(key, str):
                yield f"{place}: its keys must be texts, not {shortened(key)}"
            else:
                yield from _not_plain(key, f"a key of {place}", depth)
                yield from _not_plain(one, f"{place}.{_key(key)}", depth + 1)
    else:
        for at, one in enumerate(given):
            yield from _not_plain(one, f"{place}[{at}]", depth + 1)


def _key(key: Any) -> str:
    return key if isinstance(key, str) and re.fullmatch(r"[\w.-]{1,60}", key, re.ASCII) else shortened(key)
