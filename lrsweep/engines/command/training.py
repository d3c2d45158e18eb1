"""One attempt of a training: prepare, start, watch, end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lrsweep.engines.command.devices import Place
from lrsweep.engines.command.endings import Cut, what_it_means
from lrsweep.engines.command.folder import prepare, script_environment
from lrsweep.engines.command.process import Ended, Guarded, Start, plainly
from lrsweep.engines.command.story import Story
from lrsweep.engines.command.tail import Tail
from lrsweep.records import Outcome, Record, Status, TrainingPlan
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import Command
from lrsweep.scripts.plan_file import REPORTS, STOP
from lrsweep.scripts.reports import signed

LOOK_EVERY = 0.2
"""Seconds between two looks for reports; the end of a script is heard at once."""
LOCK_PATIENCE = 60.0
"""Seconds beyond the grace of an earlier attempt that is still ending."""


def train(
    plan: TrainingPlan,
    command: Command,
    place: Place,
    environ: Mapping[str, str],
    emit: Callable[[Record], None],
    tick: Callable[[], bool],
    is_stopped: Callable[[], bool],
    start: Start = plainly,
) -> Cut | Story:
    """Runs one attempt. The last record has the outcome, and then the story comes back; or the attempt was cut.

    ``tick`` is called every so often while the script is silent, and says whether the script is asked to stop. Where
    ``is_stopped`` it is asked too, and an attempt that is cut then is the training's end.
    """
    with _folder(plan) as folder:
        return _Attempt(plan, command, place, environ, folder, emit, is_stopped, start).run(tick)


class _Attempt:
    def __init__(
        self,
        plan: TrainingPlan,
        command: Command,
        place: Place,
        environ: Mapping[str, str],
        folder: Path,
        emit: Callable[[Record], None],
        is_stopped: Callable[[], bool],
        start: Start,
    ) -> None:
        self._is_stopped = is_stopped
        self._start = start
        self._plan = plan
        self._command = command
        self._place = place
        self._environ = script_environment(environ, folder, place.variables(), plan.attempt)
        self._folder = folder
        self._emit = emit
        self._tail = Tail(folder / REPORTS)
        self._story = Story(plan)
        self._began = self._heard_at = time.monotonic()

    def run(self, tick: Callable[[], bool]) -> Cut | Story:
        script = Guarded(self._folder, self._environ, self._place.locks, self._start)
        try:
            return self._run(script, tick)
        finally:
            script.close()

    def _run(self, script: Guarded, tick: Callable[[], bool]) -> Cut | Story:
        if not self._is_alone(script, tick):
            why = (script.ended.errors or "its guard ended") if script.ended else "an earlier attempt still runs"
            if self._is_stopped():
                self._hear_what_is_new()
            return self._end(Cut(f"{script.lock} cannot be had: {why}", is_death=True))
        argv = prepare(self._folder, self._plan, self._command)
        self._hear_what_is_new()
        self._story.begin()
        reports = None if self._command.follows == "attach" else self._folder / REPORTS
        self._began = self._heard_at = time.monotonic()
        script.begin(argv, stop_grace=self._command.stop_grace, reports=reports)
        self._emit(Record.empty(self._plan, self._place.name, engine=COMMAND))
        while script.ended is None:
            if script.wait(LOOK_EVERY):
                self._heard_at = time.monotonic()
            self._look()
            if (end := self._verdict() or self._overdue()) is not None:
                script.close()
                return self._end(end)
            if tick() or self._is_stopped():
                script.stop()
        self._look()
        return self._end(self._verdict() or self._judged(script.ended))

    def _is_alone(self, script: Guarded, tick: Callable[[], bool]) -> bool:
        """An earlier attempt must end within its grace; a device may be another sweep's for hours."""
        patience = self._command.stop_grace + LOCK_PATIENCE
        began = time.monotonic()
        while not script.is_locked and script.ended is None and time.monotonic() - began < patience:
            script.wait(LOOK_EVERY)
            if Path(script.lock).parent != self._folder:
                began = time.monotonic()
            if tick() or self._is_stopped():
                break
        return script.is_locked and not self._is_stopped()

    def _look(self) -> None:
        self._hear_what_is_new()
        if (record := self._story.record(self._place.name)) is not None:
            self._emit(record)

    def _hear_what_is_new(self) -> None:
        for text in self._tail.lines():
            self._heard_at = time.monotonic()
            line, by = signed(text)
            if line is not None:
                self._story.hear(line, by)

    def _verdict(self) -> Outcome | None:
        """What the script has said that ends the training, whether or not it still runs."""
        if self._story.diverged is not None:
            return self._outcome(Status.DIVERGED, reason=self._story.diverged)
        if self._story.wrong is not None:
            return self._outcome(
                Status.FAILED, error=f"the script does not train what the plan says: {self._story.wrong}"
            )
        return None

    def _overdue(self) -> Outcome | Cut | None:
        """Whether a script that runs has had its time."""
        limit, stall_after = self._command.time_limit, self._command.stall_after
        now = time.monotonic()
        if limit is not None and now - self._began > limit:
            return self._outcome(
                Status.FAILED,
                error=f"it took longer than time_limit, {limit:g} s, and was killed after {self._story.steps:,} of "
                f"{self._plan.horizon:,} updates",
            )
        if stall_after is not None and now - self._heard_at > stall_after:
            return Cut(f"neither a report nor output came for {stall_after:g} s (stall_after); killed", is_death=True)
        return None

    def _judged(self, ended: Ended) -> Outcome | Cut:
        return what_it_means(
            self._plan,
            self._command,
            self._story,
            ended,
            was_asked_to_stop=(self._folder / STOP).exists(),
            seconds=time.monotonic() - self._began,
        )

    def _outcome(self, status: Status, *, reason: str | None = None, error: str | None = None) -> Outcome:
        seconds = time.monotonic() - self._began
        return Outcome(status, self._story.steps, seconds, self._story.last_metrics, error, reason)

    def _end(self, end: Outcome | Cut) -> Cut | Story:
        if isinstance(end, Cut):
            if not self._is_stopped():
                return end
            end = self._outcome(Status.STOPPED)
        last = self._story.record(self._place.name, end)
        assert last is not None
        self._emit(last)
        return self._story


@contextmanager
def _folder(plan: TrainingPlan) -> Iterator[Path]:
    """The training's own, or one that goes with the attempt where nothing is kept."""
    if plan.checkpoint_url is None:
        with tempfile.TemporaryDirectory(prefix="lrsweep-") as made:
            yield Path(made)
        return
    folder = Path(plan.checkpoint_url).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
