"""What Ray says of its nodes and of an actor, whether or not that answers; None where the head says nothing.

A head that has gone would hold whoever asks it until Ray ends the process, a minute later and not in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import ray

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""One that lives answers in milliseconds."""
_is_asked = threading.Lock()
"""while a question is out: others would wait as long"""


@dataclass(frozen=True)
class ActorState:
    node_id: str | None
    """where it is not placed: the node that it was on, or the one that was asked for room"""
    is_placed: bool
    """it is there, as a process at least; or it was, and is not started again"""
    is_alive: bool
    """it has been made: what it does not answer now it does not answer by itself"""
    restarts: int


def state_of(handle: Any) -> ActorState | None:
    """None also where Ray does not know it."""

    def state() -> ActorState:
        from ray._private.state import actors  # Ray has no other way to it than this one of its own

        found = actors(handle._ray_actor_id.hex())
        state = found["State"]
        is_placed = state in ("ALIVE", "DEAD") or (state == "PENDING_CREATION" and found["Pid"] > 0)
        return ActorState(
            found["Address"]["NodeID"] or None, is_placed, state == "ALIVE", restarts=int(found["NumRestarts"])
        )

    return _asked(state)


def alive_nodes() -> list[Mapping[str, Any]] | None:
    nodes: Callable[[], list[Mapping[str, Any]]] = ray.nodes
    return _asked(lambda: [node for node in nodes() if node["Alive"]])


def resources() -> list[Mapping[str, float]] | None:
    """What each node has in all."""
    nodes = alive_nodes()
    return None if nodes is None else [node["Resources"] for node in nodes]


def _asked(question: Callable[[], T]) -> T | None:
    if not _is_asked.acquire(blocking=False):
        return None
    answers: list[T] = []

    def ask() -> None:
        try:
            with suppress(Exception):
                answers.append(question())
        finally:
            _is_asked.release()

    asking = threading.Thread(target=ask, name="ray head", daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return answers[0] if answers else None


def name_of(node_id: str | None) -> str:
    found = [str(node["NodeManagerHostname"]) for node in alive_nodes() or () if node["NodeID"] == node_id]
    return f"node {found[0]}" if found else "a node"
