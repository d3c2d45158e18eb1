"""What a driver does about nodes that cannot be used, stations that fail, and times without any."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

from lrsweep.errors import InvalidInput, SettingsError, TryAgain
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.messages import Busy, Lost
from lrsweep.executors.place import Place
from lrsweep.executors.ray.alone import NOTICE_SECONDS
from lrsweep.executors.ray.losses import FORGIVEN, Losses
from lrsweep.executors.ray.marks import Mark
from lrsweep.executors.ray.post import IDLE_SECONDS, LOOK_SECONDS, Post
from lrsweep.executors.ray.roster import LOSSES_BEFORE_FIT, SILENT_SECONDS, Roster
from lrsweep.executors.ray.share import Share
from lrsweep.executors.ray.shunned import MOST_SECONDS, Shunned
from lrsweep.executors.ray.states import ActorState
from lrsweep.executors.ray.words import Fitted, Told
from tests.clusters import HELLO
from tests.crews import SHORT, named

TOLD = Told((), (), 2, None, "sequential", ())
FAILED = RayTaskError("fit", "a stack", InvalidInput("the disk is full"))  # type: ignore[no-untyped-call]
NOT_MADE = ActorDiedError(
    RayTaskError("__init__", "a stack\nModuleNotFoundError: No module named 'lrsweep'", None)  # type: ignore[no-untyped-call]
)

GONE = RayActorError(error_msg="The actor died unexpectedly.\n\tpid: 7")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Posts whose actors nobody makes; what was done about them."""
    done: list[str] = []

    def greet(post: Post) -> None:
        post.hello, post.alive_since = None, None
        post.ask("hello", None)

    monkeypatch.setattr(Post, "greet", greet)
    monkeypatch.setattr(Post, "end", lambda post: done.append(f"ended {post.handle}"))
    monkeypatch.setattr(Post, "node_id", property(lambda post: f"id of {post.handle}"))
    monkeypatch.setattr("lrsweep.executors.ray.roster.alive_nodes", lambda: [])
    monkeypatch.setattr("lrsweep.executors.ray.roster.name_of", lambda node_id: f"node {node_id}")
    return done


def roster_with(post: Post, answer: Any, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Roster:
    def answered(post: Post) -> Any:
        post.question = None
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Post, "answered", answered)
    roster = Roster(Place("cpu", ExecutorOption("ray")), said.append, 60.0)
    roster._share = Share(0, 1)
    roster.posts.append(post)
    return roster


