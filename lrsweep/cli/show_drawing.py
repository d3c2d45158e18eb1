"""How a study, a trial or a training reads in a terminal: ``lrsweep show``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lrsweep.cli.counting import counted
from lrsweep.cli.live import BARS, SPARK_WIDTH, best_lines, families_table, pasteable, sparkline
from lrsweep.cli.look_drawing import moment, number
from lrsweep.cli.show import StudyShown, TrainingShown, TrialShown, thinned
from lrsweep.cli.sweep_drawing import baseline_line, finals_table, rungs_line
from lrsweep.records import Json, Purpose, TrainingRow
from lrsweep.selection import FamilyStanding
from lrsweep.space.points import SCHEDULE
from lrsweep.study import ResolvedStudy
from lrsweep.study.lost import unreadable
from lrsweep.sweep.finals import deciding
from lrsweep.sweep.progress import Best

COLUMNS: Mapping[str, Literal["left", "right"]] = {
    "training": "left",
    "for": "left",
    "steps": "right",
    "seed": "right",
    "rate ×": "right",
    "status": "left",
    "value": "right",
    "seconds": "right",
    "tries": "right",
    "engine": "left",
}
MOST_SWEEPS = 10


def show(console: Console, shown: StudyShown | TrialShown | TrainingShown) -> None:
    match shown:
        case StudyShown():
            _study(console, shown)
        case TrialShown():
            _trial(console, shown)
        case TrainingShown():
            _training(console, shown)


def rates_as_bars(rates: Sequence[float], width: int = SPARK_WIDTH) -> str:
    """What was applied, the highest rate as the highest bar.

    >>> rates_as_bars([1.0, 2.0, 3.0, 4.0], width=4)
    '▃▅▇█'
    """
    peak = max(rates, default=0.0)
    shown = thinned(rates, width)
    return "".join(BARS[min(int(rate / peak * len(BARS)), len(BARS) - 1)] for rate in shown) if peak else ""


def _say(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)


def _study(console: Console, shown: StudyShown) -> None:
    standing = shown.standing
    told, wanted = standing.trials_told, standing.trials_wanted
    trials = counted(told, "trial") if wanted is None else f"{told:,} of {counted(wanted, 'trial')}"
    _say(
        console,
        f"study {standing.study}: {standing.state}, {trials}; sweep {standing.sweep}, begun "
        f"{moment(standing.began_at)}",
    )
    console.print(families_table(shown.families, shown.best))
    if not_ended := _not_ended(shown.families):
        _say(console, f"not ended, and in no other column: {not_ended}")
    if shown.best is None and standing.family is not None:
        _say(console, f"best trial {standing.best_trial}: {unreadable(standing.family)}")
    else:
        console.print(best_lines(shown.best), highlight=False, soft_wrap=True)
    if shown.finals:
        console.print(finals_table(shown.finals))
        console.print()
    if baseline := baseline_line(shown.families, shown.best, shown.finals):
        _say(console, baseline)
    if rungs := rungs_line(shown.rungs):
        _say(console, rungs)
    _other_sweeps(console, shown)


def _other_sweeps(console: Console, shown: StudyShown) -> None:
    if not shown.others:
        return
    _say(console, "\nother sweeps of this study, shown with `--sweep` and the beginning of an id:")
    for each in shown.others[:MOST_SWEEPS]:
        # another generation has another meaning or space: its values may not compare
        asked = "" if each.generation == shown.study.generation else f", of another generation ({each.generation[:8]})"
        trials = counted(each.trials, "trial")
        _say(console, f"  {each.sweep[:8]}  {each.state}, {trials}, begun {moment(each.began_at)}{asked}")
    if len(shown.others) > MOST_SWEEPS:
        _say(console, f"  and {len(shown.others) - MOST_SWEEPS} earlier; `--json` has them all")


def _not_ended(families: Sequence[FamilyStanding]) -> str:
    """``3 cosine, 1 linear``: trials that have not ended, which a family's number of trials counts too."""
    left = {each.family: each.trials - each.complete - each.pruned - each.diverged - each.failed for each in families}
    return ", ".join(f"{count} {family}" for family, count in left.items() if count)


