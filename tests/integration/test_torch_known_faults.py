"""Faults of PyTorch's own schedulers, each with its issue: what ``s.torch`` does where they go wrong.

Where a test shows both, PyTorch's value is the one measured; it may be mended there some day, and the assertion on it
then goes.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from torch.optim import lr_scheduler as theirs

import lrsweep
from lrsweep import ScheduleError
from tests.optimizers import parameter, rates, sgd, updates

COSINE = lrsweep.schedule("cosine")


def test_a_longer_horizon_in_the_middle_gives_the_longer_curve() -> None:
    """T_max 100 -> 200 after 50 steps (pytorch#184517): PyTorch goes on from the rate before, to .04967 at step 51;
    the curve of 200 steps has .08480 there."""
    state = COSINE.torch(sgd(lr=0.1), 100).state_dict() | {"step": 50}
    optimizer = sgd(lr=0.1)
    scheduler = COSINE.torch(optimizer, 200, on_conflict="given")
    scheduler.load_state_dict(state)
    scheduler.step()
    assert rates(optimizer)[0] == pytest.approx(0.08480, abs=5e-6)


def test_a_cosine_stays_down_after_its_end() -> None:
    """CosineAnnealingLR climbs back to the whole rate in as many steps again, without an error."""
    optimizer, other = sgd(lr=0.1), sgd(lr=0.1)
    ours, wrong = COSINE.torch(optimizer, 10), theirs.CosineAnnealingLR(other, T_max=10)
    for _ in range(20):
        other.step()
        ours.step()
        wrong.step()
    assert rates(optimizer) == [0.0]
    assert rates(other) == pytest.approx([0.1])


def test_one_cycle_does_not_stop_a_training_that_goes_on() -> None:
    """OneCycleLR raises a ValueError at the 11th step of 10 (pytorch#38170)."""
    optimizer = sgd(lr=0.1)
    s = lrsweep.schedule("one_cycle")
    scheduler = s.torch(optimizer, 10)
    for _ in range(11):
        scheduler.step()
    assert rates(optimizer) == pytest.approx([0.1 * s.factor(1.0)])


@pytest.mark.parametrize("loaded", ["scheduler alone", "optimizer before the scheduler is made", "both after"])
def test_a_warm_up_and_a_cosine_resume_where_they_were(loaded: str) -> None:
    """SequentialLR of a warm-up of 5 and a cosine of 15 (pytorch#162591). Right are .075, .0655, .0552, .0448.

    Resumed with ``last_epoch=9`` it gives .1, .0724, .0479, .0276; with its state alone, or the optimizer's loaded
    first, it begins with .01.
    """
    s = lrsweep.schedule("cosine", warmup="5 steps")
    optimizer = sgd(lr=0.1)
    scheduler = s.torch(optimizer, 20)
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    states = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    optimizer = sgd(lr=0.1)
    if loaded.startswith("optimizer"):
        optimizer.load_state_dict(states[0])
    scheduler = s.torch(optimizer, 20)
    if loaded.startswith("both"):
        optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    got = [groups[0]["lr"] for groups in updates(optimizer, scheduler, [None] * 4)]
    assert got == pytest.approx([0.075, 0.0655, 0.0552, 0.0448], abs=5e-5)


def test_a_function_is_known_by_its_place_in_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LambdaLR stores ``[None]``, and goes on with another function silently."""
    (tmp_path / "curves_of_mine.py").write_text("def one(u): return 1.0 - u\ndef two(u): return (1.0 - u) ** 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    one, two = (lrsweep.schedule("function", path=f"curves_of_mine:{f}", allow_code=True) for f in ("one", "two"))
    state = one.torch(sgd(lr=0.1), 10).state_dict()
    assert "curves_of_mine:one" in state["schedule"]
    with pytest.raises(ScheduleError, match="path: stored 'curves_of_mine:one', given 'curves_of_mine:two'"):
        two.torch(sgd(lr=0.1), 10).load_state_dict(state)
    silent = theirs.LambdaLR(sgd(lr=0.1), lambda _: 1.0)
    silent.load_state_dict(theirs.LambdaLR(sgd(lr=0.1), lambda _: 0.5).state_dict())


def test_the_state_of_another_family_is_refused() -> None:
    """CosineAnnealingLR takes that of an ExponentialLR silently."""
    state = lrsweep.schedule("exponential").torch(sgd(lr=0.1), 10).state_dict()
    with pytest.raises(ScheduleError, match="family: stored 'exponential', given 'cosine'"):
        COSINE.torch(sgd(lr=0.1), 10).load_state_dict(state)
    silent = theirs.CosineAnnealingLR(sgd(lr=0.1), T_max=10)
    silent.load_state_dict(theirs.ExponentialLR(sgd(lr=0.1), 0.9).state_dict())


def test_another_horizon_is_refused_or_chosen() -> None:
    """A resume that asks for 500 steps silently becomes the stored 100 in PyTorch."""
    state = COSINE.torch(sgd(lr=0.1), 100).state_dict()
    with pytest.raises(ScheduleError, match="total_steps: stored 100, given 500"):
        COSINE.torch(sgd(lr=0.1), 500).load_state_dict(state)
    for on_conflict, total_steps in (("stored", 100), ("given", 500)):
        scheduler = COSINE.torch(sgd(lr=0.1), 500, on_conflict=on_conflict)
        scheduler.load_state_dict(state)
        assert scheduler.total_steps == total_steps


def test_an_optimizer_that_decayed_to_0_recovers() -> None:
    """A new CosineAnnealingLR on it stays at 0 for ever (cf. pytorch#78003). A peak starts it again, as does the one
    that the groups know; where there is neither, that is said."""
    optimizer = sgd(lr=0.1)
    scheduler = COSINE.torch(optimizer, 10)
    for _ in range(10):
        scheduler.step()
    assert rates(optimizer) == [0.0]
    COSINE.torch(optimizer, 10)
    assert rates(optimizer) == [0.1]
    rebuilt = sgd(lr=0.0)
    with pytest.raises(ScheduleError) as refused:
        COSINE.torch(rebuilt, 10)
    assert str(refused.value) == (
        "peak_lr: the peak of group 0 must be a finite number above 0, not 0.0, its own 'lr', which counts where no "
        "peak_lr is given. An optimizer whose rate has decayed to 0 recovers with a peak: "
        "s.torch(optimizer, total_steps, peak_lr=0.1)"
    )
    COSINE.torch(rebuilt, 10, peak_lr=0.1)
    assert rates(rebuilt) == [0.1]


@pytest.mark.parametrize("name", ["cosine_restarts", "step", "cyclic"])
def test_a_group_may_be_added_to_any_family(name: str) -> None:
    """LambdaLR and CosineAnnealingWarmRestarts raise ``zip() argument 2 is shorter`` (pytorch#79888)."""
    optimizer = sgd(lr=0.1)
    scheduler = lrsweep.schedule(name).torch(optimizer, 10)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.05})
    for _ in range(5):
        optimizer.step()
        assert rates(optimizer)[1] == pytest.approx(rates(optimizer)[0] / 2)
        scheduler.step()


def test_a_negative_metric_that_gets_worse_is_worse() -> None:
    """−1, −.95, −.92, −.9 to be minimised: ReduceLROnPlateau takes each for an improvement (pytorch#47513, #38622)."""
    metrics = [-1.0, -0.95, -0.92, -0.9]
    optimizer, other = sgd(lr=0.1), sgd(lr=0.1)
    ours = lrsweep.schedule("plateau", patience=1, threshold=0.1).torch(optimizer, 10)
    wrong = theirs.ReduceLROnPlateau(other, patience=1, threshold=0.1)
    for metric in metrics:
        ours.step(metric)
        wrong.step(metric)
    assert rates(optimizer) == pytest.approx([0.01])
    assert rates(other) == [0.1]


def test_a_plateau_is_stepped_with_and_without_a_metric() -> None:
    """``step()`` and ``step(None)`` of ReduceLROnPlateau are TypeErrors, so that every update needs an evaluation."""
    optimizer = sgd(lr=0.1)
    scheduler = lrsweep.schedule("plateau", patience=0, gamma=0.5).torch(optimizer, 10)
    for metric in (None, 1.0, None, 1.0, None):
        scheduler.step(metric)
    assert rates(optimizer) == [0.05]
    assert scheduler.last_epoch == 5


def test_a_plateau_after_a_warm_up_and_inside_a_sequence_is_a_schedule_like_any() -> None:
    """SequentialLR and ChainedScheduler refuse ReduceLROnPlateau (pytorch#68978, #110761)."""
    plateau = lrsweep.schedule("plateau", patience=0, gamma=0.5, warmup="1 step")
    s = lrsweep.sequence((lrsweep.schedule("linear", floor=0.5), 0.5), (plateau, 0.5))
    optimizer = sgd(lr=0.8)
    scheduler = s.torch(optimizer, 8)
    got = [groups[0]["lr"] for groups in updates(optimizer, scheduler, [1.0] * 8)]
    # Four steps of the linear part, a step of warm-up, then drops from the second evaluation that the plateau hears.
    assert got == pytest.approx([0.8, 0.7, 0.6, 0.5, 0.4, 0.8, 0.8, 0.4])


def test_a_warm_up_on_a_floor_is_the_curve_it_says() -> None:
    """ChainedScheduler of LinearLR and a cosine with ``eta_min`` gives .09796 where .09780 is meant; nothing here is
    computed from the rate before, so that each step is the formula's, at any floor."""
    s = lrsweep.schedule("cosine", warmup="2 steps", floor=0.5)
    optimizer = sgd(lr=0.8)
    scheduler = s.torch(optimizer, 4)
    got = [groups[0]["lr"] for groups in updates(optimizer, scheduler, [None] * 4)]
    assert got == pytest.approx([0.8 / 3, 1.6 / 3, 0.8, 0.6])


def test_a_new_process_needs_no_initial_lr_in_the_groups() -> None:
    """A scheduler made with ``last_epoch`` on a fresh optimizer is a KeyError (pytorch#60265, #160626)."""
    scheduler = COSINE.torch(sgd(lr=0.1), 10)
    for _ in range(5):
        scheduler.step()
    optimizer = sgd(lr=0.1)
    assert "initial_lr" not in optimizer.param_groups[0]
    COSINE.torch(optimizer, 10).load_state_dict(scheduler.state_dict())
    assert rates(optimizer) == pytest.approx([0.05])


def test_a_floor_is_a_fraction_of_each_groups_own_peak() -> None:
    """An absolute ``eta_min`` is a tenth of one group's rate and above the other's."""
    optimizer = sgd({"lr": 1.0}, {"lr": 0.01}, lr=0.1)
    scheduler = lrsweep.schedule("cosine", floor=0.1).torch(optimizer, 4)
    for _ in range(4):
        scheduler.step()
    assert rates(optimizer) == pytest.approx([0.1, 0.001])


def test_groups_may_have_different_curves() -> None:
    """All groups of one scheduler of PyTorch's have one curve, LambdaLR's apart (pytorch#67761, #101082)."""
    by_name: Any = lrsweep.grouped({"body": COSINE, "head": lrsweep.schedule("linear", floor=0.5)})
    optimizer = sgd({"name": "body"}, {"name": "head"}, lr=1.0)
    scheduler = by_name.torch(optimizer, 4)
    for _ in range(4):
        scheduler.step()
    assert rates(optimizer) == pytest.approx([0.0, 0.5])
