"""What a terminal can show: formulas have signs that not every encoding has."""

from __future__ import annotations

import os

from rich.console import Console

WIDE = 200
"""Columns of a table that goes into a pipe or a file: nothing has to be cut there."""

IN_ASCII = str.maketrans(
    {
        "·": "*",
        "×": "x",
        "π": "pi ",
        "√": "sqrt ",
        "≤": "<=",
        "≥": ">=",
        "≈": "~",
        "←": "<-",
        "→": "->",
        "−": "-",
        "–": "-",
        "—": "-",
        "…": "...",
        "²": "^2",
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
    }
)


def console_for_tables() -> Console:
    """As wide as the terminal is; where there is none, as wide as tables get, unless COLUMNS says how wide."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def written_for(console: Console, text: str) -> str:
    """The text in signs that the console's encoding has: a terminal without UTF-8 reads pi for π, and ? for what has
    no such name."""
    return text.translate(IN_ASCII).encode("ascii", "replace").decode() if console.options.ascii_only else text
