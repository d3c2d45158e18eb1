"""`lrsweep promote` on a scripted sweep that has ended: who comes into force, and where it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsweep.findings.promoting import promoted as promoting
from lrsweep.store import open_store
from lrsweep.sweep.registering import Registered
from tests.promoted import Begin, OnTestSet, answer, equal, rows


class Killed(BaseException):
    """As a signal that nobody catches."""


def test_what_is_proven_becomes_the_champion(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """A row, a file that is the row's text, and what the test set says by as many fresh seeds as the finals had."""
    run = begin()
    ran = run("promote", "quick", "--to", "schedules/quick.json")
    assert ran.code == 0, ran.err
    [row] = rows(tmp_path)
    assert (row.name, row.alias, row.study, row.sweep_id, row.mlflow_version) == (
        "quick",
        "champion",
        "quick",
        "sweep-1",
        None,
    )
    assert Path("schedules/quick.json").read_text() == row.choice
    assert "champion of quick: cosine at" in ran.out
    assert "on the test set: test_loss 0.2" in ran.out
    assert "the test set of digits was read once by now, never before this" in ran.out
    assert "written: schedules/quick.json" in ran.out
    choice = json.loads(row.choice or "")
    assert choice["test"]["read"] == 1
    assert choice["test"]["n"] == choice["evidence"]["n"] >= 3
    assert all(plan.reads_test and plan.checkpoint_url is None for plan in executor.plans)
    assert {plan.horizon for plan in executor.plans} == {90}
    assert set(choice["test"]["seeds"]) == {plan.seed for plan in executor.plans}


def test_an_mlflow_that_is_away_is_told_and_the_row_stands(begin: Begin, tmp_path: Path) -> None:
    """Exit code 0; the next promotion of the same choice adds no row, and says still that MLflow lacks it."""
    run = begin()
    ran = run("promote", "quick")
    assert ran.code == 0
    assert "MLflow's registry has not got it; `lrsweep sync` sends it." in ran.out
    assert "`--to schedules/quick.json` writes it into a file for git" in ran.out
    again = answer(run("promote", "quick", "--json"))
    assert (again["is_new"], again["mlflow_version"], len(rows(tmp_path))) == (False, None, 1)
    assert "Connection refused" in again["mlflow_outage"]


def test_a_choice_that_is_worse_than_the_champion_becomes_a_candidate(begin: Begin, tmp_path: Path) -> None:
    """A later sweep may find less; somebody's word makes it the champion all the same."""
    run = begin()
    present = answer(run("promote", "quick", "--no-test", "--json"))["choice"]
    present["peak_lr"] *= 2
    present["evidence"]["choice"]["mean"] -= 10
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    store.champions.promote(replace(rows(tmp_path)[0], id=0, choice=json.dumps(present), mlflow_version=None))
    store.close()
    ran = run("promote", "quick", "--no-test")
    assert ran.code == 0, ran.err
    assert "a candidate, and not the champion: the one in force, cosine at" in ran.out
    assert "came to a better" in ran.out
    assert answer(run("promote", "quick", "--no-test", "--as", "champion", "--json"))["alias"] == "champion"


def test_what_is_undecided_becomes_a_candidate_unless_told_otherwise(begin: Begin, tmp_path: Path) -> None:
    """It says why and what would raise the evidence; once it is the champion by somebody's word, it stays that."""
    run = begin(equal)
    ran = run("promote", "quick", "--no-test")
    assert ran.code == 0, ran.err
    assert "candidate of quick:" in ran.out
    assert "a candidate, and not the champion: that it leads may be chance. To know more: " in ran.out
    assert "`--as champion` makes it the champion" in ran.out
    assert answer(run("promote", "quick", "--no-test", "--as", "champion", "--json"))["alias"] == "champion"
    again = answer(run("promote", "quick", "--no-test", "--json"))
    assert (again["alias"], again["is_new"]) == ("champion", False)
    assert [row.alias.value for row in rows(tmp_path)] == ["candidate", "champion"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "quik"), "Did you mean 'quick'?"),
        (("demote", "quick"), "nothing was promoted yet. `lrsweep promote STUDY` puts a study's choice in force."),
        (("history",), "nothing was promoted yet. `lrsweep promote STUDY`"),
    ],
)
def test_what_is_not_there_is_told(begin: Begin, words: tuple[str, ...], said: str) -> None:
    """Exit code 64, with what to do."""
    ran = begin()(*words)
    assert ran.code == 64
    assert said in ran.err


def test_a_kill_between_row_and_registry_is_healed_by_the_next(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is there and waits; the same command finds it, and asks MLflow for all that waits."""
    run = begin()

    def killed(*_: object, **__: object) -> Registered:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(promoting, "register", killed)
        with pytest.raises(Killed):
            run("promote", "quick", "--no-test")
    assert [row.mlflow_version for row in rows(tmp_path)] == [None]
    asked: list[str | None] = []

    def registered(_homes: object, store: Any, name: str | None, **__: object) -> Registered:
        asked.append(name)
        store.champions.mark_registered(1, "1")
        return Registered({1: "1"})

    monkeypatch.setattr(promoting, "register", registered)
    found = answer(run("promote", "quick", "--no-test", "--json"))
    assert (asked, found["is_new"], found["mlflow_version"]) == (["quick"], False, "1")


def test_the_rate_rule_is_the_one_that_was_measured(begin: Begin, tmp_path: Path) -> None:
    """By the sweep's own narrow fit with its interval; else what the sweep went by, without one."""
    run = begin()
    assert answer(run("promote", "quick", "--no-test", "--json"))["choice"]["rate_rule"] == {
        "exponent": 0.5,
        "interval": None,
    }
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    fit = {"exponent": 0.375, "interval": [0.25, 0.5], "trials": [1], "refused": []}
    store.update_sweep(lease, "sweep-1", settings={"fitted_exponents": {"sgd": fit}})
    store.release_lease(lease)
    store.close()
    assert answer(run("promote", "quick", "--no-test", "--json"))["choice"]["rate_rule"] == {
        "exponent": 0.375,
        "interval": [0.25, 0.5],
    }
