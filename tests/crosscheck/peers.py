"""The other libraries. They come with the extra ``peers``; where one is missing, what compares with it is skipped."""

from __future__ import annotations

from typing import Any

import pytest


def peer(name: str) -> Any:
    """A library, or a module in it. What asks for one that is missing skips; under CI, conftest.py lets it fail."""
    return pytest.importorskip(
        name, reason=f"{name.partition('.')[0]} is not installed; it comes with the extra 'peers'"
    )
