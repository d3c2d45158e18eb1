"""``run.torch``: the rate of every update is the plan's, whatever the loop around the optimizer does."""

from __future__ import annotations

import gc
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, OneCycleLR

import lrsweep
from lrsweep import ScheduleError
from lrsweep.integrations.attach import Run
from lrsweep.scripts.plan_file import VARIABLE
from lrsweep.scripts.reports import Begin, Report, Wrong, append
from tests.optimizers import adamw, parameter, rates, sgd, through_a_file
from tests.plans import in_sweep, said

LINEAR = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
PLATEAU = lrsweep.schedule("plateau", patience=0, gamma=0.5)


def used(optimizer: torch.optim.Optimizer) -> list[list[float]]:
    """Filled with the rates of the groups at each update, as the update itself finds them."""
    found: list[list[float]] = []
    optimizer.register_step_pre_hook(lambda *_: found.append(rates(optimizer)))
    return found


def first_group(found: list[list[float]]) -> list[float]:
    return [groups[0] for groups in found]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """In a sweep with a linear plan of 8 updates."""
    in_sweep(monkeypatch, tmp_path)
    return lrsweep.attach(peak_lr=1e-3)


def test_every_update_has_the_plans_rate_without_a_call_of_step(run: Run) -> None:
    """Bit for bit, and the count is the optimizer's. Nothing but the optimizer needs to keep the scheduler."""
    optimizer = sgd(lr=0.1)
    run.torch(optimizer)
    found = used(optimizer)
    gc.collect()
    for _ in range(8):
        optimizer.step()
    assert first_group(found) == run.rates.tolist()
    assert first_group(found) == pytest.approx(LINEAR)
    assert run.updates == 8


def test_calls_of_step_per_micro_batch_or_process_change_nothing(run: Run) -> None:
    """Accumulation of 4, two processes' worth of calls, and one before the first update."""
    optimizer = sgd(lr=0.1)
    scheduler = run.torch(optimizer)
    found = used(optimizer)
    for micro_batch in range(32):
        scheduler.step()
        scheduler.step()
        if micro_batch % 4 == 3:
            optimizer.step()
            assert scheduler.get_last_lr() == rates(optimizer)
    assert first_group(found) == run.rates.tolist()
    assert scheduler.last_epoch == run.updates == 8


def test_another_scheduler_on_the_same_optimizer_changes_nothing(run: Run) -> None:
    """Made before or after, also one that begins at 0 as warm-ups do."""
    optimizer = sgd(lr=0.1, momentum=0.9)
    others: list[Any] = [LambdaLR(optimizer, lambda step: step / 3)]
    run.torch(optimizer)
    others += [ExponentialLR(optimizer, 0.5), OneCycleLR(optimizer, 0.3, total_steps=9)]
    found = used(optimizer)
    for _ in range(8):
        optimizer.step()
        for other in others:
            other.step()
    assert first_group(found) == run.rates.tolist()


def test_groups_keep_their_ratio_and_a_frozen_one_stays_frozen(run: Run) -> None:
    """The largest becomes the plan's peak, 0.8: a tenth of it and nothing for the others."""
    optimizer = adamw({"lr": 1e-4}, {"lr": 1e-3}, {"lr": 0.0}, lr=1e-3)
    scheduler = run.torch(optimizer)
    found = used(optimizer)
    optimizer.step()
    optimizer.step()
    assert found[0] == pytest.approx([0.08, 0.8, 0.0])
    assert found[1] == pytest.approx([0.07, 0.7, 0.0])
    assert [groups[1] for groups in found] == run.rates.tolist()[:2]
    assert [groups[2] for groups in found] == [0.0, 0.0]
    assert scheduler.base_lrs == pytest.approx([0.08, 0.8, 0.0])


