"""Curves as text: small canvases that a reader can draw on squared paper."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsweep.cli.drawing import Cell, dots, drawn, plain


def picture(*curves: list[float], width: int, height: int, marks: str | None, top: float = 1.0) -> list[str]:
    return plain(drawn([np.array(curve) for curve in curves], width=width, height=height, top=top, marks=marks))


def test_each_step_has_its_share_of_the_width() -> None:
    """Three steps on six columns are stairs of two columns each."""
    assert picture([1.0, 0.5, 0.0], width=6, height=3, marks="*") == ["**", "  **", "    **"]


def test_a_jump_is_a_vertical_line() -> None:
    """From 1 to 0 in one step: the column after the jump is filled, but for the row that the line comes from."""
    assert picture([1.0, 0.0], width=4, height=4, marks="*") == ["**", "  *", "  *", "  **"]


def test_a_jump_up_is_filled_as_well() -> None:
    """The mirror image of the jump down."""
    assert picture([0.0, 1.0], width=4, height=4, marks="*") == ["  **", "  *", "  *", "**"]


def test_one_step_is_a_level_line() -> None:
    """A training of one step has one rate for all of its width."""
    assert picture([0.5], width=5, height=3, marks="*") == ["", "*****", ""]


def test_a_column_shows_the_step_at_its_middle() -> None:
    """The second of three columns is cut in halves by two steps: the later one begins at its middle."""
    assert picture([1.0, 0.0], width=3, height=2, marks="*") == ["*", " **"]


def test_the_top_row_is_the_top_and_the_bottom_row_is_zero() -> None:
    """A peak rate of 0.2 is drawn where 1 would be, if that is the top."""
    assert picture([0.2, 0.1, 0.0], width=3, height=3, marks="*", top=0.2) == ["*", " *", "  *"]


def test_no_step_is_lost_where_a_column_has_many() -> None:
    """One step of a thousand is at 0; its column reaches from the top to the bottom."""
    rates = np.ones(1000)
    rates[520] = 0.0
    assert plain(drawn([rates], width=10, height=3, marks="*")) == ["**********", "     *", "     *"]


def test_curves_take_turns_where_they_meet() -> None:
    """Two that are the same alternate, so that neither hides the other."""
    assert picture([1.0], [1.0], width=4, height=2, marks="ab") == ["abab", ""]


def test_each_curve_keeps_its_letter() -> None:
    """Letters are by the place of the curve, not by the place on the canvas."""
    assert picture([0.0], [1.0], width=3, height=2, marks="ab") == ["bbb", "aaa"]


def test_braille_has_two_by_four_dots_in_a_cell() -> None:
    """A fall over eight columns of dots in one row of cells: ⠉ has its two upper dots, ⣀ its two lowest."""
    rates = [1.0, 1.0, 2 / 3, 2 / 3, 1 / 3, 1 / 3, 0.0, 0.0]
    assert picture(rates, width=4, height=1, marks=None) == ["⠉⠒⠤⣀"]


def test_braille_unites_the_dots_of_curves_that_share_a_cell() -> None:
    """The upper and the lower line together are four dots; the colour alternates between them."""
    rows = drawn([np.array([1.0]), np.array([0.0])], width=2, height=1)
    assert rows == [[Cell("⣉", 0), Cell("⣉", 1)]]


def test_an_empty_cell_belongs_to_no_curve() -> None:
    """What is not drawn has no colour either."""
    assert drawn([np.array([1.0])], width=1, height=2, marks="*") == [[Cell("*", 0)], [Cell(" ", None)]]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    st.integers(1, 30),
    st.integers(2, 12),
)
def test_a_curve_is_one_line_without_gaps(rates: list[float], columns: int, rows: int) -> None:
    """Every column has dots, in one run, and the runs of neighbours touch; all rates lie on the dots."""
    grid = dots(np.array(rates), columns=columns, rows=rows, top=1.0)
    runs = [np.flatnonzero(column) for column in grid.T]
    assert all(len(run) and run[-1] - run[0] + 1 == len(run) for run in runs)
    assert all(left[0] - 1 <= right[-1] and right[0] - 1 <= left[-1] for left, right in itertools.pairwise(runs))
    if len(rates) >= columns:
        highest = np.floor((1 - max(rates)) * (rows - 1) + 0.5)
        lowest = np.floor((1 - min(rates)) * (rows - 1) + 0.5)
        assert (min(run[0] for run in runs), max(run[-1] for run in runs)) == (highest, lowest)


@pytest.mark.parametrize(("steps", "columns"), [(1, 7), (5, 7), (7, 7), (8, 7), (1000, 7)])
def test_every_column_is_drawn_at_any_number_of_steps(steps: int, columns: int) -> None:
    """Fewer steps than columns, as many, one more, and many more."""
    assert dots(np.ones(steps), columns=columns, rows=2, top=1.0).tolist() == [[True] * columns, [False] * columns]


def test_nothing_is_drawn_where_a_curve_is_not_a_number() -> None:
    """Neither there nor as a jump to it: the curve ends, or begins, in the column beside it."""
    assert picture([1.0, np.nan, 0.0], width=3, height=3, marks="*") == ["*", "", "  *"]
    assert picture([np.nan, 1.0], width=2, height=3, marks="*") == [" *", "", ""]
