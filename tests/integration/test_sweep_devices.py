"""A whole sweep with a budget in device hours, on two pretended devices: real engines, databases and MLflow."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from lrsweep.cli.plan import asked_plan, resolved
from lrsweep.executors.devices import Device
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import SweepStatus
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.study import examine_file, load_study
from lrsweep.sweep.homes import Options
from lrsweep.sweep.meter import DEVICE_SECONDS_KEY
from lrsweep.sweep.run import run_sweep
from tests.drivers import STUDY, _empty_mlflow, a_study

DEVICE_SECONDS = 10.0


def test_device_hours_are_those_of_both_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over when both together have had them, what it expects is the pace of both, and the cost says the same.
    A plan for one device takes half of its pace."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(_empty_mlflow(), home / "mlflow.db")
    settings = read_settings({"LRSWEEP_HOME": str(home)})
    homes = make_homes(settings)
    two = partial(LocalExecutor, devices=[Device("cpu")] * 2)
    monkeypatch.setattr("lrsweep.executors.opening.LocalExecutor", two)
    hours = f"gpu_hours = {DEVICE_SECONDS / 3600}"
    # a race of finals may be decided before its time is over
    file = a_study(tmp_path, text=STUDY.replace("trials = {trials}", hours).replace("finalists = 2", "finalists = 0"))
    said: list[str] = []
    result = run_sweep(load_study(file), homes, Options(engine=EngineOption.parsed("sequential")), say=said.append)
    assert result.sweep.status is SweepStatus.FINISHED
    assert any(re.match(r"measured [\d,]+ updates a second, and 2 such train side by side", each) for each in said)
    counted = result.sweep.settings[DEVICE_SECONDS_KEY]
    assert counted >= DEVICE_SECONDS
    assert counted == pytest.approx(2 * result.sweep.seconds)
    assert result.cost is not None
    assert result.cost.device_seconds == counted

    store = open_store(homes.results_url)
    study = resolved(examine_file(file), settings, device="cpu", price_per_hour=None)
    asked = asked_plan(study, store, None)
    store.close()
    assert asked.plan is not None
    steps = sum(row.steps for row in result.trainings)
    assert asked.plan.steps_per_second == pytest.approx(steps / counted)
    assert asked.pace_from is not None
    assert asked.pace_from.endswith(", taken 0.5 times for the devices")
