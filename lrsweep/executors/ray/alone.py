"""A time without any station, and what the user is told of it: each cause once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lrsweep.errors import LrsweepError
from lrsweep.executors.ray.post import Post
from lrsweep.executors.ray.share import Share

NOTICE_SECONDS = 30.0
"""Before anything is told."""


class Alone:
    def __init__(self) -> None:
        self._since = time.monotonic()
        self._told: set[str] = set()

    def end(self) -> None:
        """A station is there, or the time only begins."""
        self._since = time.monotonic()
        self._told.clear()

    def notice(self, cause: str) -> str | None:
        """What is to be told now."""
        if cause in self._told or time.monotonic() - self._since <= NOTICE_SECONDS:
            return None
        self._told.add(cause)
        return cause


def cause_of(posts: Sequence[Post], share: Share | None, refusal: LrsweepError | None) -> str:
    """``refusal``: the last one, where nodes are left alone for it now."""
    if any(post.is_placed for post in posts):
        return "the stations that the Ray cluster has placed have not answered yet; the trainings wait for them"
    if refusal is not None:
        return (
            "no station of the Ray cluster takes trainings, and nodes that could not be used are left alone for now; "
            f"the trainings wait. The last: {refusal}"
        )
    return f"no node of the Ray cluster has {share} to spare; the trainings wait for one"
