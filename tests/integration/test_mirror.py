"""The mirror's thread on a store in memory: what is committed is sent, whatever the tracking server does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import optuna
import pytest

from lrsweep.errors import Interrupted, LeaseLost, StoreUnavailable, TrackingUnavailable
from lrsweep.records import Curve, Origin, Outcome, Purpose, Status, StudyRow, SweepRow, TrainingRow, TrialState
from lrsweep.store import MemoryStore, TrialEnd
from lrsweep.study import ResolvedStudy, TrackingSpec
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.optuna_copy import add_copy
from lrsweep.sweep.race import RACE_KEY
from lrsweep.tracking import FamilyBest, RaceShown, Tracker
from lrsweep.tracking.tracker import FoundRun, Sent
from tests.sweeps import a_study, a_training, a_trial

STUDY = a_study()
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks every 10 ms, and an outage makes it wait no longer than twice that."""
    monkeypatch.setattr("lrsweep.sweep.mirror.LOOK_EVERY", 0.01)
    monkeypatch.setattr("lrsweep.sweep.mirror.LONGEST_PAUSE", 0.02)


@dataclass
class ScriptedTracker:
    """A test double of ``Tracker``: a dictionary of runs, and an error while there is one."""

    runs: dict[str, TrainingRow] = field(default_factory=dict)
    """run -> the row as it was sent last"""
    steps: dict[str, int] = field(default_factory=dict)
    peak_lrs: dict[str, float] = field(default_factory=dict)
    found: Mapping[str, tuple[FoundRun, ...]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    families: Sequence[FamilyBest] = ()
    races: list[RaceShown] = field(default_factory=list)
    """each with how many runs there were by then, in ``runs_before``"""
    runs_before: list[int] = field(default_factory=list)
    error: Exception | None = None
    calls: int = 0

    def send(self, training: TrainingRow, curve: Curve, **given: Any) -> Sent:
        self.calls += 1
        if self.error is not None:
            raise self.error
        run = training.mlflow_run_id or f"run-{len(self.runs)}"
        assert given["parent"] == "parent"
        self.runs[run], self.steps[run], self.peak_lrs[run] = training, curve.steps, given["peak_lr"]
        return Sent(run, training.attempt, curve.steps, training.status if training.status.is_outcome else None)

    def show_families(self, parent: str, families: Sequence[FamilyBest], *, value_key: str) -> None:
        if self.error is not None:
            raise self.error
        assert (parent, value_key) == ("parent", "val_loss")
        self.families = families

    def show_race(self, parent: str, race: RaceShown) -> None:
        if self.error is not None:
            raise self.error
        assert parent == "parent"
        self.races.append(race)
        self.runs_before.append(len(self.runs))

    def find_runs(self, _sweep: SweepRow) -> Mapping[str, tuple[FoundRun, ...]]:
        return self.found

    def delete_run(self, run_id: str) -> None:
        self.deleted.append(run_id)


@dataclass
class Bench:
    """A store with the sweep ``s``, to which trials can be added, and a mirror of it."""

    tracker: ScriptedTracker = field(default_factory=ScriptedTracker)
    copy: optuna.Study = field(default_factory=optuna.create_study)
    clock: Callable[[], float] = time.time
    study: ResolvedStudy = STUDY

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.clock)
        self.lease = self.store.acquire_lease("quick", "a test", seconds=600)
        self.store.register_study(self.lease, StudyRow("quick", STUDY.meaning, STUDY.generation, {}))
        self.sweep = self.store.create_sweep(self.lease, SweepRow("s", "quick", STUDY.generation))

    def mirror(self) -> Mirror:
        return Mirror(
            store=self.store,
            lease=self.lease,
            study=self.study,
            sweep=self.sweep,
            tracker=cast(Tracker, self.tracker),
            parent="parent",
            copy=self.copy,
            faults=Faults(),
        )

    def begin(self, number: int) -> TrainingRow:
        """A trial whose first training runs."""
        training = a_training(number)
        self.store.add_trial(self.lease, a_trial(number), [training])
        return self.store.start_training(self.lease, training.training_id, device="cpu")

    def end(self, number: int) -> TrainingRow:
        """Its training is completed and its trial halted."""
        outcome = Outcome(Status.COMPLETED, 30, 0.5, {"val_loss": 0.25})
        tell = TrialEnd(TrialState.PRUNED, 0.25)
        row = self.store.training(f"training-{number}-0")
        return self.store.end_training(
            self.lease, row.training_id, row.attempt, outcome, a_curve(30), tell=tell, queue=()
        )

    def done(self, number: int) -> TrainingRow:
        self.begin(number)
        return self.end(number)

    def complete(self, number: int, value: float, family: str = "cosine") -> None:
        """A trial that was trained at the full horizon alone."""
        training = a_training(number, rung=1)
        self.store.add_trial(self.lease, a_trial(number, family=family), [training])
        row = self.store.start_training(self.lease, training.training_id, device="cpu")
        outcome = Outcome(Status.COMPLETED, 90, 0.5, {"val_loss": value})
        tell = TrialEnd(TrialState.COMPLETE, value)
        self.store.end_training(self.lease, row.training_id, row.attempt, outcome, a_curve(90), tell=tell, queue=())

    def finalist(self, number: int) -> None:
        """A fresh seed of a trial that was told."""
        training = a_training(number, rung=1, purpose=Purpose.FINAL, training_id=f"final-{number}", seed=8)
        self.store.queue_trainings(self.lease, [training])
        row = self.store.start_training(self.lease, training.training_id, device="cpu")
        outcome = Outcome(Status.COMPLETED, 90, 0.5, {"val_loss": 0.4})
        self.store.end_training(self.lease, row.training_id, row.attempt, outcome, a_curve(90), tell=None, queue=())

    def rows(self) -> list[TrainingRow]:
        return list(self.store.trainings("quick"))

    def sent_trials(self) -> list[int]:
        return sorted(row.trial for row in self.tracker.runs.values())

    def copies(self) -> list[int]:
        return [trial.user_attrs["lrsweep_trial"] for trial in self.copy.trials]


