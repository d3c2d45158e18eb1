"""The sequential engine is the meaning of a plan: what it applies, what it sends, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines.optimizers import update_of
from lrsweep.engines.sequential import evaluation_steps
from lrsweep.records import Curve, Floats, OptimizerSpec, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import Schedule, schedule
from lrsweep.study import OPTIMIZERS
from lrsweep.workloads.base import Half, Workload
from tests.trainings import PLAN, Constant, Line, digits, outcome_of, trained


@pytest.fixture(scope="module", name="digits")
def loaded_digits() -> Workload:
    return digits()


def test_the_rate_that_is_recorded_is_the_plan_to_the_last_bit(digits: Workload) -> None:
    """One rate per update, equal to the schedule's own."""
    curve, _ = trained(PLAN, digits)
    np.testing.assert_array_equal(curve.rates, PLAN.schedule.rates(60, 0.2))


def test_the_rate_that_is_applied_is_the_one_recorded() -> None:
    """With loss = w and plain SGD each update moves the weight by exactly the rate."""
    plan = replace(PLAN, optimizer=OptimizerSpec("sgd", {"momentum": 0.0, "weight_decay": 0.0}))
    curve, _ = trained(plan, Line())
    moved = -np.diff(curve.train_losses)
    np.testing.assert_allclose(moved, curve.rates[:-1], rtol=1e-4)


# ── schedules that react, and momenta that cycle ─────────────────────────────────────────────────────────────────────

REACTING = [
    schedule("plateau", patience=0, threshold=0.5, gamma=0.5, warmup=0.1),
    schedule("plateau", patience=1, threshold=0.2, base=schedule("cosine"), floor=0.05),
    schedule("threshold", levels=(2.0, 1.0, 0.5), gamma=0.5, warmup=0.2, hold=0.1),
    schedule("slope", rate=0.5, window=2, gamma=0.7, noise=0.3),
    schedule("greedy", threshold=0.1, warmup="7 steps"),
]
"""Each of them is moved several times by a loss that falls ever slower."""


def replayed(plan: TrainingPlan, curve: Curve) -> Floats:
    """What the schedule says to the metrics that were recorded."""
    heard = dict(zip(curve.evaluation_steps.tolist(), curve.evaluations["val_loss"].tolist(), strict=True))
    return plan.schedule.replay(heard, plan.horizon, plan.peak_lr)


@pytest.mark.parametrize("reacting", REACTING, ids=lambda one: one.family)
@pytest.mark.parametrize("horizon", [60, 200, 640])
def test_a_reactive_training_has_the_rates_that_its_own_metrics_give(
    reacting: Schedule, horizon: int, digits: Workload
) -> None:
    """To the last bit, at a rung's horizon and at a full one; and the metrics did change them."""
    plan = replace(PLAN, schedule=reacting, horizon=horizon)
    curve, records = trained(plan, digits)
    assert records[-1].outcome is not None
    assert records[-1].outcome.status is Status.COMPLETED
    np.testing.assert_array_equal(curve.rates, replayed(plan, curve))
    assert not np.array_equal(curve.rates, reacting.replay({}, horizon, plan.peak_lr))


def test_a_plateau_halves_the_rate_from_the_next_step_on() -> None:
    """By hand: one evaluation per step, the first sets the best, and each after it is no better."""
    plan = replace(PLAN, schedule=schedule("plateau", patience=0, gamma=0.5), peak_lr=1.0, horizon=6)
    curve, _ = trained(plan, Constant())
    assert curve.evaluations["val_loss"].tolist() == [1.0] * 6
    assert curve.rates.tolist() == [1.0, 1.0, 0.5, 0.25, 0.125, 0.0625]


def test_a_reactive_training_that_is_heard_of_in_between_has_the_same_rates(
    monkeypatch: pytest.MonkeyPatch, digits: Workload
) -> None:
    """A record may be sent between two evaluations; what it says of the rates still holds after the next."""
    plan = replace(PLAN, schedule=REACTING[0], horizon=640)
    quick, _ = trained(plan, digits)
    monkeypatch.setattr("lrsweep.engines.recording.LONGEST_SILENCE", 0.0)
    slow, many = trained(plan, digits)
    assert max(len(record.train_losses) for record in many) <= 16
    np.testing.assert_array_equal(slow.rates, quick.rates)


