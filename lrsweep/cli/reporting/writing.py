"""Where a report goes: a file, the sweep's run in MLflow, a browser."""

from __future__ import annotations

import os
import tempfile
import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lrsweep.cli.reading import chosen_sweep, results
from lrsweep.cli.reporting.gathering import gather
from lrsweep.errors import LrsweepError, SettingsError
from lrsweep.records import SweepRow
from lrsweep.report.content import Report
from lrsweep.report.html import page
from lrsweep.report.markdown import markdown
from lrsweep.settings import Settings, make_homes
from lrsweep.tracking import Tracker

Say = Callable[[str], None]


def in_markdown(settings: Settings, study: str) -> str:
    """Without a look at MLflow: all but the commit is in the results."""
    with results(settings) as store:
        return markdown(gather(store, study, now=time.time()))


def in_html(
    settings: Settings, study: str, out: Path | None, *, to_mlflow: bool, say: Say
) -> tuple[Report, Path, bool]:
    """The report, its file, and whether MLflow has it too. What MLflow does not take is told, and no error."""
    with results(settings) as store:
        sweep = chosen_sweep(store, study)
        target = out or Path(f"{sweep.study}-report.html")
        _check_writable(target)
        tracker = _tracker(settings, sweep, say) if to_mlflow else None
        commit = _commit(tracker, sweep)
        report = gather(store, study, now=time.time(), commit=commit)
    text = page(report)
    write(target, text)
    is_sent = tracker is not None and report.sweep == sweep.sweep_id and _send(tracker, sweep, text, say)
    return report, target, is_sent


def write(target: Path, text: str) -> None:
    """Whole or not at all. Raises SettingsError where it cannot be written."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise _unwritable(target, error) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)  # as any file that is written, and not for this user alone
        Path(name).replace(target)
    except OSError as error:
        with suppress(OSError):
            Path(name).unlink()
        raise _unwritable(target, error) from None


def open_in_browser(target: Path, say: Say) -> None:
    if not webbrowser.open(target.absolute().as_uri()):
        say(f"there is no browser here that could be opened; the report is in {target}")


def _check_writable(target: Path) -> None:
    """Before seconds are spent on what goes into it."""
    if target.is_dir():
        raise SettingsError(f"--out {target} is a folder; wanted a file, such as {target / 'report.html'}.")
    if not target.parent.is_dir():
        raise SettingsError(f"--out {target}: there is no folder {target.parent}; make it, or name another file.")


def _unwritable(target: Path, error: OSError) -> SettingsError:
    return SettingsError(f"--out {target}: cannot be written ({error.strerror}); wanted a file that can.")


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
