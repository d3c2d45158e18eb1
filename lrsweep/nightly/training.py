"""A night's trainings: all of a list to their ends, each committed as it ends; at a signal or a deadline they are
drained, and the same night goes on from their checkpoints."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lrsweep.errors import DeadlinePassed, Interrupted, SweepFailed
from lrsweep.executors.base import Executor
from lrsweep.executors.messages import Lost
from lrsweep.executors.to_the_end import Trained, value_of
from lrsweep.nightly.attempts import attempt_file, next_attempt
from lrsweep.nightly.contenders import BASELINE, CHAMPION, Contender
from lrsweep.nightly.workplace import Workplace
from lrsweep.records import Curve, Record, Status, TrainingPlan, stable_hash
from lrsweep.store.base import Store
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.checkpoints import FINISH_SECONDS, Checkpoints

FOLDER = "nights"
"""In the home, or below LRSWEEP_CHECKPOINTS: checkpoints of nights. A sweep's own tidying knows nothing of them."""
POLL_SECONDS = 0.2
MOST_LOSSES = 3
"""Of a training with its process, until nobody tries it again."""


@dataclass(frozen=True)
class Job:
    """One training of a night."""

    arm: str
    contender: Contender
    horizon: int
    scale: float
    seed: int

    @property
    def key(self) -> tuple[str, int, int]:
        return self.arm, self.horizon, self.seed


@dataclass(frozen=True)
class Bench:
    """Where a night trains."""

    store: Store
    study: ResolvedStudy
    night: NightRow
    executor: Executor
    checkpoints: Checkpoints
    attempts: Path
    """the folder that knows how often each has begun"""
    confirm: Callable[[], None]
    """raises LeaseLost where another process may go on with the night by now"""
    check: Callable[[], None]
    """raises what ends the night early"""
    mark: str = ""
    """of what surrounds it, where that is not what it began in: its checkpoints are others"""

    def identity(self, job: Job) -> str:
        """The same whenever the night goes on. Its beginning tells it from the night that other results have of that
        key, whose checkpoints may be in the same place."""
        night, mark = self.night, [self.mark] if self.mark else []
        named = [night.study, night.generation, night.key, night.at]
        return stable_hash([*named, job.contender.to_json(), *job.key, *mark])[:32]


def folder_of(at: Workplace) -> Checkpoints:
    place = at.homes.checkpoints_at or at.homes.folder
    return Checkpoints(f"{place}/{FOLDER}" if isinstance(place, str) else place / FOLDER, at.removing)


def attempts_of(at: Workplace) -> Path:
    """Beside the checkpoints; in the home where these are behind a URL."""
    folder = folder_of(at).folder
    return at.homes.folder / FOLDER if isinstance(folder, str) else folder


def finish_removing(at: Workplace, is_over: Callable[[], bool]) -> None:
    """For the end of a run: waits until all is removed, but no longer than a minute, nor once it is over. What is left
    the next night tidies."""
    until = time.monotonic() + FINISH_SECONDS
    while not (at.removing.is_done or is_over() or time.monotonic() > until):
        time.sleep(0.05)


def train(bench: Bench, jobs: Sequence[Job]) -> list[NightTraining]:
    """Those that were not trained yet. All of the night so far come back; what failed has not ended, and is told by
    SweepFailed once the others have."""
    done = {each.key for each in bench.store.nights.trainings(bench.night.id)}
    left = {bench.identity(job): job for job in jobs if job.key not in done}
    if left:
        failures = _Round(bench, left).run()
        if failures:
            raise SweepFailed(_told(failures, len(jobs)))
    return list(bench.store.nights.trainings(bench.night.id))


