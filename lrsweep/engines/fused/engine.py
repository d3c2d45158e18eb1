"""Which training is in which slot.

    submit ──> waits ──> a free slot ──> step, step, …, evaluation, step, … ──> outcome; the slot is free again

All slots make a step together, each its own: one may be at its first while another is at its last.

When memory runs out, every training goes back to its newest checkpoint and the engine goes on with half the slots; the
others wait. Nobody hears of it but by a line to the log. Only a training that does not fit alone has failed.
"""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from lrsweep.engines.device import seed_generators
from lrsweep.engines.fused import fitting
from lrsweep.engines.fused.bank import Bank
from lrsweep.engines.fused.slot import Occupant
from lrsweep.engines.memory import failure, shortage
from lrsweep.engines.optimizers import trained_groups
from lrsweep.engines.recording import Emit
from lrsweep.engines.sequential import Alive, checked, end_unbegun
from lrsweep.records import EngineSettings, Floats, Outcome, Record, Status, TrainingPlan
from lrsweep.workloads.base import Half, Workload

LONGEST_STRETCH = 1024
"""Updates of a slot whose losses wait on the device until an evaluation, or the clock, sends them."""

_log = logging.getLogger(__name__)


class FusedEngine:
    """Trains the plans of one workload under one setting of the engine."""

    def __init__(
        self, workload: Workload, settings: EngineSettings, slots: int, emit: Emit, alive: Alive = nullcontext
    ) -> None:
        """Raises CannotFuse where the workload's trainings cannot be trained so."""
        with alive():
            if reason := fitting.why_not(workload, settings):
                raise fitting.CannotFuse(reason)
        self._workload = workload
        self._settings = settings
        self._emit = emit
        self._alive = alive
        self._waiting: deque[TrainingPlan] = deque()
        self._stopped: set[str] = set()
        self._turns = 0
        """how often a training has begun"""
        self.slots = slots
        self.steps = 0
        """updates of the whole bank"""
        self.slot_steps = 0
        """of trainings in it"""
        self._bank: Bank | None = None
        self._open(slots)

    def submit(self, plan: TrainingPlan) -> None:
        """Takes a training, which waits until a slot is free."""
        self._waiting.append(plan)

    def stop(self, training_id: str) -> None:
        """Ends the training before the next step, if it is here."""
        self._stopped.add(training_id)

    def drain(self) -> None:
        """Sends and saves what every slot has done, and lets go of all trainings without an outcome, but for those
        that have diverged: another attempt goes on from there."""
        self._waiting.clear()
        if self._bank is None:
            return
        for slot in self._send_losses(self._running):
            self._save(slot)
            self._leave(slot)

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._running

    @property
    def traces(self) -> int:
        """How often loss and gradients were traced: once, unless batches or slots change."""
        return self._bank.program.traces if self._bank else 0

    def advance(self) -> None:
        """One step of all slots, and what comes before and after it; the only call that trains."""
        try:
            if self._bank is None:
                self._open(self.slots)
            self._end_stopped()
            self._refill()
            if self._running:
                self._step()
            return
        except Exception as error:
            is_short = shortage(error, self._workload.device) is not None
            text = failure(error, self._workload.device)
        # outside, because the error holds on to the tensors of the step
        if self._bank is None:  # not even one fits: somebody else has the memory
            while self._waiting:
                self._refuse(self._waiting.popleft(), text)
        elif is_short and self.slots > 1:
            self._halve()
        else:
            for slot in self._running:
                self._fail(slot, text)

    # ── who is in ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, slots: int) -> None:
        """Makes the bank, with fewer slots where memory is short."""
        self._bank, self.slots = self._largest_bank(slots)
        slots = self.slots
        self._occupants: list[Occupant | None] = [None] * slots
        self._active = np.zeros(slots, dtype=bool)
        self._seeds = [0] * slots
        self._done = np.zeros(slots, dtype=np.int64)
        """updates of the training in each slot"""
        self._points = np.zeros(slots, dtype=np.int64)
        """the updates after which a slot is looked at: it is evaluated, or too many of its losses wait"""
        self._losses = torch.empty(LONGEST_STRETCH, slots, dtype=torch.float32, device=self._workload.device)
        """of the newest steps of the bank, in a ring: step s is row s modulo its length"""
        self._sent = np.zeros(slots, dtype=np.int64)
        """updates whose losses have been sent"""
        self._due = math.inf
        """when, by the monotonic clock, a slot has to be looked at whatever it has done"""
        self._feed = self._workload.feed()
        self._evaluated_alone: set[Half] = set()
        """what is evaluated one model after the other"""

    def _largest_bank(self, slots: int) -> tuple[Bank, int]:
        while True:
            try:
                return Bank(self._workload, self._settings, slots), slots
            except Exception as error:
                if slots == 1 or not shortage(error, self._workload.device):
                    raise
            slots //= 2

    def _halve(self) -> None:
        """The next call makes the smaller bank: what this one holds is free by then."""
        latest_first = sorted(map(self._in, self._running), key=lambda occupant: -occupant.turn)
        self._waiting.extendleft(occupant.plan for occupant in latest_first)
        before = self.slots
        self._occupants = []
        self._bank = None
        self.slots //= 2
        if self._workload.device.type == "cuda":
            torch.cuda.empty_cache()
        _log.warning(
            "out of memory with %d trainings at once: %d go on from their checkpoints, the others wait",
            before,
            self.slots,
        )

    def _refill(self) -> None:
        for slot in range(self.slots):
            while self._waiting and self._occupants[slot] is None:
                self._begin(slot, self._waiting.popleft())

    def _begin(self, slot: int, plan: TrainingPlan) -> None:
        """The plan's training is in the slot, unless it has failed; a lack of memory goes through."""
        try:
            with self._alive():
                occupant = self._put(slot, plan)
        except Exception as error:
            if shortage(error, self._workload.device) and self.slots > 1:
                self._waiting.appendleft(plan)
                raise
            self._refuse(plan, failure(error, self._workload.device))
            return
        self._occupants[slot] = occupant
        self._active[slot] = True
        self._seeds[slot] = plan.seed
        self._done[slot] = self._sent[slot] = occupant.done
        self._look_ahead(slot)
        if occupant.done == occupant.point:  # the checkpoint was written between the update and its evaluation
            self._look([slot])

    def _put(self, slot: int, plan: TrainingPlan) -> Occupant:
        seed_generators(plan.seed, self._workload.device)
        model = self._workload.model(plan.seed)
        trained_groups(model, self._workload.groups(model), tensor_rates=False)
        self._turns += 1
        occupant = Occupant(plan, model, self._workload.device, self._emit, self._name, self._turns)
        found = occupant.checkpoints.newest()
        if plan.workload.settings.get("init") is not None:
            occupant.loss_before = checked(self._workload.evaluate(model, "search"), plan)["val_loss"]
        if found is not None:
            model.load_state_dict(found.model)
        state, steps = ({}, 0) if found is None else (found.optimizer, found.curve.steps)
        self._numbers.put(slot, plan.seed, model, plan.optimizer, state, steps)
        occupant.begin(found)
        return occupant

    def _refuse(self, plan: TrainingPlan, text: str) -> None:
        """It has failed without a step."""
        failed = Outcome(Status.FAILED, 0, 0.0, {}, text)
        self._emit(Record.empty(plan, str(self._workload.device), failed, engine=self._name))

    def _leave(self, slot: int) -> Occupant:
        occupant = self._in(slot)
        self._occupants[slot] = None
        self._active[slot] = False
        return occupant

    def _end_stopped(self) -> None:
        if not self._stopped:
            return
        for slot in self._running:
            if self._in(slot).plan.training_id in self._stopped and self._send_losses([slot]):
                self._leave(slot).end(Status.STOPPED)
        for plan in [plan for plan in self._waiting if plan.training_id in self._stopped]:
            self._waiting.remove(plan)
            with self._alive():
                end_unbegun(plan, self._workload, self._emit, self._name)
        self._stopped.clear()

    @property
    def _numbers(self) -> Bank:
        assert self._bank is not None
        return self._bank

    @property
    def _running(self) -> list[int]:
        """The slots with a training."""
        return [slot for slot, occupant in enumerate(self._occupants) if occupant]

    def _in(self, slot: int) -> Occupant:
        occupant = self._occupants[slot]
        assert occupant is not None
        return occupant

    @property
    def _name(self) -> str:
        return f"fused/{self.slots}"

    # ── a step ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _step(self) -> None:
        batches = self._batches()
        if batches is None:
            return
        inputs, targets = batches
        rates, momenta = self._applied()
        is_known = self._numbers.program.knows(inputs, targets)
        with nullcontext() if is_known else self._alive():  # the first one is traced, and maybe compiled
            losses = self._numbers.step(inputs, targets, rates, momenta, self._done, self._active)
        self._losses[self.steps % LONGEST_STRETCH] = losses
        self._done += self._active
        self.steps += 1
        self.slot_steps += int(self._active.sum())
        is_due = time.monotonic() >= self._due
        if due := [slot for slot in self._running if is_due or self._done[slot] == self._points[slot]]:
            self._look(due)

    def _batches(self) -> tuple[Tensor, Tensor] | None:
        """A row without a training takes the batch of another. None where a training has none and so has failed: the
        others are as they were."""
        steps = self._done.tolist()
        some = self._running[0]
        places = [slot if busy else some for slot, busy in enumerate(self._active)]
        try:
            return self._feed([self._seeds[slot] for slot in places], [steps[slot] for slot in places])
        except Exception as error:
            if shortage(error, self._workload.device):
                raise
            running = self._running
            for slot in running:
                try:
                    self._workload.batch(self._seeds[slot], steps[slot])
                except Exception as own:
                    if shortage(own, self._workload.device):
                        raise
                    self._fail(slot, traceback.format_exc())
            if self._running == running:
                raise
            return None

    def _applied(self) -> tuple[Floats, Floats | None]:
        """Rates, and momenta where one of the schedules cycles them; NaN for those that do not."""
        rates = np.zeros(self.slots)
        momenta = np.full(self.slots, np.nan)
        for slot in self._running:
            applied, step = self._in(slot).applied, self._done[slot]
            rates[slot] = applied.rates[step]
            if applied.momenta is not None:
                momenta[slot] = applied.momenta[step]
        return rates, None if np.isnan(momenta).all() else momenta

    def _look(self, slots: Sequence[int]) -> None:
        """Sends what these slots have done, evaluates those at a point, and lets go of those that have ended."""
        slots = self._send_losses(slots)
        at_point = [slot for slot in slots if self._done[slot] == self._in(slot).point]
        ending = []
        for slot, metrics in self._evaluated(at_point, "search"):
            occupant = self._in(slot)
            try:
                goes_on = occupant.evaluated(checked(metrics, occupant.plan))
            except Exception:
                self._fail(slot, traceback.format_exc())
                continue
            if not goes_on:
                self._leave(slot)
            elif occupant.is_over:
                ending.append(slot)
        decided = dict(self._evaluated(ending, "decide"))
        asking = {
            slot: each.get("loss", math.nan) for slot, each in decided.items() if self._in(slot).plan.keeps_examples
        }
        with self._alive():  # as the half was evaluated just now
            examples = self._numbers.losses_of_examples(asking, together="decide" not in self._evaluated_alone)
        for slot, metrics in decided.items():
            if self._occupants[slot]:
                occupant = self._leave(slot)
                decide = {f"decide_{name}": value for name, value in metrics.items()}
                occupant.end(Status.COMPLETED, occupant.metrics | decide, example_losses=examples.get(slot))
        for slot in slots:
            if self._occupants[slot]:
                self._save_if_due(slot)
                self._look_ahead(slot)
        self._due = min((self._in(slot).due for slot in self._running), default=math.inf)

    def _send_losses(self, slots: Sequence[int]) -> list[int]:
        """Those that go on; one that has diverged has left."""
        waiting = self._done - self._sent
        longest = max((int(waiting[slot]) for slot in slots), default=0)
        newest = self._losses[torch.arange(self.steps - longest, self.steps) % LONGEST_STRETCH].cpu()
        left = []
        for slot in slots:
            occupant = self._in(slot)
            occupant.done = self._sent[slot] = self._done[slot]
            if occupant.add(newest[longest - waiting[slot] :, slot]):
                left.append(slot)
            else:
                self._leave(slot)
        return left

    def _evaluated(self, slots: Sequence[int], half: Half) -> list[tuple[int, dict[str, float]]]:
        """Together where the workload and the model can, else one after the other; one that raises has failed alone."""
        if not slots:
            return []
        with self._alive():
            together = self._evaluated_together(slots, half)
            if together is not None:
                return list(zip(slots, together, strict=True))
            found = []
            for slot in slots:
                try:
                    metrics = self._evaluated_together([slot], half)  # the bits that it has beside others
                    if metrics is None:
                        metrics = [self._workload.evaluate(self._numbers.model_of(slot), half)]
                        self._evaluated_alone.add(half)  # no fault of this training: it would be tried in vain again
                    found.append((slot, metrics[0]))
                except Exception as error:
                    if shortage(error, self._workload.device):
                        raise
                    self._fail(slot, traceback.format_exc())
            return found

    def _evaluated_together(self, slots: Sequence[int], half: Half) -> list[dict[str, float]] | None:
        if half in self._evaluated_alone:
            return None
        try:
            return self._numbers.evaluate(slots, half)
        except Exception as error:
            if shortage(error, self._workload.device):
                raise
            return None

    def _save_if_due(self, slot: int) -> None:
        if time.monotonic() >= self._in(slot).checkpoints.due:
            self._save(slot)

    def _save(self, slot: int) -> None:
        occupant = self._in(slot)
        if occupant.checkpoints.are_kept:
            with self._alive():
                occupant.save(self._numbers.model_of(slot), self._numbers.optimizer_of(slot))

    def _look_ahead(self, slot: int) -> None:
        occupant = self._in(slot)
        self._points[slot] = min(occupant.point, int(self._sent[slot]) + LONGEST_STRETCH)
        self._due = min(self._due, occupant.due)

    def _fail(self, slot: int, text: str) -> None:
        self._leave(slot).end(Status.FAILED, error=text)