def test_outside_a_sweep_the_groups_keep_their_own_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the largest is ``peak_lr`` nothing is scaled, so no last bit changes."""
    monkeypatch.delenv(VARIABLE, raising=False)
    optimizer = sgd({"lr": 0.3}, {"lr": 0.023})
    lrsweep.attach(peak_lr=0.3, total_steps=4).torch(optimizer)
    assert rates(optimizer) == [0.3, 0.023]


@pytest.mark.parametrize(
    ("given", "told"),
    [([0.0, 0.0], "are 0, 0; wanted"), ([0.1, -1.0], "are 0.1, -1; wanted"), ([0.1, math.nan], "are 0.1, nan; wanted")],
)
def test_rates_that_have_no_ratio_are_refused(run: Run, given: list[float], told: str) -> None:
    """All of them are told."""
    optimizer = sgd(*({"lr": 0.1} for _ in given))
    for group, rate in zip(optimizer.param_groups, given, strict=True):
        group["lr"] = rate
    with pytest.raises(ScheduleError, match=told):
        run.torch(optimizer)


def test_a_group_that_is_added_later_keeps_its_ratio_too(run: Run) -> None:
    """To the largest rate that the script gave at the start; the optimizer's default is the script's as well."""
    optimizer = sgd(lr=0.01)
    run.torch(optimizer)
    optimizer.step()
    optimizer.add_param_group({"params": [parameter()], "lr": 0.005})
    optimizer.add_param_group({"params": [parameter()]})
    optimizer.add_param_group({"params": [parameter()], "lr": 0.0})
    found = used(optimizer)
    optimizer.step()
    assert found == [pytest.approx([0.7, 0.35, 0.7, 0.0])]


def test_a_later_group_that_a_checkpoint_brings_keeps_its_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it is the plan's already, and no longer the script's."""
    in_sweep(monkeypatch, tmp_path)

    def start() -> tuple[torch.optim.Optimizer, Any]:
        optimizer = sgd(lr=0.01)
        scheduler = lrsweep.attach(peak_lr=1e-3).torch(optimizer)
        optimizer.add_param_group({"params": [parameter()], "lr": 0.005})
        return optimizer, scheduler

    optimizer, scheduler = start()
    optimizer.step()
    kept = through_a_file([optimizer.state_dict(), scheduler.state_dict()])
    optimizer, scheduler = start()
    optimizer.load_state_dict(kept[0])
    scheduler.load_state_dict(kept[1])
    assert rates(optimizer) == pytest.approx([0.7, 0.35])


def test_tensor_rates_are_filled_in_place(run: Run) -> None:
    """As compiled and captured steps read them by their address."""
    rate = torch.tensor(0.01)
    optimizer = adamw(lr=rate, foreach=False)
    run.torch(optimizer)
    found = used(optimizer)
    for _ in range(3):
        optimizer.step()
        optimizer.param_groups[0]["lr"].fill_(9.0)  # somebody else
    assert optimizer.param_groups[0]["lr"] is rate
    assert first_group(found) == pytest.approx([0.8, 0.7, 0.6], rel=1e-6)


