"""What a look at the results finds: values made of rows, for ``lrsweep list`` and ``lrsweep status``.

Whoever looks takes no lease, so everything may change between two queries: the newest is shown, never something half
changed, since each query is a transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from lrsweep.findings.extracted import ends_of, leading_rows, told_in
from lrsweep.findings.reading import Request, chosen_sweep, generation_of, newest_sweeps, requests
from lrsweep.records import Json, Purpose, Status, StudyRow, SweepRow, SweepStatus, TrainingRow, TrialRow, TrialState
from lrsweep.selection import Ends, best_trial
from lrsweep.store.base import Event, Holder, Store
from lrsweep.store.extracts import TrialCount
from lrsweep.study import BUDGETS, TIMED
from lrsweep.sweep.finals import Finalist
from lrsweep.sweep.owner import driver_shown, is_dead
from lrsweep.sweep.progress import leading
from lrsweep.sweep.stored import resolved_from, sense_of, value_key_of

EVENTS_SHOWN = 5
PACE_FROM = 50
"""Trainings that ended last, at most, by which the pace is judged."""

WORDS = {
    SweepStatus.RUNNING: "unfinished",
    SweepStatus.FINISHED: "finished",
    SweepStatus.STOPPED: "stopped",
    SweepStatus.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Standing:
    """A study by its newest sweep."""

    study: str
    sweep: str
    state: str
    """``running``, ``ending`` (somebody asked to cancel it), ``unfinished`` (nobody drives it), or how it ended"""
    driver: str | None
    """who drives it"""
    trials_told: int
    trials_wanted: int | None
    best: float | None
    """its value in the search, which the finals are no part of"""
    family: str | None
    best_trial: int | None
    metric: str
    """of that value"""
    final: Finalist | None
    """what fresh seeds say of it; None before the finals have ended, and where there are none"""
    began_at: float
    seconds: float
    """of work, over all its drivers that have left"""

    def to_json(self) -> dict[str, Json]:
        return {**asdict(self), "final": None if self.final is None else self.final.to_json()}


@dataclass(frozen=True)
class Pace:
    """Of the driver that runs, by what ended last."""

    trainings_per_hour: float
    seconds_left: float | None
    """until the search has told all its trials"""


@dataclass(frozen=True)
class Failure:
    trial: int
    training: str
    line: str
    """the last of its error: where a traceback says what it is"""


@dataclass(frozen=True)
class Look:
    """Everything that ``lrsweep status`` shows of a study."""

    standing: Standing
    generation: str
    since: float | None
    """when the driver that runs took the study over"""
    trials_running: int
    trials_ended: Ends
    """as the families of ``lrsweep show`` count them, added up"""
    trainings: Mapping[str, int]
    """by status; several may be of one trial"""
    purposes: Mapping[str, int]
    """by what they are for"""
    pace: Pace | None
    not_mirrored: int
    """trainings that MLflow lacks, whole or in part"""
    failure: Failure | None
    events: Sequence[Event]
    request: Request | None = None
    """over HTTP, for a sweep of the study that begins, or that one"""

    def to_json(self) -> dict[str, Json]:
        return {**self.standing.to_json(), **{key: each for key, each in asdict(self).items() if key != "standing"}}


def list_studies(store: Store) -> list[Standing]:
    """The study with the newest sweep first."""
    holders = store.holders()
    return [
        standing_in(
            store, sweep, generation_of(store, sweep), store.extracts.trial_counts(sweep.sweep_id), holders.get(name)
        )
        for name, sweep in newest_sweeps(store).items()
    ]


def look_at(store: Store, given: str | None) -> Look:
    sweep = chosen_sweep(store, given)
    holder = store.holders().get(sweep.study)
    study = generation_of(store, sweep)
    counts = store.extracts.trial_counts(sweep.sweep_id)
    trainings = store.extracts.training_counts(sweep.sweep_id)
    standing = standing_in(store, sweep, study, counts, holder)
    since = None if standing.driver is None else _taken_over_at(store, sweep.study)
    left = max(0, (_trials_expected(study.spec) or 0) - standing.trials_told)
    return Look(
        standing=standing,
        generation=sweep.generation,
        since=since,
        trials_running=sum(each.count for each in counts if each.state is TrialState.RUNNING),
        trials_ended=ends_of(counts),
        trainings=_counted([(each.status.value, each.count) for each in trainings], list(Status)),
        purposes=_counted([(each.purpose.value, each.count) for each in trainings], ()),
        pace=None if since is None else pace_of(_ends(store, sweep.study), sweep.sweep_id, since, trials_left=left),
        not_mirrored=store.extracts.unmirrored(sweep.sweep_id),
        failure=_failure(store.extracts.last_failed(sweep.sweep_id)),
        events=store.last_events(sweep.study, EVENTS_SHOWN),
        request=requests(store).get(sweep.study),
    )


def standing_of(
    sweep: SweepRow,
    study: StudyRow,
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    holder: Holder | None,
    is_dead: Callable[[str], bool] = is_dead,
) -> Standing:
    """Of all rows of the sweep, for who has read them anyway. A lease whose process is known to have died is nobody's:
    it only has not expired yet."""
    own = [trial for trial in trials if trial.origin.counts]
    told = sum(trial.is_told for trial in own)
    return _standing(sweep, study, told, _leading(sweep, study, trials, trainings), holder, is_dead)


def standing_in(
    store: Store, sweep: SweepRow, study: StudyRow, counts: Sequence[TrialCount], holder: Holder | None
) -> Standing:
    """The same out of the counts of its trials: however many rows it has, a few are read."""
    trials, finals = leading_rows(store, sweep, counts, sense_of(study))
    return _standing(sweep, study, told_in(counts), _leading(sweep, study, trials, finals), holder, is_dead)


def _standing(
    sweep: SweepRow,
    study: StudyRow,
    told: int,
    leading: tuple[TrialRow | None, Finalist | None],
    holder: Holder | None,
    is_dead: Callable[[str], bool],
) -> Standing:
    best, final = leading
    driver = None if holder is None or is_dead(holder.owner) else holder.owner
    return Standing(
        study=sweep.study,
        sweep=sweep.sweep_id,
        state=sweep_state(sweep, is_driven=driver is not None),
        driver=None if driver is None else driver_shown(driver),
        trials_told=told,
        trials_wanted=trials_wanted(study.spec),
        best=None if best is None else best.value,
        family=None if best is None else str(best.params["family"]),
        best_trial=None if best is None else best.number,
        metric=value_key_of(study),
        final=final,
        began_at=sweep.created_at,
        seconds=sweep.seconds,
    )


def pace_of(events: Sequence[Event], sweep_id: str, since: float, *, trials_left: int) -> Pace | None:
    """By the last of what has ended since then; None before the second end."""
    ends = [event.at for event in events if _is(event, "training_ended", sweep_id, since)][-PACE_FROM:]
    if len(ends) < 2 or ends[-1] <= ends[0]:
        return None
    seconds = ends[-1] - ends[0]
    told = sum(_is(event, "trial_told", sweep_id, ends[0]) for event in events)
    return Pace(
        trainings_per_hour=3600 * (len(ends) - 1) / seconds,
        seconds_left=trials_left * seconds / told if told else None,
    )


def _taken_over_at(store: Store, study: str) -> float | None:
    """By the newest lease; none is left where the study's history was lost."""
    taken = store.last_events(study, 1, kind="lease_acquired")
    return taken[0].at if taken else None


