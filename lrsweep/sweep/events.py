"""What happens in a sweep, one object each, for programs that follow it: what ``--json`` prints line by line.

    started, trial, training, rung, family, note, progress, finished

Each has its kind under ``event``; a program passes over kinds and keys that it does not know. The last line is
``finished`` with the whole result, unless the sweep was left early.
"""

from __future__ import annotations

from collections.abc import Callable

from lrsweep.records import Json, SweepRow, TrainingRow, TrialRow
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.rung_costs import RungCost
from lrsweep.sweep.trust import RungTrust

Event = dict[str, Json]
Tell = Callable[[Event], None]


def nobody(_: Event) -> None:
    """Hears it."""


def started(sweep: SweepRow, study: ResolvedStudy, *, told: int) -> Event:
    """A process begins to drive the sweep; ``told``: trials that earlier ones have finished."""
    return {
        "event": "started",
        "study": study.name,
        "sweep": sweep.sweep_id,
        "generation": study.generation,
        "trials": told,
        "trials_wanted": study.trials,
        "total_steps": study.total_steps,
        "rungs": list(study.rungs),
        "value_of": study.value_key,
        "better": study.sense,
    }


def trial(told: TrialRow) -> Event:
    """A trial has its result."""
    return {
        "event": "trial",
        "trial": told.number,
        "origin": told.origin.value,
        "state": told.state.value,
        "value": told.value,
        "params": dict(told.params),
    }


def training(ended: TrainingRow) -> Event:
    """A training has its outcome; a traceback by its last line, the row has all of it."""
    error = None if ended.error is None else ended.error.strip().rpartition("\n")[2]
    return {
        "event": "training",
        "training": ended.training_id,
        "trial": ended.trial,
        "purpose": ended.purpose.value,
        "rung": ended.rung,
        "horizon": ended.horizon,
        "seed": ended.seed,
        "attempt": ended.attempt,
        "status": ended.status.value,
        "steps": ended.steps,
        "seconds": ended.seconds,
        "metrics": dict(ended.metrics),
        **({"reason": ended.reason} if ended.reason else {}),
        **({"error": error} if error else {}),
    }


def family(best: TrialRow) -> Event:
    """A family has another best trial at the full horizon."""
    return {"event": "family", "family": str(best.params["family"]), "trial": best.number, "value": best.value}


def rung(dropped: RungTrust | RungCost) -> Event:
    """A rung was found to mislead, or to cost too much: nothing is halted at it, and new trials start above it or pass
    over it."""
    return {"event": "rung", "dropped": True, **dropped.to_json()}


def note(sentence: str) -> Event:
    """What a person is told as well."""
    return {"event": "note", "text": sentence}
