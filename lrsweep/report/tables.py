"""The report's tables as values, which the page and Markdown both write."""

from __future__ import annotations

from dataclasses import dataclass

from lrsweep.report.content import Report
from lrsweep.report.numbers import NOTHING, between, counted, duration, number, rate
from lrsweep.selection.choice import Choice, Standing
from lrsweep.selection.lengths import AtHorizon
from lrsweep.study.budgets import SECONDS_PER_HOUR

MOST_FINALISTS = 20


@dataclass(frozen=True)
class Whiskers:
    """An interval to be drawn; Markdown has its figures in another column."""

    low: float
    middle: float
    high: float
    span: tuple[float, float]


Cell = str | float | Whiskers
"""A text, a share to be drawn as a bar, or an interval to be drawn."""


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    """columns of figures"""
    notes: tuple[str, ...] = ()
    marked: int | None = None
    """the row to look at"""


def tables(report: Report) -> dict[str, Table]:
    return {
        "finalists": finalists(report),
        "families": of_families(report),
        "importance": importance(report),
        "rungs": rungs(report),
        "cost": cost(report),
        "divergences": divergences(report),
        "provenance": Table("Provenance", ("", ""), report.provenance),
    }


def finalists(report: Report) -> Table:
    choice = report.choice
    if choice is None:
        return Table("Finalists", (), (), notes=(report.why_none or "There are none yet.",))
    shown = choice.standings[:MOST_FINALISTS]
    has_gain = any(each.gain is not None for each in shown)
    span = _span(shown)
    gains = ("gain", "95 %") if has_gain else ()
    columns = ("family", report.metric, "95 %", "", "n", *gains, "best", "trial", "peak", "")
    rows = tuple(_finalist(each, choice, span, has_gain=has_gain) for each in shown)
    recommended = next((place for place, each in enumerate(shown) if each is choice.recommended), None)
    notes = _what_is_shown(report)
    if choice.recommended.examples is not None:  # the column has intervals over seeds
        notes.append(choice.recommended.examples.sentence(report.metric))
    if len(choice.standings) > MOST_FINALISTS:
        notes.append(f"{len(choice.standings) - MOST_FINALISTS} more are not shown.")
    if choice.left_out and report.has_finals:
        notes.append(f"Not compared: {counted(len(choice.left_out), 'trial')} with fewer seeds than it takes.")
    for block, count in choice.other_blocks.items():
        notes.append(f"Not compared: {counted(count, 'training')} by {block or 'an unknown engine'}, another way.")
    figures = {1, 2, *range(4, len(columns) - 1)}
    title = "Finalists" if report.has_finals else "The search's best"
    return Table(title, columns, rows, frozenset(figures), tuple(notes), recommended)


def _what_is_shown(report: Report) -> list[str]:
    """Of finals that are under way, of a search that is, or of one without finals."""
    alone = "the search's trials, with the one seed that each of them has"
    left = f", {counted(report.finals_left, 'training')} left" if report.finals_left else ""
    if report.are_finals_open:
        state = "The finals were not ended" if report.is_left_for_good else "The finals are under way"
        shown = "the finalists, by the trainings that have ended" if report.has_finals else alone
        return [f"{state}{left}: shown are {shown}. Nothing is claimed yet."]
    if report.has_finals:
        return []
    if not report.is_over:
        return [f"No finals so far: shown are {alone}."]
    return ["No finals: trials stand for themselves, with the seed of the search alone."]


def _finalist(each: Standing, choice: Choice, span: tuple[float, float], *, has_gain: bool) -> tuple[Cell, ...]:
    interval, mean = each.interval, each.mean
    picture: Cell = ""
    if mean is not None and interval is not None:
        picture = Whiskers(interval.low, mean, interval.high, span)
    elif mean is not None:
        picture = Whiskers(mean, mean, mean, span)
    gain = (NOTHING if each.gain is None else f"{each.gain:+.3g}", between(each.gain_interval))
    return (
        each.point.family,
        number(mean),
        between(interval),
        picture,
        str(each.n),
        *(gain if has_gain else ()),
        "" if each.probability_best is None else f"{each.probability_best:.0%}",
        _trial_of(each),
        rate(each.point.peak_lr),
        _marks(each, choice),
    )


def _trial_of(each: Standing) -> str:
    trial = each.to_json().get("trial")
    return "" if trial is None else str(trial)


def _marks(each: Standing, choice: Choice) -> str:
    marks = [
        "recommended" if each is choice.recommended else "",
        "baseline" if each.is_baseline else "",
        "as good" if each.point.name in choice.verdict.equivalence_set and each is not choice.recommended else "",
        f"{each.diverged} of {each.n + each.diverged} diverged" if each.diverged else "",
    ]
    return ", ".join(filter(None, marks))


