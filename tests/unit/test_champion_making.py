"""From a choice to what is promoted, what others may read of it, and what the test set says of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lrsweep.champion.history import entries, said
from lrsweep.champion.making import MOST_FINALISTS, Origins, hidden_settings, made
from lrsweep.champion.reading import from_json, written
from lrsweep.champion.scoring import Scored, scored, sentence
from lrsweep.champion.value import ChampionChoice, RateRule
from lrsweep.errors import SettingsError
from lrsweep.findings.choosing import choose_in
from lrsweep.records import WorkloadFacts
from lrsweep.selection.choice import Choice
from lrsweep.selection.results import Point
from lrsweep.store.champions import Action, Alias, ChampionRow
from tests.looked import a_driven_bench
from tests.promoted import STUDY, noisy
from tests.scripted import Bench

RULE = RateRule(0.5, (0.4, 0.6))


@pytest.fixture(scope="module")
def bench() -> Bench:
    return a_driven_bench(STUDY, noisy)


def value_of(bench: Bench, choice: Choice | None = None, **origins: object) -> ChampionChoice:
    metric, found = choose_in(bench.store, "quick", worth=None)
    return made(
        found if choice is None else choice,
        metric,
        study=STUDY,
        sweep=bench.sweep,
        rate_rule=RULE,
        origins=Origins(**origins),  # type: ignore[arg-type]
    )


def test_a_studys_choice_holds_all_that_one_trains_with(bench: Bench) -> None:
    """Schedule, rate, optimizer with settings, batch size and horizon; where it comes from, and the whole evidence."""
    _, choice = choose_in(bench.store, "quick", worth=None)
    value = value_of(bench, device="cpu", engine="sequential", versions={"torch": "2.15.0"})
    assert (value.name, value.schedule.family, value.horizon, value.batch_size) == ("quick", "cosine", 90, 64)
    assert value.peak_lr == choice.recommended.point.peak_lr
    assert (value.optimizer.name, value.optimizer.settings["momentum"]) == ("sgd", 0.9)
    assert value.rate_rule == RULE
    assert value.test is None
    assert value.evidence["metric"] == "decide_loss"
    assert value.evidence["evidence"] == "proven"
    assert value.provenance["trial"] == json.loads(choice.recommended.point.beside)["trial"]
    assert value.provenance["workload"]["name"] == "digits"
    assert value.provenance["versions"] == {"torch": "2.15.0"}
    assert "promoted_from" not in value.provenance


def test_the_same_choice_is_the_same_text(bench: Bench) -> None:
    """Byte for byte, and it is read back as it was; only the commit of whoever promotes makes another one."""
    text = written(value_of(bench))
    assert written(value_of(bench)) == text
    assert written(from_json(text, "a test")) == text
    assert written(value_of(bench, commit="a1b2")) != text


def test_a_choice_without_schedule_or_rate_is_refused(bench: Bench) -> None:
    """As a label of somebody's table."""
    _, choice = choose_in(bench.store, "quick", worth=None)
    bare = replace(choice, recommended=replace(choice.recommended, point=Point("mine")))
    with pytest.raises(SettingsError, match="'mine', of which no schedule and peak rate are known"):
        value_of(bench, bare)


def test_a_setting_that_is_not_told_as_it_was_is_named() -> None:
    """What is promoted then says less than what was trained."""
    assert hidden_settings({"width": 8, "data": "/srv/y"}, {"width": 8, "data": "y"}) == ("data",)


def test_a_workloads_folder_is_in_no_promoted_text(bench: Bench) -> None:
    """A script's command stands in the workload's settings."""
    facts = WorkloadFacts(
        name="/data/ann/net.py:Net",
        settings={"command": "python /data/ann/train.py --api-key=a1b2c3"},
        version=1,
        data_hash="d",
        batch_size=64,
        horizon=90,
        peak_lr={},
    )
    metric, choice = choose_in(bench.store, "quick", worth=None)
    study = replace(STUDY, facts=facts)
    value = made(choice, metric, study=study, sweep=bench.sweep, rate_rule=RULE, origins=Origins())
    text = written(value)
    assert "ann" not in text
    assert "a1b2c3" not in text
    assert value.provenance["workload"]["settings"]["command"] == "python train.py --api-key=***"


