"""Which points of a curve are sent, in one go and in parts, and the curve as a table."""

from __future__ import annotations

import csv
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

import lrsweep
from lrsweep.records import Curve
from lrsweep.tracking.points import (
    Point,
    chosen_steps,
    curve_points,
    curve_table,
    final_points,
    is_as_planned,
    metric_name,
    planned_points,
)


def made(rates: list[float], evaluations: dict[int, float] | None = None) -> Curve:
    """A curve whose training loss is the step's index."""
    at = sorted(evaluations or {})
    return Curve(
        rates=np.array(rates, dtype=np.float64),
        train_losses=np.arange(len(rates), dtype=np.float64),
        evaluation_steps=np.array(at, dtype=np.int64),
        evaluations={"val_loss": np.array([(evaluations or {})[step] for step in at])},
    )


def part(curve: Curve, steps: int) -> Curve:
    """The curve as it was after its first ``steps`` updates."""
    known = curve.evaluation_steps <= steps
    return Curve(
        curve.rates[:steps],
        curve.train_losses[:steps],
        curve.evaluation_steps[known],
        {key: values[known] for key, values in curve.evaluations.items()},
    )


def test_a_short_curve_is_sent_whole() -> None:
    """With a horizon of 100 steps or fewer, every step is a point."""
    assert chosen_steps(100, 100, ended=True).tolist() == list(range(100))


def test_a_long_curve_has_a_hundred_points_with_the_first_and_the_last() -> None:
    """991 steps lie ten apart on the grid: 0, 10, …, 990."""
    assert chosen_steps(991, 991, ended=True).tolist() == list(range(0, 991, 10))


def test_all_trainings_of_a_horizon_have_their_points_at_the_same_steps() -> None:
    """A step with a point of one training alone would make MLflow's mean over its group jump there."""
    step, wsd = lrsweep.schedule("step", every=0.123).rates(600), lrsweep.schedule("wsd", cooldown=0.37).rates(600)
    places = [
        {point.step for point in curve_points(made(rates.tolist()), 600, since=0, ended=True)} for rates in (step, wsd)
    ]
    assert places[0] == places[1]
    assert len(places[0]) == 100


def test_the_last_step_is_sent_only_once_the_training_has_ended() -> None:
    """Step 14 of 991 is no place of the grid: it is a point where the training ended there, and not on the way."""
    assert chosen_steps(15, 991, ended=False).tolist() == [0, 10]
    assert chosen_steps(15, 991, ended=True).tolist() == [0, 10, 14]


