"""What a person sees of a sweep: a live view, or plain lines where there is no terminal; and a table at the end."""

from __future__ import annotations

import functools
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lrsweep.cli.counting import counted
from lrsweep.cli.following import next_commands
from lrsweep.cli.sweep_drawing import (
    baseline_line,
    budget_of,
    cost_line,
    finals_table,
    mean_of,
    phase_line,
    rungs_line,
)
from lrsweep.records import Status
from lrsweep.schedules import Schedule
from lrsweep.scripts import command
from lrsweep.scripts.command_line import filled
from lrsweep.selection import FamilyStanding
from lrsweep.selection.choice import Choice
from lrsweep.selection.deciding import Evidence
from lrsweep.space import peak_of
from lrsweep.study import Study
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.progress import Best, Progress, Running, SweepResult, occupancy

BARS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 24
PLAIN_LINE_EVERY = 5.0
MOST_TRIALS_NAMED = 8
NOTHING_HEARD: Mapping[int, float] = MappingProxyType({})


class SweepConsole(Console):
    """Falls silent where its reader has left, as ``| head`` does; Rich would leave the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), self.file.fileno())  # or what waits in the buffer is an error at exit


class Display:
    """Between ``with`` and its end the terminal belongs to the sweep; ``report`` is for afterwards."""

    def __init__(self, console: Console, study: Study, homes: Homes) -> None:
        self._console = console
        self._study = study
        self._homes = homes
        self._live = Live(console=console, refresh_per_second=5, transient=True) if console.is_terminal else None
        self._plain_line_at = 0.0
        self._can_draw = True

    def __enter__(self) -> Self:
        self._console.print(
            f"[bold]lrsweep[/] study [bold]{escape(self._study.name)}[/], {budget_of(self._study.budget)}; "
            f"results in {escape(str(self._homes.folder))}",
            highlight=False,
            soft_wrap=True,
        )
        if self._live is not None:
            self._live.start()
            self._live.update(Text(_starting(self._study), style="dim"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """What cannot be written, on a full disk say, is not: a sweep must not end by it."""
        with suppress(Exception):
            self._console.print(escape(sentence), style="yellow", highlight=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """What cannot be drawn is told once, and then there is no view: a sweep must not end by it."""
        if not self._can_draw:
            return
        try:
            self._draw(progress)
        except Exception as error:
            self._can_draw = False
            self.say(f"the sweep goes on without a view, which could not be drawn: {error!r}")

    def _draw(self, progress: Progress) -> None:
        if self._live is not None:
            self._live.update(_view(progress))
        elif time.monotonic() - self._plain_line_at > PLAIN_LINE_EVERY:
            self._plain_line_at = time.monotonic()
            self._console.print(_plain_line(progress), highlight=False, soft_wrap=True)

    def report(self, result: SweepResult, *, again: str, choice: Choice | None = None) -> None:
        """The table by family, the best schedule as a line to paste, and what to type next. ``choice`` is what
        ``lrsweep choose`` would say of it, where that is known."""
        self._console.print(families_table(result.families, result.best))
        ended = len(result.trainings)
        to_start = f" (and {result.startup_seconds:.1f} s to start)" if result.startup_seconds else ""
        self._console.print(
            f"{counted(result.own_trials, 'trial')}, {counted(ended, 'training')}, "
            f"{sum(each.steps for each in result.trainings):,} steps in {result.sweep.seconds:.1f} s{to_start}",
            highlight=False,
        )
        self._console.print(best_lines(result.best), highlight=False, soft_wrap=True)
        if result.finals:
            self._console.print()
            self._console.print(finals_table(result.finals))
            self._console.print()
        baseline = baseline_line(result.families, result.best, result.finals)
        for line in (baseline, rungs_line(result.rungs), cost_line(result.cost)):
            if line:
                self._console.print(line, highlight=False, soft_wrap=True)
        if result.outage is not None:
            self.say(
                f"MLflow still lacks {result.not_mirrored} of {counted(ended, 'training')}: {result.outage} "
                f"Nothing is lost; to send what is missing: {again}"
            )
        is_decided = choice is not None and choice.evidence is not Evidence.UNDECIDED
        if choice is not None and not is_decided and choice.next_step is not None:
            told = f"\nWhich schedule is best is undecided. To know more: {choice.next_step}."
            self._console.print(escape(told), highlight=False, soft_wrap=True)
        commands = next_commands(result.sweep.study, self._homes.folder, is_decided=is_decided)
        self._console.print(f"\nNext:\n{escape(commands)}", highlight=False, soft_wrap=True)


def sparkline(
    schedule: Schedule, horizon: int, width: int = SPARK_WIDTH, *, heard: Mapping[int, float] = NOTHING_HEARD
) -> str:
    """The rate from the first step to the last as a row of bars, the peak as the highest.

    A schedule that reacts is drawn as it was in the training that ``heard`` these metrics, by the updates done.

    >>> import lrsweep
    >>> sparkline(lrsweep.schedule("linear"), horizon=600, width=8)
    '█▇▆▅▄▃▂▁'
    """
    factors = _factors_shown(schedule, horizon, width, tuple(heard.items()))
    return "".join(BARS[min(int(factor * len(BARS)), len(BARS) - 1)] for factor in factors)


@functools.lru_cache(maxsize=1)  # the live view asks five times a second, and the best is seldom another
def _factors_shown(schedule: Schedule, horizon: int, width: int, heard: tuple[tuple[int, float], ...]) -> list[float]:
    """The factor in the middle of each of ``width`` parts of the training."""
    middles = (np.arange(width) + 0.5) / width
    if schedule.needs_metric:
        factors: list[float] = schedule.replay(dict(heard), horizon)[(middles * horizon).astype(int)].tolist()
        return factors
    return [float(factor) for factor in schedule.factor(middles, horizon)]


def pasteable(best: Best) -> str:
    """Code that gives the best trial's rates, peak and all; of one that reacts, code that trains with it.

    Of a script its call of ``attach``, or the command line where flags choose the schedule.
    """
    if _is_script(best):
        script = command.command_of(best.workload)
        if script.follows == "attach":
            metric = f", metric={best.metric!r}" if best.metric != "val_loss" else ""
            # all that are known: the line takes the place of the script's own
            all_settings = {**best.script_settings, **best.extra}
            settings = f", settings={all_settings!r}" if all_settings else ""
            return (
                f"run = lrsweep.attach(peak_lr={best.peak_lr!r}, total_steps={best.horizon}, "
                f"schedule={best.schedule!r}{metric}{settings})"
            )
        if script.follows == "flags":
            return shlex.join(filled(f"{script.command} {script.families[best.family]}", _places(best)))
    if best.schedule.needs_metric:
        return f"{best.schedule!r}.torch(optimizer, {best.horizon}, peak_lr={best.peak_lr!r})"
    return f"{best.schedule!r}.rates({best.horizon}, peak_lr={best.peak_lr!r})"


def _starting(study: Study) -> str:
    if study.workload.name == command.NAME:
        return "starting: MLflow and the databases take a few seconds, and the script is asked what it trains …"
    return "starting: torch, MLflow and the databases take a few seconds …"


def _places(best: Best) -> dict[str, object]:
    """What stands in braces; the seed is the reader's to choose."""
    own = best.schedule.settings_dict()
    return {**own, **best.extra, "seed": "SEED", "steps": best.horizon, "peak_lr": best.peak_lr, "lr_table": "RATES"}


