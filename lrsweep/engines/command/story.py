"""What a script has said so far in all its attempts, as one curve; and whether it has diverged or gone wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lrsweep.engines.divergence import EXPLODED_EVALUATIONS, EXPLODED_FACTOR
from lrsweep.records import Floats, Outcome, Record, TrainingPlan
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.hearing import Heard
from lrsweep.scripts.reports import Begin, End, Line, Preempted, Report, Writer, Wrong, attempt_of


@dataclass
class _Evaluation:
    step: int
    metrics: dict[str, float]


class Story:
    """Lines go in by ``hear``, records come out by ``record``.

    A later attempt goes on from the script's checkpoint: earlier reports stay below the first step that it reports. So
    does a process that a launcher or a batch system starts anew within an attempt. Whom they replace may live on
    somewhere, and is heard no more.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self._rates = _Rates(plan)
        self._evaluations: list[_Evaluation] = []
        self._values: list[tuple[int, float]] = []
        """the plan's metric as it was reported"""
        self._attempt = 0
        """whose lines are heard, and those of later ones"""
        self._is_new_attempt = False
        self._reporters: set[str] = set()
        """the processes that have reported in this attempt"""
        self._replaced: set[str] = set()
        """those that others have gone back behind"""
        self._changed_from: int | None = None
        """records since this step are not sent, or no longer true"""
        self.is_attached = False
        """whether this attempt has begun to report"""
        self.updates: int | None = None
        """as the optimizer counted them; None where nobody did"""
        self.preempted = False
        """whether the script has said that it gives way"""
        self.wrong: str | None = None
        """why this cannot be the training that the plan describes"""
        self.diverged: str | None = None
        """the rule, with the value and the step"""

    @property
    def steps(self) -> int:
        """As far as the reports go."""
        return self._evaluations[-1].step if self._evaluations else 0

    @property
    def has_metric(self) -> bool:
        """Whether the plan's metric was reported, at all."""
        return bool(self._values)

    @property
    def names(self) -> list[str]:
        """Of all metrics that were reported."""
        return sorted({name for each in self._evaluations for name in each.metrics})

    @property
    def metric_after(self) -> int | None:
        """After how many updates the plan's metric was reported last."""
        return self._values[-1][0] if self._values else None

    @property
    def reactor_heard(self) -> bool:
        """Whether a schedule that reacts had a metric in time to react to it."""
        return self._rates.heard_in_time

    @property
    def last_metrics(self) -> dict[str, float]:
        """What was reported after the last of the reported steps."""
        return dict(self._evaluations[-1].metrics) if self._evaluations else {}

    def begin(self) -> None:
        """What was heard so far comes from earlier attempts; this one has said nothing yet."""
        self._begin(self._plan.attempt)
        self._changed_from = self.diverged = None

    def hear(self, line: Line, by: Writer | None = None) -> None:
        attempt = attempt_of(line, by)
        if attempt is not None and attempt > self._attempt:
            self._begin(attempt)
        if (attempt is not None and attempt < self._attempt) or (by is not None and by.process in self._replaced):
            return
        match line:
            case Begin():  # perhaps of another process that the script has started, so that nothing is forgotten
                self.is_attached = attempt == self._plan.attempt
                self.preempted = False
            case Report():
                self._evaluated(line, None if by is None else by.process)
            case End(updates):
                self.updates = self.updates if updates is None else updates
            case Preempted(updates):
                self.preempted = True
                self.updates = self.updates if updates is None else updates
            case Wrong(text):
                self.wrong = self.wrong or text

    def record(self, device: str, outcome: Outcome | None = None) -> Record | None:
        """What has changed since the last one; None where nothing has and nothing has ended."""
        if outcome is not None and self._is_new_attempt:
            self._changed_from = 0  # it had nothing left to do: what earlier attempts have said is all there is
        if self._changed_from is None and outcome is None:
            return None
        begin = self.steps if self._changed_from is None else self._changed_from
        self._changed_from = None
        new = [each for each in self._evaluations if each.step > begin or begin == 0]
        names = {name: None for each in new for name in each.metrics}
        return Record(
            training_id=self._plan.training_id,
            attempt=self._plan.attempt,
            device=device,
            first_step=begin,
            rates=self._rates.upto(self.steps)[begin:],
            train_losses=np.full(self.steps - begin, np.nan),
            evaluation_steps=np.array([each.step for each in new], dtype=np.int64),
            evaluations={name: np.array([each.metrics.get(name, math.nan) for each in new]) for name in names},
            outcome=outcome,
            engine=COMMAND,
        )

    def _begin(self, attempt: int) -> None:
        self._attempt, self._is_new_attempt = attempt, True
        self._reporters, self._replaced = set(), set()
        self.is_attached = self.preempted = False
        self.updates = self.wrong = None

    def _evaluated(self, report: Report, process: str | None) -> None:
        if self._is_new_attempt:
            self._is_new_attempt = False
            self._go_back_before(report.step)
        elif process is not None and process not in self._reporters and report.step < self.steps:
            self._replaced |= self._reporters
            self._reporters = set()
            self._go_back_before(report.step)
        if process is not None:
            self._reporters.add(process)
        self.wrong = self.wrong or self._problem_with(report)
        if self.wrong:
            return
        if self._evaluations and report.step == self.steps:
            self._evaluations[-1].metrics.update(report.metrics)
        else:
            self._evaluations.append(_Evaluation(report.step, dict(report.metrics)))
        before = self._evaluations[-2].step if len(self._evaluations) > 1 else 0
        self._changed_from = before if self._changed_from is None else min(before, self._changed_from)
        if report.updates is not None:
            self.updates = report.updates
        if (value := report.metrics.get(self._plan.metric)) is not None:
            if self._values and self._values[-1][0] == report.step:
                self._values.pop()
            self._values.append((report.step, value))
            self._rates.hear(value, report.step)
            self.diverged = self.diverged or self._divergence()

    def _go_back_before(self, step: int) -> None:
        self._evaluations = [each for each in self._evaluations if each.step < step]
        self._values = [(at, value) for at, value in self._values if at < step]
        self._rates = _Rates(self._plan)
        for at, value in self._values:
            self._rates.hear(value, at)
        self._changed_from = 0

    def _problem_with(self, report: Report) -> str | None:
        if report.step < 0 or (self._evaluations and report.step < self.steps):
            return (
                f"it reported step {report.step:,} after step {self.steps:,}; "
                "wanted: the number of the optimizer's updates done so far, which only grows"
            )
        if report.step > self._plan.horizon:
            return (
                f"it reported step {report.step:,}, and this training has {self._plan.horizon:,} updates. "
                "The script's loop has to end after run.total_steps, or {steps} of its command line: also inside of an "
                "epoch, as a rung has a third of them. A step is one update of the optimizer"
            )
        return None

    def _divergence(self) -> str | None:
        step, value = self._values[-1]
        name, first = self._plan.metric, self._values[0][1]
        if not math.isfinite(value):
            return f"{name} was {value} after {step:,} updates"
        if self._plan.direction == "maximize" or first <= 0:
            return None
        bound = EXPLODED_FACTOR * first
        if len(self._values) > EXPLODED_EVALUATIONS and all(
            last > bound for _, last in self._values[-EXPLODED_EVALUATIONS:]
        ):
            return (
                f"{name} was above {EXPLODED_FACTOR:g} times its first value {first:g} at {EXPLODED_EVALUATIONS} "
                f"reports in a row: {value:g} after {step:,} updates"
            )
        return None


class _Rates:
    """The rates that the plan's schedule gives, with what it has heard."""

    def __init__(self, plan: TrainingPlan) -> None:
        self._peak_lr = plan.peak_lr
        self._course = plan.schedule.course(plan.horizon)
        self._heard = Heard(self._course)
        self._rates: Floats = plan.peak_lr * self._course.factors(self._course.begin(), 0, plan.horizon)
        self.heard_in_time = False

    def hear(self, metric: float, done: int) -> None:
        if not self._course.reactors:
            return
        self.heard_in_time |= any(reactor.hears(done) for reactor in self._course.reactors)
        self._heard.hear(done, metric)
        self._rates[done:] = self._peak_lr * self._course.factors(self._heard.states(done), done, len(self._rates))

    def upto(self, steps: int) -> Floats:
        return self._rates[:steps].copy()
