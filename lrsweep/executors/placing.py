"""Which process gets which plan.

The one with the most room; but a process that trains many at once and dies takes all of them along, and nobody knows
which of them ended it. All that ran there are suspects then. Each is trained again with nothing beside it, in a process
that trains one after the other until no suspect is left, so that whoever ends its process again is found out and the
others have died once. Plans that are not suspects go to the other processes; where there is no other they wait.

A training that has met trouble on a device is trained on another one, where there is another.

A training that will not come again is no suspect: one that has ended, was stopped, or ended its process so often that
the driver gives it up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lrsweep.executors.process import EngineProcess
from lrsweep.records import TrainingPlan

DEATHS_THAT_FAIL = 3
"""A training that ended its engine's process this often is failed by the driver and does not come again; once or twice
the process may die by chance."""


class Placing:
    def __init__(self) -> None:
        self._waiting: list[TrainingPlan] = []
        self._suspects: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._apart: EngineProcess | None = None
        """trains suspects, or is emptied for them"""
        self._shunned: dict[str, set[int]] = {}
        """by training, the numbers of devices that it had trouble with"""

    @property
    def waiting(self) -> Sequence[str]:
        """Training ids that have no process yet."""
        return [plan.training_id for plan in self._waiting]

    def take(self, plan: TrainingPlan, processes: Sequence[EngineProcess]) -> None:
        """It goes to a process at once, unless suspects are to come: they may be among the next plans."""
        self._waiting.append(plan)
        if not self._suspects:
            self.place(processes)

    def place(self, processes: Sequence[EngineProcess]) -> None:
        """Hands over what can be."""
        suspects = [plan for plan in self._waiting if plan.training_id in self._suspects]
        others = [plan for plan in self._waiting if plan.training_id not in self._suspects]
        if suspects and self._apart is None:
            self._apart = min(processes, key=lambda process: len(process.in_flight))
        if self._apart is not None and not self._apart.in_flight:
            self._apart.is_apart = bool(suspects)
            self._apart = self._apart if suspects else None
        while suspects and self._apart is not None and self._apart.is_apart and self._apart.room > 0:
            self._apart.submit(suspects.pop(0))
        free = [process for process in processes if process is not self._apart]
        while others and free:
            shunned = self._shunned.get(others[0].training_id, ())
            process = max(free, key=lambda process: (process.device_number not in shunned, process.room))
            if self._suspects and process.room <= 0:
                break
            process.submit(others.pop(0))
        left = {plan.training_id for plan in (*suspects, *others)}
        self._waiting = [plan for plan in self._waiting if plan.training_id in left]

    def suspect(self, process: EngineProcess) -> str | None:
        """What ran in a process that has just ended is suspect if it was not alone; what is to be said of it."""
        if process.scripts is not None:
            return None
        running = process.running
        self._deaths.update(running)
        given_up = {training for training in running if self._deaths[training] >= DEATHS_THAT_FAIL}
        if len(running) > 1:
            self._suspects.update(running)
        self._suspects -= given_up
        if len(running) < 2:
            return None
        assert process.slots is not None
        process.slots = process.slots // 2 if process.slots > 3 else None
        then = "one after the other" if process.slots is None else f"no more than {process.slots} at once"
        return (
            f"a process ended that trained {len(running)} at once: each of them is trained again with nothing beside "
            f"it, to find the one that ends it; the others are trained {then} in that process from here on"
        )

    def acquit(self, training_id: str) -> None:
        """It has ended, or was stopped, and its process goes on."""
        self._suspects.discard(training_id)
        self._shunned.pop(training_id, None)
        del self._deaths[training_id]

    def shun(self, training_id: str, device_number: int) -> None:
        """It had trouble there, and comes again."""
        self._shunned.setdefault(training_id, set()).add(device_number)

    def forget(self, processes: Sequence[EngineProcess]) -> None:
        """These take no more plans."""
        if self._apart in processes:
            self._apart = None

    def take_back(self, training_id: str) -> TrainingPlan | None:
        """A plan that has no process yet, and is to get none."""
        for plan in self._waiting:
            if plan.training_id == training_id:
                self._waiting.remove(plan)
                self.acquit(training_id)
                return plan
        return None

    def clear(self) -> None:
        self._waiting.clear()
        self._suspects.clear()
        self._deaths.clear()
        self._shunned.clear()
        if self._apart is not None:
            self._apart.is_apart = False
            self._apart = None