def a_curve(steps: int) -> Curve:
    return Curve(np.full(steps, 0.1), np.ones(steps), np.empty(0, dtype=np.int64), {})


def until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def finished(mirror: Mirror) -> bool:
    return mirror.finish(lambda: None, patience_seconds=PATIENCE)


def test_what_is_committed_is_sent_and_marked() -> None:
    """Two results, one run each, with the trial's own peak rate; a further mirror finds nothing to do."""
    bench = Bench()
    bench.done(0)
    mirror = bench.mirror()
    mirror.start()
    until(lambda: bench.rows()[0].is_mirrored)
    bench.done(1)
    mirror.wake(told=1)
    assert finished(mirror)
    assert (mirror.behind, mirror.outage) == (0, None)
    assert all(row.is_mirrored and row.mirrored_steps == 30 for row in bench.rows())
    assert sorted(bench.tracker.runs) == sorted(str(row.mlflow_run_id) for row in bench.rows())
    assert set(bench.tracker.peak_lrs.values()) == {0.1}

    calls = bench.tracker.calls
    again = bench.mirror()
    again.start()
    assert finished(again)
    assert bench.tracker.calls == calls
    assert bench.copies() == [0, 1]


def test_a_running_training_is_sent_as_far_as_it_is_committed() -> None:
    """Ten steps while it runs; then the rest and the outcome go to the same run."""
    bench = Bench()
    row = bench.begin(0)
    bench.store.save_curve(bench.lease, row.training_id, 1, a_curve(10))
    mirror = bench.mirror()
    mirror.start()
    until(lambda: bench.rows()[0].mirrored_steps == 10)
    assert not bench.rows()[0].is_mirrored
    bench.end(0)
    mirror.wake(told=0)
    assert finished(mirror)
    assert bench.rows()[0].is_mirrored
    assert bench.tracker.steps == {"run-0": 30}


