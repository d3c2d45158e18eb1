"""A command with places to fill in, such as ``python train.py --lr-table {lr_table} --seed {seed}``.

It is split into arguments before the values come in, and no shell runs it: a value is one argument, or part of one,
whatever characters it has. Double braces stand for single ones, as in Python's format.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from string import Formatter

from lrsweep.errors import InvalidInput

LR_TABLE = "lr_table"


def placeholders(text: str) -> tuple[str, ...]:
    """The names in braces, each once, in order. Raises InvalidInput for a text that no command can be made of.

    >>> placeholders("train.py --seed {seed} --steps {steps}")
    ('seed', 'steps')
    """
    found: dict[str, None] = {}
    for argument in _split(text):
        try:
            parts = list(Formatter().parse(argument))
        except ValueError as error:
            raise InvalidInput(
                f"{text!r} has braces that do not close ({error}); write {{{{ for a brace itself"
            ) from None
        for _, name, form, conversion in parts:
            if name is None:
                continue
            if not name.isidentifier() or form or conversion:
                raise InvalidInput(f"{text!r}: {{{name}}} is no name; wanted a name in braces, such as {{seed}}")
            found[name] = None
    return tuple(found)


def filled(text: str, values: Mapping[str, object]) -> list[str]:
    """The arguments. Every name of ``placeholders(text)`` must be among the values.

    >>> filled("train.py --name 'a {word}' {seed}", {"word": "x; y", "seed": 7})
    ['train.py', '--name', 'a x; y', '7']
    """
    written = {name: _written(value) for name, value in values.items()}
    return [argument.format_map(written) for argument in _split(text)]


def _written(value: object) -> str:
    """As command lines have it: lists with commas, and ``true`` in small letters."""
    match value:
        case str():
            return value
        case list() | tuple():
            return ",".join(map(_written, value))
        case bool() | None:
            return json.dumps(value)
    return repr(value)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} cannot be split into arguments: {error}") from None
