"""The frozen values that cross borders: between processes, and between the driver, the store and the tracker.

A plan goes down to an engine; records come up from it::

    TrainingPlan ──> engine ──> Record, Record, …, Record(outcome=Outcome(…))
                                   └── Curve.extended(record) ──> the whole curve so far

The rows are what the store keeps: one ``StudyRow`` per generation, one ``SweepRow`` per execution, ``TrialRow``s, and
one ``TrainingRow`` per training with its ``Curve``. Nothing here knows torch, SQL, MLflow or Optuna.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lrsweep.schedules import Schedule

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]
Losses = NDArray[np.float32]
Json = Any
"""What ``json.dumps`` takes."""

EVALUATIONS_PER_TRAINING = 20
"""The same number at any horizon, so that a rung is looked at as often as the full training."""


SEQUENTIAL = "sequential"
"""The engine that trains one after the other, as records and rows name it."""


class Status(StrEnum):
    """Where a training stands: waiting, running, or one of the four outcomes."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    DIVERGED = "diverged"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_outcome(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


class TrialState(StrEnum):
    """What the search was told of a trial; told once."""

    RUNNING = "running"
    COMPLETE = "complete"
    """reached the full horizon in the search"""
    PRUNED = "pruned"
    """halted at a rung, or diverged"""
    FAILED = "failed"


class Origin(StrEnum):
    """Where a trial comes from. Only the first two are this sweep's own: trained by it, and paid from its budget."""

    SEARCH = "search"
    BASELINE = "baseline"
    """what the user runs today: trial 0 of a study"""
    COPIED = "copied"
    """from a generation of the same meaning and another space, with its value"""
    FOREIGN = "foreign"
    """imported from somebody else's Optuna study or MLflow experiment"""

    @property
    def counts(self) -> bool:
        """Whether the sweep trained it: only then it has trainings, and uses up budget."""
        return self in (Origin.SEARCH, Origin.BASELINE)


class Purpose(StrEnum):
    """What a training is for."""

    SEARCH = "search"
    FINAL = "final"
    """a finalist at the full horizon with a fresh seed; the search does not hear of it"""
    FIT = "fit"
    """one of a design that measures how the best peak moves with the horizon; the search does not hear of it"""


