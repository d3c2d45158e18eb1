"""`--engine` on the command line: the engine asked for is the one that trains. What `auto` measures is tested in
``test_executor_processes``, whose processes it shares."""

from __future__ import annotations

from pathlib import Path

from tests.commands import lrsweep, query, write_study


def test_the_engine_that_was_asked_for_is_the_one_that_trains(tmp_path: Path) -> None:
    """Every training of the sweep says that it had two slots; nothing was measured."""
    home = tmp_path / "home"
    environ = {"LRSWEEP_ENGINE": "fused:2"}
    ran = lrsweep("run", str(write_study(tmp_path)), "--json", home=home, environ=environ)
    assert ran.code == 0, ran.err
    assert ran.answer["status"] == "finished"
    assert query(home, "SELECT count(*) FROM lrs_training WHERE engine = 'fused/2'") == ran.answer["trainings"]
    assert not (home / "engines.json").exists()


def test_another_engine_for_a_script_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Exit code 64, as for a word that is none. The option wins over the variable."""
    study, home = tmp_path / "script.toml", tmp_path / "home"
    study.write_text(
        '[study]\nname = "s"\n[study.workload]\ncommand = "python train.py"\nsteps = 10\n[budget]\ntrials = 2\n'
    )
    ran = lrsweep("run", str(study), "--engine", "fused:4", home=home, environ={"LRSWEEP_ENGINE": "sequential"})
    assert ran.code == 64
    assert "--engine asks for fused with 4 slots" in ran.err
    assert not (home / "results.db").exists()
    ran = lrsweep("run", str(study), home=home, environ={"LRSWEEP_ENGINE": "fusd"})
    assert ran.code == 64
    assert "LRSWEEP_ENGINE is 'fusd'" in ran.err
