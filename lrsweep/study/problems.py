"""How a reader of a value says what is wrong with it, and how values and names stand in such texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from lrsweep.errors import did_you_mean
from lrsweep.study.lines import Place

REFUSED = "refused"
"""The type of the errors whose text is ready to be shown."""

Problems = Iterable[tuple[Place, str]]


def refuse(problems: Problems) -> NoReturn:
    """Hands several problems of one value to pydantic, which puts the value's own place before theirs."""
    raise ValidationError.from_exception_data(
        REFUSED,
        [
            # A template has to be a literal, so the text travels as its value.
            InitErrorDetails(type=PydanticCustomError(REFUSED, "{text}", {"text": text}), loc=place, input=None)
            for place, text in problems
        ],
    )


def unknown(kind: str, name: object, known: Sequence[str]) -> str:
    guess = did_you_mean(name.lower(), known) if isinstance(name, str) else ""
    return f"unknown {kind} {shown(name)}.{guess} Known: {listed(known)}."


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def shown(value: object) -> str:
    """The value much as the file has it, cut where it is long."""
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = repr(value)
        case list():
            text = f"[{listed(map(shown, value))}]"
        case dict():
            text = "a table"
        case _:
            text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
