"""A state that is not this training's: ``s.torch`` refuses it, or does what ``on_conflict`` says."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import lrsweep
from lrsweep import ScheduleError
from tests.optimizers import adamw, parameter, rates, sgd


def saved(s: Any, steps: int, total_steps: int = 100, metrics: Any = (), **options: Any) -> dict[str, Any]:
    """The state after some steps of a training with a peak of 0.1."""
    scheduler = s.torch(adamw(lr=0.1), total_steps, **options)
    for step in range(steps):
        scheduler.step(*metrics[step : step + 1])
    state: dict[str, Any] = scheduler.state_dict()
    return state


CHOICES = (
    "Choose one: give s.torch(...) what was stored; or on_conflict='stored', and what is stored replaces what is "
    "given; or on_conflict='given', and what is given goes on from the stored step"
)


def test_the_state_of_another_training_is_refused_with_every_difference() -> None:
    """Family, settings, horizon, peaks and weight decay, each stored and given, and what can be done."""
    state = saved(lrsweep.schedule("step", every=0.25), 7, weight_decay=lrsweep.schedule("linear"))
    optimizer = adamw(lr=0.2)
    scheduler = lrsweep.schedule("cosine", warmup=0.1).torch(optimizer, 500)
    before = scheduler.state_dict()
    with pytest.raises(ScheduleError) as refused:
        scheduler.load_state_dict(state)
    assert str(refused.value).splitlines() == [
        "scheduler state: it is that of another training, at step 7: 7 problems",
        "  family: stored 'step', given 'cosine'",
        "  every: stored 0.25, given nothing",
        "  gamma: stored 0.1, given nothing",
        "  warmup: stored 0.0, given 0.1",
        "  total_steps: stored 100, given 500",
        "  peak of group 0: stored 0.1, given 0.2",
        f"  weight_decay: stored {lrsweep.schedule('linear').to_json()}, given no schedule",
        CHOICES,
    ]
    assert scheduler.state_dict() == before
    assert rates(optimizer) == scheduler.get_last_lr()


def test_a_weight_decay_that_follows_another_schedule_or_has_another_peak_is_another_training() -> None:
    """Also where schedules by name bring it, and then it is told once."""
    cosine, linear = lrsweep.schedule("cosine"), lrsweep.schedule("linear")
    state = saved(cosine, 3, weight_decay=linear)
    scheduler = cosine.torch(adamw(lr=0.1, weight_decay=0.2), 100, weight_decay=cosine)
    with pytest.raises(ScheduleError) as refused:
        scheduler.load_state_dict(state)
    assert str(refused.value).splitlines()[1:-1] == [
        "  weight_decay.family: stored 'linear', given 'cosine'",
        "  weight decay of group 0: stored 0.01, given 0.2",
    ]
    named = adamw({"name": "all"}, lr=0.1)
    state = lrsweep.grouped({"all": cosine}, weight_decay=linear).torch(named, 100).state_dict()
    scheduler = lrsweep.grouped({"all": cosine}, weight_decay=cosine).torch(named, 100)
    with pytest.raises(
        ScheduleError, match=r"at step 0: weight_decay\.family: stored 'linear', given 'cosine'\nChoose"
    ):
        scheduler.load_state_dict(state)


@pytest.mark.parametrize(
    ("stored", "given", "told"),
    [
        (
            lrsweep.schedule("plateau", base=lrsweep.schedule("linear", floor=0.5)),
            lrsweep.schedule("plateau", base=lrsweep.schedule("linear", floor=0.25)),
            "base.floor: stored 0.5, given 0.25",
        ),
        (
            lrsweep.sequence((lrsweep.schedule("linear"), 0.25), (lrsweep.schedule("cosine"), 0.75)),
            lrsweep.sequence((lrsweep.schedule("linear"), 0.25), (lrsweep.schedule("rex"), 0.75)),
            "parts[1].schedule.family: stored 'cosine', given 'rex'",
        ),
        (
            lrsweep.schedule("table", values=[1.0, 0.5]),
            lrsweep.schedule("table", values=[1.0, 0.25]),
            "values: stored [1.0, 0.5], given [1.0, 0.25]",
        ),
        (
            lrsweep.schedule("cosine", hold=0.1),
            lrsweep.schedule("cosine"),
            "hold: stored 0.1, given nothing",
        ),
    ],
)
def test_a_difference_deep_in_a_schedule_is_found_and_placed(stored: Any, given: Any, told: str) -> None:
    """A base, a part, a number of a list, and a setting that is left out of JSON at its default."""
    scheduler = given.torch(adamw(lr=0.1), 100)
    with pytest.raises(ScheduleError) as refused:
        scheduler.load_state_dict(saved(stored, 3))
    assert told in str(refused.value)


def test_stored_replaces_what_is_given() -> None:
    """Schedule, horizon and peak; the rates go on as they would have."""
    linear = lrsweep.schedule("linear")
    optimizer = adamw(lr=0.7)
    scheduler = lrsweep.schedule("cosine").torch(optimizer, 500, on_conflict="stored")
    scheduler.load_state_dict(saved(linear, 25))
    assert rates(optimizer) == pytest.approx([0.075])
    assert (scheduler.schedule, scheduler.total_steps, scheduler.base_lrs) == (linear, 100, [0.1])
    assert scheduler.state_dict() == saved(linear, 25)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [((0.1, 0.1), 0.075), ((0.1, 0.4), 0.525)],
    ids=["one peak for all", "peaks of their own"],
)
def test_a_group_added_after_stored_was_taken_has_the_stored_peak(stored: tuple[float, ...], expected: float) -> None:
    """Where the groups have it in common; else its own rate, and never the peak that was replaced."""
    linear = lrsweep.schedule("linear")
    state = linear.torch(adamw({}, {}, lr=0.3), 4, peak_lr=stored).state_dict()
    optimizer = adamw({}, {}, lr=0.7)
    scheduler = linear.torch(optimizer, 4, peak_lr=0.2, on_conflict="stored")
    scheduler.load_state_dict(state)
    scheduler.step()
    optimizer.add_param_group({"params": [parameter()]})
    optimizer.step()
    assert rates(optimizer) == pytest.approx([0.75 * peak for peak in stored] + [expected])


def test_stored_brings_and_takes_a_schedule_of_the_weight_decay() -> None:
    """Without one in the state the weight decay is its own peak again."""
    cosine, linear = lrsweep.schedule("cosine"), lrsweep.schedule("linear")
    optimizer = adamw(lr=0.1, weight_decay=0.4)
    scheduler = cosine.torch(optimizer, 100, weight_decay=linear, on_conflict="stored")
    scheduler.step()
    scheduler.load_state_dict(saved(cosine, 50))
    assert optimizer.param_groups[0]["weight_decay"] == 0.4
    optimizer = adamw(lr=0.1, weight_decay=0.4)
    scheduler = cosine.torch(optimizer, 100, on_conflict="stored")
    scheduler.load_state_dict(saved(cosine, 50, weight_decay=linear))
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.005)  # half of the 0.01 that was stored


def test_given_goes_on_from_the_stored_step() -> None:
    """A horizon of 50 after 25 steps is half done; one of 20 is over, and its last value holds."""
    state = saved(lrsweep.schedule("linear"), 25)
    for total_steps, expected in ((50, 0.35), (20, 0.0)):
        optimizer = adamw(lr=0.7)
        scheduler = lrsweep.schedule("linear").torch(optimizer, total_steps, on_conflict="given")
        scheduler.load_state_dict(state)
        assert scheduler.last_epoch == 25
        assert rates(optimizer) == pytest.approx([expected])


@pytest.mark.parametrize("optimizer_first", [True, False])
def test_given_gives_back_what_it_does_not_move(optimizer_first: bool) -> None:
    """Weight decay and momentum that stored schedules moved are the optimizer's own again, not those of that step."""
    old = adamw(lr=0.1, weight_decay=0.1)
    one_cycle, linear = lrsweep.schedule("one_cycle", cycle_momentum=True), lrsweep.schedule("linear")
    scheduler = one_cycle.torch(old, 10, weight_decay=linear)
    for _ in range(4):
        scheduler.step()
    [moved] = old.param_groups
    assert moved["weight_decay"] == pytest.approx(0.06)
    assert moved["betas"][0] != 0.9
    new = adamw(lr=0.1, weight_decay=0.1)
    resumed = linear.torch(new, 10, peak_lr=0.1, on_conflict="given")
    loads = [(new, old.state_dict()), (resumed, scheduler.state_dict())]
    for one, state in loads if optimizer_first else reversed(loads):
        one.load_state_dict(copy.deepcopy(state))
    [group] = new.param_groups
    assert (group["weight_decay"], group["betas"]) == (0.1, (0.9, 0.999))
    assert rates(new) == pytest.approx([0.06])


