"""Templates of names in MLflow, as a study file gives them: ``"{study}/{family} @{horizon}"``.

Names in braces are filled in, with a format such as ``{trial:04d}`` or ``{workload:.20}`` where one is wanted. Nothing
else of Python's format language is taken: a file must not reach into objects, nor ask for a text of a gigabyte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from types import MappingProxyType
from typing import Final

from lrsweep.errors import did_you_mean

OF_EXPERIMENT: Final[Mapping[str, str | int]] = MappingProxyType(
    {"study": "digits", "workload": "digits", "generation": "1a2b3c4d", "date": "2026-01-31"}
)
"""What may stand in the name of an experiment, each with an example: nothing that changes while a sweep goes on."""

OF_RUN: Final[Mapping[str, str | int]] = MappingProxyType(
    {
        **OF_EXPERIMENT,
        "sweep": "5e6f7a8b",
        "family": "cosine",
        "optimizer": "sgd",
        "trial": 7,
        "horizon": 600,
        "rung": 0,
        "seed": 1234,
        "purpose": "search",
        "commit": "9c0d1e2f",
    }
)
"""What may stand in the name of a run and in its tags."""

LONGEST: Final = 250
"""signs of a name that MLflow takes as a key, and that its page shows"""

OURS: Final = ("mlflow.", "lrsweep.")

_FORMAT: Final = re.compile(r"[<>^]?0?\d{0,2}(\.\d{1,2})?[ds]?")


def problem_of(template: str, known: Mapping[str, str | int]) -> str | None:
    """Why the template cannot be filled in, in a sentence; None where it can."""
    if not template.strip():
        return f"it is empty; wanted a text, with names in braces where they help: {_listed(known)}."
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        return f"{template!r} cannot be read: {error}. A brace that is meant as a sign is written twice."
    problems = [text for _, name, form, conversion in parts if (text := _of_field(name, form, conversion, known))]
    if problems:
        return " ".join(problems)
    if len(filled(template, known)) > LONGEST:
        return f"it is longer than {LONGEST} signs once it is filled in."
    return None


def problems_of_tracking(experiment: str, run_name: str, tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """All that is wrong with the templates of a study: the key below ``tracking``, and what is wrong there."""
    if text := problem_of(experiment, OF_EXPERIMENT):
        yield "experiment", text
    if text := problem_of(run_name, OF_RUN):
        yield "run_name", text
    for key, template in tags.items():
        if key.startswith(OURS):
            yield (
                f"tags.{key}",
                f"tags that begin with {OURS[0]!r} or {OURS[1]!r} are set by lrsweep; take another name.",
            )
        elif not re.fullmatch(r"[\w.\- /]{1,250}", key) or key != key.strip("/. "):
            yield f"tags.{key}", "MLflow takes letters, digits, blanks and the signs _ . - / in the name of a tag."
        if text := problem_of(template, OF_RUN):
            yield f"tags.{key}", text


def filled(template: str, values: Mapping[str, str | int]) -> str:
    """
    >>> filled("{trial:04d} {family}", {"trial": 7, "family": "wsd"})
    '0007 wsd'
    """
    return template.format_map(dict(values))


def _of_field(name: str | None, form: str | None, conversion: str | None, known: Mapping[str, str | int]) -> str | None:
    if name is None:
        return None
    if name not in known:
        return f"there is no {{{name}}} to fill in.{did_you_mean(name, known)} There are {_listed(known)}."
    form = form or ""
    try:
        if conversion is None and _FORMAT.fullmatch(form):
            format(known[name], form)
            return None
    except ValueError:
        pass  # a format of numbers for a text, or the other way round
    example = "04d" if isinstance(known[name], int) else ".8"
    given = f"!{conversion}" if conversion else f":{form}"
    return f"{{{name}{given}}} has a format that is not taken; write {{{name}}}, or one such as {{{name}:{example}}}."


def _listed(known: Mapping[str, str | int]) -> str:
    return ", ".join(known)
