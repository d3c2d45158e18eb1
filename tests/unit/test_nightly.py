"""Nights with a champion in force, by scripted trainings: what trains, what is kept, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import lrsweep.nightly.around as around
from lrsweep.errors import LrsweepError, SettingsError, StoreUnavailable, TryAgain
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.planning import FAILS
from lrsweep.nightly.promoting import candidate_becomes_champion
from lrsweep.records import Json, TrainingPlan
from lrsweep.store.champions import Alias, in_force
from lrsweep.store.nights import night_lease
from tests.choices import choice
from tests.nightly_runs import CHALLENGER, HERE, STUDY, Nights, noise, packages, usual
from tests.scripted import End, completed, diverged, failed


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A study whose champion is ``linear``; what surrounds its nights is what they say."""
    made = Nights(tmp_path)
    monkeypatch.setattr(around, "look_around", lambda **_: made.here)
    monkeypatch.setattr(around, "nvidia_driver", lambda: None)
    made.promote()
    return made


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


# ── nothing has changed ──────────────────────────────────────────────────────────────────────────────────────────────
def test_nothing_trains_where_nothing_has_changed(nights: Nights) -> None:
    """It holds (unchanged), exit code 0, and the night it goes by is named; so again on the night after."""
    nights.night("a")
    for key in ("b", "c"):
        night = nights.night(key)
        assert nights.begun == []
        assert (night.verdict, night.is_unchanged, night.exit_code, night.trainings) == ("holds", True, 0, 0)
        assert "those of night a, whose verdict was undecided" in night.sentence


def another_commit(nights: Nights) -> None:
    nights.here = replace(HERE, commit="c2")


def an_uncommitted_change(nights: Nights) -> None:
    nights.here = replace(HERE, is_changed=True)


def other_data(nights: Nights) -> None:
    nights.facts = replace(nights.facts, data_hash="d2")


def another_workload(nights: Nights) -> None:
    nights.facts = replace(nights.facts, version=2)


def another_torch(nights: Nights) -> None:
    nights.here = replace(HERE, versions=packages(torch="2.16.0"))


def another_device(nights: Nights) -> None:
    nights.device = "cuda"


def another_champion(nights: Nights) -> None:
    nights.promote(CHALLENGER)


def a_cluster(nights: Nights) -> None:
    nights.far_device = "cpu"


def an_old_verdict(nights: Nights) -> None:
    nights.now += 8 * 86400


@pytest.mark.parametrize(
    "change",
    [
        another_commit,
        an_uncommitted_change,
        other_data,
        another_workload,
        another_torch,
        another_device,
        a_cluster,
        another_champion,
        an_old_verdict,
    ],
)
def test_what_has_changed_makes_a_night_train(nights: Nights, change: Callable[[Nights], None]) -> None:
    """Each of them alone; with the night after it nothing trains again."""
    nights.night("a")
    change(nights)
    assert not nights.night("b").is_unchanged
    assert len(nights.begun) == 6
    assert nights.night("c").is_unchanged


@pytest.mark.parametrize(
    "setting", ["seeds = 5", "challengers = 1", "worth = 0.25", "promote = true", 'restarts = ["device"]']
)
def test_what_the_study_asks_of_its_nights_makes_one_train(nights: Nights, setting: str) -> None:
    """Each setting of ``[nightly]`` alone; how long a verdict stands is no such one."""
    nights.night("a")
    nights.nightly = setting
    assert not nights.night("b").is_unchanged
    nights.nightly += '\nmax_age = "6d"'
    assert nights.night("c").is_unchanged


def test_another_baseline_makes_a_night_train(nights: Nights) -> None:
    """It is told as what has changed."""
    nights.night("a")
    other = nights.study(text=STUDY.replace("peak_lr = 0.2", "peak_lr = 0.3"))
    [night] = nights.run("b", [other]).studies
    assert not night.is_unchanged
    assert "the baseline changed" in night.sentence


def test_what_trains_nothing_changes_nothing(nights: Nights) -> None:
    """Another MLflow is no reason to train; nor is a night that was only skipped."""
    nights.night("a")
    nights.here = replace(HERE, versions=packages(mlflow="4.0"))
    assert nights.night("b").is_unchanged


def test_always_trains_and_a_short_age_too(nights: Nights) -> None:
    """``nightly.max_age`` of 12 hours is over on the next night."""
    nights.night("a")
    assert not nights.night("b", is_always=True).is_unchanged
    nights.nightly = 'max_age = "12h"'
    assert not nights.night("c").is_unchanged


def test_another_gpu_of_a_cluster_is_told_as_what_it_is(nights: Nights) -> None:
    """So is a night on a cluster after one on this machine; trainings there say no more than the kind."""
    nights.night("a")
    nights.device, nights.far_device = "cuda", "cuda (A100)"
    moved = nights.night("b")
    assert "the device changed from cpu to cuda (A100) on Ray" in moved.sentence
    assert nights.night("c").is_unchanged
    nights.far_device = "cuda (H200)"
    changed = nights.night("d")
    assert (changed.verdict, changed.exit_code) == ("undecided", 0)
    assert "the device changed from cuda (A100) on Ray to cuda (H200) on Ray" in changed.sentence


# ── where checkpoints lie ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("given", ["s3://bucket/checkpoints", "shared", None])
def test_checkpoints_of_a_night_lie_where_those_of_sweeps_do(
    nights: Nights, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of their own there: a folder or a URL; by default the home."""
    monkeypatch.setattr("lrsweep.sweep.checkpoints.RemoteFolders.names", lambda _: [])
    monkeypatch.setattr("lrsweep.sweep.checkpoints.RemoteFolders.remove", lambda *_: None)
    nights.checkpoints_at = nights.folder / given if given == "shared" else given
    at = nights.checkpoints_at or nights.folder
    nights.night("a")
    assert {plan.checkpoint_url for plan in nights.begun} == {f"{at}/nights/{p.training_id}" for p in nights.begun}
    assert {plan.attempt for plan in nights.begun} == {1}


def test_a_script_whose_checkpoints_are_behind_a_url_is_told(nights: Nights) -> None:
    """It saves into a folder, and is refused as by a sweep, before it is asked anything."""
    nights.checkpoints_at = "s3://bucket/checkpoints"
    text = STUDY.replace('workload = "digits"\nhorizon = 900\n', "")
    text = (
        text.replace('optimizers = ["sgd"]\n', "")
        .replace('optimizer = "sgd"\n', "")
        .replace("[space]", '[study.workload]\ncommand = "train"\nsteps = 900\n[space]')
    )
    run = nights.run("a", [nights.study(text=text)])
    assert run.exit_code == 64
    assert "but a script saves into a folder" in run.studies[0].sentence
    assert nights.loaded == []


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


# ── generations ──────────────────────────────────────────────────────────────────────────────────────────────────────
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
