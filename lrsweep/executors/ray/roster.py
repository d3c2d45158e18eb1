"""The stations of a cluster, as they come, get ready and go; plans and what becomes of them are the executor's.

One station more is asked for than there is room for, up to what the search can fill: it waits in Ray, costs nothing,
and begins when a node joins.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from lrsweep import __version__
from lrsweep.errors import LrsweepError, SettingsError, SweepFailed, TryAgain
from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Lost
from lrsweep.executors.place import Place
from lrsweep.executors.ray.answers import TICK_SECONDS, line_of, line_of_cause, wait
from lrsweep.executors.ray.connection import Connection, of_another_mode
from lrsweep.executors.ray.greeting import refusal_of, remarks
from lrsweep.executors.ray.marks import Mark
from lrsweep.executors.ray.post import Post, Question
from lrsweep.executors.ray.share import Share, device_in, share_of
from lrsweep.executors.ray.shunned import Shunned
from lrsweep.executors.ray.words import Fitted, Hello, Posting, Told
from lrsweep.records import Record, WorkloadSpec
from lrsweep.study import ResolvedStudy

EXCHANGE_SECONDS = 0.1
"""A station that hears nothing of its engines answers after so long: then plans reach it that came meanwhile."""
SILENT_SECONDS = 60.0
"""After which a station that does not answer is ended. Its own watchdog ends engines that make no step."""
FIT_SECONDS = 3600.0
"""The same where it loads or measures, and waits for its neighbours to do so."""
CLOSE_SECONDS = 15.0
NOTICE_SECONDS = 30.0
"""Without a station before the user is told what is waited for."""
MOST_BEFORE_FIT = 4
"""Stations, as long as nobody has said how many trainings there are at once."""
LOSSES_BEFORE_FIT = 3
"""Stations that end before one has answered: then it is no chance."""


@dataclass(frozen=True)
class Word:
    """From a post: what its station has told, or what it had when it ended."""

    post: Post
    messages: Sequence[Record | Lost] = ()
    lost: Sequence[str] = ()
    reason: str = ""
    """why it ended"""
    begun: Sequence[str] = ()
    """of ``lost``, what was not in line there"""


class Roster:
    """It is connected when it is first needed."""

    def __init__(self, place: Place, say: Callable[[str], None], silent_seconds: float) -> None:
        self._place = place
        self._option = place.executor
        self._say_always = say
        self._silent_seconds = silent_seconds
        self._said: set[str] = set()
        """each station may meet the same"""
        self._connection: Connection | None = None
        self._share: Share | None = None
        self._expected = 1
        """stations that the cluster had room for when it was found"""
        self._machines = 1
        """nodes among which these were"""
        self._mark = Mark(place.checkpoints)
        self._fitting: tuple[EngineOption, ResolvedStudy, Rest] | None = None
        self._fills: int | None = None
        """stations that the search can fill; None: nobody has said it"""
        self._lost_in_a_row = 0
        self._has_met_one = False
        """whether a station has ever answered"""
        self._shunned = Shunned()
        self._refusal: LrsweepError | None = None
        """the last one"""
        self._alone_since = 0.0
        self._is_told_alone = False
        self.prepared: WorkloadSpec | None = None
        """what stations load as they begin"""
        self.posts: list[Post] = []

    @property
    def is_connected(self) -> bool:
        return self._share is not None

    @property
    def greeted(self) -> list[Post]:
        return [post for post in self.posts if post.hello is not None and post.refusal is None]

    @property
    def ready(self) -> list[Post]:
        """Those that take plans."""
        return [post for post in self.greeted if self._fitting is None or post.is_fitted]

    @property
    def expected(self) -> int:
        """Stations that there are to be at once, as the cluster was when it was found."""
        return max(1, min(self._most, self._expected))

    @property
    def devices(self) -> int:
        """GPUs of the stations that take plans, where they have none their nodes; before ``fit`` of those that are
        expected."""
        gpus = 0.0 if self._share is None else self._share.gpus
        if self._fitting is None:
            stations, nodes = self.expected, min(self.expected, self._machines)
        else:
            hellos = [post.hello for post in self.ready if post.hello is not None]
            stations, nodes = len(hellos), len({hello.node_id for hello in hellos})
        return math.ceil(round(stations * gpus, 6)) if gpus else nodes

    @property
    def device(self) -> str | None:
        """The kind of a station's, and the models of it that there are."""
        return None if self._share is None else device_in(self._share, _nodes())

    # ── the cluster ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begins to connect, and returns at once."""
        if self._connection is None:
            self._connection = Connection(self._option, self._say)

    def connect(self, tick: Callable[[], None] = lambda: None) -> None:
        """Until the cluster is there and its first stations are asked for; ``tick`` may raise."""
        self.start()
        assert self._connection is not None
        self._connection.wait(tick)
        if self._share is None:
            nodes = _nodes()
            share = share_of(self._option, self._place.device, self.prepared, nodes)
            if self._connection.is_own and not share.fits(nodes):
                raise SettingsError(
                    f"{self._option.given_by} is {str(self._option)!r}: a station gets {share}, which this machine has "
                    "not. Ask for less by gpus= and cpus=."
                )
            self._share, self._expected = share, max(1, share.fits(nodes))
            self._machines = max(1, sum(share.fits([node]) > 0 for node in nodes))
            self._mark.make()
            self._alone_since = time.monotonic()
        self._grow()

    def close(self) -> None:
        """The stations end with their engines, and the connection, where it is ours."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            self._end_stations()
        except RayError as error:
            self._say(f"the Ray cluster did not hear that the sweep has ended: {line_of(error)}")
        self.posts, self._share = [], None
        self._shunned, self._refusal = Shunned(), None
        self._mark.remove()
        connection.close()

    def _end_stations(self) -> None:
        """Each is asked to end its engines and wait for them; what does not answer is ended with its actor."""
        ending = [post.handle.close.remote() for post in self.posts if post.hello is not None]
        if ending:
            ray.wait(ending, num_returns=len(ending), timeout=CLOSE_SECONDS)
        for post in self.posts:
            post.end()

    # ── stations ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def fit(self, asked: EngineOption, study: ResolvedStudy, rest: Rest, tick: Callable[[], None]) -> None:
        """Each station by itself; it is done when the first takes plans, and the others follow as they are ready."""
        self.connect(tick)
        self._fills = max(1, rest.at_once)
        many = self.expected
        each = replace(rest, steps=rest.steps / many, at_once=math.ceil(rest.at_once / many))
        self._fitting = asked, study, each
        for post in self.posts:
            post.is_fitted = False
        self._until(lambda: bool(self.ready), tick)

    def ask_one(self, question: Question, given: tuple[Any, ...], tick: Callable[[], None]) -> Any:
        """Another station is asked where one ends over it; where that goes on and on, it is no chance."""
        self.connect(tick)
        while True:
            self._until(lambda: any(post.question is None for post in self.greeted), tick)
            post = next(post for post in self.greeted if post.question is None)
            answer = getattr(post.handle, question).remote(*given)
            post.ask(question, answer)
            while post.answer is answer and not wait([answer], 0.0):
                tick()
                self.turn(TICK_SECONDS)
            if post.answer is not answer:  # it was silent for too long
                continue
            try:
                found = post.answered()
            except RayTaskError as error:
                if isinstance(error.cause, LrsweepError):
                    raise error.cause from None
                raise SweepFailed(f"a station of the Ray cluster failed:\n{error}") from None
            except RayError as error:
                post.lose()
                self._count_loss(line_of(error))
                continue
            self._lost_in_a_row = 0
            return found

    def turn(self, seconds: float) -> list[Word]:
        """Asks whom there is to ask, and hears who answers within that time."""
        assert self._connection is not None
        self._connection.check()
        self._notice()
        self._grow()
        for post in self.greeted:
            if self._fitting is not None and not post.is_fitted and post.question is None:
                post.ask("fit", post.handle.fit.remote(*self._fitting))
        for post in self.ready:
            if post.has_to_be_asked:
                post.exchange(EXCHANGE_SECONDS)
        asked = {post.answer: post for post in self.posts if post.question in ("hello", "fit", "exchange")}
        words = [self.hear(asked[answer]) for answer in wait(list(asked), seconds)]
        for post in self.posts:
            patience = self._silent_seconds if post.question == "exchange" else FIT_SECONDS
            if post.silent_seconds > patience:
                post.start_again()
                words.append(_lost(post, f"its station said nothing for {patience:.0f} s and was ended"))
        return words

    def hear(self, post: Post) -> Word:
        """The answer that has come."""
        question = post.question
        try:
            answer = post.answered()
        except RayTaskError as error:  # the station lives, and has said so
            if question in ("hello", "fit"):
                return self._dismissed(post, line_of_cause(error), error.cause)
            self._say(f"{self._named(post)} failed, and begins anew: {line_of_cause(error)}")
            return _lost(post, f"its station failed: {line_of_cause(error)}")
        except RayError as error:
            if isinstance(error, RayActorError) and error.actor_init_failed:
                return self._dismissed(post, line_of_cause(error), error)
            if question in ("hello", "fit"):
                self._count_loss(line_of(error))
            return _lost(post, f"its station ended: {line_of(error)}")
        match answer:
            case Hello():
                self.greet(post, answer)
                if post.refusal is not None:
                    self._leave(post, SettingsError(post.refusal))
                return Word(post)
            case Fitted(told, refusal):
                post.is_fitted, post.refusal = True, refusal
                self._lost_in_a_row = 0
                if refusal is not None:
                    self._say(refusal)
                    self._leave(post, SettingsError(refusal))
            case _:
                told = pickle.loads(answer)  # noqa: S301 (from our own station)
        assert isinstance(told, Told)
        post.heard(told)
        for text in told.said:
            self._say(text)
        return Word(post, told.messages)

    def _until(self, is_enough: Callable[[], bool], tick: Callable[[], None]) -> None:
        """Lets stations come and be fitted, until it is enough; ``tick`` may raise."""
        while not is_enough():
            tick()
            self.turn(TICK_SECONDS)
            if self._refusal is not None and not self.greeted and not self._has_hope():
                raise type(self._refusal)(f"no node of the Ray cluster can be used: {self._refusal}")

    def _notice(self) -> None:
        """Says once per such time that nothing is trained because no station is there."""
        now = time.monotonic()
        if self.greeted:
            self._alone_since, self._is_told_alone = now, False
        elif not self._is_told_alone and now - self._alone_since > NOTICE_SECONDS:
            self._is_told_alone = True
            self._say_always(f"no node of the Ray cluster has {self._share} to spare; the trainings wait for one")

    # ── those that cannot be used ────────────────────────────────────────────────────────────────────────────────────

    def _dismissed(self, post: Post, reason: str, cause: BaseException | None) -> Word:
        """None could be made or fitted there."""
        at = self._named(post)
        text = (
            f"{at} cannot be used: {reason}. Where that is not told of your workload, install the same lrsweep "
            f"({__version__}) on all nodes; it is tried again later."
        )
        self._say(text)
        word = _taken(post, f"its station could not be used: {reason}")
        self._leave(post, SettingsError(text) if isinstance(cause, SettingsError) else TryAgain(text))
        return word

    def _leave(self, post: Post, refusal: LrsweepError) -> None:
        """Another one is asked for elsewhere: an actor that stayed would hold a share of a node and its engines, and
        Ray would start it again on the next good node."""
        self._refusal = refusal
        self._shunned.shun(post.node_id)
        self.posts.remove(post)
        post.end()

    def _has_hope(self) -> bool:
        """Whether there is a node for which nothing has been refused yet."""
        assert self._share is not None
        if self._shunned.are_all:
            return False
        shunned = self._shunned.nodes
        return bool(self._share.fits(node["Resources"] for node in _alive() if node["NodeID"] not in shunned))

    def _named(self, post: Post) -> str:
        if post.hello is not None:
            return f"node {post.hello.node}"
        node_id = post.node_id
        found = [str(node["NodeManagerHostname"]) for node in _alive() if node["NodeID"] == node_id]
        return f"node {found[0]}" if found else "a node"

    @property
    def _most(self) -> int:
        most = MOST_BEFORE_FIT if self._fills is None else self._fills
        return most if self._option.stations is None else min(most, self._option.stations)

    def _grow(self) -> None:
        assert self._share is not None
        assert self._connection is not None
        if self._shunned.are_all:
            return
        shunned = self._shunned.nodes
        for post in [post for post in self.posts if post.hello is None and post.shuns - shunned]:
            self.posts.remove(post)  # asked for anew, as one that may begin where it may again
            post.end()
        used = self.posts
        coming = sum(post.hello is None for post in used)
        most = min(self._most, self._expected) if self._connection.is_own else self._most  # there nothing joins
        while len(used) < most and coming < max(1, self._expected - (len(used) - coming)):
            used.append(Post.asked_for(self._posting, self._share, shunned))
            coming += 1

    @property
    def _posting(self) -> Posting:
        assert self._share is not None
        return Posting(
            device=self._share.device(self._place.device),
            cores=self._share.cores,
            folder=str(Path.cwd()),
            data=None if self._place.data is None else str(self._place.data),
            checkpoints=self._mark.path,
            workload=self.prepared,
        )

    def greet(self, post: Post, hello: Hello) -> None:
        self._has_met_one = True
        post.hello, post.capacity, post.refusal = hello, hello.capacity, refusal_of(hello)
        for text in [*remarks(hello, self._mark.folder)] if post.refusal is None else [post.refusal]:
            self._say(text)

    def _count_loss(self, reason: str) -> None:
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= LOSSES_BEFORE_FIT and not self.ready:
            raise TryAgain(
                f"{self._lost_in_a_row} stations in a row ended before one took a plan. The last: {reason.rstrip('.')}."
                f"{'' if self._has_met_one else of_another_mode()}"
            )

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say_always(text)


def _alive() -> list[Mapping[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _nodes() -> list[Mapping[str, float]]:
    """What each has in all."""
    return [node["Resources"] for node in _alive()]


def _taken(post: Post, reason: str) -> Word:
    """All that it had."""
    return Word(post, (), [*post.in_flight], reason, post.begun)


def _lost(post: Post, reason: str) -> Word:
    word = _taken(post, reason)
    post.lose()
    return word
