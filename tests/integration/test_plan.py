"""`lrsweep plan`, as one types it."""

from __future__ import annotations

import json
from pathlib import Path

from lrsweep.cli.new import write_study
from tests.commands import lrsweep


def test_a_new_study_is_planned_without_training_or_making_anything(tmp_path: Path) -> None:
    """90 trainings of the digits' 600 updates; the home is not made."""
    home = tmp_path / "home"
    write_study(tmp_path / "mine.toml")
    ran = lrsweep("plan", "mine.toml", "--json", "--steps-per-second", "100", "--price-per-hour", "2", home=home)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert (found["study"], found["horizon"], found["total_steps"]) == ("mine", 600, 54_000)
    assert (found["cost"]["seconds"], found["cost"]["money"], found["warnings"]) == (540.0, 0.3, [])
    assert len(found["families"]) == 8
    assert not home.exists()
