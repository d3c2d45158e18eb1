"""What can be known to be wrong before anything trains: all of it at once. Addresses are secrets and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lrsweep.errors import SettingsError
from lrsweep.files import check_target
from lrsweep.nightly.telling import notifying, pinging, prometheus
from lrsweep.nightly.telling.wanted import PROMETHEUS, STEP_SUMMARY, Wanted


def check(wanted: Wanted) -> None:
    """Raises SettingsError with everything that is wrong. Asks no network."""
    problems = [*_files(wanted), *notifying.problems(wanted.notify), *pinging.problems(wanted.ping)]
    if problems:
        raise SettingsError("\n".join(problems))


def _files(wanted: Wanted) -> Iterator[str]:
    taken: dict[Path, str] = {}
    if wanted.step_summary is not None:
        taken[wanted.step_summary.resolve()] = f"${STEP_SUMMARY}, to which the Markdown is appended anyway,"
    for option, file in wanted.files.items():
        try:
            check_target(file, option)
            if option == PROMETHEUS:
                prometheus.check_name(file, option)
        except SettingsError as error:
            yield str(error)
            continue
        target = file.resolve()
        if target in taken:
            yield f"{taken[target]} and {option} both name {file}; give each a file of its own."
        taken.setdefault(target, option)