@pytest.mark.parametrize(
    ("question", "answer", "told", "kind"),
    [
        (
            "hello",
            NOT_MADE,
            "node id of actor cannot be used: ModuleNotFoundError: No module named ",
            TryAgain,
        ),
        ("fit", FAILED, "node node-7 cannot be used: InvalidInput: the disk is full. ", TryAgain),
        ("fit", Fitted(TOLD, "node node-7 has other data"), "node node-7 has other data", SettingsError),
    ],
)
def test_a_node_that_cannot_be_used_is_left_and_told_once(
    question: Any, answer: Any, told: str, kind: type, cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its actor is ended for ever, so that it holds no share of a node, and no other one is asked for there."""
    said: list[str] = []
    post = Post("actor", hello=None if question == "hello" else HELLO, question=question)
    roster = roster_with(post, answer, monkeypatch, said)
    roster.hear(post)
    assert (roster.posts, cluster) == ([], ["ended actor"])
    assert roster._shunned.nodes == {"id of actor"}
    assert [text[: len(told)] for text in said] == [told]
    monkeypatch.setattr(Roster, "turn", lambda *_: [])
    with pytest.raises(kind, match=r"^no node of the Ray cluster can be used: "):
        roster._until(lambda: False, lambda: None)


def test_a_station_that_fails_while_it_trains_is_told_and_begins_anew(
    cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trainings are lost; the next may go well."""
    said: list[str] = []
    post = Post("actor", hello=HELLO, question="exchange", in_flight=["a"])
    word = roster_with(post, FAILED, monkeypatch, said).hear(post)
    assert (word.lost, word.begun, word.reason) == (
        ["a"],
        ["a"],
        "its station failed: InvalidInput: the disk is full",
    )
    assert said == ["node node-7 failed, and begins anew: InvalidInput: the disk is full"]
    assert (post.question, cluster) == ("hello", [])


def test_a_node_is_left_alone_for_twice_as_long_each_time() -> None:
    """Stations of the same node that were asked for before do not count again."""
    clock, shunned_for = Clock(), []
    shunned = Shunned(clock)
    for _ in range(9):
        began = clock.now
        for _ in range(3):
            shunned.shun("bad")
        while shunned.nodes:
            clock.now += 30.0
        shunned_for.append(clock.now - began)
    assert shunned_for[:4] == [60.0, 120.0, 240.0, 480.0]
    assert shunned_for[-2:] == [MOST_SECONDS, MOST_SECONDS]
    assert not shunned.are_all
    shunned.shun(None)
    assert (shunned.are_all, shunned.nodes) == (True, frozenset())


def test_others_are_asked_for_elsewhere_and_anew_once_the_node_may_be_tried_again(
    cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that Ray holds back from the node would wait beside it for ever."""
    post, clock = Post("actor", hello=HELLO, question="fit"), Clock()
    roster = roster_with(post, FAILED, monkeypatch, [])
    roster._shunned = Shunned(clock)
    roster._connection = type("Ours", (), {"is_own": False})()

    def asked_for(_posting: object, _share: Share, shuns: frozenset[str]) -> Post:
        return Post(f"beside {len(shuns)}", shuns=shuns)

    monkeypatch.setattr(Post, "asked_for", asked_for)
    roster.hear(post)
    roster._grow()
    roster._grow()
    assert [post.shuns for post in roster.posts] == [{"id of actor"}]
    clock.now += 60.0
    roster._grow()
    assert [post.shuns for post in roster.posts] == [frozenset()]
    assert cluster == ["ended actor", "ended beside 1"]


@pytest.mark.parametrize("question", ["hello", "fit"])
def test_a_station_that_ends_again_and_again_before_it_takes_a_plan_is_left(
    question: Any, cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once with the reason, and nothing is held against the one that trains."""
    said: list[str] = []
    bad, good = Post("bad"), Post("good", hello=HELLO, is_fitted=True)
    roster = roster_with(bad, GONE, monkeypatch, said)
    roster._has_met_one = True
    for _ in range(4):
        roster.posts[:] = [bad, good]
        for left in reversed(range(LOSSES_BEFORE_FIT)):
            assert bad in roster.posts
            bad.hello, bad.question = None if question == "hello" else HELLO, question
            word = roster.hear(bad)
            assert (bad in roster.posts) == (left > 0)
        assert word.reason.startswith("its station could not be used: 3 stations in a row ended before")
        bad = Post("bad")
    assert roster.posts == [good]
    assert roster._shunned.nodes == {"id of bad"}
    assert cluster == ["ended bad"] * 4
    name = "id of bad" if question == "hello" else "node-7"
    assert said == [
        f"node {name} cannot be used: 3 stations in a row ended before one took a plan. The last: The actor died "
        "unexpectedly. See what ends processes there, as too little memory does; it is tried again later."
    ]
    roster.posts.append(bad)
    good.lose()
    bad.hello, bad.question = None if question == "hello" else HELLO, question
    assert roster.hear(bad).reason == "its station ended: The actor died unexpectedly"
    assert roster.posts == [good, bad]


def test_deaths_in_a_row_are_those_before_a_station_is_ready(
    cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two by chance, then a plan could be taken: the next two are no worse."""
    said: list[str] = []
    post = Post("actor")
    for answer in (GONE, GONE, Fitted(TOLD), GONE, GONE):
        roster = roster_with(post, answer, monkeypatch, said)
        post.hello, post.question = HELLO, "fit"
        roster.hear(post)
        assert roster.posts == [post]
    assert (said, post.deaths) == ([], 2)


def test_where_each_station_ends_nobody_waits_for_another_one(
    cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of them, each once; one that has begun and has not ended may yet be the one."""
    posts = [Post(f"actor {place}", deaths=place > 0) for place in range(4)]
    roster = roster_with(posts[0], None, monkeypatch, [])
    roster.posts, roster._last_death = posts, "it is gone"
    monkeypatch.setattr(Roster, "turn", lambda *_: [])
    posts[0]._is_seen = True
    roster._check_hope()
    posts[0]._is_seen = False
    with pytest.raises(TryAgain, match=r"^3 stations in a row ended before one took a plan. The last: it is gone. RAY"):
        roster._until(lambda: False, lambda: None)


class Deadly:
    """An actor that each question ends."""

    def __init__(self, asked: list[str], name: str) -> None:
        self.asked, self.name, self.describe = asked, name, self

    def __str__(self) -> str:
        return self.name

    def remote(self, *_given: object) -> str:
        self.asked.append(self.name)
        return "an answer"


def test_a_question_that_ends_each_station_is_not_asked_for_ever(
    cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another station is asked each time, be the first one back as soon as it likes; a third loss ends it."""
    asked: list[str] = []
    posts = [Post(Deadly(asked, name), hello=HELLO) for name in "abcd"]
    roster = roster_with(posts[0], GONE, monkeypatch, [])
    roster.posts = posts

    def greet(post: Post) -> None:
        assert len(asked) < 9
        post.question = None

    monkeypatch.setattr(Post, "greet", greet)
    monkeypatch.setattr(Roster, "connect", lambda *_: None)
    monkeypatch.setattr("lrsweep.executors.ray.roster.wait", lambda answers, _: answers)
    with pytest.raises(
        TryAgain, match=r"^3 stations in a row ended over the same question \('describe'\). The last: The actor died"
    ):
        roster.ask_one("describe", (), lambda: None)
    assert asked == ["a", "b", "c"]


class Watched:
    """What Ray says of an actor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        self.state, self.clock, self.looks = ActorState("asked for room", False, False, 0), clock, 0
        monkeypatch.setattr("lrsweep.executors.ray.post.state_of", self.look)
        monkeypatch.setattr("lrsweep.executors.ray.post.time.monotonic", clock)

    def look(self, _handle: object) -> ActorState:
        self.looks += 1
        return self.state

    def pass_by(self, roster: Roster, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.clock.now += 1.0
            list(roster._looked_after())


def test_a_station_that_begins_and_does_not_greet_is_left(cluster: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that looks into a folder of a network that hangs; one that has no place yet may wait for days."""
    said: list[str] = []
    watched = Watched(monkeypatch, Clock())
    post = Post("actor", question="hello")
    roster = roster_with(post, None, monkeypatch, said)
    watched.pass_by(roster, 99_999.0)
    assert (roster.posts, said) == ([post], [])
    assert watched.looks <= 99_999 / LOOK_SECONDS
    watched.state = ActorState("id of actor", True, True, 0)
    watched.pass_by(roster, SILENT_SECONDS)
    assert roster.posts == [post]
    watched.pass_by(roster, 2 * LOOK_SECONDS + 2)
    assert (roster.posts, cluster) == ([], ["ended actor"])
    assert roster._shunned.nodes == {"id of actor"}
    assert said == [
        "node id of actor cannot be used: its station has begun, and has not answered for 60 s. See whether all "
        "folders answer there, as those of a network; it is tried again later."
    ]


def test_a_station_that_ends_while_it_greets_is_counted(cluster: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray asks the next one again without a word; how many there were is known from Ray alone."""
    said: list[str] = []
    watched = Watched(monkeypatch, Clock())
    post = Post("actor", question="hello")
    roster = roster_with(post, None, monkeypatch, said)
    for restarts in (5, 6, 7):  # those before it was looked at are not its own
        watched.state = ActorState("id of actor", True, True, restarts)
        watched.pass_by(roster, 2 * LOOK_SECONDS)
        assert (roster.posts, post.deaths) == ([post], restarts - 5)
    watched.state = ActorState("id of actor", False, False, 8)
    watched.pass_by(roster, 2 * LOOK_SECONDS)
    assert (roster.posts, cluster) == ([], ["ended actor"])
    assert "The last: its process ended while it began. See what ends processes there" in said[0]


def test_where_an_actor_is_that_waits_for_room_is_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray then names the node that it asks for room; the one to be left alone is that on which the station ended."""
    watched = Watched(monkeypatch, Clock())
    post = Post("actor", question="hello")
    assert post.node_id == "asked for room"
    watched.state = ActorState("there", True, True, 1)
    post.look()
    assert post.is_placed
    watched.state = ActorState("asked for room", False, False, 2)
    assert post.look() == 1
    assert (post.is_placed, post.node_id) == (False, "there")


def test_a_time_without_any_station_is_told_once_by_its_cause(
    cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a sweep, too; and again when it comes again."""
    clock, post = Clock(), Post("actor", hello=HELLO)
    said: list[str] = []
    monkeypatch.setattr("lrsweep.executors.ray.alone.time.monotonic", clock)
    roster = roster_with(post, None, monkeypatch, said)
    told = []
    for hello, seconds in [(HELLO, 999.0), (None, 1.0), (None, NOTICE_SECONDS), (None, 99.0), (HELLO, 1.0)] * 2:
        post.hello = hello
        clock.now += seconds
        roster._notice()
        told.append(len(said))
    assert told == [0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
    assert set(said) == {"no node of the Ray cluster has 1 CPU to spare; the trainings wait for one"}

    post.hello, roster._refusal = None, TryAgain("node b has no disk.")
    roster._shunned.shun("b")
    clock.now += NOTICE_SECONDS + 1.0
    for _ in range(2):
        roster._notice()
        post._is_seen = True
    roster._notice()
    assert said[2:] == [
        "no station of the Ray cluster takes trainings, and nodes that could not be used are left alone for now; the "
        "trainings wait. The last: node b has no disk.",
        "the stations that the Ray cluster has placed have not answered yet; the trainings wait for them",
    ]


def test_a_station_that_has_nothing_to_do_is_asked_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else would tell that its node has gone."""
    clock = Clock()
    monkeypatch.setattr("lrsweep.executors.ray.post.time.monotonic", clock)
    post = Post("actor", hello=HELLO, asked_at=clock.now)
    assert not post.has_to_be_asked
    clock.now += IDLE_SECONDS + 0.1
    assert post.has_to_be_asked
    post.question = "exchange"
    assert not post.has_to_be_asked


def test_a_mark_of_a_driver_that_was_killed_goes_with_the_next(tmp_path: Path) -> None:
    """Those of drivers at work stay, and of other machines nobody here knows."""
    with subprocess.Popen(["true"]) as ended:
        pass
    at_work = Mark(str(tmp_path))
    at_work.make()
    [mine] = tmp_path.iterdir()
    killed = mine.with_name(mine.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    elsewhere = mine.with_name(f".seen-by-elsewhere.{ended.pid}.01234567")
    for path in (killed, elsewhere):
        path.touch()
    following = Mark(str(tmp_path))
    following.make()
    assert {*tmp_path.iterdir()} == {mine, elsewhere, Path(str(following.path))}


def test_where_no_mark_can_be_made_nodes_look_for_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk; that checkpoints are at a URL, which every node reaches, is another thing."""
    for folder in (None, "s3://bucket/checkpoints"):
        mark = Mark(folder)
        mark.make()
        assert mark.path is None

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    mark = Mark(str(tmp_path))
    mark.make()
    assert mark.path == str(next(tmp_path.iterdir()))
    mark.remove()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(Path, "touch", full)
    mark.make()
    assert mark.path == str(tmp_path)
    mark.remove()
    assert tmp_path.is_dir()


def test_what_only_waited_is_not_blamed_for_its_station() -> None:
    """What was never sent there, or stood behind those that trained."""
    post, losses = Post("actor", pids=(7,)), Losses()
    for plan in named(SHORT, "abcd"):
        post.give(plan)
    post.plans = post.plans[3:]
    assert post.begun == ["a"]
    post.busy = Busy(2, 100, 150)
    assert post.begun == ["a", "b"]
    post.busy = Busy(16, 100, 150)
    assert post.begun == ["a", "b", "c"]
    for _ in range(FORGIVEN + 1):
        lost = losses.lose("ab", "gone", ["a"])
    assert lost == [Lost("a", "gone", was_running=True), Lost("b", "gone", was_running=False)]
