"""lrsweep's own search on a table: the driver, the search, the rungs and the finals are those of a sweep; only what
trains is a table, one training at a time, and the store is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lrsweep.executors.messages import Busy, Lost
from lrsweep.records import Outcome, Purpose, Record, Status, TrainingPlan, TrainingRow, TrialRow
from lrsweep.selection import best_trial
from lrsweep.space import peak_of
from lrsweep.store import MemoryStore
from lrsweep.study import ResolvedStudy
from lrsweep.sweep import finals
from tests.benchmarks.regret.methods import Pick
from tests.benchmarks.regret.pool import Pool
from tests.benchmarks.regret.table import RATE_EXPONENTS, SEARCH_SEEDS, Seen, Table
from tests.scripted import Bench


class Replayed:
    """An executor that looks trainings up."""

    busy: Busy | None = None
    device_count: int = 1

    def __init__(self, table: Table, pool: Pool, store: MemoryStore) -> None:
        self._table = table
        self._pool = pool
        self._store = store
        self._plan: TrainingPlan | None = None
        self._fresh: list[int] = []
        """the finals' seeds as they come"""
        self.spent = 0

    @property
    def free(self) -> int:
        return int(self._plan is None)

    @property
    def in_flight(self) -> Sequence[str]:
        return () if self._plan is None else (self._plan.training_id,)

    def submit(self, plan: TrainingPlan) -> None:
        self._plan = plan

    def stop(self, training_id: str) -> None:
        raise NotImplementedError(training_id)

    def poll(self, seconds: float) -> list[Record | Lost]:
        del seconds
        if self._plan is None:
            return []
        plan, self._plan = self._plan, None
        row = self._store.training(plan.training_id)
        search, decide = self._looked_up(row, self._store.trial(row.study, row.trial))
        self.spent += search.steps
        metrics = {"val_loss": search.value, "decide_loss": decide.value}
        is_complete = search.value is not None and decide.value is not None
        outcome = Outcome(
            Status.COMPLETED if is_complete else Status.DIVERGED,
            search.steps,
            0.0,
            {name: value for name, value in metrics.items() if is_complete and value is not None},
            reason=None if is_complete else "the table says so",
        )
        return [_record(plan, search, outcome)]

    def _looked_up(self, row: TrainingRow, trial: TrialRow) -> tuple[Seen, Seen]:
        """On both halves of validation; the second is known at the full horizon alone, and asked for only there."""
        table, share = self._table, self._table.horizon // row.horizon
        rate = peak_of(trial.params) * row.rate_scale
        seed = self._seed(row)
        if share == 1:
            point = self._pool.nearest(trial.params, rate)
            return table.full(point, seed), table.decided(point, seed)
        if row.rate_scale == 1.0:
            own = table.compressed(self._pool.nearest(trial.params, rate), seed, share, own_rate=True)
            if own.steps:
                return own, own
        raised = share ** RATE_EXPONENTS[str(trial.params["optimizer"])]
        seen = table.compressed(self._pool.nearest(trial.params, rate / raised), seed, share)
        return seen, seen

    def _seed(self, row: TrainingRow) -> int:
        if row.purpose is not Purpose.FINAL:
            return row.seed % SEARCH_SEEDS
        if row.seed not in self._fresh:
            self._fresh.append(row.seed)
        return self._table.fresh(self._fresh.index(row.seed))

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        tick()
        return []

    def close(self) -> None:
        self._plan = None


def _record(plan: TrainingPlan, seen: Seen, outcome: Outcome) -> Record:
    evaluated = [] if seen.value is None else [seen.value]
    return Record(
        training_id=plan.training_id,
        attempt=plan.attempt,
        device="table",
        first_step=0,
        rates=np.zeros(seen.steps),
        train_losses=np.zeros(seen.steps),
        evaluation_steps=np.array([seen.steps] * len(evaluated), dtype=np.int64),
        evaluations={"val_loss": np.array(evaluated)},
        outcome=outcome,
    )


def sweep(table: Table, pool: Pool, study: ResolvedStudy) -> tuple[Bench, Replayed]:
    bench = Bench(study)
    executor = Replayed(table, pool, bench.store)
    bench.driver(executor).run()  # type: ignore[arg-type]
    return bench, executor


def pick(table: Table, pool: Pool, study: ResolvedStudy) -> Pick:
    """The finals' leader, or the best trial of a sweep too small for finals. Raises LookupError where there is none."""
    bench, executor = sweep(table, pool, study)
    trials, trainings = bench.trials, bench.trainings()
    leader = finals.leader(finals.standings(study, trials, trainings))
    best = best_trial(trials, study.sense)
    number = leader.trial if leader is not None else best.number if best is not None else None
    if number is None:
        raise LookupError
    params = next(trial.params for trial in trials if trial.number == number)
    return Pick(pool.nearest(params, peak_of(params)), executor.spent)
