"""Which process gets which plan, and how those that ran in a process that died are kept from one another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.executors.placing import Placing
from lrsweep.executors.process import EngineProcess, Launch
from lrsweep.records import TrainingPlan
from tests.trainings import PLAN


class Place(EngineProcess):
    """A process that is never started: it keeps what it is given."""

    def __init__(self, slots: int | None) -> None:
        super().__init__(Launch("cpu", None, Path(), {}), print)
        self.slots = slots

    def submit(self, plan: TrainingPlan) -> None:
        self.in_flight.append(plan.training_id)


def plans(names: str) -> list[TrainingPlan]:
    return [replace(PLAN, training_id=name) for name in names]


def take(placing: Placing, names: str, places: list[Place]) -> None:
    for plan in plans(names):
        placing.take(plan, places)


def dies(placing: Placing, place: Place) -> str | None:
    """The process ends, as ``LocalExecutor`` finds it; all that it had is lost."""
    said = placing.suspect(place)
    place.in_flight.clear()
    return said


def ends(placing: Placing, place: Place, name: str, places: list[Place]) -> None:
    place.in_flight.remove(name)
    placing.acquit(name)
    placing.place(places)


@pytest.mark.parametrize(("slots", "capacity"), [(None, 2), (1, 3), (4, 6), (16, 20), (64, 80)])
def test_a_process_takes_what_it_trains_at_once_and_a_quarter_of_that_ahead(slots: int | None, capacity: int) -> None:
    """One ahead where one runs, and two where a few run, for a freed slot does not wait while the driver thinks."""
    assert Place(slots).capacity == Place(slots).room == capacity


def test_plans_go_where_there_is_most_room() -> None:
    """Idle processes first; then each gets its second."""
    places = [Place(None), Place(None)]
    take(Placing(), "abcd", places)
    assert [place.in_flight for place in places] == [["a", "c"], ["b", "d"]]


def test_who_was_alone_is_no_suspect() -> None:
    """The sequential engine has one training at a time, so it is known which one died; nothing waits for it."""
    placing, place = Placing(), Place(None)
    take(placing, "ab", [place])
    assert dies(placing, place) is None
    take(placing, "ab", [place])
    assert (place.in_flight, place.is_apart) == (["a", "b"], False)


def test_suspects_are_trained_apart_and_the_others_wait() -> None:
    """Whatever the order in which they come again; the one process then has half of its slots."""
    placing, place = Placing(), Place(4)
    take(placing, "abcdef", [place])
    said = dies(placing, place)
    assert said == (
        "a process ended that trained 4 at once: each of them is trained again with nothing beside it, to find the one "
        "that ends it; the others are trained no more than 2 at once in that process from here on"
    )
    take(placing, "efabcd", [place])
    assert place.in_flight == []
    placing.place([place])
    assert (place.in_flight, place.running, place.is_apart) == (["a", "b"], ["a"], True)
    ends(placing, place, "a", [place])
    assert (place.in_flight, place.running) == (["b", "c"], ["b"])
    for name in "bcd":
        assert "e" in placing.waiting
        ends(placing, place, name, [place])
    assert (place.in_flight, place.is_apart, place.slots) == (["e", "f"], False, 2)
    assert place.running == ["e", "f"]
    take(placing, "g", [place])  # nobody is suspect any more, so it need not wait for who comes next
    assert place.in_flight == ["e", "f", "g"]


def test_other_processes_go_on_and_take_the_others() -> None:
    """Suspects never run beside anything, and what is no suspect never waits for them where there is another place."""
    placing, places = Placing(), [Place(2), Place(2)]
    take(placing, "abcdefgh", places)
    assert dies(placing, places[0]) is not None
    assert (places[0].slots, places[1].slots) == (None, 2)
    take(placing, "eag", places)
    placing.place(places)
    assert (places[0].in_flight, places[0].is_apart) == (["a"], True)
    assert placing.waiting == ["e", "g"]  # the other process is full
    ends(placing, places[1], "b", places)
    take(placing, "c", places)
    placing.place(places)
    assert places[0].in_flight == ["a", "c"]
    assert (places[1].in_flight, places[1].is_apart) == (["d", "f", "h", "e"], False)
    assert placing.waiting == ["g"]


def test_a_suspect_that_never_comes_again_holds_up_nobody() -> None:
    """The driver has given it up: the others are trained at once."""
    placing, place = Placing(), Place(4)
    take(placing, "abcdef", [place])
    dies(placing, place)
    take(placing, "ef", [place])
    placing.place([place])
    assert (place.in_flight, place.is_apart) == (["e", "f"], False)


def test_a_suspect_that_comes_late_waits_until_a_process_is_empty() -> None:
    """What runs there runs on, and nothing new begins beside it."""
    placing, place = Placing(), Place(4)
    take(placing, "abcd", [place])
    dies(placing, place)
    take(placing, "xy", [place])
    placing.place([place])
    take(placing, "az", [place])
    placing.place([place])
    assert (place.in_flight, placing.waiting) == (["x", "y"], ["a", "z"])
    ends(placing, place, "x", [place])
    assert place.in_flight == ["y"]
    ends(placing, place, "y", [place])
    assert (place.in_flight, place.is_apart) == (["a"], True)
    ends(placing, place, "a", [place])
    assert (place.in_flight, place.is_apart) == (["z"], False)


def test_a_suspect_that_dies_alone_stays_one_and_convicts_nobody() -> None:
    """The one that waited behind it in the process had not begun."""
    placing, place = Placing(), Place(4)
    take(placing, "abcd", [place])
    dies(placing, place)
    take(placing, "abcd", [place])
    placing.place([place])
    assert place.running == ["a"]
    assert dies(placing, place) is None
    take(placing, "ab", [place])
    placing.place([place])
    assert (place.in_flight, placing.waiting) == (["c", "d"], ["a", "b"])
    assert (place.running, place.is_apart, place.slots) == (["c"], True, 2)