def test_a_reactive_training_that_diverges_keeps_the_rates_that_it_had(digits: Workload) -> None:
    """Its loss explodes at three evaluations, which a plateau hears like any other; the curve ends where it ended."""
    plan = replace(PLAN, schedule=schedule("plateau", patience=0, gamma=0.9), peak_lr=80.0, horizon=600)
    curve, records = trained(plan, digits)
    assert records[-1].outcome is not None
    assert records[-1].outcome.status is Status.DIVERGED
    assert 0 < curve.steps < 600
    np.testing.assert_array_equal(curve.rates, replayed(plan, curve)[: curve.steps])


def test_a_schedule_hears_the_metric_that_the_plan_names() -> None:
    """An accuracy that stays at 0 instead of a loss: it reaches the level 0.5, which the loss of 1 never does."""
    plan = replace(PLAN, schedule=schedule("threshold", levels=(0.5,), gamma=0.5), peak_lr=1.0, horizon=4)
    assert trained(plan, Constant())[0].rates.tolist() == [1.0] * 4
    assert trained(replace(plan, metric="val_acc"), Constant())[0].rates.tolist() == [1.0, 0.5, 0.5, 0.5]


CYCLING = schedule("one_cycle", cycle_momentum=True, momentum_low=0.5, momentum_high=0.9)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("cycling", [CYCLING, CYCLING.with_settings(cycle_momentum=False)], ids=["cycles", "stays"])
def test_a_momentum_that_cycles_is_what_the_optimizer_has_at_each_step(
    optimizer: str, cycling: Schedule, monkeypatch: pytest.MonkeyPatch, digits: Workload
) -> None:
    """SGD's momentum, and the first of Adam's betas; both stay as they are where nothing cycles."""
    had: list[float] = []

    def watched(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        update = update_of(optimizer)

        def watched_update() -> None:
            had.extend(momenta_of(optimizer))
            update()

        return watched_update

    monkeypatch.setattr("lrsweep.engines.sequential.update_of", watched)
    curve, _ = trained(replace(PLAN, schedule=cycling, optimizer=OPTIMIZERS[optimizer], peak_lr=0.01), digits)
    wanted = cycling.momenta(60)
    assert had == ([0.9] * 60 if wanted is None else wanted.tolist())
    assert (min(had) < 0.6) == (wanted is not None)
    assert curve.steps == 60


def momenta_of(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["momentum"] if "momentum" in group else group["betas"][0] for group in optimizer.param_groups]


def test_a_momentum_that_cycles_moves_the_weights_as_it_should() -> None:
    """With loss = w the velocity is v·momentum + 1, from 1 at the first step, and the weight moves by rate·v."""
    curve, _ = trained(replace(PLAN, schedule=CYCLING, optimizer=OPTIMIZERS["sgd"], horizon=30), Line())
    momenta = CYCLING.momenta(30)
    assert momenta is not None
    velocity, moves = 0.0, []
    for rate, momentum in zip(curve.rates.tolist(), momenta.tolist(), strict=True):
        velocity = velocity * momentum + 1.0
        moves.append(rate * velocity)
    np.testing.assert_allclose(-np.diff(curve.train_losses), moves[:-1], rtol=1e-3, atol=1e-6)


def test_a_schedule_that_does_not_fit_the_horizon_is_a_failure_that_says_so(digits: Workload) -> None:
    """100 steps of warm-up in 60: the process goes on, and the outcome has both numbers."""
    curve, records = trained(replace(PLAN, schedule=schedule("cosine", warmup="100 steps")), digits)
    assert records[-1].outcome is not None
    assert records[-1].outcome.status is Status.FAILED
    assert "take 100 steps, and there are 60" in (records[-1].outcome.error or "")
    assert curve.steps == 0


# ── how it trains ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_plan_gives_the_same_bits(digits: Workload) -> None:
    """Same plan, device and engine: the same curve; another seed gives another one."""
    first, again, other = trained(PLAN, digits)[0], trained(PLAN, digits)[0], trained(replace(PLAN, seed=4), digits)[0]
    np.testing.assert_array_equal(first.train_losses, again.train_losses)
    np.testing.assert_array_equal(first.evaluations["val_loss"], again.evaluations["val_loss"])
    assert not np.array_equal(first.train_losses, other.train_losses)


def test_it_learns(digits: Workload) -> None:
    """Chance is 10 %; 300 steps of SGD reach nine of ten on images never trained on, and tell both halves apart."""
    _, records = trained(replace(PLAN, horizon=300), digits)
    outcome = records[-1].outcome
    assert outcome is not None
    assert outcome.status is Status.COMPLETED
    assert outcome.steps == 300
    assert outcome.metrics["val_acc"] > 0.9
    assert outcome.metrics["decide_acc"] > 0.9
    assert outcome.metrics["val_loss"] != outcome.metrics["decide_loss"]


def test_adamw_learns_too(digits: Workload) -> None:
    """The second optimizer of the spine, by its own settings."""
    _, records = trained(replace(PLAN, optimizer=OPTIMIZERS["adamw"], peak_lr=0.01, horizon=300), digits)
    assert records[-1].outcome is not None
    assert records[-1].outcome.metrics["val_acc"] > 0.9


@pytest.mark.parametrize("horizon", [60, 200, 7, 1])
def test_a_training_is_evaluated_as_often_at_any_horizon(digits: Workload, horizon: int) -> None:
    """20 times, or after every step where there are fewer; the last time after the last update."""
    curve, _ = trained(replace(PLAN, horizon=horizon), digits)
    assert len(curve.evaluation_steps) == min(20, horizon)
    assert curve.evaluation_steps[-1] == horizon
    assert curve.steps == horizon


def test_a_slow_training_is_heard_of_between_its_evaluations(monkeypatch: pytest.MonkeyPatch, digits: Workload) -> None:
    """Its driver commits curves by time and kills what is silent; the curve is the same as that of a quick one."""
    quick, few = trained(replace(PLAN, horizon=640), digits)
    monkeypatch.setattr("lrsweep.engines.recording.LONGEST_SILENCE", 0.0)
    slow, many = trained(replace(PLAN, horizon=640), digits)
    stretches = [len(record.train_losses) for record in many if len(record.train_losses)]
    assert max(len(record.train_losses) for record in few) == 32
    assert max(stretches) <= 16
    np.testing.assert_array_equal(slow.train_losses, quick.train_losses)
    np.testing.assert_array_equal(slow.evaluation_steps, quick.evaluation_steps)


def test_a_rate_far_too_large_is_divergence_with_its_step(digits: Workload) -> None:
    """A peak of 1e30 overflows: the outcome is `diverged`, without error, before the horizon, at the first bad loss."""
    curve, records = trained(replace(PLAN, peak_lr=1e30), digits)
    outcome = records[-1].outcome
    assert outcome is not None
    assert (outcome.status, outcome.error, outcome.metrics) == (Status.DIVERGED, None, {})
    assert outcome.steps == curve.steps < 60
    assert np.isfinite(curve.train_losses[:-1]).all()
    assert not np.isfinite(curve.train_losses[-1])
    assert outcome.reason == f"the training loss was {curve.train_losses[-1]} at step {curve.steps - 1}"


def test_a_loss_that_stays_exploded_is_divergence(digits: Workload) -> None:
    """Finite but 4 times the start at 3 evaluations in a row: not worth the rest of the steps."""
    curve, records = trained(replace(PLAN, schedule=schedule("constant"), peak_lr=80.0, horizon=600), digits)
    outcome = records[-1].outcome
    assert outcome is not None
    assert outcome.status is Status.DIVERGED
    assert outcome.steps < 600
    limit = 4 * curve.train_losses[0]
    assert (curve.evaluations["val_loss"][-3:] > limit).all()
    assert outcome.reason is not None
    assert outcome.reason.startswith(f"the validation loss was above {limit:.4g}, 4 times the loss at the start, at 3")


@pytest.fixture(scope="module")
def knowing() -> Workload:
    """Begins with weights that know the training data by heart, 600 steps of AdamW on them, and others less well."""
    workload = digits()
    blank = workload.model(3)
    made = workload.model
    workload.model = lambda seed: blank  # type: ignore[method-assign] # noqa: ARG005
    trained(replace(PLAN, optimizer=OPTIMIZERS["adamw"], peak_lr=0.01, horizon=600, evaluations=1), workload)
    weights = {name: tensor.clone() for name, tensor in blank.state_dict().items()}

    def begun(seed: int) -> nn.Module:
        model = made(seed)
        model.load_state_dict(weights)
        return model

    workload.model = begun  # type: ignore[method-assign]
    return workload


FINE_TUNING = replace(
    PLAN, workload=WorkloadSpec("digits", {"init": "weights.pt"}), schedule=schedule("constant"), peak_lr=1e-4
)


def test_a_training_that_begins_with_memorised_weights_completes(knowing: Workload) -> None:
    """Its validation losses are all above 4 times its first training loss, as they were before the first update."""
    curve, records = trained(FINE_TUNING, knowing)
    assert (curve.evaluations["val_loss"] > 4 * curve.train_losses[0]).all()
    assert curve.evaluation_steps[0] == 3
    outcome = records[-1].outcome
    assert outcome is not None
    assert (outcome.status, outcome.steps, outcome.reason) == (Status.COMPLETED, 60, None)


def test_memorised_weights_can_still_explode(knowing: Workload) -> None:
    """At the first evaluation already, so that this one cannot be what it is compared with."""
    outcome = outcome_of(replace(FINE_TUNING, peak_lr=80.0), knowing)
    assert (outcome.status, outcome.steps) == (Status.DIVERGED, 9)
    assert outcome.reason is not None
    assert "4 times the loss at the start, at 3 evaluations in a row, the last at step 9: " in outcome.reason


def test_a_validation_loss_that_is_not_a_number_is_divergence_whatever_the_search_goes_by() -> None:
    """At the second of 4 evaluations, while the accuracy that the plan names is still a number."""

    class Broken(Constant):
        evaluations = 0

        def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
            self.evaluations += 1
            return {"loss": float("nan") if self.evaluations == 2 else 1.0, "acc": 0.5}

    outcome = outcome_of(replace(PLAN, horizon=40, evaluations=4, metric="val_acc"), Broken())
    assert outcome.status is Status.DIVERGED
    assert outcome.reason == "the validation loss was nan at step 20"


@pytest.mark.parametrize(
    ("metric", "given", "said"),
    [
        ("val_acc", {"acc": 0.5}, "evaluate of the workload 'digits' gives 'acc'; wanted 'loss' too"),
        ("val_f1", {"loss": 1.0, "acc": 0.5}, "the metric is 'val_f1', and evaluate of the workload 'digits' gives"),
    ],
)
def test_a_metric_that_evaluate_does_not_give_is_refused_by_name(
    metric: str, given: dict[str, float], said: str
) -> None:
    """The one that divergence is seen by, and the one that the plan names; at the first evaluation."""

    class Given(Constant):
        def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
            return given

    outcome = outcome_of(replace(PLAN, metric=metric), Given())
    assert outcome.status is Status.FAILED
    assert said in (outcome.error or "")
    assert outcome.steps == 3


def test_an_exception_is_the_outcome_failed_with_its_traceback() -> None:
    """The steps before it are kept; the traceback names the line of the workload."""

    class Breaks(Constant):
        def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
            if step == 4:
                raise RuntimeError("the disk has a scratch")
            return super().batch(seed, step)

    curve, records = trained(PLAN, Breaks())
    outcome = records[-1].outcome
    assert outcome is not None
    assert outcome.status is Status.FAILED
    assert outcome.error is not None
    assert "the disk has a scratch" in outcome.error
    assert outcome.steps == curve.steps == 3


def test_evaluations_are_evenly_spaced() -> None:
    """Every 30 of 600 steps; at 50 steps every second or third."""
    assert evaluation_steps(600, 20) == list(range(30, 601, 30))
    assert evaluation_steps(50, 20)[:4] == [2, 5, 7, 10]
