"""The optimizers of many trainings at once, against PyTorch's own for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrsweep.engines.device import open_device
from lrsweep.engines.fused.layout import Layout
from lrsweep.engines.fused.updates import Updates, _Rows, clip
from lrsweep.engines.optimizers import NAMES, make_optimizer, set_momentum, set_rate, trained_groups
from lrsweep.errors import InvalidInput
from lrsweep.records import Floats, OptimizerSpec
from lrsweep.workloads.base import ParamGroup
from tests.optimizers import through_a_file

SGD = {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0}
RMSPROP = {"alpha": 0.9, "eps": 1e-3, "momentum": 0.0, "weight_decay": 0.0}
ADAM = {"beta1": 0.8, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0}
DECAY = {"weight_decay": 0.1}
STILL = {"momentum": 0.0}

SETTINGS: Mapping[str, Sequence[Mapping[str, float]]] = {
    "sgd": [{"momentum": 0.9, "weight_decay": 0.0}, {"momentum": 0.5, "weight_decay": 0.1}, {**SGD, **STILL, **DECAY}],
    "sgd_plain": [SGD | STILL, SGD | STILL | DECAY, SGD],
    "sgd_dampened": [SGD | {"dampening": 0.9}, SGD | {"dampening": 0.3} | DECAY, SGD | STILL | {"dampening": 0.5}],
    "nesterov": [SGD, SGD | {"momentum": 0.5}, SGD | DECAY],
    "rmsprop": [RMSPROP, RMSPROP | {"momentum": 0.9}, RMSPROP | {"alpha": 0.99, "momentum": 0.5} | DECAY],
    "adam": [ADAM, ADAM | DECAY, ADAM | {"beta1": 0.0, "eps": 0.1}],
    "adamw": [ADAM, ADAM | DECAY, ADAM | {"beta2": 0.999, "weight_decay": 1.0}],
}
MIXED = [OptimizerSpec(name, settings) for name in NAMES for settings in SETTINGS[name][:2]]
NEAR = {torch.float32: 4e-6, torch.float64: 1e-14}
"""After 30 updates of numbers near 1; a momentum of 0.9 carries the rounding of 10 of them."""
CYCLE = [0.9, 0.5, 0.0, 0.0, 0.7, 0.95]
OWN = math.nan
Bools = NDArray[np.bool_]


@pytest.fixture(autouse=True, scope="module")
def device() -> torch.device:
    """As an engine's process has it: one thread."""
    return open_device("cpu")


class Net(nn.Module):
    """53 numbers in five shapes; one of them is frozen."""

    def __init__(self) -> None:
        super().__init__()
        shapes = [(4, 5), (5,), (2, 3, 4), (), (3,), (1,)]
        self.parts = nn.ParameterList(nn.Parameter(torch.randn(shape)) for shape in shapes)


class Alone:
    """One training with PyTorch's optimizer, as the sequential engine drives it."""

    def __init__(self, spec: OptimizerSpec, dtype: torch.dtype, scales: Sequence[float]) -> None:
        self.model = Net().to(dtype)
        parts = list(self.model.parts)
        groups = [ParamGroup("body", parts[:2], scales[0]), ParamGroup("head", parts[2:5], scales[1])]
        made = trained_groups(self.model, groups, tensor_rates=False)
        self.layout = Layout.of(self.model, groups)
        self.parameters = [parameter for group in made for parameter in group["params"]]
        self.spec = spec
        self.optimizer = make_optimizer(spec, made)

    def update(self, gradient: Tensor, rate: float, momentum: float) -> None:
        for parameter, piece in zip(self.parameters, self.layout.pieces(gradient), strict=True):
            parameter.grad = piece.clone()
        set_rate(self.optimizer, rate)
        if not math.isnan(momentum):
            set_momentum(self.optimizer, momentum)
        self.optimizer.step()

    @property
    def row(self) -> Tensor:
        return self.layout.row(self.model)

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        state: dict[int, dict[str, Any]] = self.optimizer.state_dict()["state"]
        return state

    def resume(self, row: Tensor, state: Mapping[int, Mapping[str, Any]]) -> None:
        with torch.no_grad():
            for parameter, piece in zip(self.parameters, self.layout.pieces(row), strict=True):
                parameter.copy_(piece)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


