"""What is promoted: a choice with all that one needs to train with it, and the evidence that it stands on.

It crosses every border as one JSON object: the file in git, the row in SQL, and the artifact in MLflow's registry hold
the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsIndex

from lrsweep.champion import applying
from lrsweep.records import Floats, Json, OptimizerSpec
from lrsweep.schedules import Schedule

if TYPE_CHECKING:
    from lrsweep.integrations.torch_scheduler import TorchScheduler

FORMAT = 1
"""Of the JSON; a reader refuses what is newer than it knows."""


@dataclass(frozen=True)
class RateRule:
    """How the best peak moves with the horizon: peak at ``h`` = peak · (horizon / h) ** exponent."""

    exponent: float
    interval: tuple[float, float] | None
    """95 %, where a design measured it; None where it is the optimizer's default"""


@dataclass(frozen=True, repr=False)
class ChampionChoice:
    """A schedule with the peak rate, optimizer, batch size and horizon that it was found with, and its evidence.

    Frozen: another choice is another version. ``lrsweep.load_choice`` reads one.
    """

    name: str
    schedule: Schedule
    peak_lr: float
    optimizer: OptimizerSpec
    batch_size: int | None
    """None where the study does not say it, as of a script"""
    horizon: int
    rate_rule: RateRule
    extra: Mapping[str, Json] = field(default_factory=dict)
    """settings of the training beside schedule, rate and optimizer that the study searched"""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    """the whole of what ``lrsweep choose STUDY --json`` said: n, means, intervals, who else was compared. Its one word
    is ``evidence_level``"""
    test: Mapping[str, Json] | None = None
    """what the test set said at promotion, and which read of it that was; None where it was not read"""
    provenance: Mapping[str, Json] = field(default_factory=dict)
    """study, sweep, meaning, generation, workload and its data, versions, device, git commit, time"""

    @property
    def evidence_level(self) -> str | None:
        """``proven``, ``recommended`` or ``undecided``, as ``evidence`` of a service's answer; None where the choice
        does not say it. ``evidence`` here is the whole of it."""
        found = self.evidence.get("evidence")
        return found if isinstance(found, str) else None

    # ── in a training ────────────────────────────────────────────────────────────────────────────────────────────────

    def torch(
        self,
        optimizer: Any,
        total_steps: SupportsIndex | None = None,
        *,
        batch_size: int | None = None,
        allow: str | Iterable[str] = (),
        on_conflict: str = "refuse",
    ) -> TorchScheduler:
        """A PyTorch scheduler that gives the optimizer these rates; call its ``step()`` after each update.

        ``total_steps`` is the choice's own horizon unless given; on another the peak is that of ``peak_at``, which a
        warning says. ``batch_size``: examples per update, over all processes and accumulated gradients. An optimizer
        of another class, or another batch size, raises InvalidInput unless ``allow`` names it ("optimizer",
        "batch_size", or both in a list); another setting of the optimizer is warned of. A parameter group has the peak
        times its ``lr_scale``, or, where the groups' rates differ, times its rate by the optimizer's default rate.
        ``on_conflict`` is that of ``Schedule.torch``.
        """
        return applying.torch_scheduler(
            self, optimizer, total_steps, batch_size=batch_size, allow=allow, on_conflict=on_conflict
        )

    def make_optimizer(self, params: Any) -> Any:
        """PyTorch's own optimizer with the choice's settings on parameters, or groups of them, at the peak rate."""
        from lrsweep.integrations.matching import new_optimizer

        return new_optimizer(self.optimizer, params, self.peak_lr)

    def rates(self, total_steps: SupportsIndex | None = None) -> Floats:
        """One rate per update; on another horizon than the choice's with the peak of ``peak_at``, which is said."""
        return applying.said_rates(self, total_steps)

    def peak_at(self, total_steps: SupportsIndex | None = None) -> float:
        """The peak rate on a horizon: peak · (horizon / total_steps) ** exponent."""
        return applying.peak_at(self, total_steps)

    def __repr__(self) -> str:
        optimizer = self.optimizer.name
        if self.optimizer.settings:
            optimizer += f" ({', '.join(f'{name} {value:g}' for name, value in self.optimizer.settings.items())})"
        batches = "" if self.batch_size is None else f", batches of {self.batch_size}"
        level = self.evidence_level
        said = "" if level is None else f"; {level}, n = {self.evidence.get('n', '?')}"
        return (
            f"<choice {self.name!r}: {self.schedule!r}, peak {self.peak_lr:.4g}, {optimizer}{batches}, "
            f"{self.horizon:,} steps{said}>"
        )
