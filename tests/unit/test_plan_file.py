"""The plan file: what was written is read, and what cannot be read is refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lrsweep
from lrsweep.errors import InvalidInput
from lrsweep.scripts.plan_file import (
    PlanFile,
    ScriptFacts,
    read_facts,
    read_plan_file,
    write_facts,
    write_plan_file,
)
from tests.plans import plan_in


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    """All of it, floats to the last bit, reactive schedules with their own base too."""
    base = lrsweep.schedule("cosine", warmup=0.1)
    plan = PlanFile(
        folder=tmp_path / "a training",
        training_id="t",
        attempt=3,
        schedule=lrsweep.schedule("plateau", base=base),
        peak_lr=0.1 + 0.2,
        total_steps=20_000,
        seed=4294967295,
        metric="val_acc",
        settings={"width": 32, "name": "ä", "drop": 0.1},
    )
    assert read_plan_file(write_plan_file(plan)) == plan
    assert plan.checkpoint_dir.is_dir()


def test_a_plan_that_asks_for_facts_has_no_schedule(tmp_path: Path) -> None:
    """Nothing is trained."""
    plan = PlanFile(folder=tmp_path, asks="facts")
    assert read_plan_file(write_plan_file(plan)) == plan


def test_a_path_stays_good_when_the_script_changes_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Hydra does."""
    plan = plan_in(tmp_path)
    monkeypatch.chdir(plan.folder)
    read = read_plan_file("plan.json")
    monkeypatch.chdir("/")
    assert read.checkpoint_dir.is_dir()


def test_the_next_attempt_does_not_stop_because_the_last_one_did(tmp_path: Path) -> None:
    """Nor takes an old answer for a new one; reports and checkpoints stay."""
    plan = plan_in(tmp_path)
    write_facts(plan, ScriptFacts(0.1, None, {}))
    for path in (plan.stop, plan.stop_at, plan.reports, plan.checkpoint_dir / "last.pt"):
        path.write_text("5")
    write_plan_file(plan)
    assert not plan.stop.exists()
    assert not plan.stop_at.exists()
    assert read_facts(plan) is None
    assert plan.reports.exists()
    assert (plan.checkpoint_dir / "last.pt").exists()


def test_facts_are_read_as_they_were_written(tmp_path: Path) -> None:
    """What the script says of itself."""
    plan = plan_in(tmp_path)
    facts = ScriptFacts(1e-3, 500, {"width": 32})
    write_facts(plan, facts)
    assert read_facts(plan) == facts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read as a plan"),
        ("{", "cannot be read as a plan"),
        ("[" * 100_000, "cannot be read as a plan"),
        ("[]", "a plan of format None; this lrsweep reads format 1"),
        ('{"format": 2}', "a plan of format 2; this lrsweep reads format 1"),
        ('{"format": 1, "asks": "training"}', "a plan without training_id, attempt, schedule"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_path(tmp_path: Path, text: str | None, told: str) -> None:
    """Each with what to do."""
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match="LRSWEEP_PLAN names") as refused:
        read_plan_file(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_schedule_that_this_version_does_not_know_is_named(tmp_path: Path) -> None:
    """The sweep may run another version of lrsweep than the script's environment."""
    path = plan_in(tmp_path).folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schedule": {"family": "cosinus"}}))
    with pytest.raises(InvalidInput, match="cosinus"):
        read_plan_file(path)
