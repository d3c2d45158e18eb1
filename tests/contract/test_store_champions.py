"""What was promoted and how often a test set was read, in every kind of store."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from lrsweep.errors import LeaseHeld
from lrsweep.store import Store
from lrsweep.store.champions import Action, Alias, ChampionRow, TestRead, in_force, reading_lease, stacks


def text(family: str, **more: Any) -> str:
    return json.dumps({"schedule": {"family": family}, "test": None, **more})


def a_row(family: str, **changes: Any) -> ChampionRow:
    row = ChampionRow("digits", Alias.CHAMPION, Action.PROMOTE, text(family), "digits", f"sweep of {family}", 3)
    return replace(row, **changes)


def promote(store: Store, family: str, **changes: Any) -> bool:
    return store.champions.promote(a_row(family, **changes))[1]


def family_in_force(store: Store, alias: Alias = Alias.CHAMPION) -> str | None:
    row = in_force(store.champions.rows(), "digits", alias)
    return None if row is None or row.choice is None else json.loads(row.choice)["schedule"]["family"]


def test_a_promotion_is_kept_as_it_was_given(store: Store) -> None:
    """With an id and the store's time; the choice byte for byte."""
    given = a_row("cosine", note="why", who="ann", choice='{"b": 1,\n "a": 0.10}\n')
    kept, is_new = store.champions.promote(given)
    assert is_new
    assert kept.at > 1_700_000_000
    assert replace(kept, id=0, at=0.0) == given
    assert store.champions.rows() == store.champions.rows("digits") == [kept]
    assert store.champions.rows("others") == []


def test_the_same_choice_is_promoted_once(store: Store) -> None:
    """Another commit's working folder makes no other choice, and neither does a test set that was not read again."""
    tested = text("cosine", test={"mean": 0.1}, provenance={"study": "digits", "promoted_from": {"commit": "a1"}})
    assert promote(store, "cosine", choice=tested)
    assert not promote(store, "cosine", choice=tested)
    assert not promote(store, "cosine", choice=text("cosine", provenance={"study": "digits"}))
    [row] = store.champions.rows()
    assert row.choice == tested


def a_whole(**changes: Any) -> str:
    """A choice's text with its evidence and origin."""
    evidence = {"n": 3, "evidence": "recommended", "search_cost": 60.0, "next_step": "more seeds", **changes}
    provenance = {"sweep": "s1", "trial": 3, "versions": {"lrsweep": "1"}}
    return text("cosine", peak_lr=0.1, evidence=evidence, provenance=provenance)


def test_what_a_sweep_has_cost_and_how_a_release_words_it_make_no_other_choice(store: Store) -> None:
    """Prune makes a search cheaper and a release says more; who trains sees the same, from the same seeds."""
    assert promote(store, "cosine", choice=a_whole())
    assert not promote(store, "cosine", choice=a_whole(search_cost=7.0, next_step="all is said", newer_key=1))
    newer = json.loads(a_whole())
    newer["provenance"]["versions"] = {"lrsweep": "2"}
    assert not promote(store, "cosine", choice=json.dumps(newer))


def test_more_seeds_a_stronger_verdict_or_another_sweep_is_another_row(store: Store) -> None:
    """Each says of the same training what was not said before; a weaker verdict of the same seeds says less."""
    again = json.loads(a_whole())
    again["provenance"]["sweep"] = "s2"
    for given in (a_whole(), a_whole(n=5), a_whole(n=5, evidence="proven"), json.dumps(again)):
        assert promote(store, "cosine", choice=given)
        assert not promote(store, "cosine", choice=given)
    weaker = json.loads(a_whole(evidence="undecided"))
    weaker["provenance"]["sweep"] = "s2"
    assert not promote(store, "cosine", choice=json.dumps(weaker))


def test_a_demotion_takes_all_rows_of_one_training_away(store: Store) -> None:
    """One that says more takes the place of the row below: what was demoted is not in force again."""
    promote(store, "step")
    promote(store, "cosine")
    promote(store, "cosine", choice=text("cosine", test={"mean": 0.1}))
    store.champions.demote("digits", Alias.CHAMPION)
    assert family_in_force(store) == "step"
    assert [len(stack) for stack in stacks(store.champions.rows()).values()] == [1]


def test_a_training_that_comes_back_after_another_is_laid_on_top(store: Store) -> None:
    """Only rows that follow each other are one."""
    for family in ("cosine", "linear", "cosine"):
        promote(store, family)
    for before in ("linear", "cosine", None):
        store.champions.demote("digits", Alias.CHAMPION)
        assert family_in_force(store) == before


def test_a_row_that_cannot_be_read_hides_no_other(store: Store) -> None:
    """Its text is no JSON: it is like no other choice."""
    promote(store, "cosine", choice="{")
    assert promote(store, "linear")
    store.champions.demote("digits", Alias.CHAMPION)
    top = in_force(store.champions.rows(), "digits", Alias.CHAMPION)
    assert top is not None
    assert top.choice == "{"


def test_a_choice_of_which_the_test_set_speaks_now_is_another_row(store: Store) -> None:
    """It says more than the one that is there."""
    assert promote(store, "cosine")
    assert promote(store, "cosine", choice=text("cosine", test={"mean": 0.1}))
    assert len(store.champions.rows()) == 2


