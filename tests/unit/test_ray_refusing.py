"""What a driver does about nodes that cannot be used, stations that fail, and times without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from lrsweep.errors import InvalidInput, SettingsError, TryAgain
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.messages import Busy, Lost
from lrsweep.executors.place import Place
from lrsweep.executors.ray.losses import FORGIVEN, Losses
from lrsweep.executors.ray.marks import Mark
from lrsweep.executors.ray.post import IDLE_SECONDS, Post
from lrsweep.executors.ray.roster import NOTICE_SECONDS, Roster
from lrsweep.executors.ray.share import Share
from lrsweep.executors.ray.shunned import MOST_SECONDS, Shunned
from lrsweep.executors.ray.words import Fitted, Told
from tests.clusters import HELLO
from tests.crews import SHORT, named

TOLD = Told((), (), 2, None, "sequential", ())
FAILED = RayTaskError("fit", "a stack", InvalidInput("the disk is full"))  # type: ignore[no-untyped-call]
NOT_MADE = ActorDiedError(
    RayTaskError("__init__", "a stack\nModuleNotFoundError: No module named 'lrsweep'", None)  # type: ignore[no-untyped-call]
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Posts whose actors nobody makes; what was done about them."""
    done: list[str] = []
    monkeypatch.setattr(Post, "greet", lambda post: post.ask("hello", None))
    monkeypatch.setattr(Post, "end", lambda post: done.append(f"ended {post.handle}"))
    monkeypatch.setattr(Post, "node_id", property(lambda post: f"id of {post.handle}"))
    monkeypatch.setattr("lrsweep.executors.ray.roster._alive", lambda: [])
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
        ("hello", NOT_MADE, "a node cannot be used: ModuleNotFoundError: No module named 'lrsweep'. ", TryAgain),
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


def test_a_time_without_any_station_is_told_once(cluster: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a sweep, too; and again when it comes again."""
    clock, post = Clock(), Post("actor", hello=HELLO)
    said: list[str] = []
    monkeypatch.setattr("lrsweep.executors.ray.roster.time.monotonic", clock)
    roster = roster_with(post, None, monkeypatch, said)
    told = []
    for hello, seconds in [(HELLO, 999.0), (None, 1.0), (None, NOTICE_SECONDS), (None, 99.0), (HELLO, 1.0)] * 2:
        post.hello = hello
        clock.now += seconds
        roster._notice()
        told.append(len(said))
    assert told == [0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
    assert set(said) == {"no node of the Ray cluster has 1 CPU to spare; the trainings wait for one"}


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
