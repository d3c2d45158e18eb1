"""What comes from a post."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.executors.messages import Lost
from lrsweep.executors.ray.post import Post
from lrsweep.records import Record


@dataclass(frozen=True)
class Word:
    """What its station has told, or what it had when it ended."""

    post: Post
    messages: Sequence[Record | Lost] = ()
    lost: Sequence[str] = ()
    reason: str = ""
    """why it ended"""
    begun: Sequence[str] = ()
    """of ``lost``, what was not in line there"""


def taken(post: Post, reason: str) -> Word:
    """All that it had."""
    return Word(post, (), [*post.in_flight], reason, post.begun)


def lost(post: Post, reason: str) -> Word:
    """The same, and the next station is greeted."""
    word = taken(post, reason)
    post.lose()
    return word
