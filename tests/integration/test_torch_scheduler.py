"""``s.torch``: a schedule as one of PyTorch's schedulers, step by step."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

import lrsweep
from lrsweep import NeedsMetric, ScheduleError
from lrsweep.schedules.course import Course
from tests.optimizers import adamw, parameter, rates, seen, sgd, updates

COSINE = lrsweep.schedule("cosine")
LINEAR = lrsweep.schedule("linear")
DEFAULTS = [name for name in lrsweep.family_names() if name not in ("table", "function")]


def test_it_is_a_scheduler_of_pytorch_and_steps_through_the_rates() -> None:
    """Four updates of a linear schedule by hand, and the names that trainers look for."""
    optimizer = sgd(lr=0.8)
    scheduler = LINEAR.torch(optimizer, 4)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    got = []
    for step in range(4):
        assert scheduler.last_epoch == step
        got.append(rates(optimizer)[0])
        assert scheduler.get_last_lr() == scheduler.get_lr() == [got[-1]]
        optimizer.step()
        scheduler.step()
    assert got == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert scheduler.optimizer is optimizer
    assert scheduler.base_lrs == [0.8]
    assert repr(scheduler) == "<lrsweep.schedule('linear') at step 4 of 4>"


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("total_steps", [1, 2, 30])
def test_every_family_steps_through_its_own_rates_to_the_last_bit(name: str, total_steps: int) -> None:
    """Reactive ones as in a replay of the same metrics; with a warm-up and a floor."""
    s = lrsweep.schedule(name, warmup=0.1, floor=0.01)
    metrics: list[float | None] = [1.0 / (1 + step // 4) for step in range(total_steps)]
    optimizer = sgd(lr=1.0)
    scheduler = s.torch(optimizer, total_steps, peak_lr=0.3)
    if not s.needs_metric:
        metrics = [None] * total_steps
        expected = s.rates(total_steps, peak_lr=0.3)
    else:
        expected = s.replay({step + 1: m for step, m in enumerate(metrics) if m is not None}, total_steps, peak_lr=0.3)
    assert [groups[0]["lr"] for groups in updates(optimizer, scheduler, metrics)] == expected.tolist()


@pytest.mark.parametrize("name", DEFAULTS)
def test_past_the_end_the_value_at_the_end_holds(name: str) -> None:
    """No rise, no negative rate and no error in twice as many steps as there are (pytorch#38170)."""
    s = lrsweep.schedule(name, floor=0.25)
    optimizer = sgd(lr=0.4)
    scheduler = s.torch(optimizer, 10)
    for _ in range(9):
        scheduler.step()
    with pytest.warns(UserWarning, match="have ended without one") if s.needs_metric else nullcontext():
        scheduler.step()
    course = s.course(10)
    end = 0.4 * course.factor(10, course.begin())
    for _ in range(10):
        assert rates(optimizer) == [end]
        scheduler.step(*([1.0] if s.needs_metric else []))


def test_the_first_update_of_a_warm_up_moves_the_parameters() -> None:
    """Its rate is the peak's fourth part in a warm-up of three steps; a rate of 0 would waste the update."""
    optimizer = sgd(lr=0.8)
    lrsweep.schedule("constant", warmup="3 steps").torch(optimizer, 10)
    optimizer.step()
    assert optimizer.param_groups[0]["params"][0].tolist() == pytest.approx([-0.2, -0.2])


def test_stepping_never_warns_about_the_order_of_calls() -> None:
    """PyTorch warns when its own are stepped before an update; a schedule that counts steps has no such order."""
    optimizer = sgd(lr=0.1)
    scheduler = COSINE.torch(optimizer, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
        scheduler.step()


def test_a_rate_that_somebody_else_wrote_lasts_for_one_step() -> None:
    """Nothing is computed from the rate before."""
    optimizer = sgd(lr=0.8)
    scheduler = LINEAR.torch(optimizer, 4)
    optimizer.param_groups[0]["lr"] = 123.0
    scheduler.step()
    assert rates(optimizer) == pytest.approx([0.6])


# ── peaks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("peak_lr", "expected"),
    [
        (None, [0.5, 0.05]),
        (0.2, [0.1, 0.1]),
        (1, [0.5, 0.5]),
        ([0.2, 0.4], [0.1, 0.2]),
        ((0.2, torch.tensor(0.5)), [0.1, 0.25]),
        (np.array([0.2, 0.4]), [0.1, 0.2]),
        (torch.tensor(0.5), [0.25, 0.25]),
        ({"head": 0.4, "body": 0.2}, [0.1, 0.2]),
    ],
)
def test_a_peak_is_one_for_all_or_each_groups_own(peak_lr: Any, expected: list[float]) -> None:
    """At half of a linear schedule; the groups' own rates are 1 and 0.1."""
    optimizer = sgd({"lr": 1.0, "name": "body"}, {"lr": 0.1, "name": "head"}, lr=0.7)
    scheduler = LINEAR.torch(optimizer, 2, peak_lr=peak_lr)
    scheduler.step()
    assert rates(optimizer) == pytest.approx(expected)
    assert [2 * rate for rate in expected] == pytest.approx(scheduler.base_lrs)


@pytest.mark.parametrize(
    ("peak_lr", "told"),
    [
        (0, "peak_lr must be a finite number above 0, not 0: the largest rate"),
        (float("nan"), "peak_lr must be a finite number above 0, not nan: the largest rate"),
        ([0.1], "peak_lr: 1 peaks for 2 parameter groups; wanted one each"),
        ([0.1, -1.0], "peak_lr: the peak of group 1 ('head') must be a finite number above 0, not -1.0"),
        ("0.1", "peak_lr: must be a number, a list with one per group, or a mapping by the groups' names, not '0.1'"),
        (True, "peak_lr: must be a number, a list with one per group, or a mapping by the groups' names, not True"),
        (
            {"body": 0.1, "haed": 0.2},
            "peak_lr: the peaks are for 'body', 'haed', and the optimizer's groups are 'body', 'head'; "
            "wanted the same names: a group has its name in group['name']",
        ),
    ],
)
def test_a_peak_that_cannot_be_meant_is_refused_and_nothing_is_written(peak_lr: Any, told: str) -> None:
    """The optimizer is as it was."""
    optimizer = sgd({"name": "body"}, {"name": "head"}, lr=0.7)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ScheduleError) as refused:
        LINEAR.torch(optimizer, 2, peak_lr=peak_lr)
    assert str(refused.value) == told
    assert optimizer.state_dict() == before