class Together:
    """The same trainings in a bank."""

    def __init__(
        self,
        specs: Sequence[OptimizerSpec],
        dtype: torch.dtype = torch.float32,
        scales: Sequence[float] = (1.0, 1.0),
        stacked: bool | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.specs = specs
        self.alone = [Alone(spec, dtype, scales) for spec in specs]
        self.layout = self.alone[0].layout
        self.near = NEAR[dtype]
        self.updates = Updates(len(specs), self.layout, stacked=stacked)
        self.theta = torch.stack([each.row for each in self.alone])
        for slot, spec in enumerate(specs):
            self.updates.put(slot, spec, {}, 0)
        self.all: Bools = np.ones(len(specs), dtype=np.bool_)
        self._random = np.random.default_rng(0)

    def some(self) -> Bools:
        return self._random.random(len(self.specs)) < 0.6

    def step(self, active: Bools | None = None, momenta: Floats | None = None) -> None:
        """One update of both, with new gradients and rates; a rate of 0 is among them."""
        active = self.all if active is None else active
        rates = self._random.choice([0.0, 0.01, 0.1, 0.2], len(self.specs))
        gradients = torch.from_numpy(self._random.standard_normal(self.theta.shape)).to(self.theta.dtype)
        for slot in np.flatnonzero(active):
            self.alone[slot].update(gradients[slot], float(rates[slot]), OWN if momenta is None else momenta[slot])
        gradients[torch.from_numpy(~active)] = torch.nan
        self.updates.apply(self.theta, gradients, rates, momenta, active)

    def assert_near(self) -> None:
        """Relative to what is greater than 1."""
        wanted = torch.stack([each.row for each in self.alone])
        torch.testing.assert_close(self.theta, wanted, rtol=self.near, atol=self.near)

    def assert_states_near(self) -> None:
        """Names, types and numbers of all that PyTorch's optimizers hold."""
        for slot, each in enumerate(self.alone):
            torch.testing.assert_close(self.updates.state_of(slot), each.state, rtol=self.near, atol=self.near)

    def bits(self) -> list[tuple[bytes, ...]]:
        """Of each slot: its numbers and its state."""
        states = [self.updates.state_of(slot) for slot in range(len(self.specs))]
        return [
            (_bytes(row), *(_bytes(tensor) for held in state.values() for tensor in held.values()))
            for row, state in zip(self.theta, states, strict=True)
        ]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def of_kind(name: str) -> list[OptimizerSpec]:
    return [OptimizerSpec(name, settings) for settings in SETTINGS[name]]


# ── the numbers are PyTorch's ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("dtype", "stacked"), [(torch.float64, False), (torch.float64, True), (torch.float32, False), (torch.float32, True)]
)
def test_each_kind_is_the_optimizer_of_pytorch(name: str, dtype: torch.dtype, stacked: bool) -> None:
    """Three settings side by side over 30 updates: with weight decay and without, with momentum and without."""
    bank = Together(of_kind(name), dtype, stacked=stacked)
    for step in range(30):
        bank.step()
        if step in (0, 1, 9, 29):
            bank.assert_near()
    bank.assert_states_near()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_groups_have_shares_of_the_rate_and_momenta_cycle(name: str, scale: float) -> None:
    """A momentum of 0 for a while leaves the buffer as it was; the slot in the middle keeps its own."""
    bank = Together(of_kind(name), torch.float64, scales=(1.0, scale))
    for step in range(15):
        momentum = CYCLE[step % len(CYCLE)]
        bank.step(momenta=np.array([momentum, OWN, momentum]))
        bank.assert_near()
    bank.assert_states_near()