def _ends(store: Store, study: str) -> list[Event]:
    """All that a pace is made of: a trial is told with the end of a training, so as many told ones are enough."""
    kinds = ("training_ended", "trial_told")
    return [event for kind in kinds for event in store.last_events(study, PACE_FROM, kind=kind)]


def trials_wanted(spec: Mapping[str, Json]) -> int | None:
    """None where a row does not say it, and where the budget is in another unit: how many that pays for is a guess."""
    budget = spec.get("budget", {})
    if any(unit in budget for unit in BUDGETS if unit != "trials"):
        return None
    return _trials_expected(spec)


def _trials_expected(spec: Mapping[str, Json]) -> int | None:
    """None where a clock alone says when the search is over."""
    budget = spec.get("budget", {})
    wanted = spec.get("trials") or budget.get("trials")
    return None if wanted is None or any(unit in budget for unit in TIMED) else int(wanted)


def _leading(
    sweep: SweepRow, study: StudyRow, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]
) -> tuple[TrialRow | None, Finalist | None]:
    """Without finals nothing more of the study is read than every release has kept."""
    if any(row.purpose is Purpose.FINAL for row in trainings):
        return leading(trials, trainings, resolved_from(study, sweep))
    return best_trial(trials, sense_of(study)), None


def sweep_state(sweep: SweepRow, *, is_driven: bool) -> str:
    if sweep.status is not SweepStatus.RUNNING or not is_driven:
        return WORDS[sweep.status]
    return "ending" if sweep.is_cancelled else "running"


def _is(event: Event, kind: str, sweep_id: str, since: float) -> bool:
    return event.kind == kind and event.sweep_id == sweep_id and event.at >= since


def _counted(counts: Sequence[tuple[str, int]], order: Sequence[str]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for value, count in counts:
        sums[value] += count
    return {value: sums[value] for value in [*order, *sorted(sums)] if sums[value]}


def _failure(last: TrainingRow | None) -> Failure | None:
    return None if last is None else Failure(last.trial, last.training_id, last_line(last.error))


def state_of(stored: str, value: float | None) -> str:
    """A trial's state in the words of the tables and of the view ``lrs_trials``.

    >>> state_of("pruned", 0.5), state_of("pruned", None), state_of("complete", 0.5)
    ('halted', 'diverged', 'complete')
    """
    if stored != TrialState.PRUNED.value:
        return stored
    return "diverged" if value is None else "halted"


def last_line(error: str | None) -> str:
    lines = [line for line in (error or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it left no error"
