"""Nights of one study whose question or data have changed: which are compared, read again, or a night of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.errors import LrsweepError, SettingsError, StoreUnavailable, TryAgain
from lrsweep.store.nights import night_lease
from tests.nightly_runs import STUDY, Nights, of_a_champion, other_data


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A study whose champion is ``linear``; what surrounds its nights is what they say."""
    return of_a_champion(tmp_path, monkeypatch)


def test_nights_of_other_data_are_compared_with_those_before(nights: Nights) -> None:
    """Changed data make another generation of the study, and are what a night watches: limits go on, the change is
    told."""
    nights.many("abcdef")
    other_data(nights)
    night = nights.night("g")
    assert night.judgement is not None
    assert night.judgement["charts"][0]["nights"] == 6
    assert [each["what"] for each in night.judgement["changes"]] == ["data"]
    assert night.verdict == "holds"


def test_nights_of_another_question_are_not_compared(nights: Nights) -> None:
    """The study decides by another metric since: its first night."""
    nights.many("abcdef")
    other = nights.study()
    assert other.study is not None
    run = nights.run("a", [replace(other, study=replace(other.study, metric="decide_loss"))])
    assert run.studies[0].judgement is None or run.studies[0].judgement["charts"][0]["nights"] == 0


def test_one_key_in_two_generations_is_two_nights(nights: Nights) -> None:
    """The file has changed on the same day: both are kept, with seeds of their own, and both are compared with."""
    nights.many("abcd")
    before = {plan.seed for plan in nights.begun}
    other_space = STUDY.replace('"constant", "cosine"', '"constant"')
    [night] = nights.run("d", [nights.study(text=other_space)]).studies
    assert before.isdisjoint(plan.seed for plan in nights.begun)
    assert not night.is_recorded
    assert night.judgement is not None
    assert night.judgement["charts"][0]["nights"] == 4


def test_data_that_changed_under_a_key_are_a_night_of_their_own(nights: Nights) -> None:
    """The same file and the same key: with other data it trains with seeds of its own and says so, on standard error
    and in its sentence; each generation is read again as it was."""
    nights.many("abcd")
    first, before = nights.night("d"), {row.id for row in nights.store.nights.rows()}
    facts = nights.facts
    other_data(nights)
    other = nights.night("d")
    assert not other.is_recorded
    assert (other.generation != first.generation, other.trainings) == (True, 6)
    assert "night d had begun before with another generation of the study: its data have changed" in other.sentence
    assert any("its data have changed" in text for text in nights.said)
    assert len(nights.store.nights.rows()) == len(before) + 1
    assert nights.night("d") == replace(other, is_recorded=True)
    nights.facts = facts
    assert nights.night("d") == first
    assert nights.begun == []


def test_who_reads_a_night_waits_for_nobody(nights: Nights) -> None:
    """Another process runs the study's next night meanwhile."""
    first = nights.night("a")
    lease = nights.store.acquire_lease(night_lease("quick"), "elsewhere:1", seconds=60, is_dead=lambda _: False)
    assert nights.night("a") == replace(first, is_recorded=True)
    nights.store.release_lease(lease)


@pytest.mark.parametrize("is_listed", [False, True])
def test_an_ended_night_is_read_where_its_workload_cannot_be_loaded(nights: Nights, is_listed: bool) -> None:
    """With its exit code, and why it could not be checked; no failure stands beside it, nor below it."""
    from lrsweep.nightly.history import history

    first = nights.night("a")
    nights.cannot = SettingsError("--device is 'cuda', and PyTorch finds no GPU.")
    if is_listed:  # of two generations with that key nobody can say which is meant
        nights.cannot, nights.facts = None, replace(nights.facts, data_hash="d2")
        nights.night("a")
        nights.cannot = SettingsError("--device is 'cuda', and PyTorch finds no GPU.")
    run = nights.run("a")
    [night] = run.studies
    if is_listed:
        assert (night.verdict, run.exit_code) == ("failed", 64)
    else:
        assert (night.verdict, run.exit_code, night.is_recorded) == (first.verdict, 0, True)
        assert night.sentence.startswith(f"{first.sentence}; whether the study, its data and its workload")
        assert night.sentence.endswith("could not be checked: --device is 'cuda', and PyTorch finds no GPU.")
    assert "failed" not in [each.verdict for each in history(nights.store)["quick"]]
    assert nights.run("b").exit_code == 64
    assert history(nights.store)["quick"][-1].verdict == "failed"


def test_a_night_under_way_is_not_hidden_by_one_of_the_same_key_that_ended(nights: Nights) -> None:
    """One of two generations ended and the other goes on; without its workload nobody can say which is meant."""
    from lrsweep.nightly.history import keep_failure

    first = nights.night("a")
    keep_failure(nights.store, replace(first, verdict="failed"))
    nights.store.nights.begin("quick", "another", "a", {"format": 1, "kind": "sweeps"})
    nights.cannot = SettingsError("--device is 'cuda', and PyTorch finds no GPU.")
    run = nights.run("a")
    assert (run.studies[0].verdict, run.exit_code) == ("failed", 64)


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), TryAgain("its process ended")])
def test_what_passes_is_no_reason_to_read_a_night_unchecked(nights: Nights, error: LrsweepError) -> None:
    """The same command finds out in a minute; a failure of an earlier try is no night beside it."""
    from lrsweep.nightly.history import keep_failure

    first = nights.night("a")
    keep_failure(nights.store, replace(first, verdict="failed"))
    nights.cannot = error
    run = nights.run("a")
    assert (run.studies[0].verdict, run.exit_code) == ("failed", error.exit_code)
    nights.cannot = SettingsError("--device is 'cuda', and PyTorch finds no GPU.")
    assert nights.night("a").is_recorded
