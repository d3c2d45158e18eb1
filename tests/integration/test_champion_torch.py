"""``c.torch(optimizer)``: the rates of a choice in an optimizer, and what is refused or said before."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from lrsweep.champion.value import ChampionChoice, RateRule
from lrsweep.errors import InvalidInput, ScheduleError
from lrsweep.integrations.matching import CLASSES, new_optimizer
from lrsweep.records import OptimizerSpec
from lrsweep.study.optimizers import OPTIMIZERS
from tests.choices import ADAMW, choice


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))]


def sgd(**changes: Any) -> SGD:
    return SGD(weights(), **{"lr": 0.1, "momentum": 0.9, **changes})


def rates_of(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def refused(value: ChampionChoice, optimizer: Any, **others: Any) -> str:
    with pytest.raises(InvalidInput) as told:
        value.torch(optimizer, **others)
    return str(told.value)


def warned(call: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    assert all(one.filename == __file__ for one in found), "a warning names the line that made the call"
    return [str(one.message) for one in found]


# ── rates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_optimizers_own_rate_counts_no_more() -> None:
    """From the peak 0.4 in 600 even steps to 0, whatever rate the optimizer was made with."""
    optimizer = sgd(lr=7.0)
    scheduler = choice().torch(optimizer)
    assert rates_of(optimizer) == [0.4]
    for _ in range(300):
        optimizer.step()
        scheduler.step()
    assert rates_of(optimizer) == pytest.approx([0.2])
    assert scheduler.total_steps == 600


def test_a_longer_horizon_gets_the_smaller_peak_of_the_exponent() -> None:
    """Four times the steps halve the peak at exponent 0.5, which one warning says with the interval."""
    optimizer = sgd()
    (said,) = warned(lambda: choice().torch(optimizer, 2400))
    assert rates_of(optimizer) == [0.2]
    assert said == (
        "digits: its peak rate 0.4 was found on 600 steps; for 2,400 it is 0.2 = 0.4 · (600 / 2,400)^0.5 "
        "(exponent measured, 95 %: 0.4 to 0.6)"
    )


def test_an_exponent_that_nobody_measured_is_called_so() -> None:
    """A default of the optimizer's kind is no measurement of this training."""
    value = choice(rate_rule=RateRule(0.5, None))
    (said,) = warned(lambda: value.torch(sgd(), 150))
    assert "for 150 it is 0.8 = 0.4 · (600 / 150)^0.5 (exponent the default of sgd, not measured)" in said
    assert "Nothing was measured that far away" not in said


@pytest.mark.parametrize("steps", [149, 2401])
def test_a_horizon_far_away_is_said_to_be_beyond_all_measurements(steps: int) -> None:
    """More than four times as long or short: the exponent is applied all the same."""
    (said,) = warned(lambda: choice().torch(sgd(), steps))
    assert "Nothing was measured that far away, beyond 4 times the horizon" in said


def test_on_its_own_horizon_nothing_is_said() -> None:
    """Neither where it is left out nor where it is given."""
    assert warned(lambda: choice().torch(sgd())) == []
    assert warned(lambda: choice().torch(sgd(), 600, batch_size=64)) == []


def test_the_rates_of_a_horizon_are_those_of_the_scheduler() -> None:
    """``c.rates`` is what ``c.torch`` writes, and says the same."""
    value = choice()
    with pytest.warns(UserWarning, match="0.4 was found on 600 steps"):
        rates = value.rates(150)
    assert len(rates) == 150
    assert rates[0] == value.peak_at(150) == 0.8
    assert value.peak_at() == value.peak_at(600) == value.rates()[0] == 0.4
    assert warned(value.rates) == []
    assert len(warned(lambda: value.rates(150))) == 1


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "600"])
def test_a_horizon_that_is_no_number_of_steps_is_refused(steps: Any) -> None:
    """Wherever it is given."""
    for call in (choice().peak_at, choice().rates, lambda given: choice().torch(sgd(), given)):
        with pytest.raises(ScheduleError, match="total_steps must be a whole number of 1 or more"):
            call(steps)


# ── parameter groups ─────────────────────────────────────────────────────────────────────────────────────────────────


def grouped_sgd(*rates: float | None, lr: float = 0.1, **others: Any) -> SGD:
    groups = [
        {"params": [one]} if rate is None else {"params": [one], "lr": rate}
        for one, rate in zip(weights(), rates, strict=True)
    ]
    return SGD(groups, lr=lr, momentum=0.9, **others)


def test_groups_with_rates_of_their_own_keep_their_proportion() -> None:
    """A tenth of the optimizer's rate stays a tenth of the peak; and it does so when a scheduler is made again."""
    optimizer = grouped_sgd(0.01, None)
    choice().torch(optimizer)
    assert rates_of(optimizer) == pytest.approx([0.04, 0.4])
    choice(peak_lr=0.2).torch(optimizer)
    assert rates_of(optimizer) == pytest.approx([0.02, 0.2])


