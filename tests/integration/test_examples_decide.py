"""`lrsweep run` on the digits, both engines: its finals keep what each example loses, and `lrsweep choose` says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import lrsweep, query

STUDY = """\
[study]
name = "small"
workload = "digits"
horizon = 60
[space]
families = ["cosine", "linear"]
optimizers = ["sgd"]
[baseline]
family = "constant"
peak_lr = 0.05
optimizer = "sgd"
[budget]
steps = 1500
[selection]
finalists = 3
seeds = 3
share = 0.5
racing = false
"""


@pytest.mark.parametrize("engine", ["sequential", "fused:4"])
def test_a_choice_of_the_digits_has_intervals_over_its_215_examples(tmp_path: Path, engine: str) -> None:
    """Every finalist; of the final trainings alone is anything kept."""
    file, home = tmp_path / "small.toml", tmp_path / "home"
    file.write_text(STUDY)
    ran = lrsweep("run", str(file), "--json", home=home, environ={"LRSWEEP_ENGINE": engine})
    assert ran.code == 0, ran.err
    kept = "SELECT count(*) FROM lrs_example_losses JOIN lrs_training USING (training_id) WHERE examples = 215"
    finals = query(home, "SELECT count(*) FROM lrs_training WHERE purpose = 'final' AND status = 'completed'")
    assert finals >= 9
    assert query(home, f"{kept} AND purpose = 'final'") == query(home, kept) == finals

    found = lrsweep("choose", "small", "--json", home=home).answer

    assert len(found["finalists"]) == 3
    for each in found["finalists"]:
        over = each["over_examples"]
        assert over["n"] == 215
        assert over["interval"][0] < each["mean"] < over["interval"][1]
        if not each["is_baseline"]:
            low, high = over["gain_interval"]
            wide_low, wide_high = over["gain_interval_with_seeds"]
            assert wide_low <= low < each["gain"] < high <= wide_high
    assert isinstance(found["gain_may_turn"], bool)
    said = lrsweep("choose", "small", home=home).out
    assert "Over the 215 examples that decide, with these seeds: decide_loss" in said
