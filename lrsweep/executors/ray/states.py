"""What Ray says of its nodes and of an actor, whether or not that answers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray


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
    """None where Ray does not know it; a question to the head of the cluster."""
    with suppress(Exception):  # Ray has no other way to it than this one of its own
        from ray._private.state import actors

        found = actors(handle._ray_actor_id.hex())
        state = found["State"]
        is_placed = state in ("ALIVE", "DEAD") or (state == "PENDING_CREATION" and found["Pid"] > 0)
        return ActorState(
            found["Address"]["NodeID"] or None, is_placed, state == "ALIVE", restarts=int(found["NumRestarts"])
        )
    return None


def alive_nodes() -> list[Mapping[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def resources() -> list[Mapping[str, float]]:
    """What each node has in all."""
    return [node["Resources"] for node in alive_nodes()]


def name_of(node_id: str | None) -> str:
    found = [str(node["NodeManagerHostname"]) for node in alive_nodes() if node["NodeID"] == node_id]
    return f"node {found[0]}" if found else "a node"
