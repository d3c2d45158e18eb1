"""What a driver makes of what a station says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep import __version__
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.place import Place
from lrsweep.executors.ray.greeting import unlike
from lrsweep.executors.ray.post import Post
from lrsweep.executors.ray.roster import Roster
from lrsweep.executors.ray.words import Hello
from tests.clusters import HELLO


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (HELLO, []),
        (
            replace(HELLO, lrsweep="9.9"),
            [f"node node-7 has lrsweep 9.9, and this is {__version__}; install the same on"],
        ),
        (replace(HELLO, sees_folder=False), [f"node node-7 does not see {Path.cwd()}: scripts and files of your own"]),
        (
            replace(HELLO, sees_checkpoints=False),
            ["node node-7 does not see the folder of checkpoints /shared/there: "],
        ),
    ],
)
def test_what_a_node_lacks_is_told_once(hello: Hello, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release is the only thing that keeps a node from being used."""
    monkeypatch.setattr("lrsweep.executors.ray.greeting.unlike", lambda *_: None)
    said: list[str] = []
    roster = Roster(Place("cpu", ExecutorOption("ray"), checkpoints="/shared/there"), said.append, 60.0)
    for _ in range(2):
        post = Post(handle=None)
        roster.greet(post, hello)
        roster.posts.append(post)
    assert [text[: len(start)] for text, start in zip(said, told, strict=True)] == told
    assert len(roster.ready) == (0 if hello.lrsweep != __version__ else 2)


def test_other_libraries_on_a_node_are_named() -> None:
    """What is not known here is not compared."""
    assert unlike(HELLO, {"python": "3.12.1", "torch": "2.15.0"}) is None
    assert unlike(HELLO, {"python": "3.12.1"}) is None
    assert unlike(HELLO, {"python": "3.11.7", "torch": "2.14.0"}) == (
        "node node-7 has python 3.12.1 (here 3.11.7) and torch 2.15.0 (here 2.14.0): the last bits of what is trained "
        "there may differ"
    )
