"""`promote`, `choose` and `report` of an earlier sweep: ``--sweep``, with the refusals that `show --sweep` has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.records import Outcome, StudyRow, SweepRow, SweepStatus, TrainingPlan
from lrsweep.store import open_store
from lrsweep.store.champions import ChampionRow
from lrsweep.sweep.race import RACE_KEY
from tests.databases import administer
from tests.looked import Typed, a_bench, typed
from tests.promoted import STUDY, noisy

EARLIER, NEWEST = "aa11bb22cc33dd44", "ab11bb22cc33dd55"
AWAY = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}


def turned(plan: TrainingPlan) -> Outcome:
    """Linear is better by far, where ``noisy`` says it of cosine."""
    family = {"cosine": "linear", "linear": "cosine"}[plan.schedule.family]
    loss = 0.1 + (plan.seed % 7) / 1000 + (0.4 if family == "linear" else 0.0)
    metrics = {"val_loss": loss, "decide_loss": loss} if plan.horizon == STUDY.horizon else {"val_loss": 1.0}
    return replace(noisy(plan), metrics=metrics)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """The command in a home where cosine has won the study's first sweep, and linear its second."""
    monkeypatch.chdir(tmp_path)
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    bench = a_bench(STUDY, store)
    store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.STOPPED)
    for sweep_id, script in ((EARLIER, noisy), (NEWEST, turned)):
        bench.begin_sweep(sweep_id)
        spec = json.loads(json.dumps(STUDY.spec()))
        store.register_study(bench.lease, StudyRow(STUDY.name, STUDY.meaning, STUDY.generation, spec))
        bench.drive(script)
        store.update_sweep(bench.lease, sweep_id, status=SweepStatus.FINISHED)
    store.release_lease(bench.lease)
    store.close()
    return typed(capsys, monkeypatch, tmp_path / "home", AWAY)


def rows(tmp_path: Path) -> Sequence[ChampionRow]:
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    try:
        return store.champions.rows()
    finally:
        store.close()


def test_a_sweep_that_is_named_is_promoted_in_the_newest_ones_place(run: Typed, tmp_path: Path) -> None:
    """With the choice that it found; a demotion goes back to the newest's."""
    newest = json.loads(run("promote", "quick", "--no-test", "--as", "champion", "--json").out)
    assert (newest["choice"]["schedule"]["family"], newest["choice"]["provenance"]["sweep"]) == ("linear", NEWEST)
    ran = run("promote", "quick", "--sweep", EARLIER[:2], "--no-test", "--as", "champion", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["choice"]["schedule"]["family"], found["choice"]["provenance"]["sweep"]) == ("cosine", EARLIER)
    assert [row.sweep_id for row in rows(tmp_path)] == [NEWEST, EARLIER]
    assert "linear" in run("demote", "quick").out


def test_choose_answers_for_the_sweep_that_is_named(run: Typed) -> None:
    """By its finals alone."""
    assert json.loads(run("choose", "quick", "--json").out)["recommended"] == "linear"
    assert json.loads(run("choose", "quick", "--sweep", EARLIER.upper(), "--json").out)["recommended"] == "cosine"


def test_a_report_of_an_earlier_sweep_has_a_file_of_its_own(run: Typed, tmp_path: Path) -> None:
    """The newest's page stays what it is; Markdown and ``--out`` take the sweep too."""
    assert run("report", "quick", "--no-mlflow").code == 0
    page = Path("quick-report.html").read_text(encoding="utf-8")
    ran = run("report", "quick", "--sweep", EARLIER, "--no-mlflow")
    assert (ran.code, ran.out) == (0, f"the report is in quick-{EARLIER[:8]}-report.html\n")
    assert EARLIER in Path(f"quick-{EARLIER[:8]}-report.html").read_text(encoding="utf-8")
    assert Path("quick-report.html").read_text(encoding="utf-8") == page
    assert EARLIER not in page
    assert "cosine" in run("report", "quick", "--sweep", EARLIER, "--markdown").out.split("\n\n")[1]
    found = json.loads(run("report", "quick", "--sweep", EARLIER, "--no-mlflow", "--out", "x.html", "--json").out)
    assert (found["sweep"], found["file"]) == (EARLIER, "x.html")


