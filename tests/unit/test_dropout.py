"""Our dropout: its masks are a function of seed, step and place, for one training and for several side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadSpec
from lrsweep.workloads.base import Half, draw_weights
from lrsweep.workloads.draw import draw, uniform
from lrsweep.workloads.dropout import Clock, Dropout, clocked
from tests.trainings import PLAN, Constant, Images, assert_same_curve, trained

SHORT = replace(PLAN, workload=WorkloadSpec("images"), peak_lr=0.05, horizon=24, evaluations=6)


def at(model: nn.Module, seed: int, step: int) -> nn.Module:
    Clock(model, seed).set(step)
    return model


def layers() -> nn.Module:
    """Two masks of one shape."""
    return nn.Sequential(nn.Linear(6, 8), Dropout(0.5), nn.Linear(8, 8), nn.Tanh(), Dropout(0.25), nn.Linear(8, 2))


def test_what_is_left_is_larger_by_as_much_as_was_dropped() -> None:
    """Of 100,000 numbers a fifth is 0, within 5 standard deviations (632); the others are divided by 0.8."""
    x = torch.arange(1.0, 100_001.0)
    dropped = at(Dropout(0.2), 1, 0)(x)
    assert abs(int((dropped == 0).sum()) - 20_000) < 632
    left = dropped != 0
    assert dropped[left].equal(x[left] / 0.8)


def test_the_mask_is_the_draw_of_its_seed_step_and_place() -> None:
    """As it has always been: otherwise curves that are stored could not be reproduced."""
    model = nn.Sequential(nn.Identity(), Dropout(0.5))
    kept = at(model, 7, 3)(torch.ones(3, 4)) != 0
    assert kept.equal(uniform(draw(7, 3, "dropout 1", 12)).view(3, 4) >= 0.5)
    assert kept.int().tolist() == [[1, 0, 1, 1], [1, 0, 0, 0], [0, 0, 1, 0]]


@pytest.mark.parametrize(("seed", "step", "place"), [(8, 3, 0), (7, 4, 0), (7, 3, 1)])
def test_another_seed_step_or_place_drops_other_numbers(seed: int, step: int, place: int) -> None:
    """Each alone; the same three drop the same ones, whatever PyTorch's generator says, which is not asked."""
    model = nn.ModuleList([Dropout(0.5), Dropout(0.5)])
    state = torch.get_rng_state()
    clocked(model)
    ones = torch.ones(100)
    first = at(model, 7, 3)[0](ones)  # type: ignore[index]
    assert not at(model, seed, step)[place](ones).equal(first)  # type: ignore[index]
    assert at(model, 7, 3)[0](ones).equal(first)  # type: ignore[index]
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("make", [lambda: Dropout(0.0), lambda: Dropout(0.9).eval()], ids=["p = 0", "evaluation"])
def test_nothing_is_changed_where_nothing_is_to_be_dropped(make: type[Dropout]) -> None:
    """The very tensor comes back."""
    x = torch.ones(5)
    assert make()(x) is x


def test_what_is_dropped_has_no_gradient_and_no_say() -> None:
    """Not even where it is infinite or not a number."""
    x = torch.full((50,), torch.nan, requires_grad=True)
    dropped = at(Dropout(0.5), 1, 2)(x)
    is_left = dropped.isnan()
    assert 10 < int(is_left.sum()) < 40
    assert (dropped[~is_left] == 0).all()
    dropped.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0 if left else 0.0 for left in is_left]


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_that_cannot_be_dropped_is_refused(p: float) -> None:
    """With all of them dropped nothing would be left to be made larger."""
    with pytest.raises(
        InvalidInput, match=r"Dropout\(.*\): wanted is the share that is dropped, from 0 to less than 1"
    ):
        Dropout(p)


def test_a_checkpoint_knows_nothing_of_it() -> None:
    """Seed and step are the plan's and the curve's, so a model with it has the numbers of one without."""
    assert Dropout(0.1).state_dict() == {}
    assert repr(Dropout(0.1)) == "Dropout(p=0.1)"


def test_models_without_it_have_no_clock_to_set() -> None:
    """And those with it know their places."""
    assert clocked(nn.Linear(1, 1)) == []
    assert [each.place for each in clocked(nn.Sequential(layers(), Dropout()))] == ["0.1", "0.4", "1"]


# ── several side by side ─────────────────────────────────────────────────────────────────────────────────────────────


def test_slots_drop_what_each_would_drop_alone() -> None:
    """Under vmap, each with a seed and a step of its own: the masks are the same to the bit."""
    drop, seeds, steps = Dropout(0.5), [7, 8, 7], [4, 4, 5]

    def dropped(seed: Tensor, step: Tensor, x: Tensor) -> Tensor:
        changed: Tensor = functional_call(drop, {"seed": seed, "step": step}, (x,))
        return changed

    x = torch.arange(1.0, 121.0).view(3, 5, 8)
    together = vmap(dropped)(torch.tensor(seeds), torch.tensor(steps), x)
    for slot in range(3):
        assert together[slot].equal(at(drop, seeds[slot], steps[slot])(x[slot]))


