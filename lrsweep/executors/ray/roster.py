"""The stations of a cluster, as they come, get ready and go; plans and what becomes of them are the executor's.

One station more is asked for than there is room for, up to what the search can fill: it waits in Ray, costs nothing,
and begins when a node joins.
"""

from __future__ import annotations

import math
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from lrsweep import __version__
from lrsweep.errors import LrsweepError, SettingsError, SweepFailed, TryAgain
from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.place import Place
from lrsweep.executors.ray.alone import Alone, cause_of
from lrsweep.executors.ray.answers import TICK_SECONDS, line_of, line_of_cause, wait
from lrsweep.executors.ray.connection import Connection, of_another_mode
from lrsweep.executors.ray.greeting import refusal_of, remarks
from lrsweep.executors.ray.heard import Word, lost, taken
from lrsweep.executors.ray.marks import Mark
from lrsweep.executors.ray.post import Post, Question
from lrsweep.executors.ray.share import Share, device_in, share_of
from lrsweep.executors.ray.shunned import Shunned
from lrsweep.executors.ray.states import alive_nodes, name_of, resources
from lrsweep.executors.ray.words import Fitted, Hello, Posting, Told
from lrsweep.records import WorkloadSpec
from lrsweep.study import ResolvedStudy

EXCHANGE_SECONDS = 0.1
"""A station that hears nothing of its engines answers after so long: then plans reach it that came meanwhile."""
SILENT_SECONDS = 60.0
"""After which a station that does not answer is ended. Its own watchdog ends engines that make no step. A first answer
is waited for as long once Ray has made the actor."""
FIT_SECONDS = 3600.0
"""The same where it loads or measures, and waits for its neighbours to do so."""
CLOSE_SECONDS = 15.0
AWAY_SECONDS = 3.0
"""The same where the head is away: Ray will end this process soon."""
MOST_BEFORE_FIT = 4
"""Stations, as long as nobody has said how many trainings there are at once."""
LOSSES_BEFORE_FIT = 3
"""Stations in a row that end before one takes a plan: then it is no chance."""
INSTALL = f"Where that is not told of your workload, install the same lrsweep ({__version__}) on all nodes"
SEE = "See what ends processes there, as too little memory does"


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
        self._has_met_one = False
        """whether a station has ever answered"""
        self._shunned = Shunned()
        self._refusal: LrsweepError | None = None
        """the last one"""
        self._last_death = ""
        self._alone = Alone()
        self.prepared: WorkloadSpec | None = None
        """what stations load as they begin"""
        self.posts: list[Post] = []

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
        return None if self._share is None else device_in(self._share, resources() or [])

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
            nodes = resources()
            if nodes is None:
                raise self._connection.silent()
            share = share_of(self._option, self._place.device, self.prepared, nodes)
            if self._connection.is_own and not share.fits(nodes):
                raise SettingsError(
                    f"{self._option.given_by} is {str(self._option)!r}: a station gets {share}, which this machine has "
                    f"not. Ask for less by gpus= and cpus={', or for no GPU by --device cpu' if share.gpus else ''}."
                )
            self._share, self._expected = share, max(1, share.fits(nodes))
            self._machines = max(1, sum(share.fits([node]) > 0 for node in nodes))
            self._mark.make()
            self._alone.end()
        self._grow()

    def close(self) -> None:
        """The stations end with their engines, and the connection, where it is ours."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            self._end_stations(AWAY_SECONDS if connection.is_away else CLOSE_SECONDS)
        except RayError as error:
            self._say(f"the Ray cluster did not hear that the sweep has ended: {line_of(error)}")
        self.posts, self._share = [], None
        self._shunned, self._refusal = Shunned(), None
        self._mark.remove()
        connection.close()

    def _end_stations(self, seconds: float) -> None:
        """Each is asked to end its engines and wait for them; what does not answer is ended with its actor."""
        ending = [post.handle.close.remote() for post in self.posts if post.hello is not None]
        if ending:
            ray.wait(ending, num_returns=len(ending), timeout=seconds)
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
        ended: Counter[Post] = Counter()
        while True:
            self._until(lambda: any(post.question is None for post in self.greeted), tick)
            post = min((post for post in self.greeted if post.question is None), key=lambda post: ended[post])
            answer = getattr(post.handle, question).remote(*given)
            post.ask(question, answer)
            while post.answer is answer and not wait([answer], 0.0):
                tick()
                self.turn(TICK_SECONDS)
            try:
                if post.answer is answer:  # else it was silent for too long
                    return post.answered()
            except RayTaskError as error:
                if isinstance(error.cause, LrsweepError):
                    raise error.cause from None
                raise SweepFailed(f"a station of the Ray cluster failed:\n{error}") from None
            except RayError as error:
                self._died(post, line_of(error))
            ended[post] += 1
            if ended.total() >= LOSSES_BEFORE_FIT:
                raise TryAgain(
                    f"{ended.total()} stations in a row ended over the same question ({question!r}). The last: "
                    f"{self._last_death}."
                )

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
        return [*words, *self._passed_over(), *self._looked_after()]

    def _passed_over(self) -> Iterator[Word]:
        """Those that do not answer."""
        for post in [post for post in self.posts if post.question not in (None, "hello")]:
            patience = self._silent_seconds if post.question == "exchange" else FIT_SECONDS
            if post.silent_seconds > patience:
                post.start_again()
                if post.question == "exchange":
                    yield lost(post, f"its station said nothing for {patience:.0f} s and was ended")
                else:
                    yield self._died(post, f"it said nothing for {patience:.0f} s")

    def _looked_after(self) -> Iterator[Word]:
        """Those that have not greeted: Ray alone knows whether they have a place, and how often they ended there."""
        for post in [post for post in self.posts if post.has_to_be_looked_at]:
            ended = post.look()
            if ended:
                yield self._died(post, "its process ended while it began", ended)
            elif post.silent_seconds > self._silent_seconds:
                reason = f"its station has begun, and has not answered for {self._silent_seconds:.0f} s"
                yield self._dismissed(post, reason, None, "See whether all folders answer there, as those of a network")

    def hear(self, post: Post) -> Word:
        """The answer that has come."""
        question = post.question
        try:
            answer = post.answered()
        except RayTaskError as error:  # the station lives, and has said so
            if question in ("hello", "fit"):
                return self._dismissed(post, line_of_cause(error), error.cause)
            self._say(f"{self._named(post)} failed, and begins anew: {line_of_cause(error)}")
            return lost(post, f"its station failed: {line_of_cause(error)}")
        except RayError as error:
            if isinstance(error, RayActorError) and error.actor_init_failed:
                return self._dismissed(post, line_of_cause(error), error)
            if question in ("hello", "fit"):
                return self._died(post, line_of(error))
            return lost(post, f"its station ended: {line_of(error)}")
        match answer:
            case Hello():
                self.greet(post, answer)
                if post.refusal is not None:
                    self._leave(post, SettingsError(post.refusal))
                return Word(post)
            case Fitted(told, refusal):
                post.is_fitted, post.refusal = True, refusal
                post.deaths = 0
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
            self._check_hope()

    def _check_hope(self) -> None:
        """Raises TryAgain or the last refusal where none is left to wait for: each node has been refused, or all
        stations that there are have ended, one after the other."""
        if self._refusal is not None and not self.greeted and not self._has_hope():
            raise type(self._refusal)(f"no node of the Ray cluster can be used: {self._refusal}")
        deaths = sum(post.deaths for post in self.posts)
        if deaths >= LOSSES_BEFORE_FIT and all(post.deaths for post in self.posts if post.is_placed):
            last = f"{self._last_death}.{'' if self._has_met_one else of_another_mode()}"
            raise TryAgain(f"{deaths} stations in a row ended before one took a plan. The last: {last}")

    def _notice(self) -> None:
        if self.greeted:
            self._alone.end()
            return
        is_any_left = self._shunned.are_all or self._shunned.nodes
        told = self._alone.notice(cause_of(self.posts, self._share, self._refusal if is_any_left else None))
        if told is not None:
            self._say_always(told)

    # ── those that cannot be used ────────────────────────────────────────────────────────────────────────────────────

    def _died(self, post: Post, reason: str, times: int = 1) -> Word:
        """Before it took a plan. By chance; or there is something about its node."""
        post.deaths += times
        self._last_death = reason = reason.rstrip(".")
        if post.deaths >= LOSSES_BEFORE_FIT:
            reason = f"{LOSSES_BEFORE_FIT} stations in a row ended before one took a plan. The last: {reason}"
            to_do = SEE if self._has_met_one else f"{SEE}.{of_another_mode().rstrip('.')}"
            return self._dismissed(post, reason, None, to_do)
        word = taken(post, f"its station ended: {reason}")
        if post.question != "hello":  # while that is out Ray asks it again by itself
            post.lose()
        return word

    def _dismissed(self, post: Post, reason: str, cause: BaseException | None, to_do: str = INSTALL) -> Word:
        """None could be made or fitted there."""
        text = f"{self._named(post)} cannot be used: {reason}. {to_do}; it is tried again later."
        self._say(text)
        word = taken(post, f"its station could not be used: {reason}")
        self._leave(post, SettingsError(text) if isinstance(cause, SettingsError) else TryAgain(text))
        return word

    def _leave(self, post: Post, refusal: LrsweepError) -> None:
        """Another one is asked for elsewhere: an actor that stayed would hold a share of a node and its engines, and
        Ray would start it again on the next good node."""
        self._refusal = refusal
        self._shunned.shun(post.node_id)
        self.posts.remove(post)
        post.question = post.answer = None
        post.end()

    def _has_hope(self) -> bool:
        """Whether there is a node for which nothing has been refused yet."""
        assert self._share is not None
        if self._shunned.are_all:
            return False
        nodes, shunned = alive_nodes(), self._shunned.nodes
        if nodes is None:
            return True  # until the connection is given up
        return bool(self._share.fits(node["Resources"] for node in nodes if node["NodeID"] not in shunned))

    def _named(self, post: Post) -> str:
        if post.hello is not None:
            return f"node {post.hello.node}"
        return name_of(post.node_id)

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

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say_always(text)
