"""Engines on all nodes of a Ray cluster that a sweep can use, as one executor.

    submit ──> the post with most room ──> its next exchange ──> records ──> poll
                  └── its station ends ──> Lost for all that it had; Ray starts another

A station is asked again only after the driver has taken what it told before: a slow driver makes the engines wait, and
nothing piles up between them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption, as_option
from lrsweep.executors.local import DRAIN_SECONDS
from lrsweep.executors.messages import Busy, Lost, Measured
from lrsweep.executors.place import Place
from lrsweep.executors.ray.answers import wait_for
from lrsweep.executors.ray.heard import Word
from lrsweep.executors.ray.losses import Losses
from lrsweep.executors.ray.post import Post
from lrsweep.executors.ray.roster import SILENT_SECONDS, Roster
from lrsweep.executors.ray.share import check_device
from lrsweep.executors.ray.words import Hello
from lrsweep.records import Crew, Outcome, Record, Status, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.study import ResolvedStudy


class RayExecutor:
    """It is connected when it is first needed, and again after it was closed."""

    def __init__(
        self, place: Place, say: Callable[[str], None] = lambda _: None, *, silent_seconds: float = SILENT_SECONDS
    ) -> None:
        """Raises SettingsError where the device does not go with a cluster."""
        check_device(place.device)
        self._roster = Roster(place, say, silent_seconds)
        self._waiting: list[TrainingPlan] = []
        """plans without a station"""
        self._suspects: dict[str, Post] = {}
        """trainings whose engine has ended, with the post whose station knows which they are"""
        self._losses = Losses()
        self._ended: list[Record] = []
        """trainings that were stopped before they had a station"""
        self._runs_scripts = False

    # ── how it stands ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def free(self) -> int:
        """How many more plans it takes now."""
        return sum(post.capacity for post in self._roster.ready) - len(self.in_flight)

    @property
    def in_flight(self) -> Sequence[str]:
        """Training ids, those of each station in the order in which it got them."""
        placed = [training_id for post in self._roster.posts for training_id in post.in_flight]
        return (*placed, *(plan.training_id for plan in self._waiting))

    @property
    def busy(self) -> Busy | None:
        """Of all stations together, of which some have made more steps than others."""
        found = [post.busy for post in self._roster.ready if post.busy is not None]
        slots = sum(each.slots for each in found)
        if not slots:
            return None
        places = sum(each.slots * each.steps for each in found)
        return Busy(slots, max(1, round(places / slots)), sum(each.slot_steps for each in found))

    @property
    def arrangement(self) -> str:
        """Of the stations that there are; nodes that differ may train in different ways."""
        found = sorted({post.arrangement for post in self._roster.ready if post.arrangement is not None})
        return ", ".join(found) or as_option(Crew())

    @property
    def device_count(self) -> int:
        """Of the stations that take plans: one that is gone, or waits for a node, is charged to nobody. Before ``fit``
        of those that the cluster has room for."""
        return self._roster.devices

    @property
    def far_device(self) -> str | None:
        """Of stations, by what Ray says of the nodes that can hold one; None before it is connected."""
        return self._roster.device

    @property
    def pace_factor(self) -> int:
        """Stations that the cluster has room for now."""
        return self._roster.expected

    @property
    def stations(self) -> Sequence[Hello]:
        """Those that take plans, as they have said what they are."""
        return [post.hello for post in self._roster.ready if post.hello is not None]

    @property
    def pids(self) -> Sequence[int]:
        """Of the engines' processes, each on its node."""
        return [pid for post in self._roster.ready for pid in post.pids]

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, workload: WorkloadSpec | None = None) -> None:
        """Begins to connect, and returns at once."""
        if workload is not None:
            self._fit(workload)
        self._roster.start()

    def describe(self, workload: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        """What the workload says of itself, on the first node that answers."""
        self._fit(workload)
        facts = self._roster.ask_one("describe", (workload,), tick)
        assert isinstance(facts, WorkloadFacts)
        return facts

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None] = lambda: None
    ) -> list[Measured]:
        """On one station: how many of them there will be nobody knows."""
        assert not self.in_flight, "a crew is measured when nothing is in flight"
        self._fit(plans[0].workload)
        measured: list[Measured] = self._roster.ask_one("measure", (crew, tuple(plans), seconds), tick)
        return measured

    def fit(
        self, asked: EngineOption, study: ResolvedStudy, rest: Rest, *, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Each node measures for itself; it is done when the first station takes plans, and the others follow."""
        assert not self.in_flight, "a crew takes over when nothing is in flight"
        self._fit(study.workload)
        self._roster.fit(asked, study, rest, tick)

    def _fit(self, workload: WorkloadSpec) -> None:
        self._runs_scripts = workload.name == COMMAND
        self._roster.prepared = workload

    # ── trainings ────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, plan: TrainingPlan) -> None:
        """Takes the plan; it goes with what its station is asked next."""
        self._fit(plan.workload)
        self._waiting.append(plan)
        self._place()

    def stop(self, training_id: str) -> None:
        """The training is to end as ``stopped``, running or waiting. Others are not known."""
        for plan in [plan for plan in self._waiting if plan.training_id == training_id]:
            self._waiting.remove(plan)
            self._ended.append(Record.empty(plan, "none", Outcome(Status.STOPPED, 0, 0.0, {})))
        for post in self._roster.posts:
            if training_id in post.in_flight:
                post.stops.append(training_id)

    def poll(self, seconds: float) -> list[Record | Lost]:
        """What has come within that time: all that is there, or nothing."""
        self._roster.connect()
        messages: list[Record | Lost] = [*self._ended]
        self._ended.clear()
        until = time.monotonic() + seconds
        while True:
            self._place()
            for word in self._roster.turn(0.0 if messages else max(0.0, until - time.monotonic())):
                messages += self._noted(word)
            if messages or time.monotonic() >= until:
                return messages

    def _place(self) -> None:
        """A suspect goes back to the station that knows it for one, and trains it with nothing beside it."""
        ready = self._roster.ready
        waiting, self._waiting = self._waiting, []
        for plan in waiting:
            known = self._suspects.get(plan.training_id)
            free = max(ready, key=lambda post: post.room, default=None)
            if known is not None and known in ready:
                known.give(plan)
            elif free is not None and free.room > 0:
                free.give(plan)
            else:
                self._waiting.append(plan)

    def _noted(self, word: Word) -> Sequence[Record | Lost]:
        if word.reason:
            self._suspects = {training: post for training, post in self._suspects.items() if post is not word.post}
            return self._losses.lose(word.lost, word.reason, word.lost if self._runs_scripts else word.begun)
        for message in word.messages:
            if isinstance(message, Record):
                self._losses.heard(message)
                if message.outcome is None:
                    continue
                self._suspects.pop(message.training_id, None)
            elif message.was_running:
                self._suspects[message.training_id] = word.post
            with suppress(ValueError):
                word.post.in_flight.remove(message.training_id)
        return word.messages

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        """Lets all trainings save what they have and give way; comes back with what they said by then, in order.

        A station answers first what it was asked before; one that does not answer is left to ``close``.
        """
        said: list[Record | Lost] = [*self._ended]
        self._ended.clear()
        asked = [post for post in self._roster.ready if post.in_flight]
        answers: list[tuple[Any, Post]] = [(post.answer, post) for post in asked if post.question == "exchange"]
        answers += [(post.handle.drain.remote(), post) for post in asked]
        until = math.inf if self._runs_scripts else time.monotonic() + 2 * DRAIN_SECONDS
        while answers and time.monotonic() < until:
            tick()
            ready = wait_for([answer for answer, _ in answers])
            for answer, post in [each for each in answers if each[0] in ready]:
                post.ask("drain", answer)
                said += self._roster.hear(post).messages
            answers = [each for each in answers if each[0] not in ready]
        for post in self._roster.posts:
            post.forget()
        self._waiting.clear()
        return said

    def close(self) -> None:
        """Ends all engines at once; what was in flight is lost, and it is for the driver to queue it again."""
        self._roster.close()
        self._waiting.clear()
        self._ended.clear()
        self._suspects.clear()
