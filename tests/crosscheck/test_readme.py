"""README.md lists every deviation that a test shows, and no other."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent


def test_every_deviation_has_a_row_and_every_row_a_test() -> None:
    """A deviation that is found later cannot be left out of the table, nor a row outlive its test."""
    shown = [
        name
        for path in FOLDER.glob("test_*.py")
        for name in re.findall(r"^def (test_deviation_\w+)", path.read_text(encoding="utf-8"), re.M)
    ]
    rows = re.findall(r"`(test_deviation_\w+)`", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(rows) == sorted(shown)
