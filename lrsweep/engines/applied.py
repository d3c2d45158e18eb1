"""What a plan's schedule gives each step of a training: known before the first one, or changed by what it hears."""

from __future__ import annotations

from lrsweep.records import Floats, TrainingPlan
from lrsweep.schedules.course import States


class Applied:
    """``rates[i]`` and ``momenta[i]`` are those of update i, as far as metrics are known now.

    They are lists: an element of a numpy array would cost a conversion at each step.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._course = plan.schedule.course(plan.horizon)
        self._peak_lr = plan.peak_lr
        self.states: States = self._course.begin()
        """of the reactive parts"""
        self.rates = self._rates(0)
        momenta = plan.schedule.momenta(plan.horizon)
        self.momenta: list[float] | None = None if momenta is None else momenta.tolist()
        """None: the optimizer keeps its own"""

    def hear(self, metric: float, done: int) -> None:
        """An evaluation after ``done`` updates: a reactive schedule may change the rates from there on."""
        if self._course.reactors:
            self.states = self._course.heard(self.states, metric, done)
            self.rates[done:] = self._rates(done)

    def resume(self, states: States, applied: Floats) -> None:
        """Goes on after the rates that were applied already, from the states after them."""
        self.states = states
        self.rates[:] = [*applied.tolist(), *self._rates(len(applied))]

    def _rates(self, begin: int) -> list[float]:
        """Of the steps from ``begin`` on."""
        factors = self._course.factors(self.states, begin, self._course.total_steps)
        rates: list[float] = (self._peak_lr * factors).tolist()
        return rates