@pytest.mark.parametrize("command", [("promote", "--no-test"), ("choose",), ("report", "--no-mlflow"), ("show",)])
@pytest.mark.parametrize(("given", "count"), [("a", "2 sweeps"), ("f0", "no sweep"), ("", "no sweep")])
def test_a_sweep_that_is_not_there_or_not_one_is_refused_with_those_there_are(
    run: Typed, tmp_path: Path, command: tuple[str, ...], given: str, count: str
) -> None:
    """In the words of `show --sweep`; nothing is promoted or written."""
    ran = run(command[0], "quick", *command[1:], "--sweep", given)
    assert ran.code == 64
    assert f"study 'quick' has {count} whose id begins with {given!r}: give the beginning of one" in ran.err
    assert f"the newest first: {NEWEST}, {EARLIER}" in ran.err
    assert not rows(tmp_path)
    assert not list(tmp_path.glob("*.html"))


def test_a_table_has_no_sweep_to_name(run: Typed, tmp_path: Path) -> None:
    """The option is of a study."""
    (tmp_path / "table.csv").write_text("family,horizon,seed,value\na,1,1,1\n")
    ran = run("choose", "--from", "table.csv", "--sweep", "a")
    assert ran.code == 64
    assert "--sweep is of a study" in ran.err


def left_in_its_race(tmp_path: Path, *, before: str | None = None) -> None:
    """The earlier sweep was stopped there; with ``before`` the newest asks something else."""
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "a test", seconds=60)
    race = {**store.sweep(EARLIER).settings[RACE_KEY], "ended": None}
    store.update_sweep(lease, EARLIER, status=SweepStatus.STOPPED, settings={RACE_KEY: race})
    if before is not None:
        store.register_study(lease, StudyRow("quick", "another", before, json.loads(json.dumps(STUDY.spec()))))
        store.create_sweep(lease, SweepRow("ac11", "quick", before))
        administer(
            f"sqlite:///{tmp_path}/home/results.db",
            f"UPDATE lrs_sweep SET generation = '{before}' WHERE sweep_id = '{NEWEST}'",
        )
    store.release_lease(lease)
    store.close()


def test_a_race_that_nobody_goes_on_with_is_told_as_that(run: Typed, tmp_path: Path) -> None:
    """`lrsweep run` drives the newest sweep: what would show more is not to run it again."""
    left_in_its_race(tmp_path)
    told = (
        "the finals had not ended when another sweep was started, and this one will not go on: `lrsweep choose quick`"
    )
    assert f"To know more: {told} is of the newest." in run("choose", "quick", "--sweep", EARLIER).out
    page = run("report", "quick", "--sweep", EARLIER, "--markdown").out
    assert "`lrsweep run`" not in page.split("## ")[0]
    assert told.split(":")[0] in page
    assert (
        "The sweep was stopped before its finals were over; another one was started since, and this one will not go on."
    ) in page
    assert "this may change" not in page
    assert "The finals were not ended: shown are" in page


def test_a_race_of_the_file_as_it_was_goes_on_with_that_file(run: Typed, tmp_path: Path) -> None:
    """The newest sweep asks something else."""
    left_in_its_race(tmp_path, before="changed")
    assert (
        "a sweep of the study as it was changed was started since: `lrsweep run` with the file as it was before goes on"
    ) in run("choose", "quick", "--sweep", EARLIER).out


def test_an_earlier_sweep_that_is_driven_is_not_promoted(run: Typed, tmp_path: Path) -> None:
    """Where a study's file has gone back to it; `lrsweep cancel` would end another one, and is not named."""
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann's process", seconds=60)
    store.update_sweep(lease, EARLIER, status=SweepStatus.RUNNING)
    ran = run("promote", "quick", "--sweep", EARLIER)
    assert ran.code == 75
    assert "is still being driven (ann's process)" in ran.err
    store.release_lease(lease)
    ran = run("promote", "quick", "--sweep", EARLIER)
    assert ran.code == 75
    assert "has not come to its end, and nobody drives it: `lrsweep run` with the study's file goes on" in ran.err
    assert "lrsweep cancel" not in ran.err
    store.close()
    assert not rows(tmp_path)