def test_of_thousands_of_points_the_evidence_keeps_the_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without finals all that was searched is compared; a service keeps such choices, and one may be promoted."""
    _, choice = choose_in(bench.store, "quick", worth=None)
    whole = value_of(bench).evidence
    assert whole["finalists"] == choice.to_json()["finalists"]
    assert "finalists_in_all" not in whole
    many = replace(choice, standings=choice.standings * 100)
    kept = value_of(bench, many).evidence
    assert (len(kept["finalists"]), kept["finalists_in_all"]) == (MOST_FINALISTS, len(many.standings))


# ── the test set ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_larger_accuracy_is_a_gain() -> None:
    """By hand: 0.9 against 0.7; one training that diverged counts beside the mean."""
    found = scored(
        Scored(2, "cosine", [0.88, 0.9, 0.92]),
        Scored(0, "step", [0.68, None, 0.72]),
        data="digits@2f",
        metric="test_acc",
        direction="maximize",
        seeds=[1, 2, 3],
        read=4,
        device="cpu",
    )
    assert found["mean"] == pytest.approx(0.9)
    assert found["baseline"]["mean"] == pytest.approx(0.7)
    assert (found["baseline"]["n"], found["baseline"]["without_value"]) == (2, 1)
    assert found["gain"] == pytest.approx(0.2)
    low, high = found["gain_interval"]
    assert low < 0.2 < high
    assert sentence(found).startswith(
        "test_acc 0.9 ± 0.0497 (n = 3), and 0.7 for the baseline, step (1 of 3 came to no value): better by 0.2"
    )


def test_trainings_without_a_value_are_told_of_either_side() -> None:
    """They are in no mean; who reads it alone would take a schedule that diverges for a safe one."""
    given = {"data": "d@1", "metric": "test_loss", "seeds": [1, 2, 3], "read": 1, "device": "cpu"}
    found = scored(
        Scored(2, "cosine", [1.0, None, 1.2]),
        Scored(0, "step", [4.0, 4.0, None]),
        direction="minimize",
        **given,  # type: ignore[arg-type]
    )
    lost = "1 of 3 came to no value"
    assert sentence(found).startswith(
        f"test_loss 1.1 ± 1.27 (n = 2; {lost}), and 4 for the baseline, step ({lost}): better by 2.9"
    )
    none = scored(Scored(2, "cosine", [1.0]), Scored(0, "step", [None]), direction="minimize", **given)  # type: ignore[arg-type]
    assert sentence(none) == "test_loss 1 (n = 1); of the baseline, step, 1 of 1 came to no value"


def test_a_worse_choice_is_called_worse() -> None:
    """Its interval is turned with it; a single seed has none."""
    given = {"data": "d@1", "metric": "test_loss", "seeds": [1], "read": 1, "device": "cpu"}
    found = scored(Scored(2, "cosine", [1.5]), Scored(0, "step", [1.0]), direction="minimize", **given)  # type: ignore[arg-type]
    assert sentence(found) == "test_loss 1.5 (n = 1), and 1 for the baseline, step: worse by 0.5"
    alone = scored(Scored(2, "cosine", [1.5]), None, direction="minimize", **given)  # type: ignore[arg-type]
    assert sentence(alone) == "test_loss 1.5 (n = 1)"


# ── the history ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_history_marks_what_is_in_force(bench: Bench) -> None:
    """After a demotion the older promotion's row is marked, and not the demotion's."""
    text = written(value_of(bench))
    row = ChampionRow("quick", Alias.CHAMPION, Action.PROMOTE, text, "quick", "s", 1, id=1)
    other = replace(row, choice=text.replace('"horizon": 90', '"horizon": 91'), id=2)
    rows = [row, other, replace(row, id=3, action=Action.DEMOTE)]
    assert [each.is_in_force for each in entries(rows)] == [True, False, False]
    told = entries(rows)[0].to_json()
    assert (told["family"], told["evidence"], told["mlflow_version"]) == ("cosine", "proven", None)
    assert said(replace(row, mlflow_version="3")).endswith("(proven, version 3 in MLflow)")
    assert said(replace(row, choice=None)) == "nothing"
