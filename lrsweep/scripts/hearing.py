"""What a reactive schedule has heard of a script's training, by the updates done; and the rates that follow from it."""

from __future__ import annotations

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
        self._metrics: dict[int, float] = {}
        self._states, self._done = self._first, self._first_done

    def hear(self, done: int, metric: float) -> None:
        """A training that was started again says things anew: what was heard at this place and after it is forgotten,
        so that each evaluation counts once."""
        if any(at >= done for at in self._metrics):
            self._metrics = {at: value for at, value in self._metrics.items() if at < done}
            self._follow_from_the_start()
        self._metrics[done] = metric

    def states(self, step: int) -> States:
        """Where the reactors stand for the update that follows ``step`` others."""
        if step < self._done:
            self._follow_from_the_start()
        for done, metric in self._metrics.items():
            if self._done < done <= step:
                self._states, self._done = self._course.heard(self._states, metric, done), done
        return self._states

    def factor(self, step: int) -> float:
        """Of the peak, for the update that follows ``step`` others; as far as it has heard."""
        return self._course.factor(step, self.states(step))

    def _follow_from_the_start(self) -> None:
        self._states, self._done = self._first, self._first_done
