"""What every contender is given: the question, the data, the network, and the lean training loop of the faster peers.

The peers search exactly our space, because they ask for its parameters with our code, and train on exactly our split.
Weights and batches come from PyTorch's own generator: that is what such loops use, and it is cheaper than our hash.
"""

from __future__ import annotations

import math
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import optuna
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.engines.optimizers import make_optimizer
from lrsweep.engines.sequential import evaluation_steps
from lrsweep.records import EVALUATIONS_PER_TRAINING, Json, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.space import Candidate, candidate, suggest
from lrsweep.study import DEFAULT_OPTIMIZERS, OPTIMIZERS, ResolvedStudy, parse_study
from lrsweep.workloads.base import load
from lrsweep.workloads.digits import SPLIT_SEED
from lrsweep.workloads.draw import epoch_order
from lrsweep.workloads.tables import DIGITS_BATCH_SIZE as BATCH_SIZE
from lrsweep.workloads.tables import DIGITS_HELD_OUT as HELD_OUT
from lrsweep.workloads.tables import DIGITS_TRAIN as TRAIN

EXPERIMENT = "sweep"
OPTUNA_DATABASE = "optuna.db"
MLFLOW_DATABASE = "mlflow.db"
"""Relative: every contender works in a fresh folder of its own."""

WARM_UP_STEPS = 20
WARM_UP_LR = 1e-3


@dataclass(frozen=True)
class Job:
    """How much to do: that many trials, each of them (where there are no rungs) trained for ``horizon`` steps."""

    trials: int
    horizon: int

    @property
    def study_text(self) -> str:
        """The study file; with 60 trials and 600 steps it is the one that ``lrsweep demo`` runs."""
        return (
            f'[study]\nname = "demo"\nworkload = "digits"\nhorizon = {self.horizon}\n[budget]\ntrials = {self.trials}\n'
        )


@dataclass(frozen=True)
class Result:
    """What a contender says of its own sweep."""

    seconds: float
    """wall clock from the first ask until the last row was written"""
    trials: int
    steps: int
    """updates done, over all trainings"""
    best_val_loss: float


def use_wal(database: str) -> None:
    """Switches an SQLite file to write-ahead logging, for good: a commit then syncs one file, once."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


# ── the search ───────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def study_of(job: Job) -> ResolvedStudy:
    facts = load(WorkloadSpec("digits"), torch.device("cpu")).facts
    return parse_study(job.study_text, "demo.toml").resolved(facts)


def make_sampler() -> optuna.samplers.TPESampler:
    """With the settings that lrsweep searches with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=0)


def ask_point(trial: optuna.Trial, job: Job) -> Candidate:
    suggest(trial, study_of(job))
    return candidate(trial.params, study_of(job))


def point_of(params: Mapping[str, Json], job: Job) -> Candidate:
    """The point of parameters that were asked for elsewhere."""
    return candidate(params, study_of(job))


# ── the training ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Data:
    """Inputs and labels, resident as tensors."""

    train: tuple[Tensor, Tensor]
    search: tuple[Tensor, Tensor]
    decide: tuple[Tensor, Tensor]


@cache
def data() -> Data:
    pixels, labels = load_digits(return_X_y=True)
    order = epoch_order(SPLIT_SEED, 0, len(labels))
    inputs = (torch.from_numpy(pixels).float() / 16.0)[order]
    targets = torch.from_numpy(labels).long()[order]
    train, search, decide = (
        (inputs[begin:end], targets[begin:end])
        for begin, end in pairwise([0, TRAIN, TRAIN + HELD_OUT, TRAIN + 2 * HELD_OUT])
    )
    return Data(train, search, decide)


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


@torch.no_grad()
def evaluate(model: nn.Module, part: tuple[Tensor, Tensor], name: str) -> dict[str, float]:
    """``{"val_loss": …, "val_acc": …}`` for the name ``val``."""
    inputs, targets = part
    outputs = model(inputs)
    return {
        f"{name}_loss": functional.cross_entropy(outputs, targets).item(),
        f"{name}_acc": (outputs.argmax(dim=1) == targets).float().mean().item(),
    }


def evaluations_at(horizon: int) -> list[int]:
    """After how many updates to evaluate: as often as lrsweep does."""
    return evaluation_steps(horizon, EVALUATIONS_PER_TRAINING)


@dataclass(frozen=True)
class Stretch:
    """A training from one evaluation to the next."""

    end: int
    """updates done"""
    rates: list[float]
    losses: list[float]
    metrics: Mapping[str, float]
    """``val_loss`` is infinite where the training diverged; the last has ``decide_…`` too"""


def train(point: Candidate, horizon: int, seed: int) -> Iterator[Stretch]:
    """The lean loop: batches by index, a fused optimizer, one look at the losses per evaluation.

    It ends early where the validation loss is no longer finite.
    """
    torch.manual_seed(seed)
    model = make_model()
    optimizer = make_optimizer(point.optimizer, model.parameters())
    rates: list[float] = point.schedule.rates(horizon, point.peak_lr).tolist()
    inputs, targets = data().train
    batches: Iterator[Tensor] = iter(())
    losses = torch.empty(horizon)

    done = 0
    for end in evaluations_at(horizon):
        for step in range(done, end):
            chosen = next(batches, None)
            if chosen is None:
                batches = iter(torch.split(torch.randperm(TRAIN), BATCH_SIZE))
                chosen = next(batches)
            for group in optimizer.param_groups:
                group["lr"] = rates[step]
            loss = functional.cross_entropy(model(inputs[chosen]), targets[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses[step] = loss.detach()
        metrics = evaluate(model, data().search, "val")
        diverged = not math.isfinite(metrics["val_loss"])
        if diverged:
            metrics["val_loss"] = math.inf
        elif end == horizon:
            metrics |= evaluate(model, data().decide, "decide")
        yield Stretch(end, rates[done:end], losses[done:end].tolist(), metrics)
        if diverged:
            return
        done = end


def warm_up(job: Job) -> None:
    """Loads the data, and all that PyTorch imports at the very first step: seconds that no step of a sweep should bear.

    The few trials of a slow peer stand for a whole sweep: what happens once would weigh too much. lrsweep's own sweep
    has this on its clock.
    """
    for name in DEFAULT_OPTIMIZERS:
        for _ in train(Candidate(schedule("constant"), WARM_UP_LR, OPTIMIZERS[name]), WARM_UP_STEPS, seed=0):
            pass
    study_of(job)
