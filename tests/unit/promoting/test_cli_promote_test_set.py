"""`lrsweep promote` reads the test set once for a choice, counts the read before it happens, and says what it found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.errors import InvalidInput, TryAgain
from lrsweep.records import Outcome, Status, TrainingPlan, WorkloadFacts
from lrsweep.store import open_store
from lrsweep.sweep.removing import old_results
from tests.promoted import STUDY, Begin, OnTestSet, answer, noisy, on_test, reads, rows
from tests.scripted import Dies, End
from tests.sweeps import FACTS


def test_the_same_choice_reads_the_test_set_once(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """Promoted again, as something else, or after a demotion; its values come along."""
    run = begin()
    first = answer(run("promote", "quick", "--json"))
    run("promote", "quick")
    assert answer(run("promote", "quick", "--as", "candidate", "--json"))["test"] == first["test"]
    run("demote", "quick")
    assert answer(run("promote", "quick", "--no-test", "--json"))["test"] == first["test"]
    assert (reads(tmp_path), executor.made) == (1, 1)


def test_the_same_choice_reads_the_test_set_once_whatever_was_pruned(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet]
) -> None:
    """The search has cost less then, and that is all: no row, no read, and the same text in the file."""
    run = begin()
    first = answer(run("promote", "quick", "--to", "first.json", "--json"))
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    [removal] = old_results(store, before=1e12, keep=("champions", "finalists"))
    assert removal.trials
    lease = store.acquire_lease("quick", "ann", seconds=60)
    store.remove_trials(lease, "sweep-1", removal.trials)
    store.release_lease(lease)
    store.close()
    again = answer(run("promote", "quick", "--to", "again.json", "--json"))
    assert (again["is_new"], again["choice"]) == (False, first["choice"])
    assert (reads(tmp_path), executor.made, len(rows(tmp_path))) == (1, 1, 1)
    assert Path("again.json").read_bytes() == Path("first.json").read_bytes()


def test_the_rate_rule_plays_no_part_on_the_test_set(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """A rule that was measured since is another row, with the test set's word of before."""
    run = begin()
    first = answer(run("promote", "quick", "--json"))
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    fit = {"exponent": 0.375, "interval": [0.25, 0.5], "trials": [1], "refused": []}
    store.update_sweep(lease, "sweep-1", settings={"fitted_exponents": {"sgd": fit}})
    store.release_lease(lease)
    store.close()
    found = answer(run("promote", "quick", "--json"))
    assert (found["is_new"], found["test"]) == (True, first["test"])
    assert (reads(tmp_path), executor.made) == (1, 1)


def test_an_undecided_choice_of_one_seed_reads_the_test_set_only_where_it_is_asked_for(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet]
) -> None:
    """Of a study without finals another choice will follow, and a read is not spent on this one."""
    run = begin(study=replace(STUDY, selection=replace(STUDY.selection, finalists=0)))
    ran = run("promote", "quick")
    assert ran.code == 0, ran.err
    assert "candidate of quick" in ran.out
    assert "the test set is not read: the choice is undecided and has one seed" in ran.err
    assert "`--test`" in ran.err
    assert (reads(tmp_path), executor.made) == (0, 0)
    assert answer(run("promote", "quick", "--test", "--json"))["test"]["read"] == 1
    assert answer(run("promote", "quick", "--json"))["test"]["read"] == 1
    assert reads(tmp_path) == 1


def test_a_promotion_without_the_test_set_reads_nothing(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet]
) -> None:
    """It can be made up for: then the row says more, and the file too."""
    run = begin()
    assert answer(run("promote", "quick", "--no-test", "--json"))["test"] is None
    assert (reads(tmp_path), executor.made) == (0, 0)
    later = answer(run("promote", "quick", "--json"))
    assert (later["is_new"], later["test"]["read"], later["was"]["test"]) == (True, 1, None)
    assert len(rows(tmp_path)) == 2


def test_that_the_test_set_is_to_be_read_and_left_alone_is_refused(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet]
) -> None:
    """In either order: neither of both is the last word."""
    run = begin()
    for words in (("--test", "--no-test"), ("--no-test", "--test")):
        ran = run("promote", "quick", *words)
        assert (ran.code, rows(tmp_path), executor.made) == (64, [], 0)
        assert "--test and --no-test are both given; wanted one of them" in ran.err


def test_a_read_is_counted_before_it_happens(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """The process that trains dies at once: nothing is promoted, and the read is counted all the same."""

    def dies(plan: TrainingPlan) -> End:
        return Dies()

    executor.script = staticmethod(dies)
    run = begin()
    ran = run("promote", "quick")
    assert ran.code == TryAgain.exit_code
    assert (reads(tmp_path), rows(tmp_path)) == (1, [])
    executor.script = staticmethod(on_test)
    ran = run("promote", "quick")
    assert "the test set of digits was read 2 times by now, 1 before this" in ran.out


def test_a_test_set_that_cannot_be_read_is_told(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """Other data than the study's are not read at all; a workload that gives no test value is."""
    executor.facts = replace(FACTS, data_hash="other")
    run = begin()
    ran = run("promote", "quick")
    assert ran.code == 0
    assert "the test set is not read: the workload's data (by their hash) were d and now other" in ran.err
    assert reads(tmp_path) == 0
    executor.facts = FACTS
    executor.script = staticmethod(noisy)
    ran = run("promote", "quick")
    assert "no training of the choice came to a value on the test set: none gives test_loss" in ran.err
    assert reads(tmp_path) == 1
    executor.script = staticmethod(lambda _: Outcome(Status.FAILED, 1, 0.1, {}, "Traceback …\nKeyError: 'test'"))
    assert "KeyError: 'test'" in run("promote", "quick").err


def test_a_device_that_is_not_there_is_refused(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asked for a champion without a test; other problems of loading are told, and it is promoted."""
    text = "--device is 'gpu7', but PyTorch cannot use it (no such device). There is: cpu."

    def describe(*_: object) -> WorkloadFacts:
        raise InvalidInput(text)

    monkeypatch.setattr(executor, "describe", describe)
    run = begin()
    ran = run("promote", "quick", "--device", "gpu7")
    assert ran.code == InvalidInput.exit_code
    assert text in ran.err
    assert rows(tmp_path) == []
    text = "its data are not there"
    assert "the test set is not read: its workload cannot be loaded here: its data" in run("promote", "quick").err
