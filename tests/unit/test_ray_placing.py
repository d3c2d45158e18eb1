"""Which station a plan goes to."""

from __future__ import annotations

from dataclasses import replace

from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.messages import Lost
from lrsweep.executors.place import Place
from lrsweep.executors.ray.executor import RayExecutor
from lrsweep.executors.ray.heard import Word
from lrsweep.executors.ray.post import Post
from lrsweep.executors.ray.share import Share
from tests.clusters import HELLO
from tests.crews import SHORT, named
from tests.sweeps import a_study


def with_posts(*capacities: int) -> tuple[RayExecutor, list[Post]]:
    """Stations that are there and fitted; nobody is asked anything."""
    executor = RayExecutor(Place("cpu", ExecutorOption("ray")))
    posts = [Post(handle=None, hello=HELLO, capacity=capacity) for capacity in capacities]
    executor._roster.posts += posts
    return executor, posts


def test_a_plan_goes_where_most_room_is_and_waits_where_there_is_none() -> None:
    """What waits is in flight too, and the executor has no room until it has a place."""
    executor, (small, large) = with_posts(1, 3)
    for plan in named(SHORT, "abcde"):
        executor.submit(plan)
    assert (large.in_flight, small.in_flight) == (["a", "b", "d"], ["c"])
    assert [*executor.in_flight] == ["c", "a", "b", "d", "e"]
    assert executor.free == -1
    executor.stop("e")
    executor.stop("a")
    assert (large.stops, small.stops) == (["a"], [])
    assert [*executor.in_flight] == ["c", "a", "b", "d"]


def test_stations_on_one_node_are_one_device_and_each_gpu_of_a_station_is_one() -> None:
    """Who has no node, or no fitted engines, is charged to nobody; before there are any it is what is expected."""
    executor, (one, beside, elsewhere) = with_posts(1, 1, 1)
    elsewhere.hello = replace(HELLO, node_id="another")
    roster = executor._roster
    roster._expected, roster._machines = 4, 2
    assert (executor.device_count, executor.pace_factor) == (2, 4)
    roster._share = Share(0.5, 1)
    assert executor.device_count == 2
    roster._fitting = (EngineOption(), a_study(), Rest(1.0, 1))
    assert executor.device_count == 0
    for post in (one, beside, elsewhere):
        post.is_fitted = True
    assert executor.device_count == 2  # one and a half
    roster._share = Share(0, 1)
    assert executor.device_count == 2
    roster._share = Share(2, 1)
    assert executor.device_count == 6
    elsewhere.hello = None
    assert executor.device_count == 4
    executor.close()


def test_what_ran_when_its_engine_ended_goes_back_to_the_station_that_suspects_it() -> None:
    """There it is trained with nothing beside it; elsewhere it could end others with it. Where that station has ended
    nobody suspects it any more."""
    executor, (one, other) = with_posts(2, 4)
    plans = named(SHORT, "abc")
    for plan in plans:
        executor.submit(plan)
    assert (other.in_flight, one.in_flight) == (["a", "b"], ["c"])
    executor._noted(Word(other, [Lost("a", "it ended", was_running=True), Lost("b", "it ended", was_running=False)]))
    assert other.in_flight == []
    other.capacity = 1
    for plan in plans[:2]:
        executor.submit(plan)
    assert (other.in_flight, one.in_flight) == (["a"], ["c", "b"])

    lost = executor._noted(Word(other, lost=other.in_flight, reason="its station ended"))
    assert lost == [Lost("a", "its station ended", was_running=False)]
    other.forget()
    other.hello = None
    executor.submit(plans[0])
    assert executor.in_flight[-1] == "a", "it waits for room elsewhere"
