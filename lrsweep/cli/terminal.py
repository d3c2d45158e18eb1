"""What a terminal can show: formulas have signs that not every encoding has."""

from __future__ import annotations

from rich.console import Console

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


def written_for(console: Console, text: str) -> str:
    """The text in signs that the console's encoding has: a terminal without UTF-8 reads pi for π, and ? for what has
    no such name."""
    return text.translate(IN_ASCII).encode("ascii", "replace").decode() if console.options.ascii_only else text
