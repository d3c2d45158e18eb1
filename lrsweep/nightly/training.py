"""A night's trainings: all of a list to their ends, each committed as it ends; at a signal or a deadline they are
drained, and the same night goes on from their checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lrsweep.errors import DeadlinePassed, Interrupted, SweepFailed
from lrsweep.executors.base import Executor
from lrsweep.executors.messages import Lost
from lrsweep.executors.to_the_end import Trained, value_of
from lrsweep.nightly.contenders import BASELINE, CHAMPION, Contender
from lrsweep.records import Curve, Record, Status, TrainingPlan, stable_hash
from lrsweep.store.base import Store
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.checkpoints import Checkpoints
from lrsweep.sweep.homes import Homes

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
        night, mark = self.night, [self.mark] if self.mark else []
        return stable_hash([night.study, night.generation, night.key, job.contender.to_json(), *job.key, *mark])[:32]


def folder_of(homes: Homes) -> Checkpoints:
    if isinstance(homes.checkpoints_at, str):
        return Checkpoints(f"{homes.checkpoints_at}/{FOLDER}")
    return Checkpoints((homes.checkpoints_at or homes.folder) / FOLDER)


def attempts_of(homes: Homes) -> Path:
    """Beside the checkpoints; in the home where these are behind a URL."""
    folder = folder_of(homes).folder
    return homes.folder / FOLDER if isinstance(folder, str) else folder


def train(bench: Bench, jobs: Sequence[Job]) -> list[NightTraining]:
    """Those that were not trained yet. All of the night so far come back; what failed has not ended, and is told by
    SweepFailed once the others have."""
    done = {each.key for each in bench.store.nights.trainings(bench.night.id)}
    left = {bench.identity(job): job for job in jobs if job.key not in done}
    if left:
        failures = _Round(bench, left).run()
        bench.checkpoints.finish(bench.check)
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
                while self._waiting and executor.free:
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
            attempt=_next_attempt(_attempt_file(self._bench, identity)),
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
        _attempt_file(bench, identity).unlink()


def _next_attempt(file: Path) -> int:
    """One more than any process has begun: a script tells its attempts apart by it."""
    try:
        attempt = int(file.read_text(encoding="ascii")) + 1
    except (OSError, ValueError):
        attempt = 1
    with suppress(OSError):  # a full disk: whoever goes on may train it from its first step
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(attempt), encoding="ascii")
    return attempt


def _attempt_file(bench: Bench, identity: str) -> Path:
    return bench.attempts / f"{identity}.attempt"


def _told(failures: Sequence[tuple[Job, str]], all_of_them: int) -> str:
    (job, why), more = failures[0], "" if len(failures) == 1 else f" (and {len(failures) - 1} more)"
    return (
        f"{len(failures)} of {all_of_them} trainings failed: {job.arm} over {job.horizon} steps with seed {job.seed}: "
        f"{why}{more}. What ended is kept; the same command trains these again"
    )


def _last_line(error: str | None) -> str:
    return ((error or "").strip().splitlines() or ["it does not say why"])[-1]
