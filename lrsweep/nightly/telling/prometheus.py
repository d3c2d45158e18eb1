"""Gauges as a file for node_exporter's textfile collector, which reads `*.prom`. Written whole: no half is read.

A study that did not run tonight keeps the gauges of its last night. Names and labels stay as they are: alerts hang on
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lrsweep.errors import SettingsError
from lrsweep.files import write_whole
from lrsweep.nightly.outcome import CHANGED, FAILED, NightRun, StudyNight
from lrsweep.nightly.telling.nights import charts, nights_of
from lrsweep.selection.nights import NightVerdict

SUFFIX = ".prom"
GOOD = (0, CHANGED)
SUCCESS = "lrsweep_night_last_success_timestamp_seconds"
VERDICTS = (*(each.value for each in NightVerdict), FAILED)

Sample = tuple[Mapping[str, str], float | None]


def check_name(file: Path, option: str) -> None:
    """Raises SettingsError for a file that node_exporter would pass by, and nobody would ever see the gauges of."""
    if file.suffix != SUFFIX:
        raise SettingsError(
            f"{option} is {str(file)!r}; wanted a name that ends in {SUFFIX}, since node_exporter's textfile collector "
            f"reads no other, such as {file.with_suffix(SUFFIX) if file.name else f'nights{SUFFIX}'}."
        )


def write(file: Path, run: NightRun, history: Mapping[str, Sequence[StudyNight]]) -> None:
    """What the file says of the last success stays where this run was none. Raises SettingsError."""
    succeeded = run.ended_at if run.exit_code in GOOD else _last_success(file)
    write_whole(file, text(run, history, succeeded), "--prometheus")


def text(run: NightRun, history: Mapping[str, Sequence[StudyNight]], succeeded: float | None) -> str:
    nights = nights_of(run, history)
    return "".join(_gauge(*each) for each in (*_of_run(run, succeeded), *_of_studies(nights)))


def _of_run(run: NightRun, succeeded: float | None) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    yield "lrsweep_night_last_end_timestamp_seconds", "When the last run over all studies ended.", [({}, run.ended_at)]
    yield SUCCESS, "When the last run ended whose exit code was 0 or 4.", [({}, succeeded)]
    yield "lrsweep_night_exit_code", "Exit code of the last run.", [({}, run.exit_code)]
    yield "lrsweep_night_seconds", "How long the last run took.", [({}, run.ended_at - run.began_at)]


def _of_studies(nights: Mapping[str, Sequence[StudyNight]]) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    last = {study: found[-1] for study, found in nights.items()}

    def of_each(value: Mapping[str, float | None]) -> list[Sample]:
        return [({"study": study}, each) for study, each in value.items()]

    good = {study: [each for each in found if each.verdict != FAILED] for study, found in nights.items()}
    yield (
        "lrsweep_night_verdict",
        "1 for the verdict of a study's last night, 0 for the others.",
        [
            ({"study": study, "verdict": verdict}, float(night.verdict == verdict))
            for study, night in last.items()
            for verdict in VERDICTS
        ],
    )
    yield (
        "lrsweep_night_study_end_timestamp_seconds",
        "When a study's last night ended.",
        of_each({study: night.ended_at for study, night in last.items()}),
    )
    yield (
        "lrsweep_night_study_success_timestamp_seconds",
        "When a study's last night ended that came to a verdict.",
        of_each({study: found[-1].ended_at if found else None for study, found in good.items()}),
    )
    yield (
        "lrsweep_night_unchanged",
        "1 where a study's last night trained nothing, since nothing had changed.",
        of_each({study: float(night.is_unchanged) for study, night in last.items()}),
    )
    for name, about in (("trainings", "Trainings"), ("steps", "Updates"), ("seconds", "Seconds of training")):
        yield (
            f"lrsweep_night_study_{name}",
            f"{about} of a study's last night.",
            of_each({study: float(getattr(night, name)) for study, night in last.items()}),
        )
    yield from _of_canaries({study: next(filter(charts, reversed(found)), None) for study, found in nights.items()})


def _of_canaries(nights: Mapping[str, StudyNight | None]) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    found = [
        ({"study": study, "series": str(chart["name"])}, chart)
        for study, night in nights.items()
        if night is not None
        for chart in charts(night)
    ]
    yield (
        "lrsweep_night_canary_value",
        "Mean of a study's last canary over its seeds, in units of the metric.",
        [(labels, chart["tonight"]) for labels, chart in found],
    )
    yield (
        "lrsweep_night_canary_limit",
        "Control limits of a study's last canary.",
        [
            ({**labels, "bound": bound}, chart["limits"][place])
            for labels, chart in found
            if chart["limits"] is not None
            for place, bound in enumerate(("low", "high"))
        ],
    )
    yield (
        "lrsweep_night_canary_out",
        "1 where a study's last canary left its limits.",
        [(labels, float(chart["is_out"])) for labels, chart in found],
    )


def _gauge(name: str, about: str, samples: Sequence[Sample]) -> str:
    """Nothing where it has no sample."""
    lines = [f"{name}{_labels(labels)} {float(value)!r}\n" for labels, value in samples if value is not None]
    return f"# HELP {name} {about}\n# TYPE {name} gauge\n{''.join(lines)}" if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    r"""
    >>> _labels({"study": 'a"b'})
    '{study="a\\"b"}'
    """
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _last_success(file: Path) -> float | None:
    """Of the run before, as its file says."""
    try:
        written = file.read_text(encoding="utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(rf"^{SUCCESS} ([\d.e+]+)$", written, re.MULTILINE)
    return float(found[1]) if found else None
