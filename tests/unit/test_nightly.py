"""Nights with a champion in force, by scripted trainings: what trains, what is kept, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.errors import SettingsError
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.planning import FAILS
from lrsweep.nightly.promoting import candidate_becomes_champion
from lrsweep.records import Json, TrainingPlan
from lrsweep.store.champions import Alias, in_force
from tests.choices import choice
from tests.nightly_runs import (
    CHALLENGER,
    HERE,
    Nights,
    another_commit,
    another_device,
    another_torch,
    another_workload,
    noise,
    of_a_champion,
    usual,
)
from tests.scripted import End, completed, diverged, failed


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A study whose champion is ``linear``; what surrounds its nights is what they say."""
    return of_a_champion(tmp_path, monkeypatch)


FAMILIES = ("linear", "exponential")
"""Of the champion, and of the baseline."""


def families(begun: list[TrainingPlan]) -> Counter[tuple[str, int]]:
    return Counter((plan.schedule.family, plan.horizon) for plan in begun)


# ── the canary ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_night_trains_champion_and_baseline_with_the_same_fresh_seeds(nights: Nights) -> None:
    """Three each; no sweep says which rung can be trusted, so it is the full horizon."""
    night = nights.night("a")

    assert families(nights.begun) == {("linear", 900): 3, ("exponential", 900): 3}
    seeds = {each: {plan.seed for plan in nights.begun if plan.schedule.family == each} for each in FAMILIES}
    assert seeds["linear"] == seeds["exponential"]
    assert (night.verdict, night.exit_code, night.trainings, night.steps) == ("undecided", 0, 6, 5400)
    assert "0 nights before tonight" in night.sentence
    assert "the results hold no sweep" in night.sentence
    assert str(night.champion).startswith("linear at 0.4 with sgd")


def test_a_night_that_ended_is_read_and_trains_nothing(nights: Nights) -> None:
    """The same verdict, exit code and JSON but for the word that it is recorded."""
    first, again = nights.night("a"), nights.night("a", is_always=True)
    assert nights.begun == []
    assert again == replace(first, is_recorded=True)


def test_no_seed_is_used_twice(nights: Nights) -> None:
    """Over ten nights with challengers in between, and whatever the seeds of a sweep were."""
    nights.script = lambda plan: completed(plan, noise(plan) + (len(nights.said) % 5 > 2))
    seeds: list[int] = []
    for place in range(10):
        nights.night(f"n{place}", is_always=True)
        seeds += {plan.seed for plan in nights.begun}
    assert len(seeds) == len(set(seeds)) >= 30


def test_what_a_night_trains_follows_from_its_key(tmp_path: Path, nights: Nights) -> None:
    """Another store, the same key: the same seeds; another key: others."""
    nights.night("a")
    first = {plan.seed for plan in nights.begun}
    other = Nights(tmp_path / "other")
    other.promote()
    other.night("a")
    assert {plan.seed for plan in other.begun} == first
    other.night("b", is_always=True)
    assert {plan.seed for plan in other.begun}.isdisjoint(first)


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_nights_in_which_nothing_changes_hold_after_the_first(nights: Nights) -> None:
    """Three nights make limits; then it holds, and no challenger was trained."""
    found = nights.many("abcdefgh")
    assert [night.verdict for night in found] == ["undecided"] * 3 + ["holds"] * 5
    assert {night.trainings for night in found} == {6}
    assert nights.store.nights.rows()[-1].result["row"]["champion"].startswith("linear-")  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (another_torch, "version of torch"),
        (another_workload, "version of workload"),
        (another_device, "device"),
    ],
)
def test_changed_surroundings_are_told_as_what_they_are(
    nights: Nights, change: Callable[[Nights], None], what: str
) -> None:
    """Though all values move by ten deviations: undecided, exit code 0, the change in words, limits anew."""
    nights.many("abcdefgh")
    change(nights)
    nights.script = lambda plan: completed(plan, 0.1 + float(usual(plan).metrics["val_loss"]))  # type: ignore[union-attr]
    night = nights.night("i")
    assert (night.verdict, night.exit_code) == ("undecided", 0)
    assert night.judgement is not None
    assert [each["what"] for each in night.judgement["changes"]] == [what]
    assert "changed from" in night.sentence
    assert "limits and comparisons start anew" in night.sentence


def shifted(by: float) -> Callable[[TrainingPlan], End]:
    """The champion's values, and the lead that it has, are worse by so much."""

    def script(plan: TrainingPlan) -> End:
        level = {"linear": 0.5 + by, "exponential": 0.7}.get(plan.schedule.family, 0.9)
        return completed(plan, level + noise(plan))

    return script


