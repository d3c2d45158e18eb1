"""Curves as text: arrays in, cells out. Braille where colours tell the curves apart, else one letter for each.

A curve is drawn as stairs, step i from i to i + 1, and between two columns it is filled, so that a jump is a vertical
line and no step is lost between dots. Where curves meet in a cell, they take turns from column to column. Where a curve
is NaN, nothing is drawn.

>>> print(*plain(drawn([np.array([1.0, 0.0])], width=4, height=3, marks="*")), sep="\\n")
**
  *
  **
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrsweep.schedules.course import Floats

DOTS_WIDE, DOTS_HIGH = 2, 4
BLANK_BRAILLE = 0x2800
BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Unicode's number of each dot in a braille character, as the dots lie."""


@dataclass(frozen=True)
class Cell:
    """One character, and which curve it belongs to; None where there is none."""

    text: str = " "
    curve: int | None = None


EMPTY = Cell()


def drawn(
    curves: Sequence[Floats], *, width: int, height: int, top: float = 1.0, marks: str | None = None
) -> list[list[Cell]]:
    """Rows of cells from the top: the first row holds ``top``, the last 0. ``marks`` has a letter for each curve;
    None draws in braille, 2 x 4 dots in a cell."""
    if marks is not None:
        layers = [dots(curve, columns=width, rows=height, top=top).astype(np.int64) for curve in curves]
    else:
        fine = [dots(curve, columns=width * DOTS_WIDE, rows=height * DOTS_HIGH, top=top) for curve in curves]
        layers = [braille(layer) for layer in fine]
    return [
        [_cell([int(layer[row, column]) for layer in layers], column, marks) for column in range(width)]
        for row in range(height)
    ]


def plain(rows: Sequence[Sequence[Cell]]) -> list[str]:
    """The rows as text without colours."""
    return ["".join(cell.text for cell in row).rstrip() for row in rows]


def dots(curve: Floats, *, columns: int, rows: int, top: float) -> NDArray[np.bool_]:
    """Which dots of a grid the curve passes, a ``rows`` x ``columns`` array; row 0 is ``top``, the last row 0."""
    by_column = _by_column(curve, columns)
    there = ~np.isnan(by_column[0])
    lows, highs, firsts, lasts = (_row(np.where(there, values, 0.0), rows, top) for values in by_column)
    upper, lower = highs, lows  # a higher value has a smaller row
    before = np.concatenate([firsts[:1], np.where(there[:-1], lasts[:-1], firsts[1:])])
    upper = np.minimum(upper, before + 1)
    lower = np.maximum(lower, before - 1)
    upper[0], lower[0] = highs[0], lows[0]
    place = np.arange(rows)[:, None]
    passed: NDArray[np.bool_] = (upper <= place) & (place <= lower)
    return passed & there


def braille(fine: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The bits of each cell's braille character."""
    rows, columns = fine.shape
    cells = fine.reshape(rows // DOTS_HIGH, DOTS_HIGH, columns // DOTS_WIDE, DOTS_WIDE)
    bits: NDArray[np.int64] = (cells * BITS[None, :, None, :]).sum(axis=(1, 3))
    return bits


def _cell(layers: Sequence[int], column: int, marks: str | None) -> Cell:
    present = [curve for curve, bits in enumerate(layers) if bits]
    if not present:
        return EMPTY
    shown = present[column % len(present)]
    if marks is not None:
        return Cell(marks[shown], shown)
    bits = 0
    for curve in present:
        bits |= layers[curve]
    return Cell(chr(BLANK_BRAILLE + bits), shown)


def _by_column(curve: Floats, columns: int) -> tuple[Floats, Floats, Floats, Floats]:
    """The smallest, largest, first and last value in each column."""
    if len(curve) < columns:  # a step is wider than a column: each column shows the step at its middle
        curve = curve[(2 * np.arange(columns) + 1) * len(curve) // (2 * columns)]
    edges = -(-np.arange(columns + 1) * len(curve) // columns)
    begins, ends = edges[:-1], edges[1:]
    return np.minimum.reduceat(curve, begins), np.maximum.reduceat(curve, begins), curve[begins], curve[ends - 1]


def _row(values: Floats, rows: int, top: float) -> NDArray[np.int64]:
    height = np.clip(values / top, 0.0, 1.0)
    return np.floor((1.0 - height) * (rows - 1) + 0.5).astype(np.int64)