def test_all_peaks_that_are_wrong_are_told_at_once() -> None:
    """Two groups of three."""
    with pytest.raises(ScheduleError) as refused:
        LINEAR.torch(sgd({}, {}, {}, lr=0.7), 2, peak_lr=[0.1, -1.0, 0.0])
    assert "2 problems" in str(refused.value)
    assert "group 1 must" in str(refused.value)
    assert "group 2 must" in str(refused.value)


def test_what_is_no_optimizer_horizon_or_policy_is_refused() -> None:
    """With what was given and what is wanted."""
    given: Any = parameter()
    with pytest.raises(ScheduleError, match=r"wanted a torch\.optim\.Optimizer, not Parameter"):
        LINEAR.torch(given, 2)
    with pytest.raises(ScheduleError, match="torch: total_steps must be a whole number of 1 or more, not 0"):
        LINEAR.torch(sgd(lr=0.1), 0)
    with pytest.raises(ScheduleError, match=r"on_conflict must be one of .*, not 'store'\. Did you mean 'stored'\?"):
        LINEAR.torch(sgd(lr=0.1), 2, on_conflict="store")
    with pytest.raises(ScheduleError, match="300 steps"):
        lrsweep.schedule("linear", warmup="300 steps").torch(sgd(lr=0.1), 200)


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PLATEAU = lrsweep.schedule("plateau", patience=0, gamma=0.5)


def test_a_metric_reaches_the_schedule_with_the_step_or_by_itself() -> None:
    """Patience 0: the first evaluation that is not better halves the rate from the next update on."""
    optimizer = sgd(lr=0.8)
    scheduler = PLATEAU.torch(optimizer, 10)
    scheduler.step(1.0)
    scheduler.step()
    scheduler.step()  # updates without an evaluation change nothing
    assert rates(optimizer) == [0.8]
    scheduler.step(1.0)
    assert rates(optimizer) == [0.4]
    scheduler.report(torch.tensor([1.0], requires_grad=True))  # as a loss is
    assert rates(optimizer) == [0.2]
    assert scheduler.last_epoch == 4
    scheduler.report(np.float32(0.5))
    assert rates(optimizer) == [0.2]


