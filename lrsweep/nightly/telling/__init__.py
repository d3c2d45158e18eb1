"""What a night tells, and whom: files for programs and people, notifications, a dead-man switch.

    wanted        which of them, by options and by the environment
    checking      what is wrong with that, before anything trains
    nights        each study's in their order, as values
    markdown      a table for a pull request or GitHub's summary of a job
    page, chart   the history of nights, as one page for a browser
    prometheus    gauges, as a file for node_exporter
    news          which studies' states have changed
    notifying     the message of that, by Apprise
    pinging       the dead-man switch
    bounded       what waits for none of them for ever

A thing that cannot be told is a sentence, never the end of a night, and each is tried whatever became of the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from lrsweep.files import write_whole
from lrsweep.nightly.outcome import NightRun, StudyNight
from lrsweep.nightly.telling import markdown, notifying, page, pinging, prometheus
from lrsweep.nightly.telling.checking import check
from lrsweep.nightly.telling.news import changes, news, no_night
from lrsweep.nightly.telling.wanted import STEP_SUMMARY, Wanted
from lrsweep.redaction import masked

__all__ = ["Wanted", "begin", "check", "tell"]

Say = Callable[[str], None]


def begin(wanted: Wanted, key: str, say: Say) -> None:
    """Before the first study."""
    if wanted.ping is not None:
        url = wanted.ping
        _try(f"the beginning of night {key}", lambda: pinging.started(url, say), say)


def tell(run: NightRun, history: Mapping[str, Sequence[StudyNight]], wanted: Wanted, say: Say) -> None:
    """After the last study. ``history`` has each study's nights that ended, oldest first, also those that failed (or a
    failure is told of every night); tonight's may be among them, and studies that did not run tonight too."""
    run = replace(run, studies=_masked(run.studies), notes=tuple(map(masked, run.notes)))
    history = {study: _masked(nights) for study, nights in history.items()}
    for what, output in _outputs(run, history, wanted, say):
        _try(what, output, say)


def _masked(nights: Sequence[StudyNight]) -> tuple[StudyNight, ...]:
    """Without what looks like a secret: a night that failed may quote whatever failed it."""
    return tuple(replace(night, sentence=masked(night.sentence), next_step=masked(night.next_step)) for night in nights)


def _outputs(
    run: NightRun, history: Mapping[str, Sequence[StudyNight]], wanted: Wanted, say: Say
) -> Iterator[tuple[str, Callable[[], None]]]:
    """What each is called, and how it is told: made where it is tried."""
    if (summary := wanted.summary) is not None:
        yield "the summary", lambda: write_whole(summary, _in_json(run), "--summary")
    if (in_markdown := wanted.markdown) is not None:
        yield "the Markdown", lambda: write_whole(in_markdown, markdown.markdown(run, history), "--markdown")
    if (appended := wanted.step_summary) is not None:
        yield f"${STEP_SUMMARY}", lambda: markdown.append(appended, markdown.markdown(run, history))
    if (report := wanted.report) is not None:
        yield "the report", lambda: write_whole(report, page.page(run, history), "--report")
    if (gauges := wanted.prometheus) is not None:
        yield "the file for Prometheus", lambda: prometheus.write(gauges, run, history)
    if wanted.notify:
        yield "what has changed", lambda: _notify(run, history, wanted.notify, say)
    if (url := wanted.ping) is not None:
        yield "the end of the night", lambda: pinging.ended(url, run.exit_code, say)


def _in_json(run: NightRun) -> str:
    return json.dumps(run.to_json(), indent=2, allow_nan=False) + "\n"


def _notify(run: NightRun, history: Mapping[str, Sequence[StudyNight]], addresses: Sequence[str], say: Say) -> None:
    message = no_night(run) or news(run, changes(run, history))
    if message is not None:
        notifying.notify(addresses, message, say)


def _try(what: str, output: Callable[[], None], say: Say) -> None:
    try:
        output()
    except Exception as error:  # whatever it is, the night is over and has its result
        say(f"{what} could not be told: {masked(str(error)) or type(error).__name__}")
