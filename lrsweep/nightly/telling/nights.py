"""A study's nights in their order, and as points of a chart: read from what each has said (``Judgement.to_json``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrsweep.nightly.outcome import NightRun, StudyNight


@dataclass(frozen=True)
class Point:
    """One night on one chart."""

    key: str
    verdict: str
    value: float | None
    """None: nothing was trained, or nothing came to a value"""
    seeds: int
    limits: tuple[float, float] | None
    is_out: bool
    changed: tuple[str, ...]
    """sentences"""
    restarted: bool
    """limits began anew with it"""

    @property
    def is_told(self) -> bool:
        """Somebody has to look at it."""
        return self.is_out or self.verdict in ("challenger better", "workload drifted")


def nights_of(run: NightRun, history: Mapping[str, Sequence[StudyNight]]) -> dict[str, list[StudyNight]]:
    """Each study's, oldest first, tonight's in its place; also of studies that did not run tonight."""
    tonight = {night.study: night for night in run.studies}
    nights: dict[str, list[StudyNight]] = {}
    for study in sorted({*tonight, *history}):
        found, now = list(history.get(study, ())), tonight.get(study)
        if now is not None:
            found = [*earlier_nights(now, history), now, *found[_place(now, found) + 1 :]]
        if found:
            nights[study] = found
    return nights


def earlier_nights(night: StudyNight, history: Mapping[str, Sequence[StudyNight]]) -> list[StudyNight]:
    """Of its study, before it."""
    told = history.get(night.study, ())
    return list(told[: _place(night, told)])


def _place(night: StudyNight, told: Sequence[StudyNight]) -> int:
    """At the end where it is not among them."""
    same = (place for place, each in enumerate(told) if (each.generation, each.key) == (night.generation, night.key))
    return next(same, len(told))


def series(nights: Sequence[StudyNight]) -> tuple[str, ...]:
    """The names of the charts, in the order in which they are told."""
    return tuple(dict.fromkeys(str(chart["name"]) for night in nights for chart in charts(night)))


def points(nights: Sequence[StudyNight], name: str) -> tuple[Point, ...]:
    """One for each night, in their order."""
    found: list[Point] = []
    since: str | None = None
    for night in nights:
        chart: Mapping[str, Any] = next((each for each in charts(night) if each["name"] == name), {})
        now = (night.judgement or {}).get("since")
        limits = chart.get("limits")
        found.append(
            Point(
                key=night.key,
                verdict=verdict(night),
                value=chart.get("tonight"),
                seeds=chart.get("seeds", 0),
                limits=None if limits is None else (limits[0], limits[1]),
                is_out=chart.get("is_out", False),
                changed=changed(night),
                restarted=since is not None and now is not None and now != since,
            )
        )
        since = since if now is None else str(now)
    return tuple(found)


def charts(night: StudyNight) -> Sequence[Mapping[str, Any]]:
    """As they stand in its judgement."""
    found = (night.judgement or {}).get("charts")
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list | tuple) else []


def changed(night: StudyNight) -> tuple[str, ...]:
    """What was new around it, as sentences.

    >>> changed(StudyNight("a", "g", "1", "holds", "", "", 0, judgement={"changes": [
    ...     {"what": "device", "before": "cpu", "now": "cuda"}]}))
    ('the device changed from cpu to cuda',)
    """
    found = (night.judgement or {}).get("changes")
    return tuple(
        f"the {each['what']} changed from {each['before'] or 'none'} to {each['now'] or 'none'}"
        for each in (found if isinstance(found, list | tuple) else ())
        if isinstance(each, Mapping)
    )


def in_a_line(text: str) -> str:
    r"""A message of several lines, where there is one.

    >>> in_a_line("mine.toml: 2 problems\n  line 1: a\n  line 2: b")
    'mine.toml: 2 problems; line 1: a; line 2: b'
    """
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def verdict(night: StudyNight) -> str:
    """
    >>> verdict(StudyNight("a", "g", "1", "holds", "", "", 0, is_unchanged=True))
    'holds (unchanged)'
    """
    return f"{night.verdict} (unchanged)" if night.is_unchanged else night.verdict
