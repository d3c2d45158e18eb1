"""What somebody wants to be told of a night, and where: options name files, the environment holds what is secret.

LRSWEEP_NOTIFY       Apprise addresses, separated by blanks or lines: told when a study's state becomes another
LRSWEEP_NOTIFY_FILE  a file that holds these instead; a line that begins with # is a remark
LRSWEEP_PING         a dead-man switch (healthchecks.io and its like): asked when a run begins and when it ends
GITHUB_STEP_SUMMARY  set by GitHub: a file to which the Markdown is appended
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lrsweep.errors import SettingsError

NOTIFY = "LRSWEEP_NOTIFY"
NOTIFY_FILE = "LRSWEEP_NOTIFY_FILE"
PING = "LRSWEEP_PING"
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
PROMETHEUS = "--prometheus"
YEAR, RECENT = 367, 60
"""Nights: those of the page's chart and the one before them; those that say in which state a study was."""


@dataclass(frozen=True)
class Wanted:
    summary: Path | None = None
    """JSON"""
    markdown: Path | None = None
    report: Path | None = None
    """HTML"""
    prometheus: Path | None = None
    notify: tuple[str, ...] = field(default=(), repr=False)
    """secrets are in them"""
    ping: str | None = field(default=None, repr=False)
    """whoever has it can ask it"""
    step_summary: Path | None = None

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str],
        *,
        summary: Path | None = None,
        markdown: Path | None = None,
        report: Path | None = None,
        prometheus: Path | None = None,
    ) -> Wanted:
        """Raises SettingsError. An empty variable counts as not set."""
        step_summary = environ.get(STEP_SUMMARY)
        return cls(
            summary=summary,
            markdown=markdown,
            report=report,
            prometheus=prometheus,
            notify=_addresses(environ),
            ping=environ.get(PING, "").strip() or None,
            step_summary=Path(step_summary) if step_summary else None,
        )

    @property
    def nights(self) -> int:
        """How many of each study's, at most, anything of it reads."""
        if self.report is not None:
            return YEAR
        return RECENT if self.has_others or self.markdown or self.step_summary or self.notify else 0

    @property
    def has_others(self) -> bool:
        """Whether it shows studies that did not run tonight."""
        return self.report is not None or self.prometheus is not None

    @property
    def files(self) -> dict[str, Path]:
        """By the options that name them."""
        named = {
            "--summary": self.summary,
            "--markdown": self.markdown,
            "--report": self.report,
            PROMETHEUS: self.prometheus,
        }
        return {option: file for option, file in named.items() if file is not None}


def _addresses(environ: Mapping[str, str]) -> tuple[str, ...]:
    given, file = environ.get(NOTIFY, "").split(), environ.get(NOTIFY_FILE) or None
    if file is None:
        return tuple(dict.fromkeys(given))
    if given:
        raise SettingsError(f"{NOTIFY} and {NOTIFY_FILE} are both set; keep one: each names whom to notify.")
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(
            f"{NOTIFY_FILE} names {file}, which cannot be read ({reason}). Wanted is a file with Apprise addresses, "
            "such as mailto://…, one to a line."
        ) from None
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return tuple(dict.fromkeys(" ".join(lines).split()))
