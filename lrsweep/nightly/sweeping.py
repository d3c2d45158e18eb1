"""A night of a study that has no champion: its sweep is run, or goes on, and its choice becomes the candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lrsweep.executors.base import OpenedExecutor
from lrsweep.findings.promoting.promoted import Wanted, promote
from lrsweep.findings.reporting.ending import page_at_the_end
from lrsweep.nightly.alone import once_free
from lrsweep.nightly.asked import Asked
from lrsweep.nightly.comparing import in_words
from lrsweep.nightly.history import read_night
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.planning import FORMAT
from lrsweep.nightly.promoting import why_not
from lrsweep.nightly.workplace import Workplace
from lrsweep.records import SweepStatus
from lrsweep.selection.nights import NightVerdict
from lrsweep.store.champions import Alias, ChampionRow
from lrsweep.store.nights import NightRow
from lrsweep.study import Study
from lrsweep.sweep.homes import Options
from lrsweep.sweep.progress import SweepResult
from lrsweep.sweep.run import run_sweep


def swept(
    at: Workplace,
    study: Study,
    row: NightRow,
    asked: Asked,
    make_executor: Callable[[], OpenedExecutor],
    options: Options,
    seconds_left: Callable[[], float | None],
    check: Callable[[], None],
    confirm: Callable[[], None],
    beside: str = "",
) -> StudyNight:
    """To its end, which is written; ``beside`` is a sentence that goes with it. Raises what ends the sweep early; then
    the same night goes on later."""

    def run() -> SweepResult:
        left = replace(options, deadline_seconds=seconds_left())
        return run_sweep(study, at.homes, left, say=at.say, on_ready=at.stops.add, make_report=page_at_the_end)

    result = once_free(run, f"the sweep of {study.name}", asked.on_locked, check, at.say)
    check()
    wanted = Wanted(study.name, alias=Alias.CANDIDATE, reads_test=False, note=f"night {row.key}")
    found = promote(at.store, at.homes, wanted, make_executor, at.say)
    trained = [each for each in result.trainings if each.started_at is not None and each.started_at >= row.at]
    rows = at.store.champions.rows(study.name)
    is_cancelled = result.sweep.status is SweepStatus.CANCELLED
    done = "was cancelled" if is_cancelled else "has ended" if trained else "had ended before"
    ended = StudyNight(
        study=study.name,
        generation=row.generation,
        key=row.key,
        verdict=NightVerdict.UNDECIDED.value,
        sentence=f"no champion of the study is in force, so that there is nothing to compare with; its sweep {done}, "
        f"and the choice of what it found is the candidate{f'; {beside}' if beside else ''}",
        next_step=_next_step(found.row) + ("; the next night begins another sweep" if is_cancelled else ""),
        exit_code=0,
        is_unchanged=not trained,
        candidate=in_words(rows, study.name, Alias.CANDIDATE) or found.row.name,
        trainings=len(trained),
        steps=sum(each.steps for each in trained),
        seconds=sum(each.seconds for each in trained),
        began_at=row.at,
        ended_at=at.clock(),
    )
    now = next((each for each in at.store.nights.rows(study.name) if each.id == row.id), row)
    if now.result is not None:  # by who took it over while the sweep ran
        return replace(read_night(now), is_recorded=True)
    confirm()
    at.store.nights.end(row.id, {"format": FORMAT, "night": ended.to_json()})
    return ended


def _next_step(row: ChampionRow) -> str:
    choose, command = f"`lrsweep choose {row.name}`", f"`lrsweep nightly promote {row.name}"
    if why_not(row, None) is None:
        return f"{choose} shows what it stands on; {command}` makes it the champion"
    return (
        f"it is undecided whether it is the best: {choose} says what would show more; {command} --anyway` makes it the "
        "champion all the same"
    )
