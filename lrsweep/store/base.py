"""The store: the one place where results are true. Three homes, one contract (``tests/contract/test_store.py``).

Every method is one transaction. A write by the driver names its lease, which is checked in the same transaction by the
database's clock: a driver that was stopped past its lease changes nothing when it continues. Values go in and come out;
nothing that a caller holds changes by itself.

What every method may raise, and then nothing has changed:

- ``LeaseLost`` at a write whose lease has expired, was given back, or has gone to another driver.
- ``ValueError`` for a row that contradicts what is stored (a number used twice, another study's sweep, a state that
  does not follow from the present one) or that JSON cannot hold (NaN, infinity).
- ``KeyError`` for a sweep or training that is not there.
- ``TryAgain`` when the database went away, is full or may not be written: the same command continues later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lrsweep.records import (
    Curve,
    Json,
    Losses,
    Outcome,
    Status,
    StudyRow,
    SweepRow,
    SweepStatus,
    TrainingRow,
    TrialRow,
    TrialState,
)
from lrsweep.store.champions import Champions
from lrsweep.store.extracts import Extracts
from lrsweep.store.nights import Nights
from lrsweep.store.queue import Queue
from lrsweep.store.tokens import Tokens


@dataclass(frozen=True)
class Lease:
    """The right to write to a study: ``token`` is new at every acquisition, so an old holder is recognised."""

    study: str
    owner: str
    token: str


@dataclass(frozen=True)
class Holder:
    """Who drives a study now."""

    owner: str
    seconds_left: float


@dataclass(frozen=True)
class Event:
    """One line of the append-only history."""

    at: float
    study: str
    sweep_id: str | None
    kind: str
    """``lease_acquired``, ``lease_released``, ``study_registered``, ``sweep_created``, ``sweep_continued``,
    ``sweep_finished``, ``sweep_stopped``, ``sweep_cancelled``, ``sweep_removed``, ``cancel_asked``, ``trial_added``,
    ``trial_told``, ``trial_reopened``, ``trials_removed``, ``trainings_queued``, ``training_started``,
    ``training_queued_again``, ``training_reopened``, ``training_ended``, and what ``note`` is given; a renewed lease, a
    partial curve and a mirror's mark leave none"""
    token: str
    data: Mapping[str, Json]


@dataclass(frozen=True)
class TrialEnd:
    """What the search was told of a trial."""

    state: TrialState
    value: float | None