def test_what_was_traced_holds_for_other_slots_and_steps() -> None:
    """As the fused engine has it: rows of parameters and buffers, traced with gradients once. Seeds and steps are no
    constants of it, so that later steps give what each model gives by itself, within the rounding of its products."""
    template, models = layers(), [draw_weights(layers(), seed).double() for seed in (1, 2, 3)]
    inputs = uniform(draw([1, 2, 3], 0, "inputs", 5 * 6)).view(3, 5, 6)
    weights = torch.stack([model.get_parameter("0.weight").detach() for model in models])
    others = {
        name: torch.stack([model.get_parameter(name).detach() for model in models])
        for name, _ in template.named_parameters()
        if name != "0.weight"
    }

    def clocks(seeds: list[int], steps: list[int]) -> dict[str, Tensor]:
        names = [each.place for each in clocked(template)]
        told = (("seed", torch.tensor(seeds)), ("step", torch.tensor(steps)))
        return {f"{name}.{what}": given for name in names for what, given in told}

    def stepped(weights: Tensor, clocks: dict[str, Tensor], inputs: Tensor) -> tuple[Tensor, Tensor]:
        def loss(weight: Tensor, others: dict[str, Tensor], clocks: dict[str, Tensor], x: Tensor) -> Tensor:
            outputs: Tensor = functional_call(template, {"0.weight": weight, **others, **clocks}, (x,))
            return (outputs**2).sum()

        leaf = weights.detach().requires_grad_()
        losses = vmap(loss)(leaf, others, clocks, inputs)
        return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]

    traced = make_fx(stepped)(weights, clocks([0, 0, 0], [0, 0, 0]), inputs)
    seeds = [7, 8, 7]
    for steps in ([0, 3, 1], [600, 4, 2]):
        losses, gradients = traced(weights, clocks(seeds, steps), inputs)
        for slot, model in enumerate(models):
            alone = (at(model, seeds[slot], steps[slot])(inputs[slot]) ** 2).sum()
            [gradient] = torch.autograd.grad(alone, model.get_parameter("0.weight"))
            torch.testing.assert_close(losses[slot], alone.detach(), rtol=1e-12, atol=0.0)
            torch.testing.assert_close(gradients[slot], gradient, rtol=1e-12, atol=1e-13)


# ── the sequential engine ────────────────────────────────────────────────────────────────────────────────────────────


class Counting(Constant):
    """Loss = how much of 64 ones comes through the mask; a rate this small leaves the weight as it is."""

    def model(self, seed: int) -> nn.Module:
        scale = nn.Linear(64, 1, bias=False)
        nn.init.ones_(scale.weight)
        return nn.Sequential(Dropout(0.5), scale)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return torch.ones(1, 64), torch.zeros(1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sum()


def test_each_update_has_the_mask_of_its_own_step() -> None:
    """And of the plan's seed: the losses are twice the numbers that are left."""
    plan = replace(PLAN, workload=WorkloadSpec("counting"), peak_lr=1e-30, horizon=12, evaluations=3)
    curve, _ = trained(plan, Counting())
    left = [2 * int((uniform(draw(plan.seed, step, "dropout 0", 64)) >= 0.5).sum()) for step in range(12)]
    assert curve.train_losses.tolist() == left
    assert len(set(left)) > 4


class Dropping(Images):
    """``Images`` with our dropout; and it is there in evaluations too, as by a user who wants them so."""

    breaks_at = -1

    def model(self, seed: int) -> nn.Module:
        parts = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), Dropout(0.1), nn.Flatten(), Dropout(0.2)]
        return draw_weights(nn.Sequential(*parts, nn.Linear(144, 3)), seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        if seed != 99 and step == self.breaks_at:
            raise RuntimeError("broken off")
        return super().batch(seed, step)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        inputs, targets = super().batch(99, {"search": 0, "decide": 1, "test": 2}[half])
        model.eval()
        for module in model.modules():
            module.training = isinstance(module, Dropout)
        loss = self.loss(model(inputs), targets).item()
        model.train()
        return {"loss": loss}


@pytest.mark.parametrize("breaks_at", [11, 12])
def test_a_resumed_training_drops_what_the_undisturbed_one_drops(
    breaks_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, in the middle between two evaluations and right before one."""
    undisturbed, _ = trained(SHORT, Dropping())
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    plan = replace(SHORT, checkpoint_url=str(tmp_path / "training"))
    breaking = Dropping()
    breaking.breaks_at = breaks_at
    trained(plan, breaking)

    curve, records = trained(replace(plan, attempt=2), Dropping())

    assert len(records[0].rates) == breaks_at
    assert_same_curve(curve, undisturbed)