def test_values_that_stay_moved_are_a_drift(nights: Nights) -> None:
    """Exit code 4 on the night that shows it, 0 where changes are fine; challengers train on the nights on the way."""
    nights.many(f"a{place}" for place in range(12))
    another_commit(nights)
    nights.script = shifted(0.05)
    found: list[StudyNight] = []
    while not found or found[-1].verdict != "workload drifted":
        assert len(found) < 10
        found.append(nights.night(f"b{len(found)}"))
    assert found[0].verdict == "undecided"
    assert found[0].trainings > 6
    assert not any(night.is_unchanged for night in found)
    assert found[-1].exit_code == 4
    assert nights.run(f"b{len(found) - 1}").exit_code == 4
    assert nights.run(f"b{len(found) - 1}", is_changed_fine=True).exit_code == 0


def better(plan: TrainingPlan) -> End:
    """The champion has lost what it had, on the rung too; the candidate ``cosine`` is better by ten deviations."""
    level = {"linear": 0.8, "exponential": 0.95, "cosine": 0.7}[plan.schedule.family]
    return completed(plan, level + noise(plan))


def with_a_better_challenger(nights: Nights) -> list[StudyNight]:
    """A candidate, nights of limits, and then nights until it is shown to be better."""
    nights.promote(CHALLENGER, Alias.CANDIDATE)
    nights.many(f"a{place}" for place in range(12))
    another_commit(nights)
    nights.script = better
    found: list[StudyNight] = []
    while not found or found[-1].verdict != "challenger better":
        assert len(found) < 10, [night.sentence for night in found]
        found.append(nights.night(f"b{len(found)}"))
    return found


def test_a_challenger_is_shown_by_two_nights_that_confirm_it(nights: Nights) -> None:
    """It becomes the candidate and not the champion; nights in between train though nothing has changed."""
    found = with_a_better_challenger(nights)
    assert len(found) == 3
    assert found[-1].exit_code == 4
    assert found[-1].promoted is None
    assert "cosine-" in found[-1].sentence
    assert "lrsweep nightly promote quick" in found[-1].next_step
    rows = nights.store.champions.rows("quick")
    champion, candidate = (in_force(rows, "quick", alias) for alias in (Alias.CHAMPION, Alias.CANDIDATE))
    assert champion is not None
    assert candidate is not None
    assert '"linear"' in str(champion.choice)
    assert '"cosine"' in str(candidate.choice)
    assert "night b2" in str(candidate.note)
    assert str(found[-1].candidate).startswith("cosine at 0.1 with sgd")


def test_the_pairs_of_a_challenger_have_seeds_that_the_canary_did_not_see(nights: Nights) -> None:
    """The canary's are those that have asked for it; challenger and champion share theirs."""
    found = with_a_better_challenger(nights)
    trainings = nights.store.nights.trainings(nights.store.nights.rows()[-1].id)
    seeds = {arm: {row.seed for row in trainings if row.arm == arm} for arm in {row.arm for row in trainings}}
    [challenger] = [arm for arm in seeds if arm.startswith("cosine-")]
    assert len(seeds["champion"]) == 6
    assert found[0].trainings == 6 + 3 * 3  # of champion, candidate and baseline with three seeds
    assert seeds[challenger] < seeds["champion"]
    assert seeds[challenger].isdisjoint(seeds["baseline"])
    assert found[-1].trainings == len(trainings)


def test_a_study_may_say_that_a_better_challenger_comes_into_force(nights: Nights) -> None:
    """The champion is the challenger, without a test-set read; the next night starts limits anew and says why."""
    nights.nightly = "promote = true"
    [*_, last] = with_a_better_challenger(nights)
    assert str(last.promoted).startswith("cosine at 0.1 with sgd")
    row = in_force(nights.store.champions.rows("quick"), "quick", Alias.CHAMPION)
    assert row is not None
    assert '"night": "b2"' in str(row.choice)
    assert nights.store.champions.test_reads() == []
    after = nights.night("c")
    assert not after.is_unchanged
    assert (after.verdict, after.exit_code) == ("undecided", 0)
    assert "the champion changed" in after.sentence