@pytest.mark.parametrize("s", [PLATEAU, lrsweep.grouped({"all": PLATEAU})], ids=["schedule", "grouped"])
def test_a_metric_that_never_came_is_told_once_at_the_end(s: Any) -> None:
    """At the last update of the horizon, with what to call; the rates are written nevertheless."""
    optimizer = sgd({"name": "all"}, lr=0.8)
    scheduler = s.torch(optimizer, 3)
    scheduler.step()
    scheduler.step()
    with pytest.warns(UserWarning, match=r"its 3 steps have ended without one: .*call \.step\(metric\)$") as said:
        scheduler.step()
    assert len(said) == 1
    assert said[0].filename == __file__
    scheduler.step()
    assert rates(optimizer) == [0.8]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_metric_is_enough_for_the_end_to_be_silent(at: int) -> None:
    """With any update, the last too, with a report, or before the state that a training goes on from."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for told in ("with a step", "with a report", "before a resume"):
            scheduler = PLATEAU.torch(sgd(lr=0.8), 3)
            for step in range(3):
                if step == at and told == "with a report":
                    scheduler.report(1.0)
                scheduler.step(*([1.0] if step == at and told != "with a report" else []))
                if step == at and told == "before a resume" and step < 2:
                    state = scheduler.state_dict()
                    scheduler = PLATEAU.torch(sgd(lr=0.8), 3)
                    scheduler.load_state_dict(state)
    assert [str(one.message) for one in said] == []


def test_a_training_that_goes_on_without_a_metric_is_told_as_well() -> None:
    """What was heard before another state was loaded does not count."""
    state = PLATEAU.torch(sgd(lr=0.8), 3).state_dict()
    scheduler = PLATEAU.torch(sgd(lr=0.8), 3)
    scheduler.step(1.0)
    scheduler.load_state_dict(state)
    scheduler.step()
    scheduler.step()
    with pytest.warns(UserWarning, match="have ended without one"):
        scheduler.step()


def test_a_metric_that_is_nan_brings_no_improvement_and_no_error() -> None:
    """The policy of all reactive schedules: it counts as an evaluation, and never becomes the best."""
    optimizer = sgd(lr=0.8)
    scheduler = PLATEAU.torch(optimizer, 10)
    scheduler.step(float("nan"))
    assert rates(optimizer) == [0.4]
    scheduler.step(3.0)
    assert rates(optimizer) == [0.4]


@pytest.mark.parametrize("metric", ["0.5", True, torch.ones(2), [1.0], 1j])
def test_a_metric_that_is_no_number_is_refused_and_the_step_not_counted(metric: Any) -> None:
    """None too, where a report of one was wanted."""
    scheduler = PLATEAU.torch(sgd(lr=0.8), 10)
    with pytest.raises(ScheduleError, match=r"the metric must be a number, not .*call step\(\) without one"):
        scheduler.step(metric)
    assert scheduler.last_epoch == 0
    nothing: Any = None
    with pytest.raises(ScheduleError, match="the metric must be a number, not None"):
        scheduler.report(nothing)


def test_a_metric_for_a_schedule_that_needs_none_is_refused() -> None:
    """Also an epoch number, which old schedulers took."""
    scheduler = COSINE.torch(sgd(lr=0.8), 10)
    for call in (scheduler.step, scheduler.report):
        with pytest.raises(ScheduleError, match=r"lrsweep\.schedule\('cosine'\) needs no metric, and 3 was given"):
            call(3)
    assert scheduler.last_epoch == 0


# ── momentum and weight decay ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("make", "key"), [(sgd, "momentum"), (adamw, "beta1")])
def test_a_momentum_that_cycles_is_written_at_each_step(make: Callable[..., Any], key: str) -> None:
    """SGD's momentum or Adam's beta1; after the end the last one holds."""
    s = lrsweep.schedule("one_cycle", rise=0.5, cycle_momentum=True, momentum_low=0.8, momentum_high=0.9)
    optimizer = make(lr=0.1)
    scheduler = s.torch(optimizer, 4)
    momenta = s.momenta(4)
    assert momenta is not None
    assert momenta.tolist() == pytest.approx([0.9, 0.85, 0.8, 0.85])
    got = [groups[0][key] for groups in updates(optimizer, scheduler, [None] * 4)]
    assert got == momenta.tolist()
    scheduler.step()
    assert seen(optimizer)[0][key] == momenta[-1]


def test_a_momentum_is_left_alone_where_nothing_cycles_it() -> None:
    """It is the optimizer's."""
    optimizer = sgd(lr=0.1, momentum=0.6)
    COSINE.torch(optimizer, 4).step()
    assert seen(optimizer)[0]["momentum"] == 0.6


def test_cycling_a_momentum_that_an_optimizer_lacks_is_refused() -> None:
    """Adagrad has none."""
    s = lrsweep.schedule("one_cycle", cycle_momentum=True)
    with pytest.raises(ScheduleError, match="Adagrad has neither 'momentum' nor 'betas'"):
        s.torch(torch.optim.Adagrad([parameter()], lr=0.1), 4)


