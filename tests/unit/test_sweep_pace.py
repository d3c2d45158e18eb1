"""A budget in time before anything is trained: what it comes to by an earlier sweep, a measurement, or a guess."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lrsweep.executors.messages import Measured
from lrsweep.records import Crew, Curve, Outcome, Status, StudyRow, SweepRow, TrainingPlan, WorkloadSpec
from lrsweep.scripts import command
from lrsweep.store import MemoryStore
from lrsweep.study import BudgetSpec, ResolvedStudy
from lrsweep.sweep.beginning import pace_here, paced
from lrsweep.sweep.meter import DEVICE_SECONDS_KEY
from tests.sweeps import FACTS, a_study, a_training, a_trial

TIMED = replace(a_study(families=("cosine", "linear")), trials=0, budget=BudgetSpec(wall_clock=600.0))


@dataclass
class Engine:
    """A test double of an executor that measures 200 updates in two seconds; with 0 it is silent."""

    updates: int = 200
    asked: list[int] = field(default_factory=list)

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None]
    ) -> list[Measured]:
        del crew, seconds
        tick()
        self.asked.append(len(plans))
        return [Measured(self.updates, 2.0 if self.updates else 0.0, peak_bytes=0)]


@dataclass
class Home:
    """A store, an engine, and what was said."""

    store: MemoryStore = field(default_factory=MemoryStore)
    engine: Engine = field(default_factory=Engine)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lease = self.store.acquire_lease("quick", "a test", seconds=600)

    def swept(self, sweep_id: str, study: ResolvedStudy, *, seconds: float, trials: int = 2) -> None:
        """A sweep whose trainings have 30 updates each."""
        row = StudyRow(study.name, study.meaning, study.generation, study.spec())
        self.store.register_study(self.lease, row)
        self.store.create_sweep(self.lease, SweepRow(sweep_id, study.name, study.generation))
        first = self.store.next_trial_number("quick")
        for number in range(first, first + trials):
            training = a_training(number, sweep_id=sweep_id)
            self.store.add_trial(self.lease, a_trial(number, sweep_id=sweep_id), [training])
            self.store.start_training(self.lease, training.training_id, device="cpu")
            done = Outcome(Status.COMPLETED, 30, 0.1, {"val_loss": 0.5})
            self.store.end_training(self.lease, training.training_id, 1, done, Curve.empty())
        self.store.update_sweep(self.lease, sweep_id, add_seconds=seconds)

    def paced(self, study: ResolvedStudy = TIMED, *, pace_factor: int = 1) -> ResolvedStudy:
        return paced(study, self.store, self.engine, lambda: None, self.said.append, pace_factor=pace_factor)


def test_a_budget_that_is_no_time_is_left_as_it_is() -> None:
    """Nothing is read and nothing measured, also where an earlier driver has paced it."""
    home = Home()
    for study in (a_study(trials=40), TIMED.paced(50.0)):
        assert home.paced(study) is study
    assert (home.engine.asked, home.said) == ([], [])


def test_the_newest_sweep_of_such_trainings_says_how_fast_they_are() -> None:
    """60 updates in 20 s; the sweep before it, and one of another workload, were faster. Nothing is measured."""
    home = Home()
    home.swept("old", a_study(), seconds=1.0)
    home.swept("new", a_study(families=("cosine",)), seconds=20.0)
    home.swept("other", replace(a_study(), facts=replace(FACTS, version=2)), seconds=0.5)
    home.swept("empty", a_study(), seconds=30.0, trials=0)
    assert home.paced() == TIMED.paced(60 / 20.0)
    assert (home.engine.asked, home.said) == ([], [])


def test_updates_of_removed_trainings_count_for_the_pace() -> None:
    """Their seconds are in the sweep's: with half of its trials gone it was no slower."""
    home = Home()
    home.swept("pruned", a_study(), seconds=20.0, trials=4)
    home.store.remove_trials(home.lease, "pruned", [0, 2, 3])
    assert home.paced() == TIMED.paced(120 / 20.0)


def test_without_an_earlier_sweep_it_is_measured_and_said() -> None:
    """100 updates a second, for ten minutes."""
    home = Home()
    study = home.paced()
    assert study == TIMED.paced(100.0)
    assert home.engine.asked == [1]
    assert home.said == [f"measured 100 updates a second: the budget pays for about {study.trials} trials"]


def test_what_one_device_measures_all_train_side_by_side() -> None:
    """Two devices make 200 updates a second: twice the updates by the clock, and as many for each device's hour."""
    home = Home()
    two = replace(TIMED, devices_at_once=2)
    study = home.paced(two, pace_factor=2)
    assert study.total_steps == 2 * TIMED.paced(100.0).total_steps == 120_000
    said = "measured 100 updates a second, and 2 such train side by side: the budget pays for about"
    assert home.said == [f"{said} {study.trials} trials"]
    hours = BudgetSpec(gpu_hours=0.1)
    assert Home().paced(replace(two, budget=hours), pace_factor=2).total_steps == 36_000
    assert Home().paced(replace(TIMED, budget=hours)).total_steps == 36_000


def test_the_pace_of_an_earlier_sweep_is_taken_for_the_devices_that_there_are_now() -> None:
    """60 updates in 20 s on two devices are 1.5 a second on one and 6 on four; an earlier release had one device, and
    of scripts the pace is taken as it is."""
    home = Home()
    home.swept("on two", a_study(), seconds=20.0)
    four = replace(TIMED, devices_at_once=4)
    assert home.paced(four) == four.paced(4 * 60 / 20.0)
    home.store.update_sweep(home.lease, "on two", settings={DEVICE_SECONDS_KEY: 40.0})
    assert home.paced() == TIMED.paced(1.5)
    assert home.paced(four) == four.paced(6.0)
    sweep = home.store.sweep("on two")
    script = replace(four, workload=WorkloadSpec(command.NAME, {"command": "train"}))
    assert pace_here(home.store, sweep, script) == (3.0, 1.0)


def test_where_nothing_can_be_measured_the_clock_alone_says_when_it_is_over() -> None:
    """Eight trials are expected, or one for each family where there are more; of a script nothing is measured."""
    home = Home(engine=Engine(updates=0))
    assert home.paced().trials == 8
    families = ("constant", "linear", "cosine", "step", "exponential", "wsd", "rex", "inverse_sqrt", "polynomial")
    assert home.paced(replace(TIMED, space=replace(TIMED.space, families=families))).trials == 9
    script = Home()
    study = replace(TIMED, workload=WorkloadSpec(command.NAME, {"command": "train"}))
    assert (script.paced(study).trials, script.engine.asked) == (8, [])
    assert (home.said, script.said) == ([], [])