def test_a_groups_lr_scale_says_its_proportion() -> None:
    """The same key as exported code reads; a group without one has the peak."""
    optimizer = sgd()
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr_scale": 0.25, "lr": 3.0})
    choice().torch(optimizer)
    assert rates_of(optimizer) == pytest.approx([0.4, 0.1])


def test_equal_rates_of_all_groups_are_no_proportion() -> None:
    """Two groups that differ in weight decay alone both get the peak."""
    optimizer = grouped_sgd(0.01, 0.01)
    choice().torch(optimizer)
    assert rates_of(optimizer) == [0.4, 0.4]


def test_groups_without_a_rate_to_compare_with_are_refused() -> None:
    """A default rate of 0 gives no proportion; the message says what would."""
    told = refused(choice(), grouped_sgd(0.01, 0.1, lr=0.0))
    assert "the rates 0.01, 0.1, and its default rate is 0" in told
    assert "'lr_scale': 0.1" in told


# ── another training ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "optimizer", "told"),
    [
        ("sgd", AdamW, "found with sgd (torch.optim.SGD), and the optimizer is AdamW"),
        ("adam", AdamW, "found with adam (torch.optim.Adam), and the optimizer is AdamW"),
        ("adamw", Adam, "found with adamw (torch.optim.AdamW), and the optimizer is Adam"),
        ("rmsprop", SGD, "found with rmsprop (torch.optim.RMSprop), and the optimizer is SGD"),
        ("nesterov", RMSprop, "found with nesterov (torch.optim.SGD), and the optimizer is RMSprop"),
    ],
)
def test_another_class_of_optimizer_is_refused(name: str, optimizer: Any, told: str) -> None:
    """Its rate says nothing there, not even Adam's for AdamW; ``allow`` takes it and compares no settings."""
    value = choice(optimizer=OPTIMIZERS[name])
    assert told in refused(value, optimizer(weights(), lr=0.1))
    assert "choice.make_optimizer(model.parameters()) makes the right one" in refused(
        value, optimizer(weights(), lr=0.1)
    )
    assert "allow='optimizer' takes this one" in refused(value, optimizer(weights(), lr=0.1))
    made = optimizer(weights(), lr=0.1)
    assert warned(lambda: value.torch(made, allow="optimizer")) == []
    assert rates_of(made) == [0.4]


def test_an_optimizer_of_ones_own_is_another_class_unless_it_is_derived() -> None:
    """One that is built on the right class trains as it does; one that is not is named with its module."""

    class Own(SGD):
        pass

    class Other(Optimizer):
        def __init__(self) -> None:
            super().__init__(weights(), {"lr": 0.1})

    assert warned(lambda: choice().torch(Own(weights(), lr=0.1, momentum=0.9))) == []
    assert f"and the optimizer is {__name__}." in refused(choice(), Other())


def test_another_batch_size_is_refused_where_it_is_given() -> None:
    """It moves the best rate; a choice that does not know its own, as of a script, takes any."""
    told = refused(choice(), sgd(), batch_size=256)
    assert "found with batches of 64, and batch_size is 256" in told
    assert "allow='batch_size'" in told
    choice().torch(sgd(), batch_size=256, allow=["batch_size"])
    choice(batch_size=None).torch(sgd(), batch_size=256)
    assert "must be a whole number of 1 or more" in refused(choice(), sgd(), batch_size=0)


def test_optimizer_and_batch_size_are_refused_together() -> None:
    """All that is wrong in one answer, and nothing is written into the optimizer."""
    optimizer = AdamW(weights(), lr=0.1)
    told = refused(choice(), optimizer, batch_size=1)
    assert "2 problems" in told
    assert rates_of(optimizer) == [0.1]
    assert "batch_size is 1" in refused(choice(), optimizer, batch_size=1, allow="optimizer")


def test_what_may_be_allowed_is_named_where_it_is_misspelt() -> None:
    """An ``allow`` that means nothing must not look as if it did."""
    assert "allow names 'optimiser'; wanted 'optimizer' or 'batch_size'" in refused(choice(), sgd(), allow="optimiser")
    for odd in (3, None):
        assert f"allow is {odd}; wanted 'optimizer' or 'batch_size', or both" in refused(choice(), sgd(), allow=odd)
    assert "allow names ['optimizer']; wanted" in refused(choice(), sgd(), allow=[["optimizer"]])
    assert "wanted a torch.optim.Optimizer, not" in refused(choice(), nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("name", "optimizer", "told"),
    [
        ("sgd", sgd(momentum=0.5), "momentum is 0.5, and was 0.9"),
        ("sgd", sgd(nesterov=True), "nesterov is True, and was False"),
        ("nesterov", sgd(), "nesterov is False, and was True"),
        ("sgd", sgd(dampening=0.9), "dampening is 0.9, and was 0.0"),
        ("sgd", sgd(weight_decay=1e-4), "weight_decay is 0.0001, and was 0.0"),
        ("adamw", AdamW(weights(), betas=(0.9, 0.95)), "betas is (0.9, 0.95), and was (0.9, 0.999)"),
        ("adamw", AdamW(weights(), amsgrad=True), "amsgrad is True, and was False"),
        ("rmsprop", RMSprop(weights(), alpha=0.9), "alpha is 0.9, and was 0.99"),
    ],
)
def test_settings_that_differ_are_warned_of(name: str, optimizer: Optimizer, told: str) -> None:
    """One may tune them; the rate is set, and one warning lists what is not as it was."""
    (said,) = warned(lambda: choice(optimizer=OPTIMIZERS[name]).torch(optimizer))
    assert said.startswith("digits: the optimizer is not set as the one that it was found with: ")
    assert told in said
    assert rates_of(optimizer) == [0.4]


