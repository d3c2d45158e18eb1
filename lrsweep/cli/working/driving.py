"""A claimed sweep, driven as ``lrsweep run`` drives it, and what its end means for the queue.

finished, cancelled, the deadline    over
a study or workload that is wrong    over, failed, with the sentence that ``lrsweep run`` would say
database or MLflow away              it waits, longer each time
somebody else drives the study       it waits its turn
a signal                             it waits for the next worker
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lrsweep.champion.history import when
from lrsweep.cli.cancel import OVER, close_run, end_left
from lrsweep.cli.working.registering import which_text
from lrsweep.errors import (
    DeadlinePassed,
    Interrupted,
    LeaseHeld,
    LeaseLost,
    LrsweepError,
    SettingsError,
    TryAgain,
    Unavailable,
)
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.findings.reporting.ending import page_at_the_end
from lrsweep.records import SweepRow, SweepStatus
from lrsweep.redaction import masked
from lrsweep.settings import Settings
from lrsweep.store import Store
from lrsweep.store.queue import Queued, QueueState, Registered
from lrsweep.study import Study
from lrsweep.sweep.homes import Homes, Options
from lrsweep.sweep.owner import driver_shown, this_owner
from lrsweep.sweep.progress import SweepResult
from lrsweep.sweep.remembering import read_again
from lrsweep.sweep.run import run_sweep
from lrsweep.sweep.stopping import Stop

SHORTEST_DEADLINE = 1.0
MOST_DEATHS = 20
"""Workers that may die as they drive one sweep; then it is the sweep that kills them."""


@dataclass(frozen=True)
class Over:
    state: QueueState
    sentence: str | None = None


@dataclass(frozen=True)
class Later:
    why: str
    is_outage: bool = False
    """of the database or MLflow: the wait grows"""


Ending = Over | Later
"""What came of a claim."""


@dataclass(frozen=True)
class Driving:
    """How this worker drives, whatever it drives."""

    settings: Settings
    homes: Homes
    device: str
    engine: EngineOption | None
    executor: ExecutorOption
    say: Callable[[str], None]
    told: dict[str, str] = field(default_factory=dict)
    """by study, which sweep of which text was said to begin: one that waits and is tried again is not said twice"""

    def drive(self, store: Store, claimed: Queued, on_ready: Callable[[Stop], None]) -> Ending:
        """Raises Interrupted where a signal, or the claim's loss, has ended it: then it waits as it is."""
        try:
            return self._driven(store, claimed, on_ready)
        except Interrupted:
            raise
        except DeadlinePassed as error:
            return Over(QueueState.ENDED, str(error))
        except LeaseHeld as error:
            return Later(f"{driver_shown(error.owner)} drives study {claimed.study!r}")
        except LeaseLost as error:
            return Later(str(error))
        except (TryAgain, Unavailable) as error:
            return Later(str(error), is_outage=True)
        except LrsweepError as error:
            return Over(QueueState.FAILED, masked(str(error)))
        except Exception as error:  # of a plugin, or of ours: the next sweep is driven all the same
            self.say(masked(traceback.format_exc().rstrip()))
            return Over(QueueState.FAILED, masked(f"{type(error).__name__}: {error}"))

    def _driven(self, store: Store, claimed: Queued, on_ready: Callable[[Stop], None]) -> Ending:
        if claimed.attempts > MOST_DEATHS:
            return Over(
                QueueState.FAILED,
                f"{MOST_DEATHS} workers have died as they drove it, killed or out of memory. `lrsweep run` with its "
                "file shows where; then ask again.",
            )
        if claimed.is_cancelled or _is_cancelled(store, claimed.sweep_id):
            return self._cancelled(store, claimed)
        left = seconds_left(store, claimed)
        if left is not None and left <= 0:
            raise DeadlinePassed("the deadline passed before the budget was used up")
        give_back_own(store, claimed.study)
        with in_its_folder(store, claimed.study) as (kept, study):
            self._tell_text(store, claimed, kept)
            result = run_sweep(
                study,
                self.homes,
                self._options(study, claimed, left),
                say=lambda sentence: self.say(f"{claimed.study}: {masked(sentence)}"),
                on_ready=on_ready,
                make_report=page_at_the_end,
            )
        self._end_others(store, claimed)
        return _ending(result)

    def _tell_text(self, store: Store, claimed: Queued, kept: Registered) -> None:
        """Here, and in the queue: it may have been registered again since the sweep was asked for."""
        store.queue.runs(claimed, {"at": when(kept.at), "hash": kept.text_hash})
        asked = (claimed.options.get("registered") or {}).get("hash")
        since = "; it was registered again since this was asked for" if asked not in (None, kept.text_hash) else ""
        which = f"{kept.source} in {kept.folder}, {which_text(kept)}{since}"
        if self.told.get(claimed.study) != f"{claimed.sweep_id} {which}":
            self.told[claimed.study] = f"{claimed.sweep_id} {which}"
            self.say(f"{claimed.study}, sweep {claimed.sweep_id}: runs {which}")

    def _options(self, study: Study, claimed: Queued, left: float | None) -> Options:
        """The worker's options, else the study's, else the environment's: what was sent names no device or engine."""
        own = study.run.engine
        default = self.settings.engine if own is None else EngineOption.parsed(own, "run.engine")
        return Options(
            device=(study.run.device or self.device) if self.device == "auto" else self.device,
            another="always" if claimed.options.get("another") else "never",
            deadline_seconds=study.run.deadline if left is None else max(left, SHORTEST_DEADLINE),
            engine=self.engine or default,
            executor=self.executor,
            sweep_id=claimed.sweep_id,
            generation=claimed.options.get("generation"),
            faults=self.settings.faults,
        )

    def _cancelled(self, store: Store, claimed: Queued) -> Ending:
        """Of one that has begun the sweep is ended too, as ``lrsweep cancel`` does it."""
        sweep = next((each for each in store.sweeps(claimed.study) if each.sweep_id == claimed.sweep_id), None)
        if sweep is None or sweep.status is SweepStatus.CANCELLED:
            return Over(QueueState.CANCELLED)
        is_finished = self._end(store, sweep) is SweepStatus.FINISHED
        return Over(QueueState.ENDED if is_finished else QueueState.CANCELLED)

    def _end_others(self, store: Store, claimed: Queued) -> None:
        """Sweeps of the study that were left before, and cancelled while this one was queued or driven."""
        for sweep in store.sweeps(claimed.study):
            if sweep.is_cancelled and sweep.status not in OVER and sweep.sweep_id != claimed.sweep_id:
                with suppress(LeaseHeld):  # who drives the study now has seen the wish
                    self._end(store, sweep)

    def _end(self, store: Store, sweep: SweepRow) -> SweepStatus:
        """This one and no other. Raises LeaseHeld where somebody drives the study."""
        ended = end_left(store, sweep)
        if ended.by == "command" and sweep.mlflow_run_id is not None:
            close_run(self.homes, ended, self.say)
        return ended.status


