"""The checker of histories: it walks what the store has written down and the rows beside it, and says which rule broke.

    lease      a write names the token in force: a driver that lost its lease wrote nothing
    sweep      created once; running -> finished, stopped or cancelled; goes on from the first two alone
    trial      numbers grow; added once, told once, by the transaction that ended one of its trainings; one that was
               told to have failed runs again in the transaction that opened its failed training again
    training   queued once; every attempt begins, and ends with an outcome or in the queue; nothing after the outcome,
               but that what a budget has stopped outside of the search, and what has failed, waits again
    rows       say what the history says: attempts add up, what was told is a training's own value, one outcome each

The events alone are enough for the first four, so a history that was changed by hand is found out without its rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lrsweep.records import Purpose, Status, SweepRow, SweepStatus, TrainingRow, TrialRow, TrialState
from lrsweep.store.base import Event, Store

WITHOUT_LEASE = "cancel_asked"
ENDED = {
    "sweep_finished": SweepStatus.FINISHED,
    "sweep_stopped": SweepStatus.STOPPED,
    "sweep_cancelled": SweepStatus.CANCELLED,
}
OF_TRAININGS = ("training_started", "training_queued_again", "training_reopened", "training_ended")
MAY_WAIT_AGAIN = ("stopped", "failed")
ENDS = (*MAY_WAIT_AGAIN, "ended")
OF_RUNNING_SWEEPS = ("trial_told", "trial_reopened", "trainings_queued", *OF_TRAININGS)


@dataclass(frozen=True)
class Broken:
    """A rule that does not hold, and the event (from 1) at which that shows; None where only the rows show it."""

    rule: str
    event: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.rule}, {'rows' if self.event is None else f'event {self.event}'}: {self.text}"


@dataclass
class _Training:
    trial: int
    sweep: str | None
    attempt: int = 0
    status: str = "queued"


@dataclass
class _Trial:
    sweep: str | None
    counts: bool
    told: tuple[str, float | None] | None = None


@dataclass
class _Walk:
    """What the events up to here say."""

    holder: str | None = None
    tokens: set[str] = field(default_factory=set)
    sweeps: dict[str, SweepStatus] = field(default_factory=dict)
    trials: dict[int, _Trial] = field(default_factory=dict)
    trainings: dict[str, _Training] = field(default_factory=dict)
    newest: int = -1
    """the largest trial number so far"""
    just_ended: int | None = None
    """the trial whose training the event before this one has ended"""
    just_reopened: int | None = None
    """the trial whose failed training it has opened again"""


def assert_history(store: Store, study: str, *, value_key: str = "val_loss") -> None:
    """Every rule, for a study of one value; each one that broke is told, with the number of its event."""
    found = broken_rules(
        store.events(study), store.sweeps(study), store.trials(study), store.trainings(study), value_key=value_key
    )
    assert not found, "\n".join(map(str, found))


def broken_rules(
    events: Sequence[Event],
    sweeps: Iterable[SweepRow],
    trials: Iterable[TrialRow],
    trainings: Sequence[TrainingRow],
    *,
    value_key: str = "val_loss",
) -> list[Broken]:
    """In the order of the history, what the rows alone show at the end."""
    walk = _Walk()
    found = [broken for number, event in enumerate(events, 1) for broken in _at(walk, number, event)]
    return [*found, *_rows(walk, sweeps, list(trials), trainings, value_key)]


def _at(walk: _Walk, number: int, event: Event) -> Iterator[Broken]:
    """Takes the event in."""
    for rule, text in (
        *_lease(walk, event),
        *_sweep(walk, event),
        *_trial(walk, event),
        *_training(walk, event),
    ):
        yield Broken(rule, number, text)
    walk.just_ended = int(event.data["trial"]) if event.kind == "training_ended" else None
    # only a failure carries its error there: what a budget has stopped has none
    is_failure = event.kind == "training_reopened" and "error" in event.data
    walk.just_reopened = int(event.data["trial"]) if is_failure else None


Said = Iterator[tuple[str, str]]


def _lease(walk: _Walk, event: Event) -> Said:
    if event.kind == "lease_acquired":
        if event.token in walk.tokens:
            yield "lease", "a token was given a second time"
        walk.tokens.add(event.token)
        walk.holder = event.token
    elif event.kind != WITHOUT_LEASE and event.token != walk.holder:
        whose = "nobody's" if walk.holder is None else "another's"
        yield "lease", f"{event.kind} was written while the lease was {whose}"
    if event.kind == "lease_released" and event.token == walk.holder:
        walk.holder = None


def _sweep(walk: _Walk, event: Event) -> Said:
    identity = event.sweep_id
    if identity is None:
        return
    now = walk.sweeps.get(identity)
    if event.kind == "sweep_created":
        if now is not None:
            yield "sweep", f"{identity} was created twice"
        walk.sweeps[identity] = SweepStatus.RUNNING
        return
    if now is None:
        yield "sweep", f"{event.kind} of {identity}, which was not created"
        return
    if event.kind == "sweep_continued":
        if now not in (SweepStatus.FINISHED, SweepStatus.STOPPED):
            yield "sweep", f"{identity} was continued and is {now.value}"
        walk.sweeps[identity] = SweepStatus.RUNNING
    elif event.kind in ENDED:
        if now is not SweepStatus.RUNNING:
            yield "sweep", f"{event.kind} of {identity}, which is {now.value}"
        walk.sweeps[identity] = ENDED[event.kind]
    elif event.kind == "sweep_removed":
        del walk.sweeps[identity]
    elif now is not SweepStatus.RUNNING and (event.kind in OF_RUNNING_SWEEPS or _adds_own_trial(event)):
        yield "sweep", f"{event.kind} in {identity}, which is {now.value}"


def _adds_own_trial(event: Event) -> bool:
    """A copied or foreign one comes with its state, also while nobody drives the sweep."""
    return event.kind == "trial_added" and "state" not in event.data


def _trial(walk: _Walk, event: Event) -> Said:
    if event.kind == "trials_removed":
        gone = set(event.data["numbers"])
        walk.trials = {number: each for number, each in walk.trials.items() if number not in gone}
        walk.trainings = {each: row for each, row in walk.trainings.items() if row.trial not in gone}
        return
    if event.kind not in ("trial_added", "trial_told", "trial_reopened"):
        return
    number = int(event.data["trial"])
    trial = walk.trials.get(number)
    if event.kind == "trial_added":
        if number <= walk.newest:
            yield "trial", f"trial {number} was added after trial {walk.newest}"
        walk.newest = max(walk.newest, number)
        walk.trials[number] = _Trial(event.sweep_id, counts=_adds_own_trial(event))
        return
    if trial is None:
        yield "trial", f"trial {number} was told and never added"
        return
    if event.kind == "trial_reopened":
        if trial.told is None or trial.told[0] != TrialState.FAILED.value:
            yield "trial", f"trial {number} was opened again and had not failed"
        if walk.just_reopened != number:
            yield "trial", f"trial {number} was opened again without its failed training"
        trial.told = None
        return
    if trial.told is not None:
        yield "trial", f"trial {number} was told twice"
    if not trial.counts:
        yield "trial", f"trial {number} came with its result and was told"
    if walk.just_ended != number:
        yield "trial", f"trial {number} was told without the outcome of one of its trainings"
    if any(row.trial == number and row.status not in ENDS for row in walk.trainings.values()):
        yield "trial", f"trial {number} was told while a training of it was not done"
    trial.told = (event.data["state"], event.data["value"])


def _training(walk: _Walk, event: Event) -> Said:
    if event.kind in OF_TRAININGS:
        yield from _attempt(walk, event)
    for identity in event.data.get("queued", ()):
        if identity in walk.trainings:
            yield "training", f"{identity} was queued as new twice"
        if int(event.data["trial"]) not in walk.trials:
            yield "training", f"{identity} was queued for trial {event.data['trial']}, which was never added"
        walk.trainings[identity] = _Training(int(event.data["trial"]), event.sweep_id)


def _attempt(walk: _Walk, event: Event) -> Said:
    identity, attempt = str(event.data["training_id"]), int(event.data["attempt"])
    row = walk.trainings.get(identity)
    if row is None:
        yield "training", f"{event.kind} of {identity}, which was never queued"
        return
    wanted = {"training_started": ("queued",), "training_reopened": MAY_WAIT_AGAIN}.get(event.kind, ("running",))
    if row.status in ENDS and row.status not in wanted:
        yield "training", f"{event.kind} of {identity} after its outcome"
    elif row.status not in wanted:
        yield "training", f"{event.kind} of {identity}, which is {row.status}"
    expected = row.attempt + (event.kind == "training_started")
    if attempt != expected:
        yield "training", f"{event.kind} of {identity} in attempt {attempt}; wanted {expected}"
    row.attempt = attempt
    now = {"training_started": "running", "training_queued_again": "queued", "training_reopened": "queued"}
    row.status = now.get(event.kind) or _ended(str(event.data.get("status")))


def _ended(status: str) -> str:
    return status if status in MAY_WAIT_AGAIN else "ended"


# ── the rows beside it ───────────────────────────────────────────────────────────────────────────────────────────────
def _rows(
    walk: _Walk, sweeps: Iterable[SweepRow], trials: list[TrialRow], trainings: Sequence[TrainingRow], value_key: str
) -> Iterator[Broken]:
    said = (
        *_rows_of_sweeps(walk, sweeps, trials, trainings),
        *_rows_of_trials(walk, trials, trainings, value_key),
        *_rows_of_trainings(walk, trainings),
    )
    yield from (Broken("rows", None, text) for text in said)


def _rows_of_sweeps(
    walk: _Walk, sweeps: Iterable[SweepRow], trials: Iterable[TrialRow], trainings: Iterable[TrainingRow]
) -> Iterator[str]:
    rows = {row.sweep_id: row for row in sweeps}
    for identity in sorted(rows.keys() ^ walk.sweeps.keys()):
        yield f"sweep {identity} is in the {'rows' if identity in rows else 'history'} alone"
    for identity in sorted(rows.keys() & walk.sweeps.keys()):
        if rows[identity].status is not walk.sweeps[identity]:
            yield f"sweep {identity} is {rows[identity].status.value}; its history says {walk.sweeps[identity].value}"
    finished = {identity for identity, row in rows.items() if row.status is SweepStatus.FINISHED}
    yield from (f"trial {row.number} of a finished sweep has no result" for row in trials if _is_left(row, finished))
    for training in trainings:
        if training.sweep_id in finished and not training.status.is_outcome:
            yield f"training {training.training_id} of a finished sweep is {training.status.value}"


def _is_left(row: TrialRow, finished: set[str]) -> bool:
    return row.sweep_id in finished and not row.is_told


def _rows_of_trials(
    walk: _Walk, trials: list[TrialRow], trainings: Iterable[TrainingRow], value_key: str
) -> Iterator[str]:
    of_trial: dict[int, list[TrainingRow]] = defaultdict(list)
    for training in trainings:
        of_trial[training.trial].append(training)
    for number, times in Counter(row.number for row in trials).items():
        if times > 1:
            yield f"trial {number} has {times} rows"
    for number in sorted({row.number for row in trials} ^ walk.trials.keys()):
        yield f"trial {number} is in the rows alone, or in the history alone"
    for row in trials:
        heard = walk.trials.get(row.number)
        if heard is None or not row.origin.counts:
            continue
        stored = (row.state.value, row.value) if row.is_told else None
        if stored != heard.told:
            yield f"trial {row.number} is {stored}; the search was told {heard.told}"
        if row.is_told and not _is_own(row, of_trial[row.number], value_key):
            yield f"trial {row.number} was told {row.state.value} {row.value}, which no training of it says"


def _is_own(trial: TrialRow, trainings: Iterable[TrainingRow], value_key: str) -> bool:
    """Whether what was told is what the last of its trainings in the search came to."""
    searched = [row for row in trainings if row.purpose is Purpose.SEARCH]
    last = max(searched, key=lambda row: (row.rung, row.rate_scale == 1.0), default=None)
    if last is None:
        return False
    if trial.state is TrialState.FAILED:
        return last.status is Status.FAILED and trial.value is None
    if trial.state is TrialState.COMPLETE or trial.value is not None:
        return last.status is Status.COMPLETED and last.metrics.get(value_key) == trial.value
    return last.status is not Status.FAILED and (last.status is Status.DIVERGED or value_key not in last.metrics)


def _rows_of_trainings(walk: _Walk, trainings: Sequence[TrainingRow]) -> Iterator[str]:
    for identity, times in Counter(row.training_id for row in trainings).items():
        if times > 1:
            yield f"training {identity} has {times} rows"
    for identity in sorted({row.training_id for row in trainings} ^ walk.trainings.keys()):
        yield f"training {identity} is in the rows alone, or in the history alone"
    for row in trainings:
        heard = walk.trainings.get(row.training_id)
        if heard is None:
            continue
        status = _ended(row.status.value) if row.status.is_outcome else row.status.value
        if status != heard.status:
            yield f"training {row.training_id} is {row.status.value}; its history says {heard.status}"
        if row.attempt != heard.attempt:
            yield f"training {row.training_id} is in attempt {row.attempt}; {heard.attempt} were begun"