def test_a_momentum_that_cycles_is_the_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another scheduler cycles it."""
    schedule = lrsweep.schedule("one_cycle", cycle_momentum=True)
    in_sweep(monkeypatch, tmp_path, schedule=schedule)
    run = lrsweep.attach(peak_lr=1e-3)
    optimizer = sgd(lr=0.1, momentum=0.9)
    run.torch(optimizer)
    found: list[float] = []
    optimizer.register_step_pre_hook(lambda *_: found.append(optimizer.param_groups[0]["momentum"]))
    for _ in range(8):
        optimizer.step()
        optimizer.param_groups[0]["momentum"] = 0.123
    momenta = schedule.momenta(8)
    assert momenta is not None
    assert found == momenta.tolist()


@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_a_scaler_skips_do_not_count(run: Run, fused: bool) -> None:
    """PyTorch's own scaler on the CPU, with an infinite gradient in the second and third of five attempts."""
    optimizer = sgd(lr=0.1, fused=fused)
    run.torch(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    weight = optimizer.param_groups[0]["params"][0]
    counts = []
    for attempt in range(5):
        optimizer.zero_grad()
        scaler.scale(weight.sum() * (math.inf if attempt in (1, 2) else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        counts.append(run.updates)
    assert counts == [1, 1, 1, 2, 3]
    assert rates(optimizer) == pytest.approx([0.5])
    assert weight.tolist() == pytest.approx([-0.8 - 0.7 - 0.6] * 2)


def test_after_the_horizon_the_last_rate_holds_and_the_count_goes_on(run: Run) -> None:
    """The sweep then fails the training with both counts; the loop is not broken here."""
    optimizer = sgd(lr=0.1)
    run.torch(optimizer)
    for _ in range(11):
        optimizer.step()
    assert run.updates == 11
    assert rates(optimizer) == [0.0]


# ── what is not the plan ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rate_that_is_changed_in_the_midst_of_an_update_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both numbers; in that update nothing can be done any more."""
    plan = in_sweep(monkeypatch, tmp_path)
    run = lrsweep.attach(peak_lr=1e-3)
    optimizer = sgd({"lr": 0.1}, {"lr": 0.1})
    run.torch(optimizer)
    optimizer.step()
    optimizer.register_step_pre_hook(lambda *_: optimizer.param_groups[1].update(lr=0.25))
    optimizer.step()
    optimizer.step()
    [begin, told] = said(plan)
    assert begin == Begin(1)
    assert isinstance(told, Wrong)
    assert told.text.startswith("the rate of group 1 was 0.25 at update 2, and the plan says 0.7")


def test_a_step_that_is_not_the_number_of_updates_is_told_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that counts micro-batches or epochs hears so; it is not stopped in the midst of its loop."""
    plan = in_sweep(monkeypatch, tmp_path)
    run = lrsweep.attach(peak_lr=1e-3)
    optimizer = sgd(lr=0.1)
    run.torch(optimizer)
    optimizer.step()
    run.report(4, val_loss=0.5)
    run.report(5, val_loss=0.5)
    [_, told, *rest] = said(plan)
    assert isinstance(told, Wrong)
    assert told.text.startswith("the script reports step 4 when the optimizer has made 1 updates.")
    assert rest == [Report(4, {"val_loss": 0.5}, 1), Report(5, {"val_loss": 0.5}, 1)]


def test_a_second_optimizer_is_refused(run: Run) -> None:
    """As a GAN has; what to do instead is told."""
    run.torch(sgd(lr=0.1))
    with pytest.raises(ScheduleError, match=r"follows the updates of one optimizer.*run\.schedule\.torch"):
        run.torch(sgd(lr=0.1))


def test_an_optimizer_that_tells_no_updates_is_refused(run: Run) -> None:
    """Its updates could not be counted."""

    class Wrapper(torch.optim.Optimizer):
        def __init__(self) -> None:
            self.param_groups = [{"params": [], "lr": 0.1}]
            self.defaults = {}

    with pytest.raises(ScheduleError, match="Wrapper does not tell when it makes an update"):
        run.torch(Wrapper())


def test_a_wrapper_around_the_optimizer_is_looked_through(run: Run) -> None:
    """As Accelerate has one, which skips updates of its own while gradients are accumulated."""

    class Wrapper(torch.optim.Optimizer):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            self.optimizer = optimizer
            self.param_groups = optimizer.param_groups
            self.defaults = optimizer.defaults

        def step(self, closure: Any = None) -> Any:
            if len(calls) % 4 == 0:
                self.optimizer.step()

    calls: list[int] = []
    real = sgd(lr=0.1)
    wrapped = Wrapper(real)
    run.torch(wrapped)
    found = used(real)
    for call in range(1, 13):
        calls.append(call)
        wrapped.step()
    assert first_group(found) == run.rates.tolist()[:3]
    assert run.updates == 3


def test_metrics_and_epochs_given_to_the_scheduler_are_refused(run: Run) -> None:
    """The sweep would not hear them."""
    scheduler = run.torch(sgd(lr=0.1))
    with pytest.raises(ScheduleError, match=r"run\.report\(step, val_loss"):
        scheduler.step(0.5)
    with pytest.raises(ScheduleError, match=r"run\.report\(step, val_loss"):
        scheduler.report(0.5)


# ── resume ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", ["optimizer", "scheduler", "before"])
@pytest.mark.parametrize("at", [0, 3, 8])
def test_a_resumed_training_goes_on_with_the_same_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, at: int
) -> None:
    """Through a file of plain data, whichever state is loaded first, with ratios that do not divide evenly."""
    in_sweep(monkeypatch, tmp_path)

    def start() -> tuple[Run, torch.optim.Optimizer]:
        return lrsweep.attach(peak_lr=1e-3), adamw({"lr": 3e-5}, {"lr": 7e-4}, {"lr": 0.0})

    run, optimizer = start()
    scheduler = run.torch(optimizer)
    for _ in range(at):
        optimizer.step()
    kept = through_a_file({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()})
    expected = used(optimizer)
    for _ in range(at, 10):
        optimizer.step()

    run, optimizer = start()
    if order == "before":
        optimizer.load_state_dict(kept["optimizer"])
    scheduler = run.torch(optimizer)
    if order == "scheduler":
        scheduler.load_state_dict(kept["scheduler"])
    if order != "before":
        optimizer.load_state_dict(kept["optimizer"])
    if order != "scheduler":
        scheduler.load_state_dict(kept["scheduler"])
    assert run.updates == at
    found = used(optimizer)
    for _ in range(at, 10):
        optimizer.step()
    assert found == expected


def test_without_the_schedulers_state_the_script_says_how_far_it_is(run: Run) -> None:
    """``updates_done``, as of a checkpoint that another program wrote."""
    optimizer = sgd(lr=0.1)
    run.torch(optimizer, updates_done=5)
    found = used(optimizer)
    optimizer.step()
    assert first_group(found) == pytest.approx([0.3])
    assert run.updates == 6


def test_a_state_of_another_plan_is_refused(run: Run) -> None:
    """With what differs."""
    other = sgd(lr=0.1)
    state = lrsweep.schedule("cosine").torch(other, 8, peak_lr=0.8).state_dict()
    with pytest.raises(ScheduleError, match="family: stored 'cosine', given 'linear'"):
        run.torch(sgd(lr=0.1)).load_state_dict(state)


def test_a_copy_of_the_scheduler_in_another_process_goes_on(run: Run) -> None:
    """Launchers send the run and what hangs on it through pickle."""
    optimizer = sgd(lr=0.1)
    scheduler = run.torch(optimizer)
    optimizer.step()
    copied = pickle.loads(pickle.dumps(scheduler))
    copied.optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    copied.optimizer.step()
    assert copied.last_epoch == 2
    assert rates(copied.optimizer) == pytest.approx([0.6])
    assert (scheduler.last_epoch, run.updates) == (1, 1)


# ── schedules that react ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reported_metric_moves_the_rates_from_the_next_update_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit as a replay of the same metrics, and only the plan's metric is heard."""
    schedule = lrsweep.schedule("greedy", floor=0.01, warmup=0.1, base=lrsweep.schedule("cosine"))
    in_sweep(monkeypatch, tmp_path, schedule=schedule, total_steps=40, metric="loss")
    run = lrsweep.attach(peak_lr=1e-3)
    optimizer = sgd(lr=0.1)
    run.torch(optimizer)
    found = used(optimizer)
    metrics = {5: 1.0, 10: 0.9, 15: math.nan, 20: 0.95, 25: 0.7, 30: 0.6, 35: 0.8}
    for step in range(1, 41):
        optimizer.step()
        if step in metrics:
            run.report(step, loss=torch.tensor(metrics[step], dtype=torch.float64, requires_grad=True), acc=step)
    assert first_group(found) == schedule.replay(metrics, 40, 0.8).tolist()
    assert len(set(first_group(found))) > 30


def test_a_checkpoint_from_before_the_evaluation_hears_it_from_the_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved after update 4, evaluated, killed: the sweep knows the metric at 4, and so the resumed training must."""
    plan = in_sweep(monkeypatch, tmp_path, schedule=PLATEAU)
    run = lrsweep.attach(peak_lr=1e-3)
    optimizer = sgd(lr=0.1)
    scheduler = run.torch(optimizer)
    for step in range(1, 5):
        optimizer.step()
        kept = through_a_file(scheduler.state_dict())
        run.report(step, val_loss=float(step))
    assert rates(optimizer) == [0.1]
    optimizer.step()
    run.report(5, val_loss=5.0)  # after the checkpoint: the resumed training does this anew
    assert rates(optimizer) == [0.05]
    resumed = sgd(lr=0.1)
    lrsweep.attach(peak_lr=1e-3).torch(resumed).load_state_dict(kept)
    assert rates(resumed) == [0.1]
    assert [line.step for line in said(plan) if isinstance(line, Report)] == [1, 2, 3, 4, 5]


def test_updates_done_says_what_a_reactive_schedule_has_heard_in_a_sweep_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are reports; outside a sweep it is refused, with what to save."""
    plan = in_sweep(monkeypatch, tmp_path, schedule=PLATEAU)
    append(plan.reports, [Report(2, {"val_loss": 1.0}), Report(4, {"val_loss": 2.0})])
    optimizer = sgd(lr=0.1)
    lrsweep.attach(peak_lr=1e-3).torch(optimizer, updates_done=5)
    assert rates(optimizer) == [0.4]
    monkeypatch.delenv(VARIABLE)
    outside = lrsweep.attach(peak_lr=1e-3, total_steps=8, schedule=PLATEAU)
    with pytest.raises(ScheduleError, match=r"nobody knows what it has heard in 5 updates; save scheduler\.state_dict"):
        outside.torch(sgd(lr=0.1), updates_done=5)


def test_outside_a_sweep_a_reactive_schedule_goes_on_from_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has heard is in the checkpoint."""
    monkeypatch.delenv(VARIABLE, raising=False)

    def start() -> tuple[Run, Any, Any]:
        run, optimizer = lrsweep.attach(peak_lr=0.8, total_steps=8, schedule=PLATEAU), sgd(lr=0.1)
        return run, optimizer, run.torch(optimizer)

    run, optimizer, scheduler = start()
    for step, loss in enumerate([1.0, 2.0, 0.5], start=1):
        optimizer.step()
        run.report(step, val_loss=loss)
    kept = through_a_file(scheduler.state_dict())
    run, resumed, scheduler = start()
    scheduler.load_state_dict(kept)
    assert rates(resumed) == [0.4]
    resumed.step()
    run.report(4, val_loss=0.6)  # worse than 0.5, which was heard before the resume
    assert rates(resumed) == [0.2]


def test_a_reactive_schedule_that_hears_nothing_says_so_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rates were a constant's, which nobody asked for."""
    in_sweep(monkeypatch, tmp_path, schedule=PLATEAU, total_steps=2)
    run = lrsweep.attach(peak_lr=1e-3)
    optimizer = sgd(lr=0.1)
    run.torch(optimizer)
    optimizer.step()
    with pytest.warns(UserWarning, match=r"2 updates have ended without one.*run\.report"):
        optimizer.step()


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_outside_a_sweep_pytorchs_random_numbers_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script with and without attach trains the same model."""
    monkeypatch.delenv(VARIABLE, raising=False)
    before = torch.get_rng_state(), dict(os.environ)
    run = lrsweep.attach(peak_lr=0.1, total_steps=4)
    optimizer = sgd(lr=0.1)
    run.torch(optimizer)
    optimizer.step()
    run.report(1, val_loss=torch.tensor(0.5))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == dict(os.environ)


def test_updates_of_a_compiled_model_are_counted(run: Run) -> None:
    """Compilation patches optimizers; the hooks stay."""
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run.torch(optimizer)
    compiled: Any = torch.compile(model, backend="eager")
    for _ in range(3):
        compiled(torch.ones(4, 2)).sum().backward()
        optimizer.step()
    assert run.updates == 3
    assert rates(optimizer) == pytest.approx([0.5])
