"""What a reactive schedule has heard of a script's training, by the updates done; and the rates that follow from it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from lrsweep.schedules.course import Course, States


class Heard:
    """The metrics so far, each with the updates that were done before it, and the reactors' states after any of them.

    >>> import lrsweep
    >>> heard = Heard(lrsweep.schedule("plateau", patience=0, gamma=0.5).course(4))
    >>> heard.hear(1, 1.0)
    >>> heard.hear(2, 1.5)
    >>> heard.factor(1), heard.factor(2)
    (1.0, 0.5)
    """

    def __init__(self, course: Course, states: States | None = None, done: int = 0) -> None:
        """``states``: of a training that goes on after ``done`` updates; what it heard before is in them."""
        self._course = course
        self._first = course.begin() if states is None else states
        self._first_done = done
        self._at: list[int] = []
        """growing, each with its metric"""
        self._metrics: list[float] = []
        self._states, self._followed = self._first, 0
        """and of how many metrics they are"""

    def hear(self, done: int, metric: float) -> None:
        """A training that was started again says things anew: what was heard at this place and after it is forgotten,
        so that each evaluation counts once."""
        kept = bisect_left(self._at, done)
        del self._at[kept:], self._metrics[kept:]
        if self._followed > kept:
            self._follow_from_the_start()
        self._at.append(done)
        self._metrics.append(metric)

    def states(self, step: int) -> States:
        """Where the reactors stand for the update that follows ``step`` others."""
        known = bisect_right(self._at, step)
        if self._followed > known:
            self._follow_from_the_start()
        for place in range(self._followed, known):
            if self._at[place] > self._first_done:
                self._states = self._course.heard(self._states, self._metrics[place], self._at[place])
        self._followed = known
        return self._states

    def factor(self, step: int) -> float:
        """Of the peak, for the update that follows ``step`` others; as far as it has heard."""
        return self._course.factor(step, self.states(step))

    def _follow_from_the_start(self) -> None:
        self._states, self._followed = self._first, 0
