"""`lrsweep demote` and `history`: what is in force then, who was promoted when, and how often test sets were read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsweep.errors import TryAgain
from lrsweep.store import open_store
from lrsweep.store.champions import ChampionRow, TestRead
from tests.promoted import STUDY, Begin, OnTestSet, answer, rows
from tests.scripted import Dies


def test_a_demotion_says_what_is_in_force_then(begin: Begin, tmp_path: Path) -> None:
    """The one before, or nothing; a candidate is named where there is no champion."""
    run = begin()
    run("promote", "quick", "--no-test")
    run("promote", "quick", "--as", "candidate", "--note", "to try")
    ran = run("demote", "quick", "--note", "worse in use")
    assert "champion of quick: nothing" in ran.out
    assert "was: cosine at" in ran.out
    ran = run("demote", "quick")
    assert ran.code == 64
    assert "'quick' has no champion in force, but a candidate: `lrsweep demote quick --as candidate`" in ran.err
    found = answer(run("demote", "quick", "--as", "candidate", "--json"))
    assert (found["choice"], found["was"]["schedule"]["family"]) == (None, "cosine")
    assert [row.note for row in rows(tmp_path)] == [None, "to try", "worse in use", None]


def test_a_name_that_nobody_promoted_is_told_with_those_there_are(begin: Begin) -> None:
    """`demote`, `history` and `diff` alike."""
    run = begin()
    run("promote", "quick", "--no-test")
    for words in (("demote", "quik"), ("history", "quik"), ("diff", "quick", "quik")):
        ran = run(*words)
        assert ran.code == 64
        assert "nothing was promoted under the name 'quik'. Did you mean 'quick'? There are: quick." in ran.err


def test_a_demotion_after_a_test_set_was_made_up_for_leaves_another_training_or_none(begin: Begin) -> None:
    """Not the same one, promoted before it was tested."""
    run = begin()
    run("promote", "quick", "--no-test")
    said = run("promote", "quick").out
    assert "it takes the place of what was in force, the same training: cosine at" in said
    assert "goes back to it" not in said
    assert "champion of quick: nothing" in run("demote", "quick").out


def test_what_a_demotion_took_away_is_told_whoever_was_faster(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process promotes between the look and the demotion: what went is what that one had put on top."""
    run = begin()
    run("promote", "quick", "--no-test")
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    top = store.champions.rows()[0]
    faster = json.loads(top.choice or "") | {"peak_lr": 0.125}
    original = type(store.champions).demote

    def late(self: Any, *given: Any, **more: Any) -> ChampionRow:
        store.champions.promote(replace(top, choice=json.dumps(faster), note="faster"))
        return original(self, *given, **more)

    monkeypatch.setattr(type(store.champions), "demote", late)
    found = answer(run("demote", "quick", "--json"))
    store.close()
    assert found["was"]["peak_lr"] == 0.125
    assert found["choice"] == json.loads(top.choice or "")


def test_a_history_tells_rows_what_is_in_force_and_the_reads(begin: Begin) -> None:
    """As a table, and as one object."""
    run = begin()
    run("promote", "quick", "--note", "first")
    run("promote", "quick", "--as", "candidate")
    run("demote", "quick")
    table = run("history", "quick").out
    assert "promote candidate *" in table
    assert "demote champion" in table
    assert "first" in table
    assert "the test set of digits was read once by now" in table
    found = answer(run("history", "--json"))
    assert [(row["action"], row["alias"], row["in_force"]) for row in found["rows"]] == [
        ("promote", "champion", False),
        ("promote", "candidate", True),
        ("demote", "champion", False),
    ]
    assert found["in_force"]["quick"]["candidate"]["schedule"]["family"] == "cosine"
    assert [read["study"] for read in found["test_reads"]] == ["quick"]
    ran = run("history", "quik")
    assert ran.code == 64
    assert "Did you mean 'quick'? There are: quick." in ran.err


def test_a_read_without_a_promotion_is_in_the_history(begin: Begin, executor: type[OnTestSet]) -> None:
    """Of a promotion that was killed while it read."""
    executor.script = staticmethod(lambda _: Dies())
    run = begin()
    assert run("promote", "quick").code == TryAgain.exit_code
    for words in (("history",), ("history", "quick")):
        ran = run(*words)
        assert ran.code == 0, ran.err
        assert "nothing was promoted yet" in ran.out
        assert "the test set of digits was read once by now" in ran.out
    assert answer(run("history", "quick", "--json"))["test_reads"][0]["study"] == "quick"


def test_others_reads_of_the_data_are_in_the_history_of_one_that_has_read_none(begin: Begin, tmp_path: Path) -> None:
    """By the data that the promoted study was trained on; reads of other data are not its own."""
    run = begin()
    run("promote", "quick", "--no-test")
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    store.champions.read_test(TestRead("digits@d", "theirs", "s", (1,), 3))
    store.champions.read_test(TestRead("mnist@e", "others", "s", (1,), 3))
    store.close()
    ran = run("history", "quick")
    assert "the test set of digits was read once by now" in ran.out
    assert "mnist" not in ran.out
    assert "mnist" in run("history").out


def test_a_name_is_kept_only_where_the_study_asks_for_names(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``tracking.user`` is off by default."""
    monkeypatch.setattr("lrsweep.tracking.surroundings._user", lambda: "ann")
    run = begin(study=replace(STUDY, tracking=replace(STUDY.tracking, user=True)))
    run("promote", "quick", "--no-test")
    [row] = rows(tmp_path)
    assert row.who == "ann"
    assert '"ann"' not in (row.choice or "")
    run("demote", "quick")
    assert [row.who for row in rows(tmp_path)] == ["ann", "ann"]


def test_a_demotion_keeps_no_name_where_nobody_asks_for_names(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where the study is gone."""
    monkeypatch.setattr("lrsweep.tracking.surroundings._user", lambda: "ann")
    run = begin()
    run("promote", "quick", "--no-test")
    run("demote", "quick")
    assert [row.who for row in rows(tmp_path)] == [None, None]
