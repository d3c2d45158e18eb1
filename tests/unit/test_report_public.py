"""What a report shows to others: nothing of who or where, and a recipe that works for whatever was found."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lrsweep
from lrsweep.findings.reading import results
from lrsweep.findings.reporting.gathering import gather
from lrsweep.records import Outcome, TrainingPlan
from lrsweep.report import using
from lrsweep.report.content import Report
from lrsweep.report.html import page
from lrsweep.report.markdown import markdown
from lrsweep.settings import read_settings
from lrsweep.study import parse_study
from tests.looked import typed
from tests.promoted import ended_in_a_home
from tests.reported import A_SCRIPT, NOW, WITH_FINALS, a_report, noisy
from tests.scripted import Script, completed, value_of
from tests.studies import SCRIPT
from tests.sweeps import a_study

HOME = "/" + "home"
"""In two parts: no file of the repository may name somebody's folder."""


def all_of(report: Report) -> str:
    return page(report) + markdown(report) + json.dumps(report.to_json())


def test_a_workload_of_ones_own_is_told_without_its_folders() -> None:
    """In the page's head, the provenance, the Markdown and the JSON; settings too."""
    study = a_study(trials=2, families=("linear",), optimizers=("sgd",))
    settings = {"data": f"{HOME}/ann/sets", "root": f"{HOME}/ann", "like": ["/srv/ann/a.csv"]}
    facts = replace(study.facts, name=f"{HOME}/ann/nets/net.py:Net", settings=settings)
    report = a_report(replace(study, facts=facts), completed)
    assert report.workload == 'net.py:Net (data=sets, root=~, like=["a.csv"]), version 1'
    text = all_of(report)
    assert "net.py:Net" in text
    assert "/ann" not in text
    assert "ann/" not in text


def scripted(plan: TrainingPlan) -> Outcome:
    return replace(completed(plan), metrics={"val_loss": value_of(plan)})


def test_a_script_is_told_without_its_folders() -> None:
    """Also where a parameter of its own that is searched names some."""
    line = f"{HOME}/ann/bin/python {HOME}/ann/proj/train.py --data '{HOME}/ann/my sets'"
    study = parse_study(
        f"""
[study]
name = "mine"
workload.command = {json.dumps(line)}
[space]
families = ["linear"]
[space.extra]
data = ["{HOME}/ann/sets/a", "{HOME}/ann/sets/b"]
[budget]
trials = 4
""",
        "mine.toml",
    ).resolved(replace(SCRIPT, settings={"command": line}, horizon=90))
    report = a_report(study, scripted)
    assert report.workload == "a script, python train.py --data 'my sets'"
    assert report.use is not None
    assert report.use.extra["data"] in ("a", "b")
    text = all_of(report)
    assert "/ann" not in text
    assert "ann/" not in text


def equal(plan: TrainingPlan) -> Outcome:
    """At the full horizon families differ by less than seeds."""
    value = 0.5 + (plan.seed % 7) / 10 if plan.horizon == WITH_FINALS.horizon else 1.0
    return replace(noisy(plan), metrics={"val_loss": value, "decide_loss": value})


@pytest.mark.parametrize(("script", "evidence"), [(noisy, "proven"), (equal, "undecided")])
def test_the_recipe_of_a_report_works_whatever_the_evidence(
    script: Script,
    evidence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is undecided becomes a candidate, and is no champion that a name would find."""
    monkeypatch.chdir(tmp_path)
    study = replace(WITH_FINALS, baseline=None) if script is equal else WITH_FINALS
    home = ended_in_a_home(tmp_path / "home", study, script)
    run = typed(capsys, monkeypatch, home, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    with results(read_settings({"LRSWEEP_HOME": str(home)})) as store:
        report = gather(store, "quick", now=NOW)
    assert report.choice is not None
    assert report.choice.evidence.value == evidence
    promote, load = using.champion(report)
    ran = run(*shlex.split(promote)[1:], "--no-test")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = {}
    exec(load.splitlines()[0], {"lrsweep": lrsweep}, found)  # as a reader pastes it
    assert report.use is not None
    assert found["choice"].peak_lr == report.use.peak_lr


def test_a_scripts_recipe_is_the_same() -> None:
    """By the file that the command before it writes."""
    promote, load = using.champion(a_report(A_SCRIPT, scripted))
    assert promote == "lrsweep promote mine --to schedules/mine.json"
    assert 'lrsweep.load_choice("schedules/mine.json")' in load