@pytest.mark.parametrize("stacked", [False, True])
def test_all_kinds_share_a_bank_and_each_row_has_its_own_clock(stacked: bool) -> None:
    """14 trainings that begin at different updates and pause at different ones."""
    bank = Together(MIXED, torch.float64, stacked=stacked)
    begins = np.arange(len(MIXED)) % 5
    for step in range(20):
        bank.step(bank.some() & (begins <= step))
        bank.assert_near()
        if step in (0, 4, 19):
            bank.assert_states_near()


@pytest.mark.parametrize("stacked", [False, True])
def test_a_row_has_the_same_bits_whatever_is_beside_it(stacked: bool) -> None:
    """The training of each slot once more, with nobody else in the bank."""
    for dtype in NEAR:
        together = Together(MIXED, dtype, stacked=stacked)
        gradients = torch.randn(4, *together.theta.shape, dtype=dtype)
        rates = np.linspace(0.01, 0.1, 4)
        begin = together.theta.clone()
        for each, rate in zip(gradients, rates, strict=True):
            together.updates.apply(together.theta, each.clone(), np.full(len(MIXED), rate), None, together.all)
        for slot, spec in enumerate(MIXED):
            updates, theta = Updates(len(MIXED), together.layout, stacked=stacked), begin.clone()
            updates.put(slot, spec, {}, 0)
            for each, rate in zip(gradients, rates, strict=True):
                updates.apply(theta, each.clone(), np.full(len(MIXED), rate), None, np.arange(len(MIXED)) == slot)
            assert _bytes(theta[slot]) == _bytes(together.theta[slot])


# ── a row touches no other ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", [*NAMES, "a mixed bank"])
def test_a_row_that_is_not_active_keeps_every_bit(name: str, stacked: bool) -> None:
    """Whatever stands in its gradients, its rate, and in the row itself."""
    bank = Together(MIXED if name not in NAMES else of_kind(name), stacked=stacked)
    bank.step()
    bank.theta[1, :3] = torch.tensor([-0.0, torch.nan, -torch.inf])
    before = bank.bits()
    for junk in (torch.nan, torch.inf, 1e30):
        active = np.arange(len(bank.specs)) != 1
        gradients = torch.randn_like(bank.theta)
        gradients[1] = junk
        rates = np.where(active, 0.1, OWN)
        bank.updates.apply(bank.theta, gradients, rates, np.where(active, 0.5, junk), active)
    after = bank.bits()
    assert after[1] == before[1]
    assert all(new != old for slot, (new, old) in enumerate(zip(after, before, strict=True)) if slot != 1)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("junk", [torch.nan, torch.inf])