def test_a_training_that_began_again_since_it_was_listed_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its curve is gone with its attempt: nothing is sent of it, and the mirror lives on and sends the next."""
    bench = Bench()
    lost = bench.begin(0)
    bench.store.save_curve(bench.lease, lost.training_id, lost.attempt, a_curve(10))
    curve = bench.store.curve
    monkeypatch.setattr(bench.store, "curve", lambda each: None if each == lost.training_id else curve(each))
    bench.done(1)
    mirror = bench.mirror()
    mirror.start()
    until(lambda: bench.rows()[1].is_mirrored)
    assert [row.training_id for row in bench.tracker.runs.values()] == ["training-1-0"]
    mirror.check()
    mirror.abandon()


def test_an_abandoned_mirror_sends_nothing_more() -> None:
    """A driver that leaves gives its store and its lease away; the thread ends by itself."""
    bench = Bench()
    mirror = bench.mirror()
    mirror.start()
    mirror.abandon()
    until(lambda: not mirror._thread.is_alive())
    bench.done(0)
    mirror.wake(told=0)
    assert bench.tracker.runs == {}


def test_a_signal_while_the_rest_is_sent_ends_the_waiting() -> None:
    """What ``tick`` raises leaves ``finish`` at once, and a limit ends it in order."""
    bench = Bench()
    bench.tracker.error = TrackingUnavailable("no answer")
    bench.done(0)
    mirror = bench.mirror()
    mirror.start()

    def tick() -> None:
        raise Interrupted(15, "stopped")

    with pytest.raises(Interrupted):
        mirror.finish(tick, patience_seconds=PATIENCE)
    assert not mirror.finish(lambda: None, patience_seconds=PATIENCE, limit_seconds=0.1)
    mirror.abandon()


def test_an_outage_is_shown_and_then_everything_is_sent() -> None:
    """Three results wait while the server is away; nothing of it reaches the driver."""
    bench = Bench()
    bench.tracker.error = TrackingUnavailable("no answer")
    mirror = bench.mirror()
    mirror.start()
    for number in range(3):
        bench.done(number)
        mirror.wake(told=number)
    until(lambda: mirror.outage is not None and mirror.behind == 3)
    mirror.check()
    assert mirror.outage == "no answer"
    assert bench.tracker.runs == {}
    bench.tracker.error = None
    assert finished(mirror)
    assert mirror.behind == 0
    assert all(row.is_mirrored for row in bench.rows())
    assert len(bench.tracker.runs) == 3


def test_an_end_does_not_wait_longer_for_an_outage_than_its_patience() -> None:
    """It says that rows are left; the next start sends them."""
    bench = Bench()
    bench.done(0)
    bench.tracker.error = TrackingUnavailable("no answer")
    mirror = bench.mirror()
    mirror.start()
    began = time.monotonic()
    assert not mirror.finish(lambda: None, patience_seconds=0.1)
    assert 0.1 <= time.monotonic() - began < PATIENCE
    assert mirror.behind == 1
    bench.tracker.error = None
    later = bench.mirror()
    later.start()
    assert finished(later)
    assert bench.rows()[0].is_mirrored


def test_an_outage_that_ends_within_the_patience_is_waited_for() -> None:
    """The server comes back while the sweep ends: all is sent. The lease is seen to all the time."""
    bench = Bench()
    bench.done(0)
    bench.tracker.error = TrackingUnavailable("no answer")
    mirror = bench.mirror()
    mirror.start()
    until(lambda: mirror.outage is not None)
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            bench.tracker.error = None

    assert mirror.finish(tick, patience_seconds=PATIENCE)
    assert len(ticks) >= 3
    assert bench.rows()[0].is_mirrored


def test_an_error_that_is_no_outage_ends_the_mirror_and_reaches_the_driver() -> None:
    """What nobody foresaw must not look like a slow server."""
    bench = Bench()
    bench.done(0)
    bench.tracker.error = RuntimeError("a fault of ours")
    mirror = bench.mirror()
    mirror.check()
    mirror.start()
    with pytest.raises(RuntimeError, match="a fault of ours"):
        finished(mirror)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        mirror.check()


def test_a_mirror_whose_lease_is_lost_marks_nothing() -> None:
    """Another driver has the study; what was sent twice it will find by its tags."""
    bench = Bench()
    bench.done(0)
    mirror = bench.mirror()
    bench.store.acquire_lease("quick", "another", seconds=60, is_dead=lambda _: True)
    mirror.start()
    with pytest.raises(LeaseLost):
        finished(mirror)
    assert bench.rows()[0].mlflow_run_id is None


# ── which trainings become runs ──────────────────────────────────────────────────────────────────────────────────────
FEW = replace(STUDY, tracking=TrackingSpec(runs="finalists"))
NONE = replace(STUDY, tracking=TrackingSpec(runs="sweep"))


def test_of_the_finalists_and_the_best_of_each_family_there_are_runs() -> None:
    """The other trainings are passed over, once: the store does not list them again."""
    bench = Bench(study=FEW)
    bench.done(0)
    bench.complete(1, 0.5)
    bench.complete(2, 0.3)
    bench.complete(3, 0.7, "linear")
    bench.finalist(3)
    mirror = bench.mirror()
    mirror.start()
    assert finished(mirror)
    assert bench.sent_trials() == [2, 3, 3]
    assert bench.store.unmirrored("s") == []
    assert [(row.trial, row.mlflow_run_id) for row in bench.rows() if not row.mlflow_run_id] == [(0, ""), (1, "")]

    again = bench.mirror()
    again.start()
    assert finished(again)
    assert len(bench.tracker.runs) == 3


def test_the_best_of_a_family_is_sent_only_when_nothing_can_better_it() -> None:
    """A training is still queued: another start of the same sweep will say which is the best."""
    bench = Bench(study=FEW)
    bench.complete(0, 0.5)
    bench.store.add_trial(bench.lease, a_trial(1), [a_training(1)])
    mirror = bench.mirror()
    mirror.start()
    assert finished(mirror)
    assert bench.sent_trials() == []


def test_with_the_sweep_alone_its_run_has_the_families() -> None:
    """No training is a run, and the table of families is there all the same."""
    bench = Bench(study=NONE)
    bench.complete(0, 0.5)
    bench.complete(1, 0.25)
    bench.done(2)
    bench.finalist(1)
    mirror = bench.mirror()
    mirror.start()
    assert finished(mirror)
    assert bench.tracker.runs == {}
    assert bench.store.unmirrored("s") == []
    [cosine] = bench.tracker.families
    assert (cosine.trials, cosine.halted, cosine.trial, cosine.value, cosine.peak_lr) == (3, 1, 1, 0.25, 0.1)
    assert cosine.schedule is not None


def test_a_running_training_that_is_not_wanted_is_passed_over_too() -> None:
    """Its later steps are not listed either, and nothing of it counts as behind."""
    bench = Bench(study=NONE)
    row = bench.begin(0)
    bench.store.save_curve(bench.lease, row.training_id, 1, a_curve(10))
    mirror = bench.mirror()
    mirror.start()
    until(lambda: bench.rows()[0].mlflow_run_id == "")
    bench.store.save_curve(bench.lease, row.training_id, 1, a_curve(20))
    assert bench.store.unmirrored("s") == []
    assert mirror.behind == 0
    mirror.abandon()


def test_a_study_that_wants_all_runs_again_gets_those_that_were_passed_over() -> None:
    """They are sent from the start."""
    bench = Bench(study=NONE)
    bench.done(0)
    mirror = bench.mirror()
    mirror.start()
    assert finished(mirror)
    bench.study = STUDY
    again = bench.mirror()
    again.adopt()
    again.start()
    assert finished(again)
    assert bench.tracker.steps == {"run-0": 30}


def test_an_outage_while_the_families_are_shown_is_waited_out() -> None:
    """The rows were sent before it; the table comes with the next try."""
    bench = Bench()
    bench.done(0)
    mirror = bench.mirror()
    mirror.start()
    until(lambda: bench.rows()[0].is_mirrored)
    bench.tracker.error = TrackingUnavailable("no answer")
    assert not mirror.finish(lambda: None, patience_seconds=0.1)
    bench.tracker.error = None
    assert finished(mirror)
    assert [each.family for each in bench.tracker.families] == ["cosine"]


# ── Optuna's storage ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_finished_trials_are_copied_to_optuna_once() -> None:
    """Those of before the start and those told later; never a running one, and none twice."""
    bench = Bench()
    bench.done(0)
    bench.begin(1)
    first = bench.mirror()
    first.start()
    until(lambda: bench.copies() == [0])
    bench.end(1)
    first.wake(told=1)
    bench.begin(2)
    assert finished(first)
    second = bench.mirror()
    second.start()
    second.wake(told=1)
    assert finished(second)
    assert bench.copies() == [0, 1]
    assert {trial.state for trial in bench.copy.trials} == {optuna.trial.TrialState.PRUNED}
    assert [trial.intermediate_values for trial in bench.copy.trials] == [{1: 0.25}] * 2


def test_what_the_sweep_did_not_train_is_not_copied_to_optuna() -> None:
    """A trial of another generation is in that one's copy; a baseline is the sweep's own."""
    bench = Bench()
    copied = a_trial(0, origin=Origin.COPIED, copied_from="trial 9", state=TrialState.COMPLETE, value=0.5)
    bench.store.add_trial(bench.lease, copied, [])
    bench.store.add_trial(bench.lease, a_trial(1, origin=Origin.BASELINE), [a_training(1)])
    bench.store.start_training(bench.lease, "training-1-0", device="cpu")
    bench.end(1)
    mirror = bench.mirror()
    mirror.start()
    assert finished(mirror)
    assert bench.copies() == [1]


def test_an_outage_of_optunas_storage_is_an_outage_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its copy is made when it answers again; the sweep goes on meanwhile."""
    bench = Bench()
    bench.done(0)
    refusals = iter([StoreUnavailable("locked"), StoreUnavailable("locked")])

    def refusing(copy: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        add_copy(copy, trial)

    monkeypatch.setattr("lrsweep.sweep.mirror.add_copy", refusing)
    mirror = bench.mirror()
    mirror.start()
    assert finished(mirror)
    assert bench.copies() == [0]
    assert bench.rows()[0].is_mirrored


# ── after a crash ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_a_trainings_runs_one_is_adopted_and_the_others_are_deleted() -> None:
    """Two crashes between a run and its mark: the first run found is kept, and is filled from the start."""
    bench = Bench()
    row = bench.done(0)
    bench.tracker.found = {row.training_id: (FoundRun("a", 1), FoundRun("b", 1))}
    mirror = bench.mirror()
    mirror.adopt()
    assert bench.tracker.deleted == ["b"]
    [adopted] = bench.rows()
    assert (adopted.mlflow_run_id, adopted.mirrored_attempt, adopted.mirrored_steps) == ("a", 1, 0)
    mirror.start()
    assert finished(mirror)
    assert bench.tracker.steps == {"a": 30}


def test_the_run_that_the_store_knows_stays() -> None:
    """It keeps what was sent to it; every other run of that training goes."""
    bench = Bench()
    row = bench.done(0)
    known = {"mlflow_run_id": "known", "attempt": 1, "steps": 30, "status": Status.COMPLETED}
    bench.store.mark_mirrored(bench.lease, row.training_id, **cast(Any, known))
    bench.tracker.found = {row.training_id: (FoundRun("other", 1), FoundRun("known", 1))}
    bench.mirror().adopt()
    assert bench.tracker.deleted == ["other"]
    assert bench.rows()[0].mlflow_run_id == "known"
    assert bench.rows()[0].is_mirrored


def test_the_run_of_an_earlier_attempt_is_not_adopted() -> None:
    """Its points have other times than the ones to come."""
    bench = Bench()
    row = bench.begin(0)
    bench.store.queue_again(bench.lease, row.training_id, reason="its driver ended")
    bench.store.start_training(bench.lease, row.training_id, device="cpu")
    bench.tracker.found = {row.training_id: (FoundRun("old", 1),)}
    bench.mirror().adopt()
    assert bench.tracker.deleted == ["old"]
    assert bench.rows()[0].mlflow_run_id is None


def test_a_training_without_runs_is_left_as_it_is() -> None:
    """Nothing found, nothing changed."""
    bench = Bench()
    before = replace(bench.done(0))
    bench.mirror().adopt()
    assert bench.rows() == [before]
    assert bench.tracker.deleted == []


def test_what_a_race_may_claim_is_sent_before_its_finals_and_its_end_after_them() -> None:
    """Whoever chooses from MLflow's runs in between must not take a race for one that has ended. Once each."""
    bench = Bench()
    bench.done(0)

    def race(ended: str | None) -> None:
        state = {"looks": 3, "alpha": 0.036, "ended": ended}
        bench.store.update_sweep(bench.lease, "s", settings={RACE_KEY: state})

    race(None)
    mirror = bench.mirror()
    mirror.start()
    until(lambda: bool(bench.tracker.runs))
    assert (bench.tracker.races, bench.tracker.runs_before) == ([RaceShown(3, 0.036, None)], [0])
    mirror.abandon()
    bench.done(1)
    race("winner")
    mirror = bench.mirror()
    mirror.start()
    assert finished(mirror)
    assert bench.tracker.races[1:] == [RaceShown(3, 0.036, "winner")]
    assert bench.tracker.runs_before[1:] == [2]
