"""Where a report goes: a file, the sweep's run in MLflow, a browser."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lrsweep.errors import LrsweepError
from lrsweep.files import check_target, write_whole
from lrsweep.findings.reading import chosen_sweep, results
from lrsweep.findings.reporting.gathering import SHORT, gather
from lrsweep.records import SweepRow
from lrsweep.report.content import Report
from lrsweep.report.html import page
from lrsweep.report.markdown import markdown
from lrsweep.settings import Settings, make_homes
from lrsweep.tracking import Tracker

Say = Callable[[str], None]


def in_markdown(settings: Settings, study: str, out: Path | None, *, sweep_id: str | None = None) -> str:
    """Without a look at MLflow: all but the commit is in the results. Also written to ``out`` where that is a file."""
    if out is not None:
        check_target(out, "--out")
    with results(settings) as store:
        text = markdown(gather(store, study, now=time.time(), sweep_id=sweep_id))
    if out is not None:
        write_whole(out, text, "--out")
    return text


def in_html(
    settings: Settings, study: str, out: Path | None, *, to_mlflow: bool, say: Say, sweep_id: str | None = None
) -> tuple[Report, Path, bool]:
    """The report, its file, and whether MLflow has it too. What MLflow does not take is told, and no error."""
    with results(settings) as store:
        sweep = chosen_sweep(store, study, sweep_id)
        # a page of an earlier sweep does not take the newest one's place
        of_sweep = "" if sweep_id is None else f"-{sweep.sweep_id[:SHORT]}"
        target = out or Path(f"{sweep.study}{of_sweep}-report.html")
        check_target(target, "--out")
        tracker = _tracker(settings, sweep, say) if to_mlflow else None
        commit = _commit(tracker, sweep)
        report = gather(store, study, now=time.time(), commit=commit, sweep_id=sweep.sweep_id)
    text = page(report)
    write_whole(target, text, "--out")
    is_sent = tracker is not None and _send(tracker, sweep, text, say)
    return report, target, is_sent


def open_in_browser(target: Path, say: Say) -> None:
    if not webbrowser.open(target.absolute().as_uri()):
        say(f"there is no browser here that could be opened; the report is in {target}")


def _tracker(settings: Settings, sweep: SweepRow, say: Say) -> Tracker | None:
    """None where MLflow was never told of the sweep, or does not answer."""
    if not sweep.mlflow_run_id:
        say("MLflow has no run of this sweep, and so gets no report.")
        return None
    homes = make_homes(settings)
    try:
        return Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
    except LrsweepError as error:
        say(f"MLflow does not get the report; the same command sends it later. {error}")
        return None


def _commit(tracker: Tracker | None, sweep: SweepRow) -> str | None:
    if tracker is None:
        return None
    with suppress(LrsweepError):
        return tracker.commit_of(str(sweep.mlflow_run_id))
    return None


def _send(tracker: Tracker, sweep: SweepRow, text: str, say: Say) -> bool:
    try:
        is_there = tracker.show_report(str(sweep.mlflow_run_id), text)
    except LrsweepError as error:
        say(f"MLflow does not get the report; the same command sends it later. {error}")
        return False
    if not is_there:
        say("MLflow does not get the report: it may not store artifacts there, or the sweep's run was deleted.")
    return is_there