def _trial(console: Console, shown: TrialShown) -> None:
    trial = shown.trial
    value = "" if trial.value is None else f", {shown.study.value_key} {number(trial.value)}"
    source = f", {trial.copied_from}" if trial.copied_from else ""
    _say(
        console,
        f"trial {trial.number} of study {trial.study}: {shown.state}{value} ({trial.origin.value}{source})",
    )
    _pairs(console, _params(shown))
    if shown.used is not None:
        _pairs(console, {f"script's {name}": value for name, value in shown.used.script_settings.items()})
        _used(console, shown.used)
    else:
        _say(console, unreadable(str(trial.params["family"])))
    if shown.trainings:
        finals = [row for row in shown.trainings if row.purpose is Purpose.FINAL]
        of_finals, _ = deciding(shown.study, finals)
        console.print(_trainings(shown.trainings, shown.study, of_finals))
        if finals and of_finals != shown.study.value_key:
            _say(console, f"value: {shown.study.value_key}, and of finals {of_finals}")
    for row in shown.trainings:
        for text in (row.reason, row.error):
            if text:
                _say(console, f"{row.training_id[:8]}: {text.strip().splitlines()[-1]}")


def _used(console: Console, used: Best) -> None:
    drawn = (
        ""
        if used.schedule.needs_metric and not used.heard
        else sparkline(used.schedule, used.horizon, heard=used.heard)
    )
    console.print(f"\n[cyan]{drawn}[/]\n\n    {escape(pasteable(used))}\n", highlight=False, soft_wrap=True)


def _params(shown: TrialShown) -> dict[str, Json]:
    """As they were drawn. Those of a baseline beside the space are named as if they had been: its schedule is kept as
    JSON, and what is of its optimizer or of the script as one object each.
    """
    params = dict(shown.trial.params)
    if SCHEDULE not in params:
        return params
    optimizer, schedule = params["optimizer"], json.loads(params.pop(SCHEDULE))
    own = {name: value for name, value in schedule.items() if name not in ("family", "version")}
    parts = {params["family"]: own, optimizer: params.pop("settings"), "extra": params.pop("extra")}
    return {**params, **{f"{of}.{name}": value for of, part in parts.items() for name, value in part.items()}}


def _training(console: Console, shown: TrainingShown) -> None:
    row, trial = shown.training, shown.trial.trial
    _say(console, f"training {row.training_id} of trial {trial.number}, study {row.study}: {row.status.value}")
    took = f"{row.seconds:.2f} s" if row.seconds else "–"
    _pairs(
        console,
        {
            "schedule": f"{trial.params['family']} with {trial.params['optimizer']}",
            "for": row.purpose.value,
            "horizon": f"{row.horizon:,} steps (rung {row.rung}), {row.steps:,} done in {took}",
            "seed": row.seed,
            "rate": f"{row.rate_scale:.4g} times the trial's own",
            "attempts": row.attempt,
            "engine": f"{row.engine or '–'} on {row.device or '–'}",
            "begun": "–" if row.started_at is None else moment(row.started_at),
            **{name: f"{value:.6g}" for name, value in row.metrics.items()},
            "MLflow run": row.mlflow_run_id or "–",
        },
    )
    if shown.curve is not None and shown.curve.steps:
        rates = shown.curve.rates.tolist()
        bars = rates_as_bars(rates)
        console.print(
            f"\n[cyan]{bars}[/]  rates applied, {min(rates):.3g} to {max(rates):.3g}", highlight=False, soft_wrap=True
        )
    if row.reason:
        _say(console, f"\n{row.reason}")
    if row.error:
        _say(console, f"\n{row.error.rstrip()}")


def _trainings(rows: Sequence[TrainingRow], study: ResolvedStudy, of_finals: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns, but for long names of engines
    for name, justify in COLUMNS.items():
        table.add_column(name, justify=justify, no_wrap=name != "engine")
    for row in rows:
        table.add_row(
            row.training_id[:8],
            row.purpose.value,
            f"{row.steps}/{row.horizon}",
            f"{row.seed}",
            f"{row.rate_scale:.3g}",
            row.status.value,
            number(row.metrics.get(of_finals if row.purpose is Purpose.FINAL else study.value_key)),
            f"{row.seconds:.2f}",
            f"{row.attempt}",
            " on ".join(each for each in (row.engine, row.device) if each),
        )
    return table


def _pairs(console: Console, pairs: dict[str, Json]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        table.add_row(f"  {escape(name)}", escape(f"{value:.6g}" if isinstance(value, float) else str(value)))
    console.print(table)