def test_a_demotion_goes_back_one_by_one(store: Store) -> None:
    """To what was promoted before, not to what the demotion has just taken away; and at last to nothing."""
    for family in ("step", "cosine", "linear"):
        promote(store, family)
    store.champions.mark_registered(store.champions.rows()[1].id, "7")
    back = store.champions.demote("digits", Alias.CHAMPION, note="worse in use", who="ann")
    assert (back.action, back.sweep_id, back.note, back.who) == (
        Action.DEMOTE,
        "sweep of cosine",
        "worse in use",
        "ann",
    )
    assert back.mlflow_version is None, "MLflow has not heard of the demotion"
    assert back.choice == text("cosine")
    assert family_in_force(store) == "cosine"
    store.champions.demote("digits", Alias.CHAMPION)
    assert family_in_force(store) == "step"
    promote(store, "wsd")
    store.champions.demote("digits", Alias.CHAMPION)
    nothing = store.champions.demote("digits", Alias.CHAMPION)
    assert (nothing.choice, nothing.study, nothing.sweep_id, nothing.trial) == (None, None, None, None)
    assert family_in_force(store) is None
    assert [row.action.value for row in store.champions.rows()].count("demote") == 4


def test_what_is_not_in_force_cannot_be_demoted(store: Store) -> None:
    """Of an unknown name, of another alias, and of one that was taken away."""
    promote(store, "cosine", alias=Alias.CANDIDATE)
    for name, alias in (("digits", Alias.CHAMPION), ("others", Alias.CANDIDATE)):
        with pytest.raises(KeyError, match=f"has no {alias.value}"):
            store.champions.demote(name, alias)
    store.champions.demote("digits", Alias.CANDIDATE)
    with pytest.raises(KeyError):
        store.champions.demote("digits", Alias.CANDIDATE)


def test_champions_and_candidates_do_not_know_of_each_other(store: Store) -> None:
    """Nor do two names."""
    promote(store, "cosine")
    promote(store, "linear", alias=Alias.CANDIDATE)
    promote(store, "wsd", name="others")
    assert family_in_force(store) == "cosine"
    assert family_in_force(store, Alias.CANDIDATE) == "linear"
    assert set(stacks(store.champions.rows())) == {
        ("digits", Alias.CHAMPION),
        ("digits", Alias.CANDIDATE),
        ("others", Alias.CHAMPION),
    }


def test_a_version_of_mlflow_is_remembered(store: Store) -> None:
    """On its row alone; one that is not there is told."""
    promote(store, "step")
    promote(store, "cosine")
    first, second = store.champions.rows()
    store.champions.mark_registered(second.id, "4")
    assert [row.mlflow_version for row in store.champions.rows()] == [None, "4"]
    assert store.champions.rows()[0] == first
    with pytest.raises(KeyError, match="row 99"):
        store.champions.mark_registered(99, "5")


def test_reads_of_a_test_set_are_counted_by_its_data(store: Store) -> None:
    """Whichever study reads it."""
    read = TestRead("digits@2f", "digits", "s1", (3, 0), 6)
    assert store.champions.read_test(read) == 1
    assert store.champions.read_test(replace(read, study="others", sweep_id="s2")) == 2
    assert store.champions.read_test(replace(read, data="digits@aa")) == 1
    first, second = store.champions.test_reads("digits@2f")
    assert (first.study, list(first.trials), first.trainings, second.study) == ("digits", [3, 0], 6, "others")
    assert len(store.champions.test_reads()) == 3


def test_many_at_once_leave_one_row_each_in_one_order(store: Store) -> None:
    """Of eight different choices; and one row of eight that are alike. The newest row is what is in force."""
    families = [f"family-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda family: store.champions.promote(a_row(family))[0], families))
    rows = store.champions.rows("digits")
    assert [row.id for row in rows] == sorted(row.id for row in found)
    assert sorted(row.choice or "" for row in rows) == sorted(map(text, families))
    with ThreadPoolExecutor(8) as pool:
        same = [is_new for _, is_new in pool.map(lambda _: store.champions.promote(a_row("wsd")), range(8))]
    assert sum(same) == 1
    assert family_in_force(store) == "wsd"


def test_a_promotion_needs_a_choice(store: Store) -> None:
    """A row without one would put nothing in force."""
    with pytest.raises(ValueError, match="cannot be promoted without a choice"):
        store.champions.promote(a_row("cosine", choice=None))


def test_what_was_promoted_outlives_its_results(store: Store) -> None:
    """No foreign key holds it: the sweep was never there."""
    promote(store, "cosine", study="gone", sweep_id="gone")
    assert store.studies() == []
    assert family_in_force(store) == "cosine"


def test_who_reads_a_test_set_drives_no_study(store: Store) -> None:
    """The lease for it is held by one, beside the study's own, and only that one names a driver."""
    reading = store.acquire_lease(reading_lease("digits"), "ann", seconds=60)
    assert store.holders() == {}
    store.acquire_lease("digits", "bob", seconds=60)
    with pytest.raises(LeaseHeld, match="by ann"):
        store.acquire_lease(reading_lease("digits"), "bob", seconds=60)
    assert {study: holder.owner for study, holder in store.holders().items()} == {"digits": "bob"}
    store.release_lease(reading)
    store.acquire_lease(reading_lease("digits"), "bob", seconds=60)