class Store(Protocol):
    @property
    def champions(self) -> Champions:
        """Who was promoted, and what the test sets were read for."""

    @property
    def extracts(self) -> Extracts:
        """What a look needs of many rows, without reading each."""

    @property
    def nights(self) -> Nights:
        """What nights compare, and what came of them."""

    @property
    def queue(self) -> Queue:
        """Sweeps that are asked for over HTTP, and the studies that may be."""

    @property
    def tokens(self) -> Tokens:
        """Who may ask the service."""

    def close(self) -> None:
        """Gives all connections back."""

    # ── the lease ────────────────────────────────────────────────────────────────────────────────────────────────
    def acquire_lease(
        self, study: str, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False
    ) -> Lease:
        """Takes the study's lease when nobody holds it, when it has expired, or when ``is_dead(holder)``.

        Raises LeaseHeld with the holder otherwise. ``is_dead`` is asked outside the transaction.
        """

    def renew_lease(self, lease: Lease, *, seconds: float) -> None:
        """Moves the expiry to ``seconds`` from now. Raises LeaseLost when it has expired or another token holds it."""

    def release_lease(self, lease: Lease) -> None:
        """Gives the lease back; does nothing when it is no longer held by this token."""

    def holders(self) -> Mapping[str, Holder]:
        """The leases in force, by study; those under which test sets are read (``reading_lease``) are no study's."""

    # ── studies and sweeps ───────────────────────────────────────────────────────────────────────────────────────
    def register_study(self, lease: Lease, study: StudyRow) -> None:
        """Adds this generation, or renews its ``spec`` where it exists (a larger budget is the same generation).

        Raises ValueError when the generation is there with another meaning.
        """

    def studies(self, name: str | None = None) -> Sequence[StudyRow]:
        """All generations, oldest first."""

    def study_names(self) -> Sequence[str]:
        """In their order, each once. Of many studies the rows are long and the names are not."""

    def sweep_ids(self) -> Sequence[str]:
        """Of all studies, newest first."""

    def create_sweep(self, lease: Lease, sweep: SweepRow) -> SweepRow:
        """Adds the sweep; comes back with ``created_at`` filled in."""

    def update_sweep(
        self,
        lease: Lease,
        sweep_id: str,
        *,
        status: SweepStatus | None = None,
        add_seconds: float = 0.0,
        mlflow_run_id: str | None = None,
        settings: Mapping[str, Json] | None = None,
    ) -> SweepRow:
        """Changes what is given and leaves the rest; ``add_seconds`` is added, ``settings`` are merged into its own."""

    def sweeps(self, study: str) -> Sequence[SweepRow]:
        """Oldest first."""

    def sweep(self, sweep_id: str) -> SweepRow:
        """Raises KeyError when there is none."""

    def sweep_counts(self) -> Mapping[SweepStatus, int]:
        """Of all studies, by status, those that have any: one query, whatever there is."""

    def ask_to_cancel(self, sweep_id: str) -> SweepRow:
        """Marks a sweep that is neither finished nor cancelled; its driver, which holds the lease, obeys.

        The one write without a lease. Raises ValueError where the sweep has ended.
        """

    def note(self, lease: Lease, kind: str, sweep_id: str | None, data: Mapping[str, Json]) -> None:
        """Adds a line to the history that no other method writes, such as ``rung_dropped``."""

    # ── trials and trainings ─────────────────────────────────────────────────────────────────────────────────────
    def next_trial_number(self, study: str) -> int:
        """One more than the largest number that the study ever used, 0 for a new study."""

    def add_trial(self, lease: Lease, trial: TrialRow, trainings: Sequence[TrainingRow]) -> None:
        """From here on the trial exists. Its first trainings are queued in the same transaction.

        A trial whose origin does not count (copied, foreign) comes with its result, and without trainings.
        """

    def queue_trainings(self, lease: Lease, trainings: Sequence[TrainingRow]) -> None:
        """Adds trainings to trials that exist, told ones too: finalists' fresh seeds, a design that is fitted."""

    def trials(self, study: str, *, generation: str | None = None, sweep_id: str | None = None) -> Sequence[TrialRow]:
        """By number."""

    def trial(self, study: str, number: int) -> TrialRow:
        """Raises KeyError when there is none."""

    def trainings(
        self, study: str, *, generation: str | None = None, sweep_id: str | None = None, trial: int | None = None
    ) -> Sequence[TrainingRow]:
        """By trial, then rung, then rate scale (the raised one first)."""

    def training(self, training_id: str) -> TrainingRow:
        """Raises KeyError when there is none."""

    def start_training(self, lease: Lease, training_id: str, *, device: str, engine: str | None = None) -> TrainingRow:
        """queued -> running; ``attempt`` grows by one and ``started_at`` is now; the old attempt's curve is dropped.

        ``device`` and ``engine`` are of this attempt; None where no engine is known to have begun it.
        Raises ValueError when the training is not queued.
        """

    def queue_again(self, lease: Lease, training_id: str, *, reason: str) -> TrainingRow:
        """running or stopped -> queued; keeps ``attempt``; does nothing to a training that is queued already.

        A final, or one of a design, that the end of a budget has stopped loses what it came to, for a larger budget
        trains it to its end. Raises ValueError when the training has another outcome.
        """

    def reopen_failed(self, lease: Lease, training_id: str, *, reason: str) -> TrainingRow:
        """failed -> queued; keeps ``attempt`` and loses what it came to. A trial of which the search was told that it
        failed is running again, and is told once more when it ends.

        Raises ValueError when the training has not failed.
        """

    def save_curve(self, lease: Lease, training_id: str, attempt: int, curve: Curve) -> None:
        """Commits the curve so far. Raises ValueError when the training is not running in this attempt."""

    def end_training(
        self,
        lease: Lease,
        training_id: str,
        attempt: int,
        outcome: Outcome,
        curve: Curve,
        *,
        engine: str | None = None,
        tell: TrialEnd | None = None,
        queue: Sequence[TrainingRow] = (),
    ) -> TrainingRow:
        """The result, its whole curve, the losses of examples where it has them, what the search is told, and the
        trial's next trainings: all or nothing.

        ``engine`` is the one that ended it, where that may not be the one that began it; None leaves it as it is.

        Raises ValueError when the training is not running in this attempt, or when the search was told of the trial
        before (and it was not opened again): a result counts exactly once.
        """

    def curve(self, training_id: str) -> Curve | None:
        """What is committed of the curve, or None before the first commit of the present attempt."""

    def example_losses(self, sweep_id: str) -> Mapping[str, Losses]:
        """What outcomes of the sweep's trainings told of single examples, by training; most tell nothing."""

    # ── removal ──────────────────────────────────────────────────────────────────────────────────────────────────
    def curve_bytes(self, sweep_id: str) -> Mapping[int, int]:
        """What the curves of the sweep's trials take, and their losses of examples, by trial number; a trial without
        curves is not in it."""

    def remove_trials(self, lease: Lease, sweep_id: str, numbers: Collection[int]) -> None:
        """Removes trials with all of their trainings; the sweep with its last trial, its generation with the last
        sweep of it. Numbers of the sweep that are gone already are skipped. The history stays, and a number is never
        used again.
        """

    # ── mirrors ──────────────────────────────────────────────────────────────────────────────────────────────────
    def unmirrored(self, sweep_id: str) -> Sequence[TrainingRow]:
        """Trainings with a committed curve or outcome that MLflow does not have yet, oldest start first."""

    def mark_mirrored(
        self,
        lease: Lease,
        training_id: str,
        *,
        mlflow_run_id: str,
        attempt: int,
        steps: int,
        status: Status | None,
    ) -> None:
        """Remembers what MLflow holds: the run, whose attempt, how many steps, and the outcome once it was sent."""

    # ── history ──────────────────────────────────────────────────────────────────────────────────────────────────
    def events(self, study: str) -> Sequence[Event]:
        """In the order in which they were committed."""

    def events_after(self, sweep: SweepRow, number: int, count: int) -> Sequence[tuple[int, Event]]:
        """The next so many of the sweep's own, with their numbers, which grow in the order of commits."""

    def last_events(self, study: str, count: int, *, kind: str | None = None) -> Sequence[Event]:
        """The last so many, or of one kind alone, in the order in which they were committed."""
