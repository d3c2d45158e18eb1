"""Nights that were stopped and go on when something around them has changed: what is said is what was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.nightly.outcome import StudyNight
from lrsweep.records import Json, TrainingPlan
from lrsweep.schedules import schedule
from lrsweep.store.champions import Alias, in_force
from lrsweep.store.nights import NightRow
from tests.choices import SGD, choice
from tests.nightly_runs import CHALLENGER, HERE, Nights, noise, of_a_champion, packages, usual
from tests.scripted import End, completed

OTHER = choice(schedule=schedule("constant"), peak_lr=0.3, optimizer=SGD, horizon=900)


class Killed(BaseException):
    """As a signal that nobody catches."""


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A study whose champion is ``linear``, after five nights."""
    made = of_a_champion(tmp_path, monkeypatch)
    made.many(f"a{place}" for place in range(5))
    return made


def dies_after(count: int) -> Callable[[TrainingPlan], End]:
    left = [count]

    def script(plan: TrainingPlan) -> End:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return usual(plan)

    return script


def begun(nights: Nights, key: str, trained: int) -> None:
    """A night that is killed after so many trainings."""
    script, nights.script = nights.script, dies_after(trained)
    with pytest.raises(Killed):
        nights.run(key, is_always=True)
    nights.script = script


def worse(plan: TrainingPlan) -> End:
    return completed(plan, {"linear": 0.6, "exponential": 0.8}.get(plan.schedule.family, 0.6) + noise(plan))


def versions(night: StudyNight) -> list[tuple[object, object]]:
    assert night.judgement is not None
    return [(each["before"], each["now"]) for each in night.judgement["changes"] if each["what"] == "version of torch"]


# ── surroundings ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_night_that_goes_on_with_other_versions_says_so(nights: Nights) -> None:
    """Begun on torch 2.15 and trained on 9.9, where all values are others: no canary outside its limits, no drift, and
    the night after it goes on from there."""
    begun(nights, "b", 0)
    nights.here, nights.script = replace(HERE, versions=packages(torch="9.9")), worse
    night = nights.night("b")
    assert versions(night) == [("2.15.0", "9.9")]
    assert (night.verdict, night.trainings) == ("undecided", 6)
    after = nights.night("c", is_always=True)
    assert versions(after) == []
    assert after.judgement is not None
    assert after.judgement["charts"][0]["nights"] == 1


def test_a_night_of_two_versions_is_of_both(nights: Nights) -> None:
    """Two trainings of one and four of the other: limits start anew with it, and with the night after it."""
    begun(nights, "b", 2)
    nights.here, nights.script = replace(HERE, versions=packages(torch="9.9")), worse
    night = nights.night("b")
    assert versions(night) == [("2.15.0", "2.15.0 and 9.9")]
    assert night.trainings == 6
    assert versions(nights.night("c")) == [("2.15.0 and 9.9", "9.9")]


def test_versions_between_two_starts_are_not_forgotten(nights: Nights) -> None:
    """Begun and ended on 2.15, with a training on 9.9 in between, and a start on 9.8 that trained nothing."""
    begun(nights, "b", 2)
    nights.here = replace(HERE, versions=packages(torch="9.9"))
    begun(nights, "b", 1)
    nights.here = replace(HERE, versions=packages(torch="9.8"))
    begun(nights, "b", 0)
    nights.here = HERE
    assert versions(nights.night("b")) == [("2.15.0", "2.15.0 and 9.9")]


def test_after_a_night_that_went_on_elsewhere_the_place_it_began_in_is_a_change(nights: Nights) -> None:
    """What it was trained in counts, not what it was begun in: back there a night trains, and elsewhere none does."""
    begun(nights, "b", 0)
    nights.here = replace(HERE, versions=packages(torch="9.9"))
    nights.night("b")
    assert nights.night("c").is_unchanged
    nights.here = HERE
    assert not nights.night("d").is_unchanged


def test_an_old_night_that_goes_on_has_its_place_where_it_began(nights: Nights) -> None:
    """After five nights on 9.9 the one before them ends on 9.9 too: nothing changes back, and limits go on."""
    begun(nights, "old", 0)
    nights.here = replace(HERE, versions=packages(torch="9.9"))
    nights.many(f"b{place}" for place in range(5))
    assert versions(nights.night("old")) == [("2.15.0", "9.9")]
    after = nights.night("c", is_always=True)
    assert versions(after) == []
    assert after.judgement is not None
    assert after.judgement["charts"][0]["nights"] == 6