@pytest.mark.parametrize("on_conflict", ["refuse", "stored", "given"])
def test_without_a_difference_every_policy_goes_on(on_conflict: str) -> None:
    """Half of a linear schedule is done."""
    optimizer = adamw(lr=0.1)
    scheduler = lrsweep.schedule("linear").torch(optimizer, 100, on_conflict=on_conflict)
    scheduler.load_state_dict(saved(lrsweep.schedule("linear"), 50))
    assert rates(optimizer) == pytest.approx([0.05])


def test_given_keeps_what_a_schedule_of_the_same_family_has_heard() -> None:
    """Another gamma, the drop that was stays."""
    state = saved(lrsweep.schedule("plateau", patience=0, gamma=0.5), 2, metrics=[1.0, 2.0])
    optimizer = adamw(lr=0.1)
    scheduler = lrsweep.schedule("plateau", patience=0, gamma=0.1).torch(optimizer, 100, on_conflict="given")
    scheduler.load_state_dict(state)
    assert rates(optimizer) == pytest.approx([0.05])
    scheduler.step(2.0)
    assert rates(optimizer) == pytest.approx([0.005])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lrsweep.schedule("greedy", start=1.0), "the states are of 'plateau', and the schedule has 'greedy'"),
        (lrsweep.schedule("constant"), "the states are of 'plateau', and the schedule has none"),
        (lrsweep.schedule("plateau", patience=1), "bad must be a whole number from 0 to 1, not 3"),
    ],
)
def test_given_says_when_what_was_heard_is_forgotten(given: Any, told: str) -> None:
    """A state of another family, or one that cannot be in the given settings."""
    state = saved(lrsweep.schedule("plateau", patience=5), 4, metrics=[1.0, 2.0, 2.0, 2.0])
    optimizer = adamw(lr=0.1)
    scheduler = given.torch(optimizer, 100, on_conflict="given")
    with pytest.warns(UserWarning, match="begins anew, as if nothing had been heard") as said:
        scheduler.load_state_dict(state)
    assert told in str(said[0].message)
    assert str(said[0].message).startswith("scheduler state: what was heard for every group: ")
    assert rates(optimizer) == [0.1]


