"""Pieces of Python text: constants, literal tables and functions, laid out so that a formatter changes nothing."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

COLUMNS = 88
"""No line is longer, and none is broken that would fit: the text is formatted for that width and for wider ones."""

LONGEST_CALL = 400

LITERAL = "# fmt: off\n{}\n# fmt: on"
"""A formatter would give each number of a table its own line."""


@dataclass(frozen=True)
class Names:
    """What the pieces of one schedule are called: ``FLOOR`` and ``factor``, in a part ``PART_1_FLOOR`` and so on."""

    prefix: str = ""

    def function(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def constant(self, name: str) -> str:
        return f"{self.prefix}{name}".upper()

    def part(self, place: int) -> Names:
        """A part's names; a part of a part 1 is ``part_1_2_``, which stays short."""
        before = self.prefix if re.search(r"part_[0-9_]*$", self.prefix) else f"{self.prefix}part_"
        return Names(f"{before}{place}_")


@dataclass(frozen=True)
class Code:
    """Constants for the top of a module, and the functions that use them; in each, one said twice is written once."""

    constants: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()

    def __add__(self, other: Code) -> Code:
        return Code(self.constants + other.constants, self.functions + other.functions)

    @classmethod
    def of(cls, *codes: Code) -> Code:
        return sum(codes, start=cls())


NOTHING = Code()


def constant(name: str, value: object, comment: str = "") -> Code:
    """``NAME = value``; a text is an expression as it stands, and a tuple of numbers a literal."""
    if isinstance(value, tuple):
        line = literal(name, value)
    else:
        line = f"{name} = {value if isinstance(value, str) else number(value)}"
    return Code(constants=(f"{line}  # {comment}" if comment else line,))


def function(head: str, doc: str, body: str) -> Code:
    """``def head:`` with a docstring and a body that has no indent yet."""
    lines = ["def " + head + ":", *indented(quoted(doc)), *indented(body)]
    return Code(functions=("\n".join(lines),))


def number(value: object) -> str:
    """The shortest text that reads as the same number."""
    if isinstance(value, (int, np.integer)):
        return repr(int(value))
    return repr(float(value))  # type: ignore[arg-type]  # a setting's number: a float, or NumPy's


def literal(name: str, numbers: Sequence[float]) -> str:
    """A tuple of numbers, on one line where it fits, else as many in each line as fit."""
    texts = [number(one) for one in numbers]
    line = f"{name} = ({', '.join(texts)}{',' * (len(texts) == 1)})"
    if len(line) <= COLUMNS:
        return line
    return LITERAL.format("\n".join([f"{name} = (", *packed(texts), ")"]))


def mapping(name: str, entries: Mapping[str, str]) -> str:
    """A dict of names to expressions, one in each line."""
    return "\n".join([f"{name} = {{", *(f"    {quoted_name(key)}: {value}," for key, value in entries.items()), "}"])


def quoted_name(name: str) -> str:
    """A string as a formatter has it, in double quotes where that needs no escape."""
    text = repr(name)
    if text.startswith('"') or '"' in text:
        return text
    return '"' + text[1:-1].replace("\\'", "'") + '"'


def packed(texts: Iterable[str]) -> list[str]:
    """Texts with commas, four blanks in, as many in each line as fit."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + len(text) + 2 <= COLUMNS:
            lines[-1] += f" {text},"
        else:
            lines.append(f"    {text},")
    return lines


def indented(text: str, by: int = 4) -> list[str]:
    return textwrap.indent(text, " " * by).splitlines()


def quoted(doc: str, indent: int = 4) -> str:
    """A docstring: its paragraphs filled to the width, whatever stands in them harmless."""
    safe = doc.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    first, *others = safe.split("\n\n")
    width = COLUMNS - indent
    if not others and len(first) + 6 <= width:
        return f'"""{first}"""'
    if not others and len(first) + 3 <= width:
        width = len(first)  # a line without its closing quotes is one that a formatter would put them to
    filled = [_filled(f'"""{first}', width), *(_filled(one, width) for one in others)]
    return "\n\n".join(filled) + '\n"""'


def described(schedule: object) -> str:
    """The call that makes a schedule; of one that holds a long table, the beginning."""
    text = repr(schedule)
    return text if len(text) <= LONGEST_CALL else f"{text[:LONGEST_CALL]} …"


def _filled(paragraph: str, width: int) -> str:
    return textwrap.fill(" ".join(paragraph.split()), width, break_long_words=False, break_on_hyphens=False)