# ── the champion ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_night_whose_champion_was_replaced_reports_the_one_it_judged(nights: Nights) -> None:
    """And says who is in force by now."""
    begun(nights, "b", 2)
    nights.promote(CHALLENGER)
    night = nights.night("b")
    assert str(night.champion).startswith("linear at 0.4")
    assert "in force by now is cosine at 0.1" in night.sentence
    assert night.next_step == "the next night compares with what is in force"


def better(plan: TrainingPlan) -> End:
    """The champion has lost what it had; the candidate ``cosine`` is better by thirty deviations."""
    return completed(
        plan, {"linear": 0.8, "exponential": 0.95, "cosine": 0.5}.get(plan.schedule.family, 0.9) + noise(plan)
    )


def shown_next(nights: Nights) -> None:
    """With the next night the candidate is shown to be better."""
    nights.promote(CHALLENGER, Alias.CANDIDATE)
    nights.script = better
    assert {nights.night(key, is_always=True).verdict for key in ("b0", "b1")} == {"undecided"}


def test_nobody_is_put_up_over_a_champion_that_it_never_met(nights: Nights) -> None:
    """Somebody promotes another while the night trains: the candidate stays as it is, and that is said."""
    shown_next(nights)
    begun_trainings = [0]

    def promotes(plan: TrainingPlan) -> End:
        begun_trainings[0] += 1
        if begun_trainings[0] == 8:
            nights.promote(OTHER)
        return better(plan)

    nights.script = promotes
    rows = len(nights.store.champions.rows("quick"))
    night = nights.night("b2", is_always=True)
    assert night.verdict == "challenger better"
    assert "in force by now is constant" in night.sentence
    assert "nobody is put up" in night.sentence
    assert "promote" not in night.next_step
    assert len(nights.store.champions.rows("quick")) == rows + 1


class _DiesAtTheEnd:
    """Wraps a store's nights: the process dies where the night would be ended."""

    def __init__(self, nights: Nights) -> None:
        self._real = nights.store.nights.end

    def __call__(self, night: int, result: Mapping[str, Json]) -> NightRow:
        raise Killed

    def lives(self, nights: Nights) -> None:
        nights.store.nights.end = self._real  # type: ignore[method-assign]


def killed_after_it_followed(nights: Nights) -> None:
    shown_next(nights)
    dies = _DiesAtTheEnd(nights)
    nights.store.nights.end = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        nights.run("b2", is_always=True)
    dies.lives(nights)


def test_a_promotion_right_before_the_end_is_reported_by_who_goes_on(nights: Nights) -> None:
    """Killed between the two: it is the night's own, with exit code 4, and is done once."""
    nights.nightly = "promote = true"
    killed_after_it_followed(nights)
    rows = nights.store.champions.rows("quick")
    night = nights.night("b2")
    assert str(night.promoted).startswith("cosine at 0.1")
    assert (night.exit_code, night.champion) == (4, night.promoted)
    assert "in force as the champion is now cosine" in night.sentence
    assert "lrsweep demote quick" in night.next_step
    assert nights.store.champions.rows("quick") == rows


@pytest.mark.parametrize("alias", list(Alias))
def test_what_a_killed_night_had_put_up_and_was_taken_back_stays_so(nights: Nights, alias: Alias) -> None:
    """Somebody demoted it before the night went on: they knew better."""
    nights.nightly = "promote = true" if alias is Alias.CHAMPION else ""
    killed_after_it_followed(nights)
    nights.store.champions.demote("quick", alias)
    rows = nights.store.champions.rows("quick")
    night = nights.night("b2")
    assert night.promoted is None
    assert "was taken back, so that nobody is put up" in night.sentence
    assert nights.store.champions.rows("quick") == rows
    assert in_force(rows, "quick", Alias.CHAMPION) == rows[0]


def test_a_night_of_a_sweep_that_goes_on_beside_a_champion_puts_up_nobody(nights: Nights) -> None:
    """It began when none was in force, and somebody has promoted since: it ends, and says so."""
    nights.store.champions.demote("quick", Alias.CHAMPION)
    study = nights.study().study
    assert study is not None
    generation = nights.store.nights.rows("quick")[0].generation
    nights.store.nights.begin("quick", generation, "b", {"format": 1, "kind": "sweeps"})
    nights.promote(CHALLENGER)
    night = nights.night("b")
    assert (night.verdict, night.trainings, night.candidate) == ("undecided", 0, None)
    assert "a champion came into force since the night began, cosine at 0.1" in night.sentence
    assert nights.night("b").is_recorded