def _view(progress: Progress) -> RenderableType:
    bar = Table.grid(padding=(0, 1))
    left = "" if progress.seconds_left is None else f", about {_duration(progress.seconds_left)} left"
    bar.add_row(
        _bar(progress),
        f"{_trials(progress)}, {counted(progress.trainings_ended, 'training')}, {_duration(progress.seconds)}{left}",
    )
    lines: list[RenderableType] = [bar, families_table(progress.families, progress.best)]
    if progress.best is not None:
        lines.append(Text.from_markup(_best_line(progress.best)))
    if progress.running:
        lines.append(Text(f"now: {_now(progress.running)}", style="dim"))
    if slots := _slots(progress):
        lines.append(Text(slots, style="dim"))
    if progress.finals:
        lines.append(finals_table(progress.finals))
    for line in (phase_line(progress), rungs_line(progress.rungs), cost_line(progress.cost)):
        if line:
            lines.append(Text(line, style="dim"))
    if progress.outage is not None:
        lines.append(
            Text(f"MLflow is behind by {counted(progress.behind, 'training')}: {progress.outage}", style="yellow")
        )
    elif progress.behind:
        lines.append(Text(f"still to be sent to MLflow: {counted(progress.behind, 'training')}", style="dim"))
    return Group(*lines)


def _bar(progress: Progress) -> ProgressBar:
    """Of the trials, or of the time where a clock ends the sweep."""
    if progress.trials_wanted is None:
        whole = progress.seconds + (progress.seconds_left or 0.0)
        return ProgressBar(total=whole, completed=progress.seconds, width=32)
    return ProgressBar(total=progress.trials_wanted, completed=progress.trials_told, width=32)


