"""Which process gets which plan, and how those that ran in a process that died are kept from one another."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Measure, Said, Use
from lrsweep.executors.placing import Placing
from lrsweep.executors.process import EngineProcess, Launch
from lrsweep.executors.trainer import Trainer
from lrsweep.records import Crew, Record, Status, TrainingPlan, WorkloadSpec
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


def test_who_had_trouble_on_a_device_goes_to_another_one() -> None:
    """Even one with less room; once it has ended, that is forgotten."""
    placing, places = Placing(), [Place(None), Place(None)]
    places[1].device_number = 1
    take(placing, "ab", places)
    placing.shun("a", 0)
    places[0].in_flight.clear()
    take(placing, "a", places)
    assert [place.in_flight for place in places] == [[], ["b", "a"]]
    ends(placing, places[1], "a", places)
    take(placing, "a", places)
    assert [place.in_flight for place in places] == [["a"], ["b"]]


def test_suspects_do_not_wait_for_a_device_that_is_gone() -> None:
    """The one process that was emptied for them went with it; another is."""
    placing, places = Placing(), [Place(4), Place(4)]
    take(placing, "abcdefgh", places)
    gone, left = places
    dies(placing, gone)
    take(placing, "a", places)
    placing.place(places)
    assert gone.in_flight == ["a"]
    placing.forget([gone])
    gone.in_flight.clear()
    left.in_flight.clear()
    take(placing, "c", [left])
    placing.place([left])
    assert (left.is_apart, left.in_flight) == (True, ["c"])


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


def test_a_suspect_that_the_driver_gives_up_is_none_any_more() -> None:
    """It ended its process for the third time, alone in the end: who comes then has a place at once."""
    placing, place = Placing(), Place(4)
    take(placing, "abc", [place])
    dies(placing, place)
    for _ in range(2):
        take(placing, "a", [place])
        placing.place([place])
        assert (place.running, place.is_apart) == (["a"], True)
        assert dies(placing, place) is None
    take(placing, "bc", [place])
    placing.place([place])
    ends(placing, place, "b", [place])
    ends(placing, place, "c", [place])
    take(placing, "xyz", [place])
    assert (place.in_flight, place.is_apart) == (["x", "y", "z"], False)


def test_a_suspect_that_is_stopped_while_it_waits_is_none_any_more() -> None:
    """It had no process, and gets none: who comes then has a place at once."""
    placing, place = Placing(), Place(4)
    take(placing, "ab", [place])
    dies(placing, place)
    take(placing, "ab", [place])
    assert [placing.take_back(name) for name in "abx"] == [*plans("ab"), None]
    take(placing, "x", [place])
    assert (place.in_flight, placing.waiting) == (["x"], [])


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


# ── what the processes say ───────────────────────────────────────────────────────────────────────────────────────────


def heard_by(process: EngineProcess) -> Connection[object, object]:
    """The other end of a pipe to a process that does not run."""
    process._connection, theirs = Pipe()
    return theirs


def test_what_several_processes_warn_of_is_said_once() -> None:
    """Each meets the same, and so does the next one in the place of one that was lost."""
    said: list[str] = []
    executor = LocalExecutor("cpu", say=said.append, crew=Crew(2))
    for text, process in zip("aba", (*executor._used, executor._used[0]), strict=True):
        with heard_by(process) as theirs:
            theirs.send(Said("trained one after the other"))
            theirs.send(Said(text))
            assert [process.receive(), process.receive()] == [None, None]
    assert said == ["trained one after the other", "a", "b"]


def test_a_process_with_fewer_slots_takes_and_runs_fewer() -> None:
    """It says so when its memory has run out: 8 wanted, 4 there, and 2 that wait behind them."""
    process = EngineProcess(Launch("cpu", None, Path(), {}), print)
    process.slots, process.in_flight = 8, list("abcdefgh")
    with heard_by(process) as theirs:
        theirs.send(Use(4))
        assert process.receive() is None
    assert (process.capacity, process.room, process.running) == (6, -2, list("abcd"))


SHORT_OF_MEMORY = """
from lrsweep.workloads.base import Workload
from lrsweep.workloads.digits import Digits

class Short(Digits):
    feed = Workload.feed
    batches = 0

    def __init__(self, settings, device, data):
        super().__init__({"model": "mlp", "noise": 0.0}, device, data)

    def batch(self, seed, step):
        Short.batches += 1
        if Short.batches == 30:
            raise MemoryError
        return super().batch(seed, step)
"""


def test_slots_that_memory_took_are_told(tmp_path: Path) -> None:
    """By the process, once, before a training ends; those to come are trained in the same engine."""
    (tmp_path / "short.py").write_text(SHORT_OF_MEMORY)
    sent: list[object] = []
    trainer = Trainer("cpu", None, sent.append, lambda _: False, lambda: False)
    trainer.use(4)
    for plan in plans("abcde"):
        spec = WorkloadSpec(f"{tmp_path / 'short.py'}:Short")
        trainer.submit(replace(plan, workload=spec, horizon=20))
        trainer.advance()
    while trainer.is_busy:
        trainer.advance()
    ended = [each for each in sent if isinstance(each, Record) and each.outcome]
    assert {each.outcome.status for each in ended if each.outcome} == {Status.COMPLETED}
    told = [each for each in sent if isinstance(each, Use)]
    assert told == [Use(2)]
    assert sent.index(told[0]) < sent.index(ended[0])
    assert len(ended) == 5
    assert {each.engine for each in ended[2:]} == {"fused/2"}


def test_memory_that_runs_out_in_a_measurement_is_told_by_its_name(tmp_path: Path) -> None:
    """By which its driver knows that another time there may be more."""
    (tmp_path / "short.py").write_text(SHORT_OF_MEMORY)
    trainer = Trainer("cpu", None, lambda _: None, lambda _: False, lambda: False)
    spec = WorkloadSpec(f"{tmp_path / 'short.py'}:Short")
    measured = trainer.measure(Measure(tuple(replace(plan, workload=spec) for plan in plans("abcd")), 4, 2.0))
    assert measured.reason == "out of memory: it holds no more than 2 trainings at once"
    assert not measured.is_lasting