def test_a_weight_decay_follows_a_schedule_from_each_groups_own_peak() -> None:
    """The rate stays, the decays halve; a group without weight decay keeps none."""
    optimizer = adamw({"weight_decay": 0.4}, {"weight_decay": 0.0}, {}, lr=0.1, weight_decay=0.2)
    scheduler = lrsweep.schedule("constant").torch(optimizer, 2, weight_decay=LINEAR)
    assert [group["weight_decay"] for group in seen(optimizer)] == [0.4, 0.0, 0.2]
    scheduler.step()
    assert [group["weight_decay"] for group in seen(optimizer)] == pytest.approx([0.2, 0.0, 0.1])
    assert rates(optimizer) == [0.1, 0.1, 0.1]


def test_a_weight_decay_that_nothing_has_or_that_reacts_is_refused() -> None:
    """A schedule that changes nothing is a mistake."""
    with pytest.raises(ScheduleError, match="no group of the optimizer has a weight decay above 0"):
        COSINE.torch(sgd(lr=0.1), 2, weight_decay=LINEAR)
    with pytest.raises(ScheduleError, match="weight_decay must be a time-driven schedule"):
        COSINE.torch(adamw(lr=0.1), 2, weight_decay=PLATEAU)


# ── schedules by name ────────────────────────────────────────────────────────────────────────────────────────────────


def test_groups_follow_the_schedules_of_their_names() -> None:
    """In any order of the optimizer; the multiplier is of the peak, and the rates are those of ``Grouped.rates``."""
    by_name = lrsweep.grouped({"body": (LINEAR, 0.1), "head": lrsweep.schedule("constant")}, weight_decay=LINEAR)
    optimizer = adamw({"name": "head"}, {"name": "body"}, lr=1.0, weight_decay=0.2)
    scheduler = by_name.torch(optimizer, 4, peak_lr=0.5)
    got = list(updates(optimizer, scheduler, [None] * 4))
    expected = by_name.rates(4, peak_lr=0.5)
    assert [groups[0]["lr"] for groups in got] == expected["head"].tolist() == [0.5] * 4
    assert [groups[1]["lr"] for groups in got] == expected["body"].tolist()
    assert [groups[1]["lr"] for groups in got] == pytest.approx([0.05, 0.0375, 0.025, 0.0125])
    assert [groups[0]["weight_decay"] for groups in got] == pytest.approx([0.2, 0.15, 0.1, 0.05])


def test_groups_with_one_schedule_are_laid_out_and_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal schedules too, whether time-driven or reactive; each group has its own multiple of the rate."""
    laid, computed, heard = Counter[str](), Counter[str](), Counter[str]()

    def counted(owner: Any, name: str, counter: Counter[str]) -> None:
        original = getattr(owner, name)

        def call(*given: Any) -> Any:
            counter[name] += 1
            return original(*given)

        monkeypatch.setattr(owner, name, call)

    counted(type(PLATEAU), "course", laid)
    counted(Course, "factor", computed)
    counted(Course, "heard", heard)
    names = [f"layer {place}" for place in range(4)]
    by_name = lrsweep.grouped(
        {
            name: (lrsweep.schedule("plateau", patience=0, gamma=0.5), 1 / (1 + place))
            for place, name in enumerate(names)
        }
        | {"head": LINEAR}
    )
    optimizer = sgd(*({"name": name} for name in [*names, "head"]), lr=1.2)
    scheduler = by_name.torch(optimizer, 4)
    assert laid["course"] == 1
    computed.clear()
    scheduler.step(1.0)
    assert (computed["factor"], heard["heard"]) == (2, 2)
    scheduler.step(1.0)
    assert rates(optimizer) == pytest.approx([0.6, 0.3, 0.2, 0.15, 0.6])


def test_a_reactive_group_beside_a_time_driven_one_hears_the_metric() -> None:
    """The other takes no notice."""
    by_name = lrsweep.grouped({"body": LINEAR, "head": PLATEAU})
    optimizer = sgd({"name": "body"}, {"name": "head"}, lr=0.8)
    scheduler = by_name.torch(optimizer, 4)
    scheduler.step(1.0)
    scheduler.step(2.0)
    assert rates(optimizer) == pytest.approx([0.4, 0.4])
    scheduler.step(2.0)
    assert rates(optimizer) == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (({"name": "body"}, {"name": "haed"}), "'body', 'haed'"),
        (({"name": "body"}, {}), r"'body', \(no name: group 1\)"),
        (({"name": "body"},), "'body'"),
    ],
)
def test_names_that_do_not_match_are_refused_with_both_lists(groups: tuple[dict[str, str], ...], told: str) -> None:
    """A name that is misspelt, missing, or has no group."""
    by_name = lrsweep.grouped({"body": LINEAR, "head": COSINE})
    with pytest.raises(ScheduleError, match=rf"groups 'body', 'head', and .* groups are {told}; wanted the same"):
        by_name.torch(sgd(*groups, lr=0.1), 4)


# ── copies, and what else a training does ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_of_both_goes_on_by_itself(copied: Callable[[Any], Any]) -> None:
    """Optimizer and scheduler copied together belong together, hooks included; the originals stay where they are."""
    optimizer = sgd(lr=0.8)
    scheduler = LINEAR.torch(optimizer, 4)
    scheduler.step()
    other_optimizer, other = copied((optimizer, scheduler))
    assert other.optimizer is other_optimizer
    other.step()
    other_optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    other_optimizer.step()
    assert rates(other_optimizer) == pytest.approx([0.4, 0.2])
    assert rates(optimizer) == pytest.approx([0.6])


def test_an_optimizer_is_pickled_without_its_scheduler() -> None:
    """A scheduler's hooks stay out of the file."""
    optimizer = sgd(lr=0.8)
    scheduler = LINEAR.torch(optimizer, 4)
    text = pickle.dumps(optimizer)
    assert b"lrsweep" not in text
    scheduler.step()
    assert rates(pickle.loads(text)) == [0.8]