def _trials(progress: Progress) -> str:
    if progress.trials_wanted is None:
        return counted(progress.trials_told, "trial")
    return f"{progress.trials_told:,}/{counted(progress.trials_wanted, 'trial')}"


def _now(running: Sequence[Running]) -> str:
    if len(running) == 1:
        [one] = running
        params = one.trial.params
        return f"trial {one.trial.number}, {params['family']} with {params['optimizer']}, {one.training.horizon} steps"
    shown = ", ".join(str(each.trial.number) for each in running[:MOST_TRIALS_NAMED])
    more = f" and {len(running) - MOST_TRIALS_NAMED} more" if len(running) > MOST_TRIALS_NAMED else ""
    return f"{len(running)} trainings, of the trials {shown}{more}"


def _slots(progress: Progress) -> str:
    """``slots 14 of 16 busy, 97 % full``; nothing where no engine has slots."""
    if progress.busy is None:
        return ""
    running = sum(each.training.status is Status.RUNNING for each in progress.running)
    full = occupancy(progress.busy)
    so_far = "" if full is None else f", {full:.0%} full".replace("%", " %")
    return f"slots {min(running, progress.busy.slots)} of {progress.busy.slots} busy{so_far}"


def _plain_line(progress: Progress) -> str:
    left = "" if progress.seconds_left is None else f", about {_duration(progress.seconds_left)} left"
    best = "" if progress.best is None else f"; best {progress.best.value:.4f} ({progress.best.family})"
    parts = (_slots(progress), phase_line(progress), cost_line(progress.cost))
    more = "".join(f"; {part}" for part in parts if part)
    return f"{_trials(progress)}, {_duration(progress.seconds)}{left}{best}{more}"


def families_table(families: Sequence[FamilyStanding], best: Best | None) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # 72 columns wide
    table.add_column("family", no_wrap=True)
    table.add_column("best", justify="right")
    table.add_column("peak rate", justify="right")
    table.add_column("optimizer")
    for name in ("trials", "full", "halted", "diverged", "failed"):
        table.add_column(name, justify="right")
    for each in families:
        params = each.best.params if each.best else {}
        optimizer = str(params.get("optimizer", ""))
        peak = peak_of(params) if each.best else None
        leads = best is not None and each.best is not None and each.best.number == best.trial
        table.add_row(
            each.family,
            f"{each.best.value:.4f}" if each.best else "–",
            f"{peak:.3g}" if peak is not None else "",
            optimizer,
            *(str(count) for count in (each.trials, each.complete, each.pruned, each.diverged, each.failed)),
            style="bold green" if leads else None,
        )
    return table


def _best_line(best: Best) -> str:
    value = f"{best.value_name} {best.value:.4f}" if best.final is None else mean_of(best.final)
    with_optimizer = "" if best.optimizer == command.OPTIMIZER else f" with {best.optimizer}"
    return (
        f"best: [bold]{best.family}[/]{with_optimizer}, peak rate {best.peak_lr:.3g}, "
        f"{value}  [cyan]{sparkline(best.schedule, best.horizon, heard=best.heard)}[/]"
    )


def best_lines(best: Best | None) -> str:
    if best is None:
        return "No training reached the full horizon, so there is no best schedule."
    return (
        f"\n{_best_line(best)}\n\n    {escape(pasteable(best))}\n\n{_how_it_is_fed(best)}"
        f"for {escape(_trained_with(best))}. {_how_sure(best)}"
    )


def _how_sure(best: Best) -> str:
    if best.final is None:
        return "Best of its trials on one seed each: partly luck, see the README."
    return "First of the finalists by fresh seeds; whether it is better than the next, their intervals say:"


def _how_it_is_fed(best: Best) -> str:
    if not best.schedule.needs_metric:
        return ""
    if _is_script(best):
        return f"It reacts to {best.metric}, which `run.report` tells it.\n"
    return (
        f"It reacts to {best.metric}: after each update call `.step()` on it, or `.step({best.metric})` after one that "
        f"was evaluated; here {len(best.heard)} of {best.horizon} were.\n"
    )


def _trained_with(best: Best) -> str:
    """``sgd (momentum=0.9)``, or ``the script with dropout=0.1``."""
    if not _is_script(best):
        return f"{best.optimizer} ({', '.join(f'{name}={value:g}' for name, value in best.optimizer_settings.items())})"
    extra = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in best.extra.items()
    )
    return f"the script{f' with {extra}' if extra else ''}"


def _is_script(best: Best) -> bool:
    return best.workload.name == command.NAME


def _duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
