"""Nights for those who review runs: each that trained becomes a run of MLflow, in the experiment of the study's sweeps.

The results are the spool: what MLflow has not got is found by asking it, so that a night during which it was away is
sent by the next one that trains, or by `lrsweep sync`. A night never fails by it. A study of which the results hold no
sweep has no experiment, and its nights are sent once it has one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lrsweep.errors import DeadlinePassed, LeaseHeld, LeaseLost, LrsweepError
from lrsweep.nightly.alone import nights_alone
from lrsweep.nightly.history import read_night
from lrsweep.nightly.outcome import NightRun, StudyNight
from lrsweep.nightly.telling.page import page
from lrsweep.nightly.telling.wanted import RECENT
from lrsweep.nightly.workplace import Say
from lrsweep.redaction import masked
from lrsweep.store import Store
from lrsweep.store.nights import NightTraining
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking import Tracker
from lrsweep.tracking.nights import NightShown

ENDED_EARLY = "A signal or the deadline came before all were sent."


@dataclass(frozen=True)
class Shown:
    sent: int = 0
    outage: str | None = None
    """why MLflow has not got all of them"""


def show_nights(
    store: Store, homes: Homes, studies: Sequence[str], say: Say, is_over: Callable[[], bool] = lambda: False
) -> Shown:
    """Of these studies, as far back as messages read them; whoever is at work on a study's nights sends them.
    ``is_over`` is asked before each night: what is left then the next one sends."""
    tracker: Tracker | None = None
    sent = 0
    for study in studies:
        try:
            found = _trained(store, study)
            if not found or not store.sweeps(study):
                continue
            if is_over():
                raise DeadlinePassed(ENDED_EARLY)
            if tracker is None:
                tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
            with nights_alone(store, study, "skip", lambda: None, say):
                sent += _send(store, tracker, study, found, is_over)
        except (LeaseHeld, LeaseLost):
            continue
        except LrsweepError as error:
            return Shown(sent, str(error))
        except Exception as error:  # the night is over, and has its result
            return Shown(sent, masked(f"{type(error).__name__}: {error}"))
    return Shown(sent)


def _trained(store: Store, study: str) -> dict[int, StudyNight]:
    """By the rows' numbers, the oldest first."""
    rows = [row for row in store.nights.rows(study) if row.result is not None][-RECENT:]
    nights = {row.id: read_night(row) for row in rows}
    return {number: night for number, night in nights.items() if night.judgement is not None}


def _send(
    store: Store, tracker: Tracker, study: str, found: Mapping[int, StudyNight], is_over: Callable[[], bool]
) -> int:
    sweep = store.sweeps(study)[-1]
    row = next(each for each in store.studies(study) if each.generation == sweep.generation)
    experiment = str(tracker.experiment(resolved_from(row, sweep), sweep).experiment_id)
    runs = tracker.nights()
    there = runs.nights(experiment, study)
    sent, history = 0, list(found.values())
    for place, (number, night) in enumerate(found.items()):
        shown = _shown(night, store.nights.trainings(number), history[: place + 1])
        if shown.identity in there and there[shown.identity] is None:
            continue
        if is_over():
            raise DeadlinePassed(ENDED_EARLY)
        runs.send(experiment, shown, there.get(shown.identity))
        sent += 1
    return sent


def _shown(night: StudyNight, trainings: Sequence[NightTraining], history: Sequence[StudyNight]) -> NightShown:
    told = {"verdict": night.verdict, "exit_code": str(night.exit_code), "generation": night.generation}
    told |= {"sentence": night.sentence, "next_step": night.next_step}
    in_force = {"champion": night.champion, "candidate": night.candidate, "promoted": night.promoted}
    told |= {name: words for name, words in in_force.items() if words is not None}
    tags = {f"lrsweep.{name}": masked(text) for name, text in told.items()}
    note = f"**{night.verdict}**: {masked(night.sentence)}\n\nNext: {masked(night.next_step)}"
    run = NightRun(night.key, (night,), night.exit_code, night.began_at, night.ended_at)
    return NightShown(
        identity=f"{night.generation}:{night.key}:{int(night.began_at * 1000)}",
        study=night.study,
        key=night.key,
        tags={**tags, "mlflow.note.content": note},
        metrics=dict(_figures(night, trainings)),
        began_at=night.began_at,
        ended_at=night.ended_at,
        page=lambda: page(run, {night.study: history}),
    )


def _figures(night: StudyNight, trainings: Sequence[NightTraining]) -> Iterator[tuple[str, float]]:
    """``champion/90``: the mean of its seeds over 90 steps; ``canary/…`` and its limits; ``gain/…`` of a challenger."""
    yield from (("trainings", night.trainings), ("steps", night.steps), ("seconds", night.seconds))
    values: dict[str, list[float]] = defaultdict(list)
    for each in trainings:
        if each.value is not None:
            values[f"{each.arm}/{each.horizon}"].append(each.value)
    yield from ((name, fmean(found)) for name, found in values.items())
    judgement: Mapping[str, Any] = night.judgement or {}
    for chart in judgement.get("charts") or ():
        low, high = chart["limits"] or (None, None)
        named = {"": chart["tonight"], "/low": low, "/high": high}
        yield from ((f"canary/{chart['name']}{end}", value) for end, value in named.items() if value is not None)
    for each in judgement.get("compared") or ():
        if each["gain"] is not None:
            yield f"gain/{each['name']}", each["gain"]