def _span(standings: tuple[Standing, ...]) -> tuple[float, float]:
    """From the lowest end to the highest; an interval of two seeds that is much wider than the others is cut."""
    means = [each.mean for each in standings if each.mean is not None]
    if not means:
        return 0.0, 1.0
    intervals = [each.interval for each in standings if each.interval is not None]
    reach = 3 * sorted(each.width for each in intervals)[len(intervals) // 2] if intervals else 0.0
    low = max(min([*means, *(each.low for each in intervals)]), min(means) - reach)
    high = min(max([*means, *(each.high for each in intervals)]), max(means) + reach)
    return low, high


def of_families(report: Report) -> Table:
    rows = tuple(
        (
            f"{each.family} (baseline)" if each.is_baseline else each.family,
            number(each.best),
            rate(each.peak_lr),
            each.optimizer or "",
            *(str(count) for count in (each.trials, each.full, each.halted, each.diverged, each.failed)),
        )
        for each in report.families
    )
    columns = ("family", f"best {report.searched_metric}", "peak", "optimizer", "trials", "full", "halted", "diverged")
    return Table(
        "What the search found, by family",
        (*columns, "failed"),
        rows,
        frozenset({1, 2, 4, 5, 6, 7, 8}),
        ("The best of many single values is partly luck: only fresh seeds compare families.",) if rows else (),
    )


def importance(report: Report) -> Table:
    found = report.importance
    if found.why_none is not None:
        return Table("Importance of settings", (), (), notes=(f"Not known: {found.why_none}.",))
    diverged = f", {found.diverged} of which diverged" if found.diverged else ""
    notes = [
        f"The share of each setting in what differs between {counted(found.n, 'trial')}{diverged}: fANOVA of their "
        f"ranks at {found.horizon:,} steps. Peak rates count by their place in their optimizer's range."
    ]
    if found.is_of_few:
        notes.append("So few trials say little: another sweep may order them otherwise.")
    rows: tuple[tuple[Cell, ...], ...] = tuple((name, f"{share:.0%}", share) for name, share in found.shares.items())
    return Table("Importance of settings", ("setting", "share", ""), rows, frozenset({1}), tuple(notes))


def rungs(report: Report) -> Table:
    if not report.rungs:
        return Table("Rungs", (), (), notes=("Every trial was trained at the full horizon: there are no rungs.",))
    rows = tuple(
        (
            f"{each.horizon:,} steps",
            NOTHING if each.correlation is None else f"{each.correlation:.2f}",
            "" if each.interval is None else f"{each.interval[0]:.2f} to {each.interval[1]:.2f}",
            _of_correlation(each.correlation, each.interval),
            str(each.n),
            NOTHING if each.family_correlation is None else f"{each.family_correlation:.2f}",
            "" if each.family_interval is None else f"{each.family_interval[0]:.2f} to {each.family_interval[1]:.2f}",
            str(each.families),
            "dropped" if each.is_dropped else "too few to say" if each.interval is None else "",
        )
        for each in report.rungs
    )
    columns = ("rung", "rank correlation", "95 %", "", "n", "of families", "95 %", "families", "")
    notes = ("With the full horizon, over trials that ran all rungs whatever their values.", *report.exponents)
    return Table("Rungs", columns, rows, frozenset({1, 2, 4, 5, 6, 7}), notes)


def _of_correlation(correlation: float | None, interval: tuple[float, float] | None) -> Cell:
    if correlation is None:
        return ""
    low, high = interval or (correlation, correlation)
    return Whiskers(low, correlation, high, (-1.0, 1.0))


def cost(report: Report) -> Table:
    found = report.cost
    rows = [(each.phase, f"{each.trainings:,}", f"{each.steps:,}", duration(each.seconds)) for each in found.lines]
    added = sum(each.seconds for each in found.lines)
    total = (
        "in all",
        f"{sum(each.trainings for each in found.lines):,}",
        f"{sum(each.steps for each in found.lines):,}",
        duration(added),
    )
    devices = f"{found.device_seconds / SECONDS_PER_HOUR:.3g} device hours"
    left = "" if report.is_over else ", of drivers that have left"
    said = f"{duration(found.wall_seconds)} by the clock{left}, {devices}"
    if found.money is not None:
        said += f", {found.money:,.2f} of money at {number(found.price_per_hour)} an hour"
    notes = [f"{said}."]
    if added > found.wall_seconds > 0:
        notes.append("A training's time counts by itself: several run side by side.")
    if report.failed:
        notes.append(f"{counted(report.failed, 'training')} failed.")
    if report.choice is not None:
        shorter = [each for each in report.choice.by_horizon if each.horizon < report.choice.horizon]
        notes += [_with_less(each, report.choice, report.metric) for each in shorter]
    last = len(rows)
    return Table(
        "Cost",
        ("phase", "trainings", "steps", "time of trainings"),
        (*rows, total),
        frozenset({1, 2, 3}),
        tuple(notes),
        last,
    )


def _with_less(each: AtHorizon, choice: Choice, metric: str) -> str:
    """What a shorter horizon would cost in the metric and save."""
    within = "" if each.interval is None else f", {between(each.interval)}"
    rated = "" if each.best.peak_lr is None else f" at a peak rate of {rate(each.best.peak_lr)}"
    by = ", by the search" if each.is_searched else ""
    text = (
        f"The best at {each.horizon:,} steps{by}: {each.best.family}{rated}, {metric} {number(each.mean)}{within} "
        f"({counted(each.n, 'seed')})"
    )
    if each.worse is None:
        return f"{text}, the luckiest of those that ended there." if each.is_searched else f"{text}."
    full = choice.recommended.cost
    saves = f"{each.share:.0%} of the steps"
    if each.cost is not None and full:
        saves += f" and {each.cost / full:.0%} of the time of a training"
    change = f"{number(abs(each.worse))} {'worse' if each.worse >= 0 else 'better'} than {choice.horizon:,} steps"
    return f"{text}: {change}, with {saves}."


def divergences(report: Report) -> Table:
    if not report.divergences:
        ended = counted(report.trainings_ended, "training")
        none = f"{ended} ended, and no one diverged." if report.trainings_ended else "Nothing was trained yet."
        return Table("Divergences", (), (), notes=(none,))
    rows = tuple(
        (
            each.family,
            each.optimizer,
            f"{each.diverged} of {each.trainings}",
            rate(each.lowest),
            rate(each.highest_sound),
        )
        for each in report.divergences
    )
    columns = ("family", "optimizer", "diverged", "smallest rate that diverged", "largest that did not")
    notes = ("Peak rates as they were trained, a rung's correction included.",)
    return Table("Divergences", columns, rows, frozenset({2, 3, 4}), notes)
