"""How many of what, in words. Without imports: also commands that have to start fast say it."""

from __future__ import annotations


def counted(count: float, noun: str) -> str:
    """
    >>> counted(1, "seed"), counted(1200, "training")
    ('1 seed', '1,200 trainings')
    """
    shown = f"{count:,.0f}"
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"