def test_a_row_of_nan_leaves_its_neighbours_their_bits(junk: float, stacked: bool) -> None:
    """The bank with a training that diverges and the bank without have the same other rows."""
    banks = [Together(MIXED, stacked=stacked), Together(MIXED, stacked=stacked)]
    for bank in banks:
        for step in range(5):
            gradients = torch.randn(bank.theta.shape, generator=torch.Generator().manual_seed(step))
            if bank is banks[1]:
                gradients[::4] = junk
            bank.updates.apply(bank.theta, gradients, np.full(len(MIXED), 0.1), None, bank.all)
    one, other = (bank.bits() for bank in banks)
    assert not banks[1].theta[::4].isfinite().any()
    assert [each for slot, each in enumerate(one) if slot % 4] == [each for slot, each in enumerate(other) if slot % 4]


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(
    ("spec", "beside"),
    [
        (OptimizerSpec("sgd_plain", SGD | STILL), OptimizerSpec("sgd_plain", SGD | STILL | DECAY)),
        (OptimizerSpec("sgd", SGD), OptimizerSpec("sgd", SGD | DECAY)),
        (OptimizerSpec("sgd", SGD), OptimizerSpec("nesterov", SGD)),
        (OptimizerSpec("rmsprop", RMSPROP), OptimizerSpec("rmsprop", RMSPROP | DECAY)),
        (OptimizerSpec("adam", ADAM), OptimizerSpec("adam", ADAM | DECAY)),
        (OptimizerSpec("adamw", ADAM | DECAY), OptimizerSpec("adam", ADAM | DECAY)),
    ],
    ids=lambda spec: f"{spec.name} {spec.settings['weight_decay']}",
)
def test_what_a_row_leaves_out_is_no_product_with_0(spec: OptimizerSpec, beside: OptimizerSpec, stacked: bool) -> None:
    """A row with infinities in it has the bits that it has beside one of its own kind."""
    bits = []
    for other in (spec, beside):
        bank = Together([spec, other], stacked=stacked)
        bank.theta[0, :2] = torch.tensor([torch.inf, -torch.inf])
        for step in range(2):
            gradients = torch.ones_like(bank.theta)
            gradients[0, 2 + step] = torch.inf
            bank.updates.apply(bank.theta, gradients, np.full(2, 0.1), None, bank.all)
        bits.append(bank.bits()[0])
        assert bank.theta[0, :2].tolist() == [torch.inf, -torch.inf]
    assert bits[0] == bits[1]


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("spec", MIXED[1::2], ids=lambda spec: spec.name)
def test_a_slot_that_is_refilled_begins_anew(spec: OptimizerSpec, stacked: bool) -> None:
    """After NaN in all that any optimizer keeps, the next training is as in a fresh bank."""
    used, fresh = (Together([spec, MIXED[-1]], torch.float64, stacked=stacked) for _ in range(2))
    for former in ("rmsprop", "adam", "sgd"):
        used.updates.put(0, OptimizerSpec(former, SETTINGS[former][1]), {}, 0)
        used.updates.apply(
            torch.zeros_like(used.theta), torch.full_like(used.theta, torch.nan), np.ones(2), None, used.all
        )
    used.updates.put(0, spec, {}, 0)
    assert used.updates.state_of(0) == {}
    for _ in range(3):
        used.step(np.array([True, False]))
        fresh.step(np.array([True, False]))
    used.alone[1], fresh.alone[1] = used.alone[0], fresh.alone[0]
    assert used.bits()[0] == fresh.bits()[0]
    torch.testing.assert_close(used.theta[0], used.alone[0].row, rtol=1e-14, atol=1e-14)


def test_both_ways_to_put_rows_back_are_the_same() -> None:
    """A GPU has one and a CPU the other."""
    whole, part = torch.randn(6, 3), torch.randn(3, 3)
    whole[0] = torch.nan
    rows = _Rows(np.array([False, True, False, True, True, False]), whole.device)
    copied, chosen = whole.clone(), whole.clone()
    rows.put_back_by_index(copied, part)
    rows.put_back_by_mask(chosen, part)
    assert _bytes(copied) == _bytes(chosen)
    assert copied[[1, 3, 4]].equal(part)
    assert _bytes(copied[[0, 2, 5]]) == _bytes(whole[[0, 2, 5]])