class SweepStatus(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"
    """the budget is used up"""
    STOPPED = "stopped"
    """failures stopped it, or another sweep was started beside it"""
    CANCELLED = "cancelled"
    """by `lrsweep cancel`: it is not continued"""


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer by name and the settings that are not its rate: ``OptimizerSpec("sgd", {"momentum": 0.9})``."""

    name: str
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkloadSpec:
    """A workload by name and the settings that a study file gives it; what it means is asked with ``WorkloadFacts``."""

    name: str
    settings: Mapping[str, Json] = field(default_factory=dict)


Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class WorkloadFacts:
    """What a workload says of itself before anything is trained."""

    name: str
    settings: Mapping[str, Json]
    """all that belongs to its meaning, the defaults too"""
    version: int
    """changes when the same seed and rate would give another curve"""
    data_hash: str
    batch_size: int
    horizon: int
    """default number of steps of a full training"""
    peak_lr: Mapping[str, tuple[float, float]]
    """default search range of the peak rate per optimizer"""
    metrics: Mapping[str, Direction] = field(default_factory=dict)
    """what ``evaluate`` gives, such as ``loss`` and ``acc``, and which way is better; empty where nobody knows yet"""
    examples_per_epoch: int | None = None
    """for a horizon in epochs"""
    tokens_per_example: int | None = None
    """for a horizon in tokens"""
    parameters: int | None = None
    """of the model; other studies of models about as large say what to try first"""
    script_settings: Mapping[str, Json] | None = None
    """what a script gives ``attach`` for parameters that a search may set, with its own values; None: it takes any"""
    baseline: tuple[str, float] | None = None
    """the schedule that a script follows outside of a sweep, as JSON, and its peak rate; None where nobody knows"""


@dataclass(frozen=True)
class EngineSettings:
    """How updates are computed, where that may change a value. The defaults are the plain meaning."""

    clip_norm: float | None = None
    """the largest norm of all gradients together; None: not clipped"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: autocast of forward and loss; parameters and optimizer stay in float32"""
    channels_last: bool = False
    compile: bool = False
    graphs: bool = False
    """the whole update as one CUDA graph"""

    def changed(self) -> dict[str, Json]:
        """What is not the default: a setting that a release adds then changes no hash."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != each.default}


@dataclass(frozen=True)
class Crew:
    """The engines of one device: how many processes, and how many trainings each of them trains at once."""

    processes: int = 1
    slots: int | None = None
    """of the fused engine in each process; None: the sequential engine, one training after the other"""

    @property
    def at_once(self) -> int:
        """Trainings that run side by side."""
        return self.processes * (self.slots or 1)


@dataclass(frozen=True)
class TrainingPlan:
    """All that an engine needs to run one training; plain data, so that it can cross a pipe or a network."""

    training_id: str
    attempt: int
    workload: WorkloadSpec
    schedule: Schedule
    peak_lr: float
    """the largest rate of this training: the trial's peak times the rung's rate scale"""
    optimizer: OptimizerSpec
    horizon: int
    seed: int
    evaluations: int = EVALUATIONS_PER_TRAINING
    metric: str = "val_loss"
    """what the search goes by; a schedule that reacts hears it"""
    direction: Direction = "minimize"
    """which way the metric is better"""
    extra: Mapping[str, Json] = field(default_factory=dict)
    """the user's own parameters, for their script"""
    engine: EngineSettings = EngineSettings()
    checkpoint_url: str | None = None
    """the folder of this training's checkpoints, the same for all its attempts; None: none are written"""
    reads_test: bool = False
    """whether its outcome says what the test set says too, as ``test_…``: at a promotion alone, by the sequential
    engine"""
    keeps_examples: bool = False
    """whether its outcome says the loss of each example of the *decide* half too, where the workload knows it: of
    finals that are compared by this loss"""


def training_id(sweep_id: str, trial: int, horizon: int, seed: int, rate_scale: float) -> str:
    """The identity of a training: 32 hexadecimal digits. Executing it again is another attempt of the same training.

    >>> training_id("s", 0, 200, 7, 1.0) == training_id("s", 0, 200, 7, 1.0)
    True
    """
    return stable_hash([sweep_id, trial, horizon, seed, repr(float(rate_scale))])[:32]


def stable_hash(value: Json) -> str:
    """SHA-256 of the value's canonical JSON: the same in every process, on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """How a training ended. Only ``failed`` carries an error text: the traceback."""

    status: Status
    steps: int
    """updates done"""
    seconds: float
    metrics: Mapping[str, float]
    """values after the last update: ``val_loss`` and ``val_acc`` on the *search* half, ``decide_…`` on the other"""
    error: str | None = None
    reason: str | None = None
    """the rule by which it diverged, in a sentence with the step; None for the other outcomes"""
    example_losses: Losses | None = field(default=None, compare=False, repr=False)
    """of each example of the *decide* half, in the data's order; their mean is ``decide_loss``. None where the plan
    does not ask, or the workload does not know"""

    def __post_init__(self) -> None:
        if not self.status.is_outcome:
            raise ValueError(f"an outcome cannot be {self.status.value!r}")


@dataclass(frozen=True, eq=False)
class Record:
    """What an engine sends back: the next stretch of a training, in order and without gaps; the last has an outcome.

    ``rates[i]`` and ``train_losses[i]`` belong to update ``first_step + i``, counted from 0. ``evaluations`` holds, per
    metric, the values after ``evaluation_steps`` updates.
    """

    training_id: str
    attempt: int
    device: str
    first_step: int
    rates: Floats
    train_losses: Floats
    evaluation_steps: Steps
    evaluations: Mapping[str, Floats]
    outcome: Outcome | None = None
    engine: str = SEQUENTIAL
    """which one trains it, where that may change a bit: ``sequential``, ``fused/32`` with its slots, ``command``"""

    @classmethod
    def empty(
        cls, plan: TrainingPlan, device: str, outcome: Outcome | None = None, *, engine: str = SEQUENTIAL
    ) -> Record:
        """Of no update: it runs and no longer waits, or it has ended before its first."""
        nothing = Curve.empty()
        return cls(
            training_id=plan.training_id,
            attempt=plan.attempt,
            device=device,
            first_step=0,
            rates=nothing.rates,
            train_losses=nothing.train_losses,
            evaluation_steps=nothing.evaluation_steps,
            evaluations=nothing.evaluations,
            outcome=outcome,
            engine=engine,
        )


@dataclass(frozen=True, eq=False)
class Curve:
    """A training's curve so far: one rate and one training loss per update, and the evaluations between them."""

    rates: Floats
    train_losses: Floats
    evaluation_steps: Steps
    evaluations: Mapping[str, Floats]

    @classmethod
    def empty(cls) -> Curve:
        return cls(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), {})

    @property
    def steps(self) -> int:
        return len(self.rates)

    def extended(self, record: Record) -> Curve:
        """This curve and then the record's stretch; a record that begins earlier replaces from its first step.

        A metric that one of the two lacks is NaN at its evaluations.
        """
        if record.first_step > self.steps:
            raise ValueError(f"a record begins at step {record.first_step}, but the curve ends at step {self.steps}")
        keep = record.first_step
        # the evaluation after the last kept update belongs to it, and one before the first update to the first stretch
        evaluations_kept = int(np.searchsorted(self.evaluation_steps, keep, side="right")) if keep else 0

        def joined(metric: str) -> Floats:
            before = self.evaluations.get(metric, np.full(len(self.evaluation_steps), np.nan))
            after = record.evaluations.get(metric, np.full(len(record.evaluation_steps), np.nan))
            return np.concatenate([before[:evaluations_kept], after])

        return Curve(
            rates=np.concatenate([self.rates[:keep], record.rates]),
            train_losses=np.concatenate([self.train_losses[:keep], record.train_losses]),
            evaluation_steps=np.concatenate([self.evaluation_steps[:evaluations_kept], record.evaluation_steps]),
            evaluations={metric: joined(metric) for metric in {**self.evaluations, **record.evaluations}},
        )

    def to_bytes(self) -> bytes:
        """A compressed form for a database row: about 8 bytes a step for a smooth rate and a noisy float32 loss."""
        buffer = io.BytesIO()
        with np.errstate(over="ignore"):  # a loss beyond float32 becomes infinite: it has diverged either way
            train_losses = self.train_losses.astype(np.float32)
        arrays: dict[str, NDArray[Any]] = {
            "rates": self.rates,
            "train_losses": train_losses,
            "evaluation_steps": self.evaluation_steps,
            **{f"evaluation:{name}": values for name, values in self.evaluations.items()},
        }
        np.savez(buffer, allow_pickle=False, **arrays)
        return zlib.compress(buffer.getvalue(), level=6)

    @classmethod
    def from_bytes(cls, data: bytes) -> Curve:
        with np.load(io.BytesIO(zlib.decompress(data)), allow_pickle=False) as arrays:
            return cls(
                rates=arrays["rates"],
                train_losses=arrays["train_losses"].astype(np.float64),
                evaluation_steps=arrays["evaluation_steps"],
                evaluations={
                    name.removeprefix("evaluation:"): arrays[name]
                    for name in arrays.files
                    if name.startswith("evaluation:")
                },
            )


