"""On which line of a TOML text each key stands: ``tomllib`` keeps the values and forgets the places.

The text has been read by ``tomllib`` before, so it is known to be valid; the walk only has to tell keys from values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Place = tuple[str | int, ...]
"""The keys that lead to a value, an index for each array on the way: ``("space", "families", 1)``."""

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two more quotes belong to the text before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_OTHER_VALUE = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> Mapping[Place, int]:
    """The line, counted from 1, of every key, table and array element of a valid TOML text.

    >>> key_lines("[study]\\nname = 'a'\\nworkload.name = 'b'")
    {('study',): 1, ('study', 'name'): 2, ('study', 'workload'): 3, ('study', 'workload', 'name'): 3}
    """
    return _Walk(text).lines


def line_of(lines: Mapping[Place, int], place: Place) -> int | None:
    """The line of the key, else of the nearest table around it that the file has, else None."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)


class _Walk:
    """One pass from the first character to the last; ``lines`` is complete when it is constructed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Place, int] = {}
        self.last_elements: dict[Place, int] = {}
        table: Place = ()
        self.skip(_BLANK)
        while self.at < len(text):
            table = self.statement(table)
            self.skip(_BLANK)

    def statement(self, table: Place) -> Place:
        """Walks over a header or a key with its value; comes back with the table that the next key belongs to."""
        if self.take("[["):
            array = self.key((), ends_at="]")
            index = self.last_elements[array] = self.last_elements.get(array, -1) + 1
            self.lines[(*array, index)] = self.line
            self.take("]]")
            return (*array, index)
        if self.take("["):
            table = self.key((), ends_at="]")
            self.lines[table] = self.line  # a table that was only named on the way to another one begins here
            self.take("]")
            return table
        self.pair(table)
        return table

    def pair(self, table: Place) -> None:
        place = self.key(table, ends_at="=")
        self.take("=")
        self.skip(_BLANK)
        self.value(place)

    def key(self, table: Place, *, ends_at: str) -> Place:
        """A dotted key; each of its parts is on this line unless it was seen before."""
        place = table
        while True:
            self.skip(_BLANK)
            if self.text[self.at] in "\"'":
                part = tomllib.loads(f"part = {self.skip(_STRING)}")["part"]
            else:
                part = self.skip(_BARE_KEY)
            place = (*place, part)
            self.lines.setdefault(place, self.line)
            self.skip(_BLANK)
            if self.text[self.at] == ends_at:
                return place
            self.take(".")
            if place in self.last_elements:  # a header below [[array]] means the array's last element
                place = (*place, self.last_elements[place])

    def value(self, place: Place) -> None:
        if self.text[self.at] in "\"'":
            self.skip(_STRING)
        elif self.take("["):
            self.skip(_BLANK)
            index = 0
            while not self.take("]"):
                self.lines[(*place, index)] = self.line
                self.value((*place, index))
                index += 1
                self.comma()
        elif self.take("{"):
            self.skip(_BLANK)
            while not self.take("}"):
                self.pair(place)
                self.comma()
        else:
            self.skip(_OTHER_VALUE)

    def comma(self) -> None:
        self.skip(_BLANK)
        self.take(",")
        self.skip(_BLANK)

    def take(self, token: str) -> bool:
        found = self.text.startswith(token, self.at)
        self.at += len(token) * found
        return found

    def skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None, f"not TOML at character {self.at}"
        self.at = match.end()
        return match.group()

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1
