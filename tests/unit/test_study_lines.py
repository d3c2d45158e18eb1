"""The line of each key in a TOML text."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping

import pytest

from lrsweep.records import Json
from lrsweep.study.lines import Place, key_lines, line_of

WITH_EVERYTHING = '''
# a = 1, in a comment [no.table]
top = 1
dotted . "quoted key" . 'literal' = "x = [ # ]"
[table] # with a comment
text = """
[not.a.table]
not_a_key = "1" \\""" still text"""""
literal = \'\'\'
also_no_key = 1 \'\'\'
list = [ # comment with ]
  1, "a]", # one
  [2, 3],

  { x = 1, y.z = [4] },
]
"esc\\u0061ped" = 1979-05-27 07:32:00
empty = ["", '', [], {}]
[a.b.c]
deep = true
[a]
late = inf
[[row]]
n = 1
[row.inner]
m = 1
[[row]]
n = 2
[[row.inner]]
[[row.inner]]
m = 2
'''


def places(value: Json, place: Place = ()) -> Iterator[Place]:
    """Every place in a parsed document that holds a value."""
    inside: Mapping[str | int, Json] = {}
    if isinstance(value, dict):
        inside = value
    elif isinstance(value, list):
        inside = dict(enumerate(value))
    for part, below in inside.items():
        yield (*place, part)
        yield from places(below, (*place, part))


def test_every_place_of_a_text_has_a_line() -> None:
    """The walk finds exactly the keys that tomllib finds, whatever quotes, brackets and comments lie between."""
    assert set(key_lines(WITH_EVERYTHING)) == set(places(tomllib.loads(WITH_EVERYTHING)))


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 3),
        (("dotted", "quoted key", "literal"), 4),
        (("table",), 5),
        (("table", "text"), 6),
        (("table", "literal"), 9),
        (("table", "list"), 11),
        (("table", "list", 1), 12),
        (("table", "list", 2, 1), 13),
        (("table", "list", 3, "y", "z", 0), 15),
        (("table", "escaped"), 17),
        (("table", "empty", 3), 18),
        (("a", "b", "c", "deep"), 20),
        (("a",), 21),
        (("row", 0, "n"), 24),
        (("row", 0, "inner", "m"), 26),
        (("row", 1, "n"), 28),
        (("row", 1, "inner", 0), 29),
        (("row", 1, "inner", 1, "m"), 31),
        (("table", "absent", "deeper"), 5),
        (("absent",), None),
    ],
)
def test_a_place_is_on_the_line_that_an_editor_shows(place: Place, line: int | None) -> None:
    """Lines count from 1; what is absent stands where its nearest table does."""
    assert line_of(key_lines(WITH_EVERYTHING), place) == line
