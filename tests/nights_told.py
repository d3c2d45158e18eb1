"""Nights as a runner hands them on, with judgements that the statistics themselves have made of nights by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from lrsweep.nightly.outcome import CHANGED, FAILED, NightRun, StudyNight
from lrsweep.selection.nights import Judgement, Night, judgements
from tests.nights_by_hand import HERE, night, quiet

FIRST = date(2026, 1, 1)
EVENING = 1_767_225_600.0
"""of the first night, in seconds since 1970"""
DAY = 86_400.0


def key(place: int) -> str:
    return (FIRST + timedelta(days=place)).isoformat()


def told(nights: Sequence[Night], study: str = "mine") -> list[StudyNight]:
    """Judged one after the other; night 0 is that of the first of January."""
    dated = [replace(each, key=key(place)) for place, each in enumerate(nights)]
    return [of_judgement(study, place, judgement) for place, judgement in enumerate(judgements(dated))]


def of_judgement(study: str, place: int, judgement: Judgement) -> StudyNight:
    is_change = judgement.verdict in ("challenger better", "workload drifted")
    return StudyNight(
        study=study,
        generation="g1",
        key=judgement.key,
        verdict=judgement.verdict.value,
        sentence=judgement.reason,
        next_step=judgement.next_step,
        exit_code=CHANGED if is_change else 0,
        champion="step with sgd, peak rate 0.1",
        trainings=6,
        steps=1_200,
        seconds=90.0,
        judgement=judgement.to_json(),
        began_at=EVENING + DAY * place,
        ended_at=EVENING + DAY * place + 120.0,
    )


def plain(place: int, verdict: str = "holds", study: str = "mine", **other: object) -> StudyNight:
    """Without a judgement, and with whatever a test is about."""
    code = {"challenger better": CHANGED, "workload drifted": CHANGED, FAILED: 70}.get(verdict, 0)
    made = StudyNight(
        study=study,
        generation="g1",
        key=key(place),
        verdict=verdict,
        sentence=f"why it is {verdict}",
        next_step="what comes next",
        exit_code=code,
        began_at=EVENING + DAY * place,
        ended_at=EVENING + DAY * place + 120.0,
    )
    return replace(made, **other)  # type: ignore[arg-type]


def run_of(*nights: StudyNight, exit_code: int | None = None, notes: Sequence[str] = ()) -> NightRun:
    worst = max((each.exit_code for each in nights), default=0) if exit_code is None else exit_code
    ended = max((each.ended_at for each in nights), default=EVENING)
    return NightRun(nights[0].key if nights else key(0), nights, worst, ended - 150.0, ended, tuple(notes))


def drifting() -> list[Night]:
    """Of a year's first four months: a device that changes, and later a drift."""
    other = replace(HERE, device="cuda:0 NVIDIA H200")
    return [
        *quiet(20),
        *quiet(25, start=20, around=other),
        *(night(place, 1.6, around=other) for place in range(45, 55)),
        *quiet(10, start=55, around=other),
    ]