def losses_to_bytes(losses: Losses) -> bytes:
    """A compressed form for a database row: at most about 4 bytes an example.

    >>> losses_from_bytes(losses_to_bytes(np.array([0.5, 2.0], dtype=np.float32))).tolist()
    [0.5, 2.0]
    """
    return zlib.compress(losses.astype("<f4").tobytes(), level=6)


def losses_from_bytes(data: bytes) -> Losses:
    return np.frombuffer(zlib.decompress(data), dtype="<f4").astype(np.float32)


@dataclass(frozen=True)
class StudyRow:
    """One generation of a study: what was asked, in a form that can be read back."""

    name: str
    meaning: str
    generation: str
    spec: Json


@dataclass(frozen=True)
class SweepRow:
    sweep_id: str
    study: str
    generation: str
    status: SweepStatus = SweepStatus.RUNNING
    created_at: float = 0.0
    """seconds since 1970 by the store's clock; given by the store"""
    seconds: float = 0.0
    """wall clock from the first ask to the last mirrored row, summed over the processes that drove it"""
    mlflow_run_id: str | None = None
    """the parent run"""
    settings: Mapping[str, Json] = field(default_factory=dict)
    """what was decided when it began and stays so for its life: ``rate_exponents`` by optimizer"""
    is_cancelled: bool = False
    """whether somebody has asked to end it; its driver obeys within seconds"""


@dataclass(frozen=True)
class TrialRow:
    """One point of the space. ``number`` counts up within a study and never starts again."""

    study: str
    number: int
    sweep_id: str
    params: Mapping[str, Json]
    distributions: Mapping[str, Json]
    """Optuna's JSON form per parameter, so that the search can be rebuilt without the study file"""
    state: TrialState = TrialState.RUNNING
    value: float | None = None
    """the metric at the highest rung that the trial reached; None where it diverged or failed"""
    copied_from: str | None = None
    """what it was copied from: ``trial 17``, ``optuna:study#4``; None for the sweep's own"""
    origin: Origin = Origin.SEARCH

    @property
    def is_told(self) -> bool:
        """Whether the search has heard its result."""
        return self.state is not TrialState.RUNNING


@dataclass(frozen=True)
class TrainingRow:
    """One training of a trial at one horizon, one seed and one rate scale."""

    training_id: str
    study: str
    trial: int
    sweep_id: str
    rung: int
    horizon: int
    seed: int
    rate_scale: float
    attempt: int = 0
    """executions begun so far: 0 while it waits for its first"""
    status: Status = Status.QUEUED
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    device: str | None = None
    engine: str | None = None
    """which one trains it: ``sequential``, ``fused/32``, ``command``; None before it began"""
    started_at: float | None = None
    """of the present attempt, by the store's clock"""
    error: str | None = None
    reason: str | None = None
    """why it diverged"""
    mlflow_run_id: str | None = None
    mirrored_attempt: int = 0
    """the attempt whose curve the MLflow run holds"""
    mirrored_steps: int = 0
    """how much of that curve has been sent"""
    mirrored_status: Status | None = None
    """the outcome that was sent; the training is fully mirrored when this is its status"""
    purpose: Purpose = Purpose.SEARCH

    @property
    def is_mirrored(self) -> bool:
        return self.status.is_outcome and self.mirrored_status == self.status

    def with_outcome(self, outcome: Outcome) -> TrainingRow:
        return replace(
            self,
            status=outcome.status,
            metrics={name: value for name, value in outcome.metrics.items() if math.isfinite(value)},
            steps=outcome.steps,
            seconds=outcome.seconds,
            error=outcome.error,
            reason=outcome.reason,
        )
