"""What of a night is news: a study's state that is another than on the night before, and nothing else.

A night on which nothing had changed looked at nothing, so its study stays in the state that it was in. One that was
only read again was told of when it ended. A study's first night is news where somebody has to act.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lrsweep.nightly.outcome import CHANGED, FAILED, NightRun, StudyNight
from lrsweep.nightly.telling.nights import earlier_nights

HOLDS = "holds"
FAILURES = (1, 64, 69, 70, 75)
"""Exit codes; after others nobody was at fault."""


@dataclass(frozen=True)
class News:
    """One message."""

    title: str
    body: str
    sort: str
    """good, plain, look (at it), bad"""


@dataclass(frozen=True)
class Change:
    """Of one study's state; ``before`` is None on its first night."""

    night: StudyNight
    before: str | None
    now: str


def changes(run: NightRun, history: Mapping[str, Sequence[StudyNight]]) -> tuple[Change, ...]:
    """``history``: each study's earlier nights, oldest first, failed ones too; tonight's may be among them."""
    return tuple(_changes(run.studies, history))


def news(run: NightRun, found: Sequence[Change]) -> News | None:
    """None where nothing has changed."""
    if not found:
        return None
    if len(found) == 1:
        title = f"lrsweep: {found[0].night.study}: {found[0].now}"
    else:
        title = f"lrsweep: {len(found)} studies have changed"
    return News(title, "\n\n".join(_told(each) for each in found) + f"\n\nNight {run.key}.", _sort(found))


def no_night(run: NightRun) -> News | None:
    """Of a run that failed before any study had its night, such as without a database. Nothing knows what was told of
    the night before, so each is told of."""
    if run.studies or run.exit_code not in FAILURES:
        return None
    return News(f"lrsweep: no night {run.key}", "\n\n".join((*run.notes, f"Exit code {run.exit_code}.")), "bad")


def _changes(tonight: Sequence[StudyNight], history: Mapping[str, Sequence[StudyNight]]) -> Iterator[Change]:
    for night in tonight:
        if night.is_recorded:
            continue
        before, stood = None, None
        for earlier in earlier_nights(night, history):
            before = state(earlier, stood)
            stood = stood if before == FAILED else before
        now = state(night, stood)
        is_news = night.exit_code == CHANGED or now == FAILED if before is None else now != before
        if is_news or night.promoted is not None:
            yield Change(night, before, now)


def state(night: StudyNight, stood: str | None) -> str:
    """``stood``: the study's, by the last night that looked."""
    if night.is_unchanged and night.verdict == HOLDS and stood is not None:
        return stood
    return night.state


def _told(change: Change) -> str:
    night = change.night
    before = "" if change.before is None else f" (before: {change.before})"
    promoted = "" if night.promoted is None else f"\nNow in force: {night.promoted}."
    return f"{night.study}: {change.now}{before}\n{night.sentence}{promoted}\nNext: {night.next_step}"


def _sort(found: Sequence[Change]) -> str:
    if any(each.now == FAILED for each in found):
        return "bad"
    if any(each.night.exit_code == CHANGED for each in found):
        return "look"
    return "good" if all(each.now == HOLDS for each in found) else "plain"
