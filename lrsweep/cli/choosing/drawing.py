"""How a choice reads in a terminal: the answer first, then what it rests on."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lrsweep.cli.counting import counted
from lrsweep.selection.choice import Argmin, Choice, Standing
from lrsweep.selection.deciding import Evidence
from lrsweep.selection.lengths import AtHorizon
from lrsweep.selection.rates import Rates
from lrsweep.selection.results import Point
from lrsweep.selection.statistics import Interval
from lrsweep.selection.targets import Reaching, Targeted

MOST_ROWS = 20
STYLES = {Evidence.PROVEN: "bold green", Evidence.RECOMMENDED: "green", Evidence.UNDECIDED: "yellow"}


def show_choice(
    console: Console, choice: Choice, metric: str, searched_metric: str, of_sweep: int | None = None
) -> None:
    """``searched_metric``: by which a search went, where there was one;
    ``of_sweep``: of how many trainings of a sweep, its search's too, the cost is; by default of those compared."""
    for sentence in _answer(choice, metric):
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print()
    console.print(_table(choice, metric))
    for sentence in _beside(choice, metric, searched_metric, of_sweep):
        console.print(escape(sentence), style="dim", highlight=False, soft_wrap=True)


def _answer(choice: Choice, metric: str) -> list[str]:
    best = choice.recommended
    style = STYLES[choice.evidence]
    lines = [f"[{style}]{choice.evidence.value}[/]: [bold]{escape(named(best))}[/], {escape(_why(choice, metric))}"]
    if best.point.schedule:
        lines.append(f"  lrsweep.schedule_from_json({escape(repr(best.point.schedule))})")
    if choice.targeted is not None:
        lines += [escape(line) for line in _of_target(choice.targeted, choice, metric)]
    if best.turning is not None:
        lines.append(escape(best.turning))
    if (missing := next((each for each in choice.left_out if each.is_baseline), None)) is not None:
        lines.append(
            f"The baseline, {escape(missing.point.family)}, is not compared: it has {counted(missing.seeds, 'seed')}, "
            "and others have more. Train it with as many."
        )
    if choice.next_step is not None:
        lines.append(f"To know more: {escape(choice.next_step)}.")
    return lines


def _why(choice: Choice, metric: str) -> str:
    best = choice.recommended
    rested = f"by {counted(best.n, 'seed')} at {choice.horizon} steps"
    if choice.evidence is Evidence.PROVEN:
        return f"shown to be better than every other family {rested}"
    worth = "" if choice.verdict.worth is None else f"{choice.verdict.worth:.3g} of {metric}"
    if best.point.name in choice.verdict.equivalence_set:
        others = "the simplest of those that are" if len(choice.verdict.equivalence_set) > 1 else "the only one that is"
        kind = "the baseline, which is" if best.is_baseline else others
        return f"{kind} shown to lie within {worth} of the best {rested}"
    if choice.evidence is Evidence.RECOMMENDED:
        return f"shown to be better than the baseline {rested}, and not better than every other"
    return f"which leads {rested}, and that may be chance"


