"""Budgets in money and GPU hours where a sweep has several devices: each is paid for while it is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from lrsweep.executors.devices import Device
from lrsweep.executors.local import LocalExecutor
from lrsweep.findings.reporting.spent import cost_of
from lrsweep.records import TrainingPlan
from lrsweep.study import BudgetSpec, ResolvedStudy, SelectionSpec
from lrsweep.sweep.meter import DEVICE_SECONDS_KEY, spent_by
from tests.scripted import Bench, End, ScriptedExecutor, completed
from tests.sweeps import a_study

MONEY = BudgetSpec(money=1.0, price_per_hour=3.6)
"""A thousand seconds of one device."""


class Clocked:
    """Drivers of one sweep whose trainings take ten seconds each, by a clock of the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, budget: BudgetSpec) -> None:
        study = replace(a_study(trials=2), budget=budget, total_steps=10**6, selection=SelectionSpec(finalists=0))
        self.bench = Bench(study)
        self.now = time.monotonic()
        monkeypatch.setattr("lrsweep.sweep.meter.time.monotonic", lambda: self.now)
        monkeypatch.setattr(self.bench.store, "renew_lease", lambda *_, **__: None)

    def run(self, devices: Callable[[float], int], *, money: float | None = None) -> float:
        """``devices``: that there are after so many seconds of this driver. How long it went on."""
        bench, began = self.bench, self.now
        study: ResolvedStudy = replace(bench.study, devices_at_once=devices(0.0))
        bench.study = study if money is None else replace(study, budget=replace(MONEY, money=money))

        def script(plan: TrainingPlan) -> End:
            self.now += 10.0
            return completed(plan)

        class Several(ScriptedExecutor):
            @property
            def device_count(self) -> int:  # type: ignore[override]
                return devices(clocked.now - began)

        clocked = self
        driver = bench.driver(Several(script))
        driver.run()
        bench.sweep = driver.count_seconds()
        return self.now - began

    @property
    def device_seconds(self) -> float:
        return spent_by(self.bench.sweep, self.bench.study).device_seconds


@pytest.mark.parametrize("budget", [MONEY, BudgetSpec(gpu_hours=1000 / 3600)], ids=["money", "GPU hours"])
@pytest.mark.parametrize(("devices", "seconds"), [(1, 1000.0), (2, 500.0), (4, 250.0)])
def test_a_budget_is_spent_as_many_times_as_fast_as_there_are_devices(
    budget: BudgetSpec, devices: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the two trainings that are under way at its end; what it tells on the way is the same sum."""
    clocked = Clocked(monkeypatch, budget)
    went_on = clocked.run(lambda _: devices)
    assert seconds <= went_on <= seconds + 20
    assert clocked.device_seconds == pytest.approx(went_on * devices)
    last = clocked.bench.seen[-1]
    assert last.cost is not None
    assert last.cost.device_seconds == pytest.approx(last.seconds * devices)
    first = clocked.bench.seen[0]
    assert first.seconds_left == pytest.approx(seconds - first.seconds)


def test_the_clock_is_the_same_for_any_number_of_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of wall clock; what it costs counts them all."""
    clocked = Clocked(monkeypatch, BudgetSpec(wall_clock=300.0, price_per_hour=3.6))
    assert 300 <= clocked.run(lambda _: 3) <= 320
    found = cost_of(clocked.bench.study, clocked.bench.sweep, clocked.bench.trainings())
    assert found.wall_seconds * 3 == pytest.approx(found.device_seconds)
    assert found.money == pytest.approx(found.device_seconds / 1000)


def test_a_sweep_that_goes_on_with_fewer_devices_has_paid_for_those_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the money on two devices, and what is added on one: 250 s and then 500. A study that is read back, which
    knows of no devices, costs the same."""
    clocked = Clocked(monkeypatch, MONEY)
    assert 250 <= (first := clocked.run(lambda _: 2, money=0.5)) <= 260
    assert clocked.device_seconds == pytest.approx(2 * first)
    second = clocked.run(lambda _: 1, money=1.0)
    assert 1000 - 2 * first <= second <= 1000 - 2 * first + 20
    bench = clocked.bench
    assert bench.sweep.seconds == pytest.approx(first + second)
    read_back = replace(bench.study, devices_at_once=None)
    found = cost_of(read_back, bench.sweep, bench.trainings())
    assert found.device_seconds == pytest.approx(2 * first + second)
    assert found.money == pytest.approx((2 * first + second) / 1000)


def test_a_device_that_is_lost_on_the_way_is_paid_for_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two for 200 s, one for the other 600; while there is none, as on a cluster whose node has gone, nothing is
    paid."""
    clocked = Clocked(monkeypatch, MONEY)
    assert 800 <= clocked.run(lambda seconds: 2 if seconds <= 200 else 1) <= 820
    clocked = Clocked(monkeypatch, MONEY)
    went_on = clocked.run(lambda seconds: 0 if 100 < seconds <= 400 else 1)
    assert 1300 <= went_on <= 1320


def test_a_sweep_of_an_earlier_release_had_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row says the seconds alone; from the first count on what it goes on with is added."""
    clocked = Clocked(monkeypatch, MONEY)
    bench = clocked.bench
    bench.sweep = bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, add_seconds=800.0)
    assert 100 <= (went_on := clocked.run(lambda _: 2)) <= 110
    assert bench.sweep.settings[DEVICE_SECONDS_KEY] == pytest.approx(800 + 2 * went_on)


def test_what_the_study_says_of_devices_is_in_no_hash() -> None:
    """The same study on another machine is the same study."""
    study = a_study()
    assert replace(study, devices_at_once=4).spec() == study.spec()
    with_two = LocalExecutor(devices=[Device("cpu")] * 2)
    assert replace(study, devices_at_once=with_two.device_count).devices == 2
