"""Every exception that lrsweep raises on purpose, and the exit code that the command line gives it.

    LrsweepError
    ├── InvalidInput (also a ValueError)   what was given cannot be meant
    │   ├── ScheduleError                  an unknown family or setting, a value out of range, bad JSON
    │   │   └── NeedsMetric                a rate was asked of a schedule that reacts to a metric
    │   ├── StudyError                     a study file; lists all its problems at once      exit 64
    │   └── SettingsError                  an environment variable or an option              exit 64
    ├── Unavailable                        something outside does not answer as it must      exit 69
    │   ├── StoreUnavailable               the results database
    │   └── TrackingUnavailable            the MLflow server or its database
    ├── SweepFailed                        failures stopped the sweep                        exit 70
    ├── TryAgain                           a passing fault: the same command continues       exit 75
    ├── LeaseHeld                          another driver holds the study                    exit 99
    ├── LeaseLost                          this driver held the study and no longer does     exit 99
    ├── DeadlinePassed                     `--deadline` came before the budget was used      exit 124
    └── Interrupted                        SIGINT or SIGTERM                                 exit 130, 143

A training that diverges raises nothing: that is an outcome (see ``lrsweep.records``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class LrsweepError(Exception):
    """The base of all; its text says what was given, what is wanted and what to do."""

    exit_code: int = 1


class InvalidInput(LrsweepError, ValueError):
    exit_code = 64


class ScheduleError(InvalidInput):
    """A schedule that cannot be meant: an unknown family or setting, a value out of range, bad JSON."""


class NeedsMetric(ScheduleError):
    """A rate was asked of a schedule that reacts to a metric; ``s.replay(metrics, total_steps)`` has one."""


class SettingsError(InvalidInput):
    pass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a study file, and where."""

    key: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}, " if self.line is not None else ""
        return f"{place}{self.key}: {self.text}"


class StudyError(InvalidInput):
    """A study file that cannot be run; ``problems`` holds everything that is wrong with it, in the file's order."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        # What the file lacks altogether has no line and comes last.
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0)))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {problem}" for problem in self.problems)]))


class Unavailable(LrsweepError):
    """At the start, or midway where the same command would not pass either: a table that was dropped, say.

    The mirror waits out an outage of the tracking server that comes midway.
    """

    exit_code = 69


class StoreUnavailable(Unavailable):
    pass


class TrackingUnavailable(Unavailable):
    pass


class SweepFailed(LrsweepError):
    exit_code = 70


class TryAgain(LrsweepError):
    exit_code = 75


class LeaseHeld(LrsweepError):
    """``owner`` says who drives the study now."""

    exit_code = 99

    def __init__(self, study: str, owner: str, seconds_left: float) -> None:
        self.study = study
        self.owner = owner
        self.seconds_left = seconds_left
        super().__init__(
            f"study {study!r} is driven by {owner}, whose lease runs for another {seconds_left:.0f} s. "
            "Let it finish, or stop it; the same command then continues the sweep."
        )


class LeaseLost(LrsweepError):
    exit_code = 99


class DeadlinePassed(LrsweepError):
    exit_code = 124


class Interrupted(LrsweepError):
    def __init__(self, signum: int, text: str) -> None:
        self.exit_code = 128 + signum
        super().__init__(text)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """`` Did you mean 'cosine'?`` with a leading blank, or nothing when no known name is near."""
    near = get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
