"""`--engine` in real processes: what is measured for `auto`, and that the engine asked for is the one that trains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrsweep.cli.new import write_workload
from lrsweep.executors import choosing
from lrsweep.executors.choosing import Rest
from lrsweep.executors.chosen import available_cores, crew_for, measuring_plans
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Crew, Record, Status
from lrsweep.study import ResolvedStudy, parse_study
from tests.commands import lrsweep, query, write_study

STUDY = '[study]\nname = "tiny"\nworkload = "digits"\nhorizon = 60\n[budget]\ntrials = 24\n'
LONG = Rest(steps=1e9, at_once=4)


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    one = LocalExecutor("cpu")
    yield one
    one.close()


@pytest.fixture(scope="module")
def study(executor: LocalExecutor) -> ResolvedStudy:
    study = parse_study(STUDY, "tiny.toml")
    return study.resolved(executor.describe(study.workload))


def test_every_engine_is_measured_and_the_chosen_one_trains(
    executor: LocalExecutor, study: ResolvedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each arrangement of digits has a speed and holds memory; the next sweep reads what was chosen."""
    monkeypatch.setattr(choosing, "LONGEST_BURST", 0.05)  # which one is chosen does not matter here
    said: list[str] = []
    file = tmp_path / "engines.json"
    crew = crew_for(EngineOption(), study, LONG, executor, file, say=said.append)
    [entry] = json.loads(file.read_text())["entries"].values()
    bursts = entry["choice"]["bursts"]
    tried = [Crew(**burst["crew"]) for burst in bursts]
    assert {Crew(), Crew(1, 2), crew} <= set(tried)
    assert (Crew(2) in tried) == (available_cores() > 1)
    assert max(each.at_once for each in tried) <= 4
    assert [burst["reason"] for burst in bursts] == [None] * len(bursts)
    assert all(burst["speed"] > 0 and burst["held_bytes"] > 0 for burst in bursts)
    assert said[1].startswith("engines measured in")

    executor.use(crew)
    for plan in measuring_plans(study, 4):
        executor.submit(plan)
    records: list[Record] = []
    while executor.in_flight:
        records += [each for each in executor.poll(0.05) if isinstance(each, Record)]
    assert [each.outcome.status for each in records if each.outcome] == [Status.COMPLETED] * 4

    again: list[str] = []
    assert crew_for(EngineOption(), study, LONG, executor, file, say=again.append) == crew
    assert len(again) == 1
    assert "as measured on" in again[0]


def test_a_model_that_cannot_be_fused_says_why(executor: LocalExecutor, tmp_path: Path) -> None:
    """One with dropout of PyTorch's own; it is trained one after the other, and that is no error."""
    write_workload(tmp_path / "own.py")
    own = (tmp_path / "own.py").read_text()
    (tmp_path / "own.py").write_text(own.replace("nn.Tanh(),", "nn.Tanh(), nn.Dropout(0.1),"))
    text = STUDY.replace("digits", f"{tmp_path / 'own.py'}:MyWorkload")
    asked = parse_study(f'{text}[space]\noptimizers = ["sgd"]\n', "own.toml")
    resolved = asked.resolved(executor.describe(asked.workload))
    said: list[str] = []
    crew = crew_for(EngineOption.parsed("fused"), resolved, LONG, executor, tmp_path / "engines.json", say=said.append)
    assert crew == Crew()
    assert any(line.startswith("  fused with 2 slots in 1 process: ") and "ropout" in line for line in said)


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
