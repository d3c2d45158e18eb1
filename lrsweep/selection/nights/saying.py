"""Which verdict a night's facts give, and its sentences: why, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.selection.nights.canaries import Seen
from lrsweep.selection.nights.challenging import CONFIRMING, Compared
from lrsweep.selection.nights.drifting import FEWEST, Shift
from lrsweep.selection.nights.judgement import Chart, NightVerdict
from lrsweep.selection.nights.rows import Change


@dataclass(frozen=True)
class Facts:
    """Of one night, all that its verdict hangs on."""

    seen: Seen
    restarting: tuple[Change, ...]
    """those of ``changed`` with which limits and pairs start anew"""
    changed: tuple[Change, ...]
    shown: Compared | None
    standing: str | None
    suspects: tuple[str, ...]
    """after tonight"""
    more_wanted: bool
    """whether challengers are still to train, tonight or on the next night"""

    @property
    def verdict(self) -> NightVerdict:
        if self.shown is not None:
            return NightVerdict.CHALLENGER_BETTER
        if self.seen.drift is not None:
            return NightVerdict.WORKLOAD_DRIFTED
        if self.restarting or self.standing is not None or self.seen.nights < FEWEST or not self.seen.diverged[1]:
            return NightVerdict.UNDECIDED
        return NightVerdict.UNDECIDED if self.seen.is_out or self.suspects else NightVerdict.HOLDS


def reason(facts: Facts) -> str:
    """One sentence, with the figures that it stands on."""
    seen = facts.seen
    if facts.shown is not None:
        drifted = f"; besides, {_drift(facts)}" if seen.drift is not None else ""
        return _better(facts.shown) + drifted + _beside(facts)
    if seen.drift is not None:
        return _drift(facts) + _beside(facts)
    if facts.restarting:
        return f"{_listed(facts.restarting)}, so that limits and comparisons start anew: {_values(seen)}"
    if not seen.diverged[1]:
        return "no fresh seed of the champion's canary came to an end tonight"
    if facts.standing is not None:
        return f"an earlier night has shown {facts.standing} to be better, and nobody has acted on it: {_values(seen)}"
    if seen.is_out:
        return _out(seen) + _beside(facts)
    if facts.suspects:
        return f"{', '.join(facts.suspects)} may be better than the champion, which is not confirmed: {_values(seen)}"
    if seen.nights < FEWEST:
        return f"{_nights(seen.nights)} before tonight, and limits need {FEWEST}: {_values(seen)}"
    return f"nothing is shown to have changed: {_values(seen)}"


def next_step(facts: Facts) -> str:
    """One sentence."""
    if facts.shown is not None:
        return f"promote {facts.shown.name}, or set a larger worth if the gain is not worth a change"
    if facts.standing is not None and facts.seen.drift is not None:
        return (
            f"challengers train at the full horizon, {facts.standing} among them, and limits start anew with the next "
            "night"
        )
    if facts.standing is not None:
        return f"promote {facts.standing}, or set a larger worth if its gain is not worth a change"
    if facts.suspects:
        return (
            f"{', '.join(facts.suspects)} and the champion train with fresh seeds until {CONFIRMING} nights confirm "
            "the gain or all nights together no longer bear it out"
        )
    if facts.seen.drift is not None:
        return "challengers train at the full horizon, and limits start anew with the next night"
    if facts.more_wanted:
        return "challengers and the champion train at the full horizon with fresh seeds"
    if facts.restarting or facts.seen.nights + 1 < FEWEST:
        left = FEWEST - 1 if facts.restarting else FEWEST - 1 - facts.seen.nights
        return f"{_nights(left)} more and there are limits"
    return "the canary alone, on the next night on which something has changed"


def _better(found: Compared) -> str:
    if found.gain is None:
        gain = "where the champion no longer comes to a value"
    else:
        gain = f"by {found.gain:.3g} on the mean of {found.pairs} pairs of fresh seeds, over worth {found.worth:.3g}"
    lost = ""
    if found.champion_diverged or found.diverged:
        lost = (
            f"; with {found.champion_diverged} of {found.ended} seeds the champion diverged, it with {found.diverged}"
        )
    return (
        f"{found.name} is better than the champion {gain}, suspected on night {found.suspected_since} and confirmed by "
        f"{_nights(found.confirmed)} since{lost}"
    )


def _drift(facts: Facts) -> str:
    seen = facts.seen
    parts = [_shifted(chart, chart.shift) for chart in seen.charts if chart.shift is not None]
    if seen.drift_of_divergences is not None:
        shift = seen.drift_of_divergences
        parts.append(
            f"the champion's canary diverged with {shift.before + shift.by:.0%} of the seeds of the last "
            f"{_nights(shift.nights)}, before that with {shift.before:.0%}"
        )
    return "; ".join(parts)


def _shifted(chart: Chart, shift: Shift) -> str:
    size = ""
    if chart.seed_deviation:
        size = f", {abs(shift.by) / chart.seed_deviation:.2g} deviations from seed to seed"
    return (
        f"the canary of {chart.name} has moved from {shift.before:.4g} to {shift.before + shift.by:.4g}{size}: "
        f"the mean of the last {_nights(shift.nights)} beside the {chart.nights + 1 - shift.nights} before"
    )


def _out(seen: Seen) -> str:
    parts = [f"the canary of {_placed(chart, 'outside')}" for chart in seen.charts if chart.is_out]
    if seen.more_diverge:
        parts.append(f"the champion's canary {_divergences(seen)}")
    return "; ".join(parts)


def _values(seen: Seen) -> str:
    parts = [f"the canary of {_placed(chart, 'within')}" for chart in seen.charts]
    if seen.diverged[0]:
        parts.append(f"the champion's {_divergences(seen)}")
    return "; ".join(parts)


def _placed(chart: Chart, side: str) -> str:
    seeds = "1 seed" if chart.seeds == 1 else f"{chart.seeds} seeds"
    value = "no value" if chart.tonight is None else f"{chart.tonight:.4g} ({seeds})"
    if chart.limits is None:
        return f"{chart.name} came to {value}"
    side = "outside" if chart.is_out else side
    limits = f"{chart.limits.low:.4g} to {chart.limits.high:.4g}"
    return f"{chart.name} came to {value}, {side} the limits {limits} of {_nights(chart.nights)}"


def _divergences(seen: Seen) -> str:
    (diverged, ended), (before, all_before) = seen.diverged, seen.diverged_before
    return f"diverged with {diverged} of {ended} seeds ({before} of {all_before} in the nights before)"


def _beside(facts: Facts) -> str:
    """What else was new tonight, which may be why."""
    return f"; {_listed(facts.changed)}" if facts.changed else ""


def _listed(changed: Sequence[Change]) -> str:
    return " and ".join(str(change) for change in changed)


def _nights(count: int) -> str:
    return "1 night" if count == 1 else f"{count} nights"