def test_given_keeps_apart_what_groups_with_one_schedule_have_heard() -> None:
    """They had different schedules, of which one has dropped; from then on both drop at the same time."""
    patient, quick = (lrsweep.schedule("plateau", patience=patience, gamma=0.5) for patience in (5, 0))

    def names() -> Any:
        return adamw({"name": "body"}, {"name": "head"}, lr=0.1)

    stored = lrsweep.grouped({"body": patient, "head": quick}).torch(names(), 100)
    stored.step(1.0)
    stored.step(1.0)
    optimizer = names()
    scheduler = lrsweep.grouped({"body": patient, "head": patient}).torch(optimizer, 100, on_conflict="given")
    scheduler.load_state_dict({**stored.state_dict(), "total_steps": 50})
    assert rates(optimizer) == pytest.approx([0.1, 0.05])
    heard = scheduler.state_dict()["reactive"]
    assert [heard[name][0]["state"]["multiplier"] for name in ("body", "head")] == [1.0, 0.5]


def test_given_that_reacts_begins_after_a_schedule_that_did_not() -> None:
    """Nothing was heard, so nothing is forgotten."""
    scheduler = lrsweep.schedule("plateau", patience=0, gamma=0.5).torch(adamw(lr=0.1), 100, on_conflict="given")
    scheduler.load_state_dict(saved(lrsweep.schedule("linear"), 3))
    scheduler.step(1.0)
    scheduler.step(1.0)
    assert scheduler.get_last_lr() == [0.05]


@pytest.mark.parametrize("on_conflict", ["refuse", "stored"])
def test_another_number_of_groups_is_refused(on_conflict: str) -> None:
    """The stored peaks would have no place; what is given does without them."""
    state = saved(lrsweep.schedule("linear"), 50)
    optimizer = adamw({}, {"lr": 0.2}, lr=0.1)
    scheduler = lrsweep.schedule("linear").torch(optimizer, 100, on_conflict=on_conflict)
    with pytest.raises(ScheduleError, match=r"1 parameter groups and the optimizer 2|groups: stored 1, given 2"):
        scheduler.load_state_dict(state)
    scheduler = lrsweep.schedule("linear").torch(optimizer, 100, on_conflict="given")
    scheduler.load_state_dict(state)
    assert rates(optimizer) == pytest.approx([0.05, 0.1])