def test_a_scheduler_that_nobody_keeps_writes_nothing_and_leaves_no_hook() -> None:
    """A second schedule for the same optimizer is not disturbed by the first."""
    optimizer = sgd(lr=0.8)
    first = LINEAR.torch(optimizer, 4)
    first.step()
    second = lrsweep.schedule("constant").torch(optimizer, 4)
    del first
    gc.collect()
    assert len(optimizer._optimizer_step_pre_hooks) == 1
    optimizer.load_state_dict(optimizer.state_dict())
    assert rates(optimizer) == second.get_last_lr() == [0.8]


def test_an_update_that_a_grad_scaler_skipped_counts_unless_it_is_not_told() -> None:
    """An overflow skips the optimizer's step; the schedule goes by the calls of its own."""
    optimizer = sgd(lr=0.8)
    scheduler = LINEAR.torch(optimizer, 4)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    weight = optimizer.param_groups[0]["params"][0]
    skipped = []
    for gradient in (float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale((weight * gradient).sum()).backward()
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        skipped.append(scaler.get_scale() < scale)
        if not skipped[-1]:
            scheduler.step()
    assert skipped == [True, False]
    assert rates(optimizer) == pytest.approx([0.6])
    assert weight.tolist() == pytest.approx([-0.8, -0.8])


def test_an_optimizer_that_takes_closures_is_served_as_well() -> None:
    """LBFGS calls the closure several times in one update, which is one step."""
    weight = parameter()
    optimizer = torch.optim.LBFGS([weight], lr=0.8)
    scheduler = LINEAR.torch(optimizer, 4)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = ((weight - 1.0) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(2):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        scheduler.step()
    assert rates(optimizer) == pytest.approx([0.4])
    assert closure().item() < 0.1


def test_a_wrapper_around_an_optimizer_is_followed_to_the_optimizer() -> None:
    """As some libraries wrap them: an Optimizer by its type, with the real one inside, and no hooks of its own."""

    class Wrapper(torch.optim.Optimizer):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            self.optimizer = optimizer
            self.param_groups = optimizer.param_groups
            self.defaults = optimizer.defaults

    inside = sgd(lr=0.8)
    scheduler = LINEAR.torch(Wrapper(inside), 4)
    scheduler.step()
    inside.add_param_group({"params": [parameter()], "lr": 0.4})
    inside.step()
    assert rates(inside) == pytest.approx([0.6, 0.3])


def test_rates_of_a_reactive_schedule_are_asked_of_the_scheduler_that_heard_the_metrics() -> None:
    """``rates`` needs them; ``rates_at`` has what is known now."""
    scheduler = PLATEAU.torch(sgd(lr=0.8), 4)
    with pytest.raises(NeedsMetric):
        PLATEAU.rates(4)
    assert scheduler.rates_at(3) == [0.8]
    scheduler.step(1.0)
    scheduler.step(1.0)
    assert scheduler.rates_at(3) == [0.4]
