"""Parts of what a person sees of a sweep: budget, baseline, finalists, trust in its rungs, what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from lrsweep.cli.counting import counted as counted  # those that show a sweep have it from here
from lrsweep.records import TrialRow, TrialState
from lrsweep.scripts.command import OPTIMIZER
from lrsweep.selection import FamilyStanding
from lrsweep.space import peak_of
from lrsweep.study import BUDGETS, BudgetSpec
from lrsweep.study.budgets import SECONDS_PER_HOUR
from lrsweep.sweep.finals import Finalist
from lrsweep.sweep.phases import Phase
from lrsweep.sweep.progress import Best, Cost, Progress
from lrsweep.sweep.trust import RungTrust

UNITS = {
    "trials": ("trial", "trials"),
    "trainings": ("training", "trainings"),
    "steps": ("step", "steps"),
    "wall_clock": ("s", "s"),
    "gpu_hours": ("GPU hour", "GPU hours"),
    "money": ("of money", "of money"),
}
PHASES = {Phase.FIT: "measuring how the best rate moves with the horizon", Phase.FINALS: "finals"}


def budget_of(budget: BudgetSpec) -> str:
    """
    >>> budget_of(BudgetSpec(steps=60_000)), budget_of(BudgetSpec(gpu_hours=1.5)), budget_of(BudgetSpec(trials=1))
    ('60,000 steps', '1.5 GPU hours', '1 trial')
    """
    assert set(UNITS) == set(BUDGETS)
    amount = getattr(budget, budget.kind)
    one, many = UNITS[budget.kind]
    shown = f"{amount:,}" if isinstance(amount, int) else f"{amount:,g}"
    return f"{shown} {one if amount == 1 else many}"


def finals_table(finals: Sequence[Finalist]) -> Table:
    """The best first; each with the interval of its mean."""
    [metric] = {each.metric for each in finals}
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("finalist", no_wrap=True)
    table.add_column("trial", justify="right")
    table.add_column(f"{metric}, mean", justify="right")
    table.add_column("95 % interval", justify="right")
    for name in ("n", "diverged", "failed"):
        table.add_column(name, justify="right")
    for place, each in enumerate(finals):
        interval = "" if each.interval is None else f"{each.interval.low:.4f} to {each.interval.high:.4f}"
        table.add_row(
            f"{each.family}{' (baseline)' if each.is_baseline else ''}",
            str(each.trial),
            "–" if each.mean is None else f"{each.mean:.4f}",
            interval,
            *(str(count) for count in (each.n, each.diverged, each.failed)),
            style="bold green" if place == 0 and each.mean is not None else None,
        )
    return table


def baseline_line(families: Sequence[FamilyStanding], best: Best | None, finals: Sequence[Finalist]) -> str:
    """``baseline: cosine with sgd, peak rate 0.05, val_loss 0.1320 (trial 0)``; nothing where there is none."""
    baselines = [each.baseline for each in families if each.baseline is not None]
    if not baselines:
        return ""
    baseline = max(baselines, key=lambda trial: trial.number)  # the file may have named another one since
    if best is not None and best.trial == baseline.number:
        rivals = sum(each.complete + each.pruned + each.diverged for each in families) - 1
        did = "no other schedule did better" if rivals else "no other schedule was trained"
        return f"The baseline is the best (trial {baseline.number}): {did}."
    params = baseline.params
    optimizer = "" if params["optimizer"] == OPTIMIZER else f" with {params['optimizer']}"
    return (
        f"baseline: {params['family']}{optimizer}, peak rate {peak_of(params):.3g}, "
        f"{_came_to(baseline, best, finals)} (trial {baseline.number})"
    )


def _came_to(baseline: TrialRow, best: Best | None, finals: Sequence[Finalist]) -> str:
    """By fresh seeds where the best is told by them too."""
    final = next((each for each in finals if each.trial == baseline.number and each.mean is not None), None)
    if final is not None and best is not None and best.final is not None:
        return mean_of(final)
    if baseline.value is None:
        return {TrialState.RUNNING: "not ended", TrialState.FAILED: "failed"}.get(baseline.state, "diverged")
    halted = "halted at a rung with " if baseline.state is TrialState.PRUNED else ""
    return f"{halted}{'value' if best is None else best.value_name} {baseline.value:.4f}"


def mean_of(finalist: Finalist) -> str:
    """``decide_loss 0.0789 (0.0668 to 0.0909, 5 seeds)``."""
    assert finalist.mean is not None
    between = "" if finalist.interval is None else f"{finalist.interval.low:.4f} to {finalist.interval.high:.4f}, "
    return f"{finalist.metric} {finalist.mean:.4f} ({between}{counted(finalist.n, 'seed')})"


def phase_line(progress: Progress) -> str:
    """Nothing while it searches."""
    if progress.phase is Phase.SEARCH:
        return ""
    trained = sum(each.n + each.diverged + each.failed for each in progress.finals)
    left = sum(each.left for each in progress.finals)
    count = f": {trained} of {trained + left} trainings ordered so far, of {len(progress.finals)} finalists"
    count = count if progress.finals else ""
    return f"{PHASES[progress.phase]}{count}"


def rungs_line(rungs: Sequence[RungTrust]) -> str:
    """What is known of the rungs; nothing before it is."""
    known = [rung for rung in rungs if rung.correlation is not None and rung.interval is not None]
    said = [
        f"rung of {rung.horizon}: rank correlation {rung.correlation:.2f} "
        f"({rung.interval.low:.2f} to {rung.interval.high:.2f}, n = {rung.n})"
        for rung in known
        if rung.interval is not None
    ]
    return "; ".join(said)


def cost_line(cost: Cost | None) -> str:
    """``1.25 spent, 0.5 GPU hours``; nothing where no price is given."""
    if cost is None or cost.money is None:
        return ""
    return f"{cost.money:,.2f} spent, {cost.device_seconds / SECONDS_PER_HOUR:.2f} device hours"
