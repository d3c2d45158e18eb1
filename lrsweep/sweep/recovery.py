"""What a driver knows of its sweep: read back from the committed rows when it begins, and kept up by what it hears."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lrsweep.records import Curve, Json, Origin, Purpose, Status, SweepRow, TrainingRow, TrialRow, TrialState
from lrsweep.scripts import command
from lrsweep.store.base import Lease, Store
from lrsweep.store.rules import Removed
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.halting import OtherRules, Reached, calibrates, is_behind_anywhere
from lrsweep.sweep.rungs import Rungs
from lrsweep.sweep.search import Search
from lrsweep.sweep.tally import Tally
from lrsweep.sweep.trust import DROPPED_KEY
from lrsweep.sweep.waiting import Untold, Waiting, most_in_flight
from lrsweep.sweep.warm_start import original_of


@dataclass
class State:
    """Shared by the driver, which asks and submits, and by who handles what comes."""

    study: ResolvedStudy
    tally: Tally
    search: Search
    reached: Reached
    rungs: Rungs
    waiting: Waiting
    untold: Untold
    curves: dict[str, Curve] = field(default_factory=dict)
    """of what is in flight"""

    def wait(self, row: TrainingRow) -> None:
        """It is to run when there is room."""
        self.tally.put_training(row)
        self.waiting.add(row)
        if row.purpose is Purpose.SEARCH:
            self.untold.add(row.trial)


def recovered(
    study: ResolvedStudy,
    sweep: SweepRow,
    store: Store,
    lease: Lease,
    *,
    takes: int,
    points: Iterable[Mapping[str, Json]] = (),
) -> State:
    """Reads back everything committed; trainings that an earlier driver left running are queued again.

    ``takes``: how many plans an idle executor has room for. ``points`` are asked for before the search draws its own.
    """
    generation = store.trials(study.name, generation=study.generation)
    sweeps = [row for row in store.sweeps(study.name) if row.generation == study.generation]
    others = OtherRules(study, [row for row in sweeps if row.sweep_id != sweep.sweep_id])
    reached, tally = Reached(study, others), Tally(study.sense, Removed.of(sweep))
    by_number = {trial.number: trial for trial in generation}
    for trial in generation:
        if trial.sweep_id == sweep.sweep_id:
            tally.put_trial(trial)
    by_trial: dict[int, list[TrainingRow]] = defaultdict(list)
    left: list[TrainingRow] = []
    for found in store.trainings(study.name, generation=study.generation):
        row = found
        if row.sweep_id == sweep.sweep_id:
            if row.status is Status.RUNNING:
                row = store.queue_again(lease, row.training_id, reason="its driver ended")
            if row.status is Status.QUEUED:
                left.append(row)
            tally.put_training(row)
        by_trial[row.trial].append(row)
        reached.add(by_number[row.trial], row)
    rungs = Rungs(study, others, dropped=sweep.settings.get(DROPPED_KEY, ()))
    rungs.recover(generation, by_trial)
    runs_scripts = study.workload.name == command.NAME
    state = State(
        study=study,
        tally=tally,
        search=Search(
            study,
            generation,
            by_trial | _of_originals(store, study, generation),
            sweep_id=sweep.sweep_id,
            points=points,
        ),
        reached=reached,
        rungs=rungs,
        waiting=Waiting(takes=takes),
        # for scripts it is the study file that says how many run at a time
        untold=Untold(None if runs_scripts else most_in_flight(study.trials)),
    )
    for row in left:  # now that all values are known
        trial = by_number[row.trial]
        is_behind = row.purpose is Purpose.SEARCH and is_behind_anywhere(
            trial, [each for each in by_trial[row.trial] if each.rung not in rungs.dropped], reached
        )
        if is_behind and calibrates(trial):
            state.untold.goes_on_to_calibrate(row.trial)
        state.wait(row)
    return state


def goes_on_sentence(trainings: Iterable[TrainingRow]) -> str | None:
    """Of a sweep's rows before it is driven again; None where nothing of it was trained yet.

    >>> row = TrainingRow("t", "digits", trial=0, sweep_id="s", rung=0, horizon=200, seed=7, rate_scale=1.0)
    >>> cut = TrainingRow("u", "digits", trial=1, sweep_id="s", rung=0, horizon=200, seed=7, rate_scale=1.0, attempt=1)
    >>> goes_on_sentence([row]), goes_on_sentence([row, cut])
    (None, 'this sweep goes on: 0 trainings have ended, and 1 that was cut short goes on from its checkpoint, if any')
    """
    begun = [row for row in trainings if row.attempt]
    ended = sum(row.status.is_outcome for row in begun)
    cut = len(begun) - ended
    if not begun:
        return None
    have = f"{ended:,} training has" if ended == 1 else f"{ended:,} trainings have"
    they = "was cut short goes on from its checkpoint" if cut == 1 else "were cut short go on from their checkpoints"
    return f"this sweep goes on: {have} ended" + (f", and {cut:,} that {they}, if any" if cut else "")


def _of_originals(store: Store, study: ResolvedStudy, trials: Sequence[TrialRow]) -> dict[int, list[TrainingRow]]:
    """By the number of a halted copy, what was trained of its original; nothing where that was removed."""
    halted = [trial for trial in trials if trial.origin is Origin.COPIED and trial.state is TrialState.PRUNED]
    copies = {original_of(copy): copy.number for copy in halted}
    found: dict[int, list[TrainingRow]] = defaultdict(list)
    for row in store.trainings(study.name) if copies else ():  # once for up to a thousand copies
        if row.trial in copies:
            found[copies[row.trial]].append(row)
    return found