def test_the_candidate_that_a_night_has_put_up_becomes_the_champion_by_hand(nights: Nights) -> None:
    """`lrsweep nightly promote`; without a candidate it says what makes one."""
    with pytest.raises(SettingsError, match="no candidate of 'quick' is in force"):
        candidate_becomes_champion(nights.store, nights.at().homes, "quick", None, nights.said.append)
    with_a_better_challenger(nights)
    with pytest.raises(SettingsError, match="Did you mean 'quick'"):
        candidate_becomes_champion(nights.store, nights.at().homes, "quik", None, nights.said.append)
    found = candidate_becomes_champion(nights.store, nights.at().homes, "quick", "I looked", nights.said.append)
    assert found.words.startswith("cosine at 0.1 with sgd")
    assert found.was is not None
    row = in_force(nights.store.champions.rows("quick"), "quick", Alias.CHAMPION)
    assert row is not None
    assert (row.id, row.note) == (found.row.id, "I looked")
    assert "the champion changed" in nights.night("c").sentence


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({"evidence": "undecided"}, "its evidence is undecided: that it leads may be chance"),
        (
            {"evidence": "proven", "metric": "val_loss", "choice": {"mean": 0.9, "sd": 0.01, "n": 5}},
            "the one in force, linear at 0.4, came to a better val_loss: 0.5 (5 seeds), and this one to 0.9 (5 seeds)",
        ),
    ],
)
def test_a_candidate_that_promote_would_not_make_champion_is_refused(
    nights: Nights, evidence: dict[str, Json], told: str
) -> None:
    """With what it is, what is wanted and what to do; `--anyway` takes it all the same."""
    finals = {"evidence": "proven", "metric": "val_loss", "choice": {"mean": 0.5, "sd": 0.01, "n": 5}}
    of = {"meaning": "m", "metric": "val_loss"}
    champion = nights.promote(replace(choice(horizon=900), evidence=finals, provenance=of))
    nights.promote(replace(CHALLENGER, evidence=evidence, provenance=of), Alias.CANDIDATE)
    homes = nights.at().homes
    with pytest.raises(SettingsError) as refused:
        candidate_becomes_champion(nights.store, homes, "quick", None, nights.said.append)
    assert f"is not made the champion: {told}. Wanted is one that is `recommended` or `proven`" in str(refused.value)
    assert "`lrsweep choose quick` says what would show more" in str(refused.value)
    assert in_force(nights.store.champions.rows("quick"), "quick", Alias.CHAMPION) == champion
    found = candidate_becomes_champion(nights.store, homes, "quick", None, nights.said.append, is_anyway=True)
    assert found.words.startswith("cosine at 0.1")


def test_a_challenger_that_waits_is_promoted_once_the_study_says_so(nights: Nights) -> None:
    """It is named night after night; with ``nightly.promote`` it comes into force, and that is a change."""
    with_a_better_challenger(nights)
    waits = nights.night("c", is_always=True)
    assert waits.verdict == "undecided"
    assert waits.exit_code == 0
    assert waits.state.startswith("undecided: cosine-")
    nights.nightly = "promote = true"
    promoted = nights.night("d", is_always=True)
    assert promoted.exit_code == 4
    assert str(promoted.promoted).startswith("cosine")


def test_a_night_of_a_challenger_that_fails_goes_on_without_it(nights: Nights) -> None:
    """It is named; the verdict is that of the others."""
    nights.promote(CHALLENGER, Alias.CANDIDATE)
    nights.many(f"a{place}" for place in range(6))
    another_commit(nights)
    nights.script = lambda plan: failed(plan) if plan.schedule.family == "cosine" else shifted(0.2)(plan)
    night = nights.night("b")
    assert "trainings of cosine-" in night.sentence
    assert "failed, so that these are left out" in night.sentence
    assert night.judgement is not None
    assert all(not each["name"].startswith("cosine") for each in night.judgement["compared"])


def test_a_study_without_challengers_trains_its_canary_alone(nights: Nights) -> None:
    """``nightly.challengers = 0``."""
    nights.nightly = "challengers = 0"
    nights.many(f"a{place}" for place in range(6))
    nights.script = shifted(0.2)
    assert nights.night("b", is_always=True).trainings == 6


def test_seeds_that_diverge_are_no_values(nights: Nights) -> None:
    """A champion that diverges with every seed has nothing on its chart, and the night says so."""
    nights.many("abcde")
    nights.script = lambda plan: diverged(plan) if plan.schedule.family == "linear" else usual(plan)
    night = nights.night("f", is_always=True)
    assert night.judgement is not None
    assert night.judgement["diverged"] == [3, 3]
    assert "diverged with 3 of 3 seeds" in night.sentence


