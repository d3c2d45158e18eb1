"""At how many seeds the finalists of a race are compared, by hand."""

from __future__ import annotations

import pytest

from lrsweep.study.budgets import MOST_LOOKS, looks, raced


@pytest.mark.parametrize(
    ("first", "most", "expected"),
    [
        (3, 2, (3,)),
        (3, 4, (3,)),
        (3, 5, (3, 5)),
        (3, 7, (3, 5, 7)),
        (3, 12, (3, 5, 8, 12)),
        (3, 18, (3, 5, 7, 12, 18)),
        (3, 300, (3, 9, 30, 95, 300)),
        (20, 30, (20, 30)),
    ],
)
def test_looks_lie_evenly_apart_as_factors_and_the_last_has_all(
    first: int, most: int, expected: tuple[int, ...]
) -> None:
    """At least half as many again from one to the next, and five at most."""
    assert looks(first, most) == expected
    assert len(expected) <= MOST_LOOKS


@pytest.mark.parametrize(
    ("trainings", "count", "seeds", "expected"),
    [
        (9, 3, 3, (3,)),
        (8, 2, 3, (4,)),
        (10, 2, 3, (3, 5)),
        (4, 2, 2, (2,)),
        (24, 6, 3, (3, 6)),
        (40, 4, 6, (6, 9, 14)),
        (30, 3, 10, (10,)),
    ],
)
def test_what_the_first_look_leaves_would_all_go_to_two(
    trainings: int, count: int, seeds: int, expected: tuple[int, ...]
) -> None:
    """Where that makes no second look, all have as many as the budget pays for."""
    assert raced(trainings, count, seeds) == expected
