"""One station as the driver sees it: asked for, greeted, fitted, then asked again and again, and lost some day.

Ray starts the actor again after its process or its node has ended, where and as soon as there is room: a post outlives
its stations. It has one question out at a time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import ray

from lrsweep.executors.messages import Busy
from lrsweep.executors.ray.share import Share
from lrsweep.executors.ray.states import ActorState, state_of
from lrsweep.executors.ray.station import Station
from lrsweep.executors.ray.words import Asked, Hello, Posting, Told
from lrsweep.records import TrainingPlan

Question = Literal["hello", "describe", "measure", "fit", "exchange", "drain"]

NODE_ID = "ray.io/node-id"
"""A label that Ray gives each node."""
IDLE_SECONDS = 5.0
"""Between two questions to a station that has nothing to do."""
LOOK_SECONDS = 5.0
"""Between two questions to Ray about an actor that has not greeted. The first is as late: until then Ray may not have
noticed that the station before it has ended."""


@dataclass(eq=False)
class Post:
    handle: Any
    """of the actor"""
    hello: Hello | None = None
    """of the station that is there; None while there is none"""
    is_fitted: bool = False
    refusal: str | None = None
    """why it gets no plans"""
    deaths: int = 0
    """stations in a row that have ended before one took a plan"""
    shuns: frozenset[str] = frozenset()
    """ids of nodes on which Ray must not put it"""
    question: Question | None = None
    answer: Any = None
    """a reference to what will be the answer to ``question``"""
    asked_at: float = 0.0
    in_flight: list[str] = field(default_factory=list)
    """training ids in the order in which they were given"""
    plans: list[TrainingPlan] = field(default_factory=list)
    """of these, those that go with the next question"""
    stops: list[str] = field(default_factory=list)
    capacity: int = 0
    busy: Busy | None = None
    arrangement: str | None = None
    pids: tuple[int, ...] = ()
    looked_at: float = 0.0
    alive_since: float | None = None
    """since when Ray is known to have it alive while it has not greeted"""
    _is_seen: bool = False
    """whether Ray has placed it, as it was looked at last"""
    _restarts: int | None = None
    """as Ray counted them when it was looked at before"""
    _last_node_id: str | None = None

    @classmethod
    def asked_for(cls, posting: Posting, share: Share, shuns: frozenset[str] = frozenset()) -> Post:
        """Returns at once: Ray starts the actor as soon as a node has room for it, one of ``shuns`` excepted."""
        actor = ray.remote(Station).options(
            num_gpus=share.gpus,
            num_cpus=share.cpus,
            max_restarts=-1,
            max_task_retries=0,
            label_selector={NODE_ID: f"!in({','.join(sorted(shuns))})"} if shuns else None,
        )
        post = cls(actor.remote(posting), shuns=shuns)
        post.greet()
        return post

    @property
    def room(self) -> int:
        """How many more plans it takes now."""
        return self.capacity - len(self.in_flight)

    @property
    def has_to_be_asked(self) -> bool:
        if self.question is not None:
            return False
        has_any = bool(self.in_flight or self.plans or self.stops)
        return has_any or time.monotonic() - self.asked_at > IDLE_SECONDS  # else nobody hears that its node has gone

    @property
    def begun(self) -> list[str]:
        """Of what is in flight, what its station trains and has not in line behind that, as far as it has told."""
        waits = {plan.training_id for plan in self.plans}
        sent = [training_id for training_id in self.in_flight if training_id not in waits]
        return sent[: max(1, len(self.pids)) if self.busy is None else self.busy.slots]

    @property
    def silent_seconds(self) -> float:
        """Since an answer is due; 0 where none is, as from an actor that has no node yet."""
        since = self.alive_since if self.question == "hello" else self.asked_at
        return 0.0 if self.question is None or since is None else time.monotonic() - since

    @property
    def is_placed(self) -> bool:
        """Whether it has a node, as far as anybody has looked."""
        return self.hello is not None or self._is_seen

    @property
    def has_to_be_looked_at(self) -> bool:
        return self.question == "hello" and time.monotonic() - max(self.asked_at, self.looked_at) > LOOK_SECONDS

    def look(self) -> int:
        """What Ray says of an actor that has not greeted, which asks no station. Returns how many have ended since it
        was looked at before: ``hello`` is asked again without a word."""
        self.looked_at = time.monotonic()
        state = self._state()
        if state is None:
            return 0
        ended = 0 if self._restarts is None else state.restarts - self._restarts
        self._restarts, self._is_seen = state.restarts, state.is_placed
        if ended or not state.is_alive:
            self.alive_since = None
        if state.is_alive and self.alive_since is None:
            self.alive_since = self.looked_at
        return ended

    def _state(self) -> ActorState | None:
        state = state_of(self.handle)
        if state is not None and state.is_placed:
            self._last_node_id = state.node_id
        return state

    def greet(self) -> None:
        """It is asked again until it is there: while Ray starts the actor, questions else fail at once."""
        self._last_node_id = self.node_id if self.hello is not None else None
        self.hello, self.is_fitted, self.busy = None, False, None
        self.alive_since, self._restarts, self._is_seen = None, None, False
        self.ask("hello", self.handle.hello.options(max_task_retries=-1).remote())

    def ask(self, question: Question, answer: Any) -> None:
        self.question, self.answer, self.asked_at = question, answer, time.monotonic()

    def exchange(self, seconds: float) -> None:
        asked = Asked(tuple(self.plans), tuple(self.stops), seconds)
        self.plans.clear()
        self.stops.clear()
        self.ask("exchange", self.handle.exchange.remote(asked))

    def answered(self) -> Any:
        """The answer, which has come. Raises what came instead."""
        answer, self.question, self.answer = self.answer, None, None
        return ray.get(answer)

    def heard(self, told: Told) -> None:
        self.capacity, self.arrangement, self.pids = told.capacity, told.arrangement, tuple(told.pids)
        self.busy = told.busy

    def give(self, plan: TrainingPlan) -> None:
        """It goes with the next question."""
        self.in_flight.append(plan.training_id)
        self.plans.append(plan)

    def lose(self) -> None:
        """The station has ended. The next one is greeted as soon as Ray has started it."""
        self.forget()
        self.greet()

    def forget(self) -> None:
        """Nothing is in flight there any more."""
        for left in (self.in_flight, self.plans, self.stops):
            left.clear()

    @property
    def node_id(self) -> str | None:
        """Of the node where it is, or was when it ended; None where nobody knows it."""
        if self.hello is not None:
            return self.hello.node_id
        state = self._state()
        return self._last_node_id or (None if state is None else state.node_id)

    def end(self) -> None:
        """For ever."""
        ray.kill(self.handle)

    def start_again(self) -> None:
        """Of an actor that does not answer."""
        ray.kill(self.handle, no_restart=False)