# ── what is no state, or a hostile one ───────────────────────────────────────────────────────────────────────────────


def test_the_state_of_pytorchs_own_scheduler_is_refused() -> None:
    """It says what it has found, and how the training can go on."""
    theirs = torch.optim.lr_scheduler.StepLR(sgd(lr=0.1), 3)
    scheduler = lrsweep.schedule("step").torch(sgd(lr=0.1), 10)
    with pytest.raises(ScheduleError, match=r"not one of lrsweep's; it holds step_size, gamma, .*cannot be taken over"):
        scheduler.load_state_dict(theirs.state_dict())
    with pytest.raises(ScheduleError, match="not one of lrsweep's; it holds state, param_groups"):
        scheduler.load_state_dict(sgd(lr=0.1).state_dict())
    nothing: Any = None
    with pytest.raises(ScheduleError, match="wanted what state_dict\\(\\) of such a scheduler gave, not None"):
        scheduler.load_state_dict(nothing)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lrsweep": 2}, "version 2 was written by a newer lrsweep; this one reads version 1. Upgrade lrsweep"),
        ({"lrsweep": "1"}, "lrsweep must be 1, not '1'"),
        ({"step": -1}, "step must be a whole number of 0 or more, not -1"),
        ({"step": True}, "step must be a whole number of 0 or more, not True"),
        ({"total_steps": 0}, "total_steps must be a whole number of 1 or more, not 0"),
        ({"peaks": [0.0]}, "peaks must be a list of finite numbers, the largest above 0 and none below, not [0.0]"),
        (
            {"peaks": [float("nan")]},
            "peaks must be a list of finite numbers, the largest above 0 and none below, not [nan]",
        ),
        ({"schedule": "{"}, "schedule must be a schedule's JSON text, not '{'"),
        ({"schedule": "[" * 100_000}, "schedule must be a schedule's JSON text, not '[[["),
        ({"schedule": '{"base": ' * 5000 + "1" + "}" * 5000}, "schedule must be a schedule's JSON text, not '{"),
        ({"reactive": {"every group": [{"family": "plateau"}]}}, "reactive must be lists of states by name"),
        ({"weight_decay": {"peaks": [0.1]}}, "weight_decay must be None, or a schedule's JSON text with peaks"),
    ],
)
@pytest.mark.parametrize("on_conflict", ["refuse", "stored", "given"])
def test_a_state_that_is_damaged_is_refused(changes: dict[str, Any], told: str, on_conflict: str) -> None:
    """With every policy, and nothing of it is taken."""
    scheduler = lrsweep.schedule("plateau").torch(adamw(lr=0.1), 10, on_conflict=on_conflict)
    state = scheduler.state_dict()
    with pytest.raises(ScheduleError) as refused:
        scheduler.load_state_dict({**state, **changes})
    assert told in str(refused.value)
    assert scheduler.state_dict() == state


def test_everything_that_a_damaged_state_lacks_is_told_at_once() -> None:
    """Six problems."""
    scheduler = lrsweep.schedule("cosine").torch(adamw(lr=0.1), 10)
    with pytest.raises(ScheduleError) as refused:
        scheduler.load_state_dict({"lrsweep": 1})
    assert "6 problems" in str(refused.value)
    assert str(refused.value).count("is missing; wanted") == 6


def test_reactive_states_that_are_not_the_schedules_are_refused() -> None:
    """Missing ones, and ones that the machine cannot be in; the schedule itself being the same."""
    scheduler = lrsweep.schedule("plateau", patience=2).torch(adamw(lr=0.1), 10)
    state = scheduler.state_dict()
    with pytest.raises(
        ScheduleError,
        match=r"^scheduler state: what was heard for every group: the states are of none, .* has 'plateau'$",
    ):
        scheduler.load_state_dict({**state, "reactive": {}})
    broken = copy.deepcopy(state)
    broken["reactive"]["every group"][0]["state"]["bad"] = 7
    with pytest.raises(ScheduleError, match="bad must be a whole number from 0 to 2, not 7"):
        scheduler.load_state_dict(broken)
    strange = {**state, "reactive": {**state["reactive"], "head": []}}
    with pytest.raises(ScheduleError, match="what was heard for head: the schedule has none"):
        scheduler.load_state_dict(strange)