def _table(choice: Choice, metric: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("family", no_wrap=True)
    has_gain = any(each.gain is not None for each in choice.standings)
    for name in ("peak", metric, "95 %", "n", *(["gain"] if has_gain else []), "best"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for each in choice.standings[:MOST_ROWS]:
        table.add_row(
            escape(each.point.family),
            "" if each.point.peak_lr is None else f"{each.point.peak_lr:.3g}",
            "–" if each.mean is None else f"{each.mean:.4g}",
            _reach(each.interval),
            f"{each.n}",
            *([_gain(each)] if has_gain else []),
            "" if each.probability_best is None else f"{each.probability_best:.0%}",
            _marks(choice, each),
        )
    return table


def _gain(each: Standing) -> str:
    if each.gain is None:
        return ""
    return f"{each.gain:+.3g} {_reach(each.gain_interval)}".rstrip()


def _marks(choice: Choice, each: Standing) -> str:
    ended = each.n + each.diverged
    marks = [
        "baseline" if each.is_baseline else "",
        "as good" if each.point.name in choice.verdict.equivalence_set else "",
        f"{each.diverged} of {ended} diverged" if each.diverged else "",
    ]
    return ", ".join(filter(None, marks))


def _beside(choice: Choice, metric: str, searched_metric: str, of_sweep: int | None) -> list[str]:
    lines = [] if len(choice.standings) <= MOST_ROWS else [f"… and {len(choice.standings) - MOST_ROWS} more."]
    is_in_the_set = choice.recommended.point.name in choice.verdict.equivalence_set
    if choice.verdict.worth is not None and (
        choice.evidence is Evidence.PROVEN or not is_in_the_set
    ):  # else it is said
        lines.append(f"A gain of less than {choice.verdict.worth:.3g} of {metric} is not worth a change.")
    lines.append(_luck(choice.argmin, searched_metric if choice.argmin.is_searched else metric))
    if choice.recommended.examples is not None:
        lines.append(choice.recommended.examples.sentence(metric))
    if isinstance(choice.rates, Rates):
        lines.append(
            f"Peak rates of {choice.recommended.point.family} from {choice.rates.low:.3g} to {choice.rates.high:.3g} "
            f"lie within {choice.verdict.worth:.3g} of its best, {choice.rates.best:.3g}, by a parabola through "
            f"{choice.rates.measured} rates that misses them by {choice.rates.misfit:.2g}.{_outside(choice)}"
        )
    elif of_sweep is not None:  # whoever brings a table knows what is in it
        lines.append(f"How far its peak rate may be off is not known: {choice.rates}.")
    lines += [_at(each, choice) for each in choice.by_horizon if each.horizon != choice.horizon]
    lines += _not_compared(choice)
    lines.append(
        f"{counted(choice.trainings, 'training')} of {counted(choice.points, 'point')}{_spent(choice, of_sweep)}."
    )
    return lines


def _outside(choice: Choice) -> str:
    peak = choice.recommended.point.peak_lr
    if peak is None or not isinstance(choice.rates, Rates) or choice.rates.low <= peak <= choice.rates.high:
        return ""
    return f" The recommended peak, {peak:.3g}, lies outside of them: it was compared by itself, with seeds of its own."


def _spent(choice: Choice, of_sweep: int | None) -> str:
    """Seconds of trainings that ran side by side are more than the clock has seen."""
    if choice.search_cost is None:
        return ""
    cost = _cost(choice.search_cost, choice)
    return f", {cost} in all" if of_sweep is None else f"; all {of_sweep:,} of the sweep took {cost}, added up"


def _luck(argmin: Argmin, metric: str) -> str:
    which, seeds = ("The search's best", "fresh") if argmin.is_searched else ("The best single", "other")
    what = f"{which} {metric}"
    taken = f"{what}, {argmin.value:.4g}, is {argmin.point.family}'s"
    if argmin.mean is None or argmin.optimism is None:
        return f"{taken}; it has no {seeds} seed that would say how lucky that was."
    how = "too good" if argmin.optimism >= 0 else "worse than they are"
    same = " by the same measure" if argmin.is_searched else ""
    return f"{taken}, whose {seeds} seeds come to {argmin.mean:.4g}{same}: {abs(argmin.optimism):.2g} {how}."


def _at(each: AtHorizon, choice: Choice) -> str:
    """What another horizon would have given, and what that costs and saves."""
    within = "" if each.interval is None else f" ({_interval(each.interval)})"
    by = ", by the search" if each.is_searched else ""
    name, seeds = point_named(each.best), counted(each.n, "seed")
    text = f"Best at {each.horizon} steps{by}: {name}, {each.mean:.4g}{within}, {seeds}"
    if each.worse is None:
        return f"{text}, the luckiest of those that ended there." if each.is_searched else f"{text}."
    change = f"{abs(each.worse):.3g} {_reach(each.worse_interval)}".rstrip()
    change = f"{change} {'worse' if each.worse >= 0 else 'better'} than {choice.horizon} steps"
    own, full = each.cost, choice.recommended.cost
    if own is not None and full:
        costs = f"{_cost(own, choice)} for {_cost(full, choice)}"
        return f"{text}: {change}, at {own / full:.0%} of the cost of a training ({costs})."
    return f"{text}: {change}, with {each.share:.0%} of the steps."


def _not_compared(choice: Choice) -> list[str]:
    lines = []
    if choice.left_out:
        families = ", ".join(dict.fromkeys(each.point.family for each in choice.left_out))
        lines.append(
            f"Not compared: {counted(len(choice.left_out), 'point')} with fewer seeds than it takes ({families}); the "
            "best of many single values is mostly luck."
        )
    if choice.other_blocks:
        listed = ", ".join(f"{count} of {block or 'an unknown engine'}" for block, count in choice.other_blocks.items())
        lines.append(f"Not compared, since they were trained in another way: {listed}.")
    return lines


def _of_target(found: Targeted, choice: Choice, metric: str) -> list[str]:
    aim = f"{metric} {found.target}"
    if found.measured is None:
        return [f"Nothing that was trained reaches {aim} on the mean."]
    if found.shown is None:
        reaching = _reaching(found.measured, choice)
        return [f"{aim} is reached by {reaching} on the mean, the cheapest to do so; it is shown for none."]
    lines = [f"{aim} is shown to be reached by {_reaching(found.shown, choice)}, the cheapest to do so."]
    if found.measured != found.shown:
        lines.append(f"On the mean, and not shown, a cheaper one does: {_reaching(found.measured, choice)}.")
    return lines


def _reaching(each: Reaching, choice: Choice) -> str:
    within = "" if each.interval is None else f", {_interval(each.interval)}"
    diverged = f", {each.diverged} diverged" if each.diverged else ""
    cost = "" if each.cost is None else f", {_cost(each.cost, choice)} a training"
    name = point_named(each.point)
    return f"{name} at {each.horizon} steps ({each.mean:.4g}{within}, {counted(each.n, 'seed')}{diverged}{cost})"


def _cost(cost: float, choice: Choice) -> str:
    return f"{cost:.3g}" if choice.cost_unit is None else f"{cost:.3g} {choice.cost_unit}"


def named(each: Standing) -> str:
    return point_named(each.point)


def point_named(point: Point) -> str:
    return point.family if point.peak_lr is None else f"{point.family} at a peak of {point.peak_lr:.4g}"


def _reach(interval: Interval | None) -> str:
    """Student's intervals reach as far to either side."""
    return "" if interval is None else f"± {interval.width / 2:.2g}"


def _interval(interval: Interval) -> str:
    return f"{interval.low:.4g} to {interval.high:.4g}"