def test_groups_that_are_spared_weight_decay_are_as_they_should_be() -> None:
    """Biases without weight decay are common; a group with another one is not."""
    spared, other = weights()
    groups = [{"params": [spared], "weight_decay": 0.0}, {"params": [other], "weight_decay": 0.01}]
    assert warned(lambda: choice(optimizer=ADAMW).torch(AdamW(groups))) == []
    groups[0]["weight_decay"] = 0.1
    assert len(warned(lambda: choice(optimizer=ADAMW).torch(AdamW(groups)))) == 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_that_a_choice_makes_is_the_one_that_it_was_found_with(name: str) -> None:
    """Every optimizer that a search tries: nothing is refused or warned of, and it begins at the peak."""
    value = choice(optimizer=OPTIMIZERS[name])
    made = value.make_optimizer(weights())
    assert rates_of(made) == [0.4]
    assert warned(lambda: value.torch(made, batch_size=64)) == []
    assert set(CLASSES) == set(OPTIMIZERS)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (nn.Linear(1, 1), "not the model itself, a Linear"),
        (3, "does not take 3 ("),
        ([], "does not take [] (optimizer got an empty parameter list)"),
        ([{"lr": 0.1}], "does not take [{'lr': 0.1}] ("),
    ],
)
def test_what_are_no_parameters_is_told_with_what_are(params: Any, told: str) -> None:
    """A model for its parameters is the likeliest slip."""
    with pytest.raises(InvalidInput) as found:
        choice().make_optimizer(params)
    assert told in str(found.value)
    assert "wanted are the parameters, model.parameters(), or a list of groups" in str(found.value)


def test_a_scripts_optimizer_is_not_judged_nor_made() -> None:
    """lrsweep does not know what it was."""
    value = choice(optimizer=OptimizerSpec("script"))
    assert warned(lambda: value.torch(AdamW(weights(), betas=(0.5, 0.5)))) == []
    with pytest.raises(InvalidInput, match="an optimizer 'script', which lrsweep cannot make"):
        value.make_optimizer(weights())


def test_a_setting_that_no_such_optimizer_has_is_refused() -> None:
    """A file that was edited must not pass its keys on to PyTorch."""
    with pytest.raises(InvalidInput, match="has the settings foreach_of, params"):
        new_optimizer(OptimizerSpec("sgd", {"momentum": 0.9, "params": 1.0, "foreach_of": 1.0}), weights(), 0.1)


def test_a_training_continues_from_its_checkpoint() -> None:
    """The state is plain data; a fresh optimizer and scheduler go on with the rates of the stored step."""

    def made() -> tuple[SGD, Any]:
        optimizer = grouped_sgd(0.01, None)
        return optimizer, choice().torch(optimizer)

    optimizer, scheduler = made()
    for _ in range(150):
        optimizer.step()
        scheduler.step()
    buffer = io.BytesIO()
    torch.save([optimizer.state_dict(), scheduler.state_dict()], buffer)
    buffer.seek(0)
    stored = torch.load(buffer, weights_only=True)
    again, continued = made()
    again.load_state_dict(stored[0])
    continued.load_state_dict(stored[1])
    assert rates_of(again) == rates_of(optimizer) == pytest.approx([0.03, 0.3])
    late, _ = made()
    late.load_state_dict(stored[0])
    fresh = choice().torch(late)
    assert fresh.base_lrs == pytest.approx([0.04, 0.4])


def test_a_choice_tells_itself_in_a_line() -> None:
    """Schedule, peak, optimizer, batches, horizon and verdict."""
    assert repr(choice()) == (
        "<choice 'digits': lrsweep.schedule('linear'), peak 0.4, sgd (momentum 0.9, weight_decay 0), batches of 64, "
        "600 steps; recommended, n = 3>"
    )
    bare = choice(optimizer=OptimizerSpec("script"), batch_size=None, evidence={})
    assert repr(bare) == "<choice 'digits': lrsweep.schedule('linear'), peak 0.4, script, 600 steps>"