def slightly_better(shift: float) -> Callable[[TrainingPlan], End]:
    """The candidate gains 0.03."""

    def script(plan: TrainingPlan) -> End:
        level = {"linear": 0.5, "exponential": 0.7}.get(plan.schedule.family, 0.47)
        return completed(plan, level + shift + noise(plan))

    return script


def test_whom_a_smaller_worth_shows_is_told_though_earlier_nights_would_have_shown_it(nights: Nights) -> None:
    """No night had said so by the larger worth: the next trains it once more, says it with exit code 4 and puts it up;
    only then it waits."""
    nights.nightly = "worth = 0.05"
    nights.script = slightly_better(0.0)
    nights.promote(CHALLENGER, Alias.CANDIDATE)
    nights.many(f"a{place}" for place in range(6))
    nights.script = slightly_better(0.03)
    before = nights.many(f"b{place}" for place in range(8))
    assert sum(night.trainings > 6 for night in before) >= 3
    assert "challenger better" not in {night.verdict for night in before}
    nights.nightly = "worth = 0.01"
    told, waits = nights.night("c0"), nights.night("c1", is_always=True)
    assert (told.verdict, told.exit_code) == ("challenger better", 4)
    assert told.trainings > 6
    assert "night c0" in str(nights.store.champions.rows("quick")[-1].note)
    assert (waits.verdict, waits.exit_code) == ("undecided", 0)
    assert "an earlier night has shown cosine-" in waits.sentence


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_failed_trainings_fail_the_night_and_are_tried_again(nights: Nights) -> None:
    """Exit code 70 with the reason; what ended is kept, and the same key trains the rest."""
    nights.script = lambda plan: failed(plan) if plan.schedule.family == "exponential" else usual(plan)
    run = nights.run("a")
    [night] = run.studies
    assert (run.exit_code, night.verdict, night.exit_code) == (70, "failed", 70)
    assert "3 of 6 trainings failed: baseline over 900 steps" in night.sentence
    assert "RuntimeError: no data" in night.sentence
    nights.script = usual
    assert nights.night("a").verdict == "undecided"
    assert families(nights.begun) == {("exponential", 900): 3}


def test_a_failure_is_kept_so_that_it_is_told_once(nights: Nights) -> None:
    """The second of one key is recorded; the night of the next key is a failure of its own; a success ends them."""
    from lrsweep.nightly.history import history

    nights.script = failed
    [first], [second] = nights.run("a").studies, nights.run("a").studies
    assert (first.is_recorded, second.is_recorded) == (False, True)
    nights.run("b")
    nights.script = usual
    nights.night("b")
    assert [(night.key, night.verdict) for night in history(nights.store)["quick"]] == [
        ("a", "failed"),
        ("b", "failed"),
        ("b", "undecided"),
    ]
    assert [row.generation == FAILS for row in nights.store.nights.rows()].count(True) == 2


def test_a_night_that_dies_anywhere_goes_on_with_the_rest(nights: Nights) -> None:
    """Killed before each of its twelve trainings in turn: the night after that has trained each once, and its verdict
    is that of a night that lived."""

    class Killed(BaseException):
        """As a signal that nobody catches."""

    nights.promote(CHALLENGER, Alias.CANDIDATE)
    nights.many(f"a{place}" for place in range(6))
    another_commit(nights)
    trained: Counter[tuple[str, int]] = Counter()
    lives = 0
    while lives < 40:
        lives += 1
        left = 1

        def dies(plan: TrainingPlan) -> End:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            trained[plan.schedule.family, plan.seed] += 1
            return better(plan)

        nights.script = dies
        try:
            night = nights.night("b")
        except Killed:
            continue
        break
    assert 12 < lives < 40
    assert set(trained.values()) == {1}
    assert night.trainings == trained.total()
    twin = Nights(nights.folder / "twin")
    twin.promote()
    twin.promote(CHALLENGER, Alias.CANDIDATE)
    nights.here = HERE  # of both
    twin.many(f"a{place}" for place in range(6))
    another_commit(nights)
    twin.script = better
    assert twin.night("b").judgement == night.judgement


def test_a_champion_that_the_study_cannot_train_any_more_is_told(nights: Nights) -> None:
    """It was found with a script's own optimizer: exit code 64, with what to do."""
    from lrsweep.records import OptimizerSpec

    nights.promote(choice(optimizer=OptimizerSpec("script"), horizon=900))
    run = nights.run("a")
    assert run.exit_code == 64
    assert "lrsweep demote quick" in run.studies[0].sentence
