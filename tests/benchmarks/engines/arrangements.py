"""The ways to train a list of trainings that are compared: which loop, in how many processes and threads, how many at
once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Way(StrEnum):
    """Which code trains. The first six train one after the other, the others many at once."""

    DATALOADER = "DataLoader, .item()"
    FOR_LOOP = "torch for-loop"
    FOREACH = "torch foreach"
    TORCH_FUSED = "torch fused"
    GRAPH = "CUDA graph, reset in place"
    ENGINE = "lrsweep sequential"
    ENGINE_GRAPHS = "lrsweep graphs"
    FUSED = "fused"
    COMPILED = "fused compiled"
    CAPTURED = "fused, one CUDA graph"
    BRANCHES = "branches of a CUDA graph"


@dataclass(frozen=True)
class Arrangement:
    way: Way
    processes: int = 1
    threads: int = 1
    """of each process"""
    slots: int | None = None
    """trainings at once in each process; None: one after the other"""

    @property
    def name(self) -> str:
        """
        >>> Arrangement(Way.FUSED, processes=2, slots=16).name, Arrangement(Way.FOREACH, threads=2).name
        ('fused/16, 2 processes', 'torch foreach, 2 threads')
        """
        many = [f"{self.processes} processes"] * (self.processes > 1) + [f"{self.threads} threads"] * (self.threads > 1)
        return ", ".join([f"{self.way}/{self.slots}" if self.slots else str(self.way), *many])

    @property
    def kind(self) -> Arrangement:
        """The same with no number of slots: one line of the picture."""
        return replace(self, slots=None)


BASELINES = {
    "eager": (Way.FOR_LOOP, Way.FOREACH, Way.TORCH_FUSED),
    "graph": (Way.GRAPH,),
    "dataloader": (Way.DATALOADER,),
}
"""What a goal is a multiple of, beside the fastest of all: one process, with data on the device, with the update as one
graph, and with a look at every loss."""

LARGEST_BRANCHES = 32
"""Each branch is recorded by itself, and its kernels are launched by themselves."""


def of_baseline(name: str, arrangements: Iterable[Arrangement]) -> list[Arrangement]:
    return [each for each in arrangements if each.way in BASELINES[name] and each.processes == 1]


def one_after_the_other(device: str, cores: int) -> list[Arrangement]:
    """The whole ladder: the fastest of these is what ``fused`` has to beat."""
    loops = (Way.FOR_LOOP, Way.FOREACH, Way.TORCH_FUSED)
    if device == "cuda":
        several = (Way.TORCH_FUSED, Way.GRAPH, Way.ENGINE, Way.ENGINE_GRAPHS)
        single = [*loops, Way.GRAPH, Way.DATALOADER, Way.ENGINE, Way.ENGINE_GRAPHS]
        return [*map(Arrangement, single), *(Arrangement(way, processes=2) for way in several)]
    return _within(
        cores,
        [
            Arrangement(Way.DATALOADER),
            *(arrangement for way in loops for arrangement in _one_and_two(way)),
            Arrangement(Way.ENGINE),
            Arrangement(Way.ENGINE, processes=2),
        ],
    )


def side_by_side(
    device: str, cores: int, slots: Sequence[int], *, compiled_from: int = 1, compiled_with_threads: bool = True
) -> list[Arrangement]:
    """On a CPU ``compiled_from`` slots on there are compiled ones too: each takes half a minute before it trains."""
    found: list[Arrangement] = []
    for count in slots:
        if device == "cuda":
            found += [Arrangement(way, slots=count) for way in (Way.FUSED, Way.COMPILED, Way.CAPTURED)]
            found += [Arrangement(way, processes=2, slots=count) for way in (Way.FUSED, Way.COMPILED)]
            if count <= LARGEST_BRANCHES:
                found.append(Arrangement(Way.BRANCHES, slots=count))
        else:
            compiled = [each for each in _one_and_two(Way.COMPILED) if compiled_with_threads or each.threads == 1]
            ways = [*_one_and_two(Way.FUSED), *(compiled if count >= compiled_from else [])]
            found += [replace(each, slots=count) for each in ways]
    return found if device == "cuda" else _within(cores, found)


def _one_and_two(way: Way) -> Iterable[Arrangement]:
    return Arrangement(way), Arrangement(way, threads=2), Arrangement(way, processes=2)


def _within(cores: int, arrangements: Iterable[Arrangement]) -> list[Arrangement]:
    """More threads than cores would only wait for each other."""
    return [each for each in arrangements if each.processes * each.threads <= cores]