# ── to PyTorch's optimizer and back ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spec", MIXED, ids=lambda spec: spec.name)
def test_a_bank_and_pytorch_go_on_from_each_other(spec: OptimizerSpec) -> None:
    """Every third update slot 1 takes over what PyTorch holds, and PyTorch's other training what slot 0 holds."""
    undisturbed, bank = (Together([spec, spec], torch.float64) for _ in range(2))
    for step in range(9):
        if step % 3 == 0:
            giver, taker = bank.alone[1], bank.alone[0]
            bank.theta[1] = giver.row
            bank.updates.put(1, spec, through_a_file(giver.state), step)
            taker.resume(bank.theta[0].clone(), through_a_file(bank.updates.state_of(0)))
        undisturbed.step()
        bank.step()
        bank.assert_near()
    bank.assert_states_near()
    for one, other in zip(bank.alone, undisturbed.alone, strict=True):
        torch.testing.assert_close(one.row, other.row, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("stacked", [False, True])
def test_a_bank_goes_on_from_another_bit_for_bit(stacked: bool) -> None:
    """In other slots of a smaller bank; what was read of a slot does not change with it."""
    first = Together(MIXED, stacked=stacked)
    for _ in range(3):
        first.step()
    second = Updates(7, first.layout, stacked=stacked)
    theta = first.theta[::2].clone()
    states = [first.updates.state_of(slot) for slot in range(len(MIXED))]
    gradients = torch.randn_like(first.theta)
    for each in range(2):
        if each == 0:
            for slot in range(7):
                second.put(slot, MIXED[2 * slot], states[2 * slot], 3)
        first.updates.apply(first.theta, gradients.clone(), np.full(14, 0.1), None, first.all)
        second.apply(theta, gradients[::2].clone(), np.full(7, 0.1), None, first.all[:7])
    assert _bytes(theta) == _bytes(first.theta[::2])


def test_a_parameter_without_a_state_has_zeros() -> None:
    """PyTorch's optimizer holds nothing for a parameter that never had a gradient."""
    bank = Together([OptimizerSpec("adam", ADAM)])
    bank.step()
    state = bank.updates.state_of(0)
    last = len(bank.layout.names) - 1
    bank.updates.put(0, bank.specs[0], {index: held for index, held in state.items() if index < last}, 1)
    after = bank.updates.state_of(0)
    assert after[last]["exp_avg"].count_nonzero() == 0
    torch.testing.assert_close({k: after[k] for k in range(last)}, {k: state[k] for k in range(last)}, rtol=0, atol=0)


def test_what_no_optimizer_of_the_bank_keeps_takes_no_memory() -> None:
    """Plain SGD has no buffer, momentum has one, AdamW two."""
    bank = Together([OptimizerSpec("sgd_plain", SGD | STILL)])
    counts = []
    for spec in (bank.specs[0], OptimizerSpec("sgd", SGD), OptimizerSpec("adamw", ADAM)):
        bank.updates.put(0, spec, {}, 0)
        bank.updates.apply(bank.theta, torch.randn_like(bank.theta), np.ones(1), None, bank.all)
        counts.append(len(bank.updates._buffers))
    assert counts == [0, 1, 2]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (OptimizerSpec("lion"), "no engine knows the optimizer 'lion'"),
        (OptimizerSpec("nesterov", SGD | STILL), "Nesterov momentum requires a momentum"),
    ],
)
def test_what_pytorch_refuses_is_refused(spec: OptimizerSpec, told: str) -> None:
    """In the same words as by the sequential engine."""
    bank = Together([OptimizerSpec("sgd", SGD)])
    with pytest.raises((InvalidInput, ValueError), match=told):
        bank.updates.put(0, spec, {}, 0)


# ── clipping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", NEAR)
def test_each_row_is_clipped_as_pytorch_clips_one_model(dtype: torch.dtype) -> None:
    """Rows longer and shorter than the limit, one of zeros, and norms that are NaN or infinite."""
    bank = Together([OptimizerSpec("sgd", SGD)] * 6, dtype)
    gradients = torch.randn_like(bank.theta) * torch.tensor([[10.0], [1.0], [0.01], [0.0], [1.0], [1.0]], dtype=dtype)
    gradients[4, 7], gradients[5, 7] = torch.nan, -torch.inf
    wanted = []
    for row in gradients:
        pieces = [nn.Parameter(piece.clone()) for piece in bank.layout.pieces(row)]
        for piece in pieces:
            piece.grad = piece.detach().clone()
        nn.utils.clip_grad_norm_(pieces, 0.5)
        wanted.append(bank.layout.joined([piece.grad for piece in pieces if piece.grad is not None]))
    clip(gradients, 0.5)
    torch.testing.assert_close(gradients, torch.stack(wanted), equal_nan=True, rtol=NEAR[dtype], atol=0)
    assert gradients[0].norm().item() == pytest.approx(0.5, rel=1e-5)
    assert gradients[5].count_nonzero() == 1
