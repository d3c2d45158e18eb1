"""States and settings of many machines side by side: column ``name`` has one row for each machine.

A list has its last number in the last place of its row, with NaN before the first. So machines with lists of different
lengths share one array, and sums that run from left to right have the same bits as those of one machine alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrsweep.schedules.course import State

Column = NDArray[Any]
Columns = Mapping[str, Column]


def stacked(rows: Sequence[Mapping[str, Any]], width: int) -> Columns:
    """The columns of these rows; lists get ``width`` places. None becomes NaN."""
    return {name: _column([row[name] for row in rows], width) for name in rows[0]}


def longest_list(rows: Sequence[Mapping[str, Any]]) -> int:
    return max((len(value) for row in rows for value in row.values() if isinstance(value, tuple | list)), default=0)


def state_in(columns: Columns, row: int) -> State:
    """One machine's state as JSON has it: the opposite of ``stacked``."""
    return {name: _as_json(column[row]) for name, column in columns.items()}


def merged(mask: NDArray[np.bool_], new: Columns, old: Columns) -> Columns:
    """The new rows where the mask is set, the old ones elsewhere."""
    return {
        name: np.where(mask.reshape(-1, *(1,) * (column.ndim - 1)), new[name], column) for name, column in old.items()
    }


def running_sum(rows: Column) -> Column:
    """Each row's sum from left to right, so that leading zeros change no bit of it; ``np.sum`` adds in pairs."""
    total: Column = np.cumsum(rows, axis=1)[:, -1]
    return total


def _column(values: Sequence[Any], width: int) -> Column:
    if isinstance(values[0], tuple | list):
        column = np.full((len(values), width), np.nan)
        for row, numbers in zip(column, values, strict=True):
            row[width - len(numbers) :] = numbers
        return column
    return np.array([np.nan if value is None else value for value in values])


def _as_json(value: Any) -> Any:
    if value.ndim:
        return [float(number) for number in value if not np.isnan(number)]
    plain = value.item()
    return None if plain != plain else plain