@given(
    family=st.sampled_from([name for name in lrsweep.family_names() if name not in ("table", "function")]),
    warmup=st.sampled_from([0.0, 0.07]),
    horizon=st.integers(1, 700),
    end=st.floats(0, 1),
    cuts=st.lists(st.floats(0, 1), max_size=4),
    nothing_new=st.booleans(),
)
def test_parts_add_up_to_the_whole(
    family: str, warmup: float, horizon: int, end: float, cuts: list[float], nothing_new: bool
) -> None:
    """Sent in any parts, a curve gives the points that it gives when it is sent at once: none less, none other.

    It may end anywhere, also off the grid, and also where all of its steps were sent before it had ended.
    """
    length = round(end * horizon)
    heard = {max(1, horizon // 2): 1.0}  # for those that react
    rates = lrsweep.schedule(family, warmup=warmup).replay(heard, horizon)[:length]
    whole = made(rates.tolist(), {step: step / 7 for step in range(0, length + 1, 13)})
    sent: set[Point] = set()
    since = 0
    for steps in sorted(round(cut * length) for cut in [*cuts, *[1.0] * nothing_new]):
        sent |= set(curve_points(part(whole, steps), horizon, since=since, ended=False))
        since = steps
    sent |= set(curve_points(whole, horizon, since=since, ended=True))
    assert sent == set(curve_points(whole, horizon, since=0, ended=True))


def test_the_last_step_is_sent_when_only_the_end_is_new() -> None:
    """All 15 steps were sent while it ran, but step 14, off the grid, was no point then; once it has ended it is."""
    curve = made([0.1] * 15)
    assert list(curve_points(curve, 991, since=15, ended=False)) == []
    assert list(curve_points(curve, 991, since=15, ended=True)) == [
        Point("lr", 0.1, 14),
        Point("train_loss", 14.0, 14),
    ]


def test_an_evaluation_that_comes_after_its_step_was_sent_is_not_lost() -> None:
    """The value after 20 updates is sent although the first 20 steps went without it."""
    curve = made([0.1] * 20, {20: 0.5})
    points = list(curve_points(curve, 200, since=20, ended=False))
    assert Point("val_loss", 0.5, 20) in points


def test_values_that_are_no_numbers_are_left_out() -> None:
    """NaN and infinity spoil a chart of many runs in MLflow; the rate of the same steps is sent."""
    curve = Curve(np.ones(3), np.array([1.0, np.inf, np.nan]), np.array([3]), {"val_loss": np.array([np.nan])})
    points = list(curve_points(curve, 3, since=0, ended=True))
    assert [point.step for point in points if point.key == "lr"] == [0, 1, 2]
    assert [point.step for point in points if point.key == "train_loss"] == [0]
    assert [point for point in points if point.key == "val_loss"] == []


def test_final_metrics_do_not_repeat_the_last_evaluation() -> None:
    """``val_loss`` is on the curve at the last step already; ``decide_loss`` is not."""
    curve = made([0.1] * 4, {4: 0.5})
    assert list(final_points({"val_loss": 0.5, "decide_loss": 0.6}, 4, curve)) == [Point("decide_loss", 0.6, 4)]


def test_final_metrics_after_the_last_evaluation_are_sent() -> None:
    """A training that was stopped between evaluations has its last values at the step where it ended."""
    curve = made([0.1] * 5, {4: 0.5})
    assert list(final_points({"val_loss": 0.4}, 5, curve)) == [Point("val_loss", 0.4, 5)]


def test_the_table_has_a_row_per_step_and_the_evaluations() -> None:
    """An evaluation after two updates stands in row 2; one after the last update has a row of its own."""
    curve = Curve(
        rates=np.array([0.1, 0.2, 0.1 + 0.2]),
        train_losses=np.array([2.5, np.float32(0.1), np.nan]),
        evaluation_steps=np.array([2, 3]),
        evaluations={"val_loss": np.array([0.5, 0.25]), "val_acc": np.array([0.75, 1.0])},
    )
    assert curve_table(curve).splitlines() == [
        "step,lr,train_loss,val_loss,val_acc",
        "0,0.1,2.5,,",
        "1,0.2,0.1,,",
        "2,0.30000000000000004,nan,0.5,0.75",
        "3,,,0.25,1",
    ]


def test_the_table_gives_back_every_rate_exactly() -> None:
    """The rate that is written is the rate that was used, to the last bit."""
    rates = lrsweep.schedule("cosine", warmup=0.1).rates(600, peak_lr=0.123)
    rows = csv.DictReader(io.StringIO(curve_table(made(rates.tolist()))))
    assert [float(row["lr"]) for row in rows] == rates.tolist()


def reported_at(steps: list[int], horizon: int, **metrics: list[float]) -> Curve:
    """A script's curve: rates for every step, no training losses."""
    values = {name: np.array(each) for name, each in metrics.items()}
    return Curve(np.ones(horizon), np.full(horizon, np.nan), np.array(steps), values)


def test_a_script_that_reports_at_every_step_has_a_hundred_points() -> None:
    """The first of each 100th of 10,000 steps, so 1, 100, 200 …, and the last; in parts they come to the same."""
    every = list(range(1, 10_001))
    curve = reported_at(every, 10_000, val_loss=[1.0 / step for step in every])
    whole = [point for point in curve_points(curve, 10_000, since=0, ended=True) if point.key == "val_loss"]
    assert [point.step for point in whole] == [1, *range(100, 10_001, 100)]
    half = reported_at(every[:5_001], 5_001, val_loss=[1.0 / step for step in every[:5_001]])
    first = [point for point in curve_points(half, 10_000, since=0, ended=False) if point.key == "val_loss"]
    rest = [point for point in curve_points(curve, 10_000, since=5_001, ended=True) if point.key == "val_loss"]
    assert first + rest == whole


def test_a_metric_that_is_reported_now_and_then_is_not_lost_among_others() -> None:
    """An accuracy at the odd reports, a loss at all of them: each is thinned by itself."""
    steps = list(range(1, 201))
    accuracy = [0.5 if step % 2 else np.nan for step in steps]
    curve = reported_at(steps, 200, val_loss=[1.0] * 200, acc=accuracy)
    points = [point.step for point in curve_points(curve, 200, since=0, ended=True) if point.key == "acc"]
    assert points == list(range(1, 201, 2))


def test_names_that_mlflow_refuses_are_changed_and_stay_distinct() -> None:
    """One refused name would hold up every training's row; those that MLflow takes stay as they are."""
    taken = ["val_loss", "mAP_0.5", "a/b", "a b", "a:b", ".a", "größe", "a" * 250]
    assert [metric_name(name) for name in taken] == taken
    strange = ["mAP@0.5", "mAP#0.5", "a//b", "/a", "a/", "../a", "..", "", "a\n", "loss{x}", "a" * 251, "..@", "a,b"]
    changed = [metric_name(name) for name in strange]
    assert len({*changed, *strange}) == 2 * len(strange)
    for name in changed + taken:
        _validate_metric_name(name)  # type: ignore[no-untyped-call]
        assert len(name) <= 250
    curve = reported_at([2], 2, **{"mAP@0.5": [0.5], "mAP#0.5": [0.25]})
    keys = {point.key: point.value for point in curve_points(curve, 2, since=0, ended=True)}
    assert keys[metric_name("mAP@0.5")] == 0.5
    assert keys[metric_name("mAP#0.5")] == 0.25
    assert [point.key for point in final_points({"mAP@0.5": 0.5}, 3, curve)] == [metric_name("mAP@0.5")]
    assert curve_table(curve).startswith(f"step,lr,train_loss,{metric_name('mAP@0.5')},{metric_name('mAP#0.5')}\n")


def test_a_rate_that_a_script_reports_stands_beside_the_plans() -> None:
    """Two curves of one name would be drawn as one; and a script without losses has an empty column for them."""
    curve = reported_at([2], 2, lr=[0.5], val_loss=[1.0])
    assert {point.key for point in curve_points(curve, 2, since=0, ended=True)} == {"lr", "reported_lr", "val_loss"}
    assert {point.key for point in final_points({"lr": 0.5}, 3, curve)} == {"reported_lr"}
    assert curve_table(curve).splitlines() == [
        "step,lr,train_loss,reported_lr,val_loss",
        "0,1.0,,,",
        "1,1.0,,,",
        "2,,,0.5,1",
    ]


def test_planned_rates_stand_at_the_steps_of_the_applied_ones() -> None:
    """All of them from the first step, whatever was sent before, and never beyond the plan."""
    planned = np.linspace(1.0, 0.0, 1000)
    curve = made((planned[:500] / 2).tolist())
    steps = [point.step for point in curve_points(curve, 1000, since=0, ended=True) if point.key == "lr"]
    beside = list(planned_points(curve, planned, ended=True))
    assert [point.step for point in beside] == steps
    assert beside[-1] == Point("lr_planned", planned[499], 499)
    assert list(planned_points(made([0.1] * 5), planned[:3], ended=True))[-1].step == 2


def test_rates_are_as_planned_but_for_their_last_digits() -> None:
    """A script's own arithmetic is not a deviation; another rate at one step is, and so is a step too many."""
    planned = np.array([0.1, 0.2, 0.0])
    assert is_as_planned(made([0.1, 0.2 + 1e-9]), planned)
    assert is_as_planned(made([]), planned)
    assert not is_as_planned(made([0.1, 0.201]), planned)
    assert not is_as_planned(made([0.1, float("nan")]), planned)
    assert not is_as_planned(made([0.1, 0.2, 0.0, 0.0]), planned)


def test_a_table_of_planned_rates_has_them_in_a_column_of_their_own() -> None:
    """Blank where the curve goes on after the plan, and beside an evaluation after the last step."""
    rows = curve_table(made([0.1, 0.2, 0.3], {3: 5.0}), np.array([0.5, 0.25])).splitlines()
    assert rows == [
        "step,lr,lr_planned,train_loss,val_loss",
        "0,0.1,0.5,0,",
        "1,0.2,0.25,1,",
        "2,0.3,,2,",
        "3,,,,5",
    ]
