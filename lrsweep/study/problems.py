"""How a reader of a value says what is wrong with it, and how values and names stand in such texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from lrsweep.errors import did_you_mean
from lrsweep.study.lines import Place

REFUSED = "refused"
"""The type of the errors whose text is ready to be shown."""

Problems = Iterable[tuple[Place, str]]
Model = TypeVar("Model", bound=BaseModel)


def refuse(problems: Problems, others: Sequence[InitErrorDetails] = ()) -> NoReturn:
    """Hands several problems of one value to pydantic, which puts the value's own place before theirs.

    ``others`` are what ``sound_part`` found in it.
    """
    told = [InitErrorDetails(type=_refused(text), loc=place, input=None) for place, text in problems]
    raise ValidationError.from_exception_data(REFUSED, [*others, *told])


def sound_part(model: type[Model], given: Mapping[str, Any]) -> tuple[Model, list[InitErrorDetails]]:
    """The table without the keys that are wrong by themselves, and what is wrong with those: what is to be said of the
    others comes in the same answer. A key that is needed and wrong or missing is no attribute of the table."""
    try:
        return model.model_validate(given), []
    except ValidationError as error:
        found = error.errors()
    wrong = {details["loc"][0] for details in found}
    rest = {key: value for key, value in given.items() if key not in wrong}
    return model.model_construct(**rest), [_passed_on(details) for details in found]


def _passed_on(details: ErrorDetails) -> InitErrorDetails:
    """Pydantic's own kinds want the context that belongs to each; only these two matter to whoever makes the text."""
    kind = details["type"]
    if kind == REFUSED:
        type_: str | PydanticCustomError = _refused(details["msg"])
    else:
        type_ = kind if kind in ("missing", "extra_forbidden") else PydanticCustomError("wrong", "wrong")
    return InitErrorDetails(type=type_, loc=details["loc"], input=details["input"])


def _refused(text: str) -> PydanticCustomError:
    """A template has to be a literal, so the text travels as its value."""
    return PydanticCustomError(REFUSED, "{text}", {"text": text})


def unknown(kind: str, name: object, known: Sequence[str]) -> str:
    guess = did_you_mean(name.lower(), known) if isinstance(name, str) else ""
    return f"unknown {kind} {shown(name)}.{guess} Known: {listed(known)}."


def no_metric(workload: str, metric: str, known: Iterable[str]) -> str:
    return f"the workload {workload!r} has no {metric!r}.{did_you_mean(metric, known)} It has {listed(known)}."


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