def test_a_stored_schedule_that_does_not_exist_here_is_refused() -> None:
    """A family of a later version, say; the scheduler stays as it is."""
    scheduler = lrsweep.schedule("cosine").torch(adamw(lr=0.1), 10, on_conflict="stored")
    state = scheduler.state_dict()
    with pytest.raises(ScheduleError, match=r"stored schedule cannot be made here.*there is no schedule family 'zig'"):
        scheduler.load_state_dict({**state, "schedule": '{"version": 1, "family": "zig"}'})
    assert scheduler.state_dict() == state


def test_a_stored_schedule_that_the_groups_cannot_follow_is_refused() -> None:
    """Schedules by name for groups with other names, or a momentum that the optimizer lacks; nothing is changed."""
    cosine = lrsweep.schedule("cosine")
    by_name = lrsweep.grouped({"head": cosine}).torch(sgd({"name": "head"}, lr=0.1), 10).state_dict()
    cycling = lrsweep.schedule("one_cycle", cycle_momentum=True).torch(sgd(lr=0.1), 10).state_dict()
    for stored, told in ((by_name, "for the groups 'head', and .* are .no name"), (cycling, "Adagrad has neither")):
        optimizer = torch.optim.Adagrad([parameter()], lr=0.1)
        scheduler = cosine.torch(optimizer, 20, on_conflict="stored")
        state = scheduler.state_dict()
        with pytest.raises(ScheduleError, match=told):
            scheduler.load_state_dict(stored)
        assert scheduler.state_dict() == state
        scheduler.step()
        assert scheduler.schedule == cosine
        assert rates(optimizer) == scheduler.get_last_lr()


@pytest.mark.parametrize("place", ["alone", "inside", "weight decay", "by name"])
def test_loading_a_state_runs_only_functions_that_the_given_schedule_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """That it calls another function allows nothing; a module that is not allowed is not even imported."""
    (tmp_path / "a_users_module.py").write_text("def half(u): return 0.5\n")
    (tmp_path / "another_module.py").write_text("def full(u): return 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    half = lrsweep.schedule("function", path="a_users_module:half", allow_code=True)
    full = lrsweep.schedule("function", path="another_module:full", allow_code=True)
    cosine = lrsweep.schedule("cosine")

    def bridge(s: Any, total_steps: int) -> Any:
        optimizer = adamw({"name": "all"}, lr=0.1)
        options: dict[str, Any] = {"on_conflict": "stored"}
        if place == "inside":
            return lrsweep.sequence((s, 1.0)).extended(2.0).torch(optimizer, total_steps, **options)
        if place == "weight decay":
            return cosine.torch(optimizer, total_steps, weight_decay=s, **options)
        if place == "by name":
            return lrsweep.grouped({"all": cosine}, weight_decay=s).torch(optimizer, total_steps, **options)
        return s.torch(optimizer, total_steps, **options)

    state = bridge(half, 100).state_dict()
    for given, calls in ((cosine, "none"), (full, "'another_module:full'")):
        scheduler = bridge(given, 50)
        monkeypatch.delitem(sys.modules, "a_users_module", raising=False)
        with pytest.raises(ScheduleError, match=f"calls 'a_users_module:half', and the given one calls {calls}. A sto"):
            scheduler.load_state_dict(state)
        assert "a_users_module" not in sys.modules
        assert (scheduler.total_steps, scheduler.last_epoch) == (50, 0)
    scheduler = bridge(half, 50)
    scheduler.load_state_dict(state)
    assert scheduler.total_steps == 100


def test_a_function_in_a_state_may_stand_elsewhere_than_in_the_given_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is what was allowed; and with "refuse" nothing of a state is called, only compared."""
    (tmp_path / "a_third_module.py").write_text("def half(u): return 0.5\ndef full(u): return 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    half, full = (
        lrsweep.schedule("function", path=f"a_third_module:{name}", allow_code=True) for name in ("half", "full")
    )
    state = saved(half, 3)
    optimizer = adamw(lr=0.1)
    lrsweep.sequence((half, 1.0)).torch(optimizer, 100, on_conflict="stored").load_state_dict(state)
    assert rates(optimizer) == [0.05]
    with pytest.raises(ScheduleError, match="path: stored 'a_third_module:half', given 'a_third_module:full'"):
        full.torch(adamw(lr=0.1), 100).load_state_dict(state)