def give_back_own(store: Store, study: str) -> None:
    """A lease that this process could not give back as the database was away; it drives one sweep at a time, so nobody
    drives by that lease, and it would wait for itself until it has expired."""
    holder = store.holders().get(study)
    if holder is not None and holder.owner == this_owner():
        lease = store.acquire_lease(study, this_owner(), seconds=1.0, is_dead=lambda owner: owner == this_owner())
        store.release_lease(lease)


def seconds_left(store: Store, claimed: Queued) -> float | None:
    """Of the deadline that was asked for: what workers before this one have spent counts."""
    asked = claimed.options.get("deadline_seconds")
    if asked is None:
        return None
    spent = next((each.seconds for each in store.sweeps(claimed.study) if each.sweep_id == claimed.sweep_id), 0.0)
    return float(asked) - max(0.0, spent - float(claimed.options.get("seconds_before", 0.0)))


def _is_cancelled(store: Store, sweep_id: str) -> bool:
    """As by ``lrsweep cancel`` while nobody drove it: it does not go on."""
    try:
        sweep = store.sweep(sweep_id)
    except KeyError:
        return False
    return sweep.is_cancelled or sweep.status is SweepStatus.CANCELLED


def _ending(result: SweepResult) -> Ending:
    if result.sweep.status is SweepStatus.CANCELLED:
        return Over(QueueState.CANCELLED)
    if result.outage is not None:
        return Later(f"MLflow lacks what the sweep has come to: {result.outage}", is_outage=True)
    return Over(QueueState.ENDED)


@contextmanager
def in_its_folder(store: Store, name: str) -> Iterator[tuple[Registered, Study]]:
    """The study as it was registered, read again in its working folder, which is this process's meanwhile: scripts and
    workloads of one's own are found there, as `lrsweep run` finds them."""
    remedy = "`lrsweep register` it again with its file."
    kept = next(iter(store.queue.registered(name)), None)
    if kept is None:
        raise SettingsError(f"study {name!r} is registered no more: {remedy}")
    before = Path.cwd()
    try:
        os.chdir(kept.folder)
    except OSError as error:
        raise SettingsError(
            f"the folder {kept.folder} of study {name!r} cannot be entered ({error.strerror}): {remedy}"
        ) from error
    try:
        study = read_again(kept)
        if study.name != name:
            raise SettingsError(f"the text that is registered for {name!r} is of {study.name!r}: {remedy}")
        yield kept, study
    finally:
        os.chdir(before)
