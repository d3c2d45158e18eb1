"""Everything that a report tells, as plain frozen values; a value that nobody knows is None, and why is a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from lrsweep.records import Direction, Json
from lrsweep.redaction import public
from lrsweep.selection.choice import Choice

Line = tuple[tuple[float, float | None], ...]
"""Points of a curve, x and y; None where it has a gap."""
Range = tuple[float, float]


@dataclass(frozen=True)
class FamilyLine:
    """How one family's trials ended, and its best at the full horizon."""

    family: str
    trials: int
    full: int
    halted: int
    diverged: int
    failed: int
    best: float | None
    trial: int | None
    peak_lr: float | None
    optimizer: str | None
    is_baseline: bool = False


@dataclass(frozen=True)
class CurveLine:
    """One training: its rates, and what it came to on the way."""

    family: str
    about: str
    """which training it is, in words"""
    is_strong: bool
    """whether it is one of those to look at: a family's best, a finalist, the baseline"""
    rates: Line
    values: Line
    """of the metric, at the evaluations"""
    train_losses: Line


@dataclass(frozen=True)
class PeakPoint:
    """What one training came to with its peak rate."""

    family: str
    optimizer: str
    horizon: int
    peak_lr: float
    """at the full horizon: a rung's own rate differs by its correction"""
    value: float | None
    """None where it diverged"""
    about: str


@dataclass(frozen=True)
class Importance:
    """The share of each setting in what differs between trials, the largest first."""

    shares: Mapping[str, float]
    n: int
    diverged: int
    horizon: int
    is_of_few: bool
    why_none: str | None = None


@dataclass(frozen=True)
class RungLine:
    """How the order at a rung agrees with the order at the full horizon."""

    horizon: int
    n: int
    correlation: float | None
    interval: Range | None
    families: int
    family_correlation: float | None
    family_interval: Range | None
    is_dropped: bool


@dataclass(frozen=True)
class CostLine:
    """What one phase of the sweep took."""

    phase: str
    trainings: int
    steps: int
    seconds: float
    """of the trainings, each counted by itself, also where several run side by side"""


@dataclass(frozen=True)
class Cost:
    lines: tuple[CostLine, ...]
    wall_seconds: float
    """of the sweep's drivers"""
    device_seconds: float
    money: float | None
    """None where the study names no price"""
    price_per_hour: float | None = None


@dataclass(frozen=True)
class DivergenceLine:
    """Of one family and optimizer: how many trainings diverged, and at which rates."""

    family: str
    optimizer: str
    trainings: int
    diverged: int
    lowest: float
    """the smallest peak rate, as it was trained, that diverged"""
    highest_sound: float | None
    """the largest that did not"""


@dataclass(frozen=True)
class Use:
    """The recommended schedule in the form in which it is used, and where it comes from."""

    schedule: str
    """JSON"""
    reacts: bool
    """whether it hears a metric, and so has no rates before the training"""
    peak_lr: float
    horizon: int
    optimizer: str | None
    """None where a script has its own"""
    optimizer_settings: Mapping[str, float]
    extra: Mapping[str, Json]
    """the script's own parameters"""
    trial: int
    training: str | None
    """the beginning of the id of a training of it"""


@dataclass(frozen=True)
class Report:
    """One sweep. Figures are of the moment at which it was made."""

    study: str
    sweep: str
    state: str
    """in the words of ``lrsweep list``"""
    made_at: float
    workload: str
    horizon: int
    metric: str
    """that decides"""
    searched_metric: str
    """that the search goes by"""
    curve_metric: str
    direction: Direction
    trials_told: int
    trials_wanted: int | None
    choice: Choice | None
    why_none: str | None
    """a sentence, where there is no choice"""
    has_finals: bool
    """whether the choice stands on fresh seeds"""
    finals_left: int
    """trainings of the finals that have not ended"""
    are_finals_open: bool
    """whether finals have begun and not come to their end: then nothing is claimed yet"""
    failed: int
    """trainings"""
    families: tuple[FamilyLine, ...]
    curves: tuple[CurveLine, ...]
    curves_left_out: int
    curve_horizon: int
    peaks: tuple[PeakPoint, ...]
    importance: Importance
    rungs: tuple[RungLine, ...]
    exponents: tuple[str, ...]
    """a sentence per optimizer: how the best peak moves with the horizon"""
    cost: Cost
    trainings_ended: int
    divergences: tuple[DivergenceLine, ...]
    provenance: tuple[tuple[str, str], ...]
    use: Use | None = None
    is_superseded: bool = False
    """whether another sweep was started since, so that nobody goes on with this one"""
    notes: tuple[str, ...] = field(default=())
    """what is to be known of the report itself"""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is coming by itself."""
        return self.state in ("finished", "stopped", "cancelled")

    @property
    def is_left_for_good(self) -> bool:
        """Whether nobody goes on with it, whatever it lacks."""
        return self.state == "cancelled" or (self.is_superseded and self.is_over)

    @property
    def is_provisional(self) -> bool:
        """Whether more of the search or of the finals may change who leads."""
        return self.are_finals_open or not self.is_over

    def to_json(self) -> dict[str, Json]:
        """Without the curves and the points, which other commands give whole."""
        return {
            "study": self.study,
            "sweep": self.sweep,
            "state": self.state,
            "made_at": self.made_at,
            "workload": self.workload,
            "horizon": self.horizon,
            "metric": self.metric,
            "direction": self.direction,
            "choice": None if self.choice is None else public(self.choice.to_json()),
            "why_none": self.why_none,
            "has_finals": self.has_finals,
            "families": [asdict(each) for each in self.families],
            "importance": asdict(self.importance),
            "rungs": [asdict(each) for each in self.rungs],
            "cost": asdict(self.cost),
            "divergences": [asdict(each) for each in self.divergences],
            "provenance": dict(self.provenance),
            "use": None if self.use is None else asdict(self.use),
        }