class _Round:
    def __init__(self, bench: Bench, jobs: dict[str, Job]) -> None:
        self._bench, self._jobs = bench, jobs
        self._waiting = list(jobs)
        self._curves: dict[str, Curve] = {}
        self._losses: Counter[str] = Counter()
        self._left = set(jobs)
        self._failures: list[tuple[Job, str]] = []

    def run(self) -> list[tuple[Job, str]]:
        """What failed, and why."""
        executor = self._bench.executor
        try:
            while self._left:
                self._bench.check()
                while self._waiting and executor.free > 0:
                    self._submit(self._waiting.pop(0))
                self._hear(executor.poll(POLL_SECONDS))
        except (Interrupted, DeadlinePassed):
            self._hear(executor.drain(lambda: None))
            raise
        return self._failures

    def _submit(self, identity: str) -> None:
        job, bench = self._jobs[identity], self._bench
        self._curves[identity] = Curve.empty()
        bench.executor.submit(self._plan(identity, job))

    def _plan(self, identity: str, job: Job) -> TrainingPlan:
        return job.contender.plan(
            self._bench.study,
            horizon=job.horizon,
            scale=job.scale,
            seed=job.seed,
            identity=identity,
            attempt=next_attempt(attempt_file(self._bench.attempts, identity)),
            folder=self._bench.checkpoints.url(identity),
        )

    def _hear(self, messages: Iterable[Record | Lost]) -> None:
        for message in messages:
            identity = message.training_id
            if identity not in self._left:
                continue
            if isinstance(message, Lost):
                self._lost(message)
                continue
            curve = self._curves[identity] = self._curves[identity].extended(message)
            if message.outcome is None:
                continue
            if message.outcome.status is Status.STOPPED:
                self._waiting.append(identity)
            else:
                self._ended(identity, Trained(curve, message.outcome, message.device, message.engine))

    def _lost(self, message: Lost) -> None:
        self._losses[message.training_id] += message.was_running
        if self._losses[message.training_id] < MOST_LOSSES:
            self._waiting.append(message.training_id)
        else:
            self._fail(message.training_id, f"its process ended {MOST_LOSSES} times: {message.reason}")

    def _ended(self, identity: str, trained: Trained) -> None:
        job, outcome = self._jobs[identity], trained.outcome
        if outcome.status is Status.FAILED:
            self._fail(identity, _last_line(outcome.error))
            return
        value = value_of(self._bench.study, trained, job.horizon)
        # a completed one without a number, as of a metric that is not finite, is no result that one could go by
        status = Status.DIVERGED if value is None else outcome.status
        row = NightTraining(self._bench.night.id, *job.key, status, value)
        self._commit(
            identity,
            replace(row, steps=outcome.steps, seconds=outcome.seconds, device=trained.device, engine=trained.engine),
        )

    def _fail(self, identity: str, why: str) -> None:
        """A challenger that fails is left out; of the champion and the baseline it is known that they can be trained,
        so that theirs are tried again."""
        job = self._jobs[identity]
        if job.arm not in (CHAMPION, BASELINE):
            row = NightTraining(self._bench.night.id, *job.key, Status.FAILED, None, error=why)
            self._commit(identity, row)
            return
        self._failures.append((job, why))
        self._left.discard(identity)
        forget(self._bench, identity)

    def _commit(self, identity: str, row: NightTraining) -> None:
        self._bench.confirm()
        self._bench.store.nights.add_training(row)
        self._left.discard(identity)
        forget(self._bench, identity)


def forget(bench: Bench, identity: str) -> None:
    bench.checkpoints.remove(identity)
    with suppress(OSError):
        attempt_file(bench.attempts, identity).unlink()


def _told(failures: Sequence[tuple[Job, str]], all_of_them: int) -> str:
    (job, why), more = failures[0], "" if len(failures) == 1 else f" (and {len(failures) - 1} more)"
    return (
        f"{len(failures)} of {all_of_them} trainings failed: {job.arm} over {job.horizon} steps with seed {job.seed}: "
        f"{why}{more}. What ended is kept; the same command trains these again"
    )


def _last_line(error: str | None) -> str:
    return ((error or "").strip().splitlines() or ["it does not say why"])[-1]
