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
from ray.exceptions import RayError, RayTaskError

from lrsweep import __version__
from lrsweep.engines.versions import versions
from lrsweep.errors import LrsweepError, SettingsError, SweepFailed, TryAgain
from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Lost
from lrsweep.executors.place import Place
from lrsweep.executors.ray.connection import Connection
from lrsweep.executors.ray.marks import Mark
from lrsweep.executors.ray.post import Post, Question
from lrsweep.executors.ray.share import Share, share_of
from lrsweep.executors.ray.words import Fitted, Hello, Posting, Told
from lrsweep.records import Record, WorkloadSpec
from lrsweep.study import ResolvedStudy

EXCHANGE_SECONDS = 0.1
"""A station that hears nothing of its engines answers after so long: then plans reach it that came meanwhile."""
SILENT_SECONDS = 60.0
"""After which a station that does not answer is ended. Its own watchdog ends engines that make no step."""
FIT_SECONDS = 3600.0
"""The same where it loads or measures, and waits for its neighbours to do so."""
TICK_SECONDS = 0.1
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
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
            share = share_of(self._option, self._place.device, self.prepared, nodes)
            if self._connection.is_own and not share.fits(nodes):
                raise SettingsError(
                    f"{self._option.given_by} is {str(self._option)!r}: a station gets {share}, which this machine has "
                    "not. Ask for less by gpus= and cpus=."
                )
            self._share, self._expected = share, max(1, share.fits(nodes))
            self._machines = max(1, sum(share.fits([node]) > 0 for node in nodes))
            self._mark.make()
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
            while post.answer is answer and not _wait([answer], 0.0):
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
        self._grow()
        for post in self.greeted:
            if self._fitting is not None and not post.is_fitted and post.question is None:
                post.ask("fit", post.handle.fit.remote(*self._fitting))
        for post in self.ready:
            if post.has_to_be_asked:
                post.exchange(EXCHANGE_SECONDS)
        asked = {post.answer: post for post in self.posts if post.question in ("hello", "fit", "exchange")}
        words = [self.hear(asked[answer]) for answer in _wait(list(asked), seconds)]
        for post in self.posts:
            patience = self._silent_seconds if post.question == "exchange" else FIT_SECONDS
            if post.silent_seconds > patience:
                post.start_again()
                words.append(
                    Word(post, (), post.lose(), f"its station said nothing for {patience:.0f} s and was ended")
                )
        return words

    def hear(self, post: Post) -> Word:
        """The answer that has come."""
        question = post.question
        try:
            answer = post.answered()
        except RayError as error:
            lost = post.lose()
            if question in ("hello", "fit"):
                self._count_loss(line_of(error))
            return Word(post, (), lost, f"its station ended: {line_of(error)}")
        match answer:
            case Hello():
                self.greet(post, answer)
                return Word(post)
            case Fitted(told, refusal):
                post.is_fitted, post.refusal = True, refusal
                self._lost_in_a_row = 0
                if refusal is not None:
                    self._say(refusal)
            case _:
                told = pickle.loads(answer)  # noqa: S301 (from our own station)
        assert isinstance(told, Told)
        post.heard(told)
        for text in told.said:
            self._say(text)
        return Word(post, told.messages)

    def _until(self, is_enough: Callable[[], bool], tick: Callable[[], None]) -> None:
        """Lets stations come and be fitted, until it is enough; ``tick`` may raise."""
        began, is_told = time.monotonic(), False
        while not is_enough():
            tick()
            self.turn(TICK_SECONDS)
            refused = [post.refusal for post in self.posts if post.refusal is not None]
            if len(refused) >= self._expected and not self.greeted:
                raise SettingsError(f"no node of the Ray cluster can be used: {refused[-1]}")
            if not is_told and not self.greeted and time.monotonic() - began > NOTICE_SECONDS:
                is_told = True
                self._say(f"no node of the Ray cluster has {self._share} to spare; the trainings wait for one")

    @property
    def _most(self) -> int:
        most = MOST_BEFORE_FIT if self._fills is None else self._fills
        return most if self._option.stations is None else min(most, self._option.stations)

    def _grow(self) -> None:
        assert self._share is not None
        assert self._connection is not None
        used = [post for post in self.posts if post.refusal is None]
        coming = sum(post.hello is None for post in used)
        most = min(self._most, self._expected) if self._connection.is_own else self._most  # there nothing joins
        while len(used) < most and coming < max(1, self._expected - (len(used) - coming)):
            used.append(Post.asked_for(self._posting, self._share))
            self.posts.append(used[-1])
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
        post.hello, post.capacity = hello, hello.capacity
        if hello.lrsweep != __version__:
            post.refusal = (
                f"node {hello.node} has lrsweep {hello.lrsweep}, and this is {__version__}; install the same on all "
                "nodes."
            )
            self._say(post.refusal)
            return
        if (other := unlike(hello, versions())) is not None:
            self._say(other)
        if not hello.sees_folder:
            self._say(
                f"node {hello.node} does not see {Path.cwd()}: scripts and files of your own are not found there. Use "
                "a folder that all nodes share, or submit the command as a Ray job with its working folder."
            )
        if not hello.sees_checkpoints:
            self._say(
                f"node {hello.node} does not see the folder of checkpoints {self._mark.folder}: a training that is "
                "lost there starts again from its first step. Set LRSWEEP_CHECKPOINTS to a folder that all nodes "
                "share, or to a URL such as s3://bucket/folder."
            )

    def _count_loss(self, reason: str) -> None:
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= LOSSES_BEFORE_FIT and not self.ready:
            raise TryAgain(f"{self._lost_in_a_row} stations in a row ended before one took a plan. The last: {reason}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say_always(text)


def unlike(hello: Hello, here: Mapping[str, str]) -> str | None:
    """What is to be said where a node computes with other libraries."""
    there = {"python": hello.python, "torch": hello.torch}
    other = [
        f"{name} {there[name]} (here {here[name]})" for name in there if name in here and there[name] != here[name]
    ]
    if not other:
        return None
    return f"node {hello.node} has {' and '.join(other)}: the last bits of what is trained there may differ"


def _wait(answers: list[Any], seconds: float) -> list[Any]:
    """Those that are there, as soon as one is."""
    if not answers:
        time.sleep(seconds)
        return []
    if not ray.wait(answers, num_returns=1, timeout=seconds)[0]:
        return []
    ready: list[Any] = ray.wait(answers, num_returns=len(answers), timeout=0)[0]
    return ready


def wait_for(answers: list[Any]) -> list[Any]:
    """Those that are there, within a moment."""
    return _wait(answers, TICK_SECONDS)


def line_of(error: BaseException) -> str:
    """The first line that says anything."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
