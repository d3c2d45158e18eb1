"""Whether a training came out again: what forbids it, which values agree, and what seeds differ by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrsweep.cli.reproduce import crew_of, fresh_seed
from lrsweep.engines.versions import SETTING, kept_versions, versions, with_versions
from lrsweep.records import Crew, Curve, Status, StudyRow, WorkloadSpec
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.reproducing import (
    Bits,
    Verdict,
    changed_making,
    changed_workload,
    compared,
    forbidden,
    judged,
    one_more,
)
from tests.looked import in_a_home, typed
from tests.scripted import completed, failed, in_turn, only_sgd
from tests.sweeps import FACTS, a_study, a_training, a_trial

ROW = a_training(rung=1, value=0.5, device="cpu", engine="sequential")
THEN = {"torch": "2.15.0", "python": "3.11.7", "mlflow": "3.17.2"}
PARTED = Bits(8, 10, "the rate number 9")


def curve(*, rate: float = 0.1, loss: float = 1.0, value: float = 0.5, **more: float) -> Curve:
    evaluations = {"val_loss": np.array([2.0, value]), **{name: np.array([1.0, each]) for name, each in more.items()}}
    return Curve(np.array([0.2, rate]), np.array([2.0, loss]), np.array([1, 2]), evaluations)


def row_of(study: ResolvedStudy) -> StudyRow:
    return StudyRow(study.name, study.meaning, study.generation, json.loads(json.dumps(study.spec())))


# ── which values agree ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_curve_that_went_through_the_store_is_equal_to_itself() -> None:
    """It keeps losses in float32, and so they are compared; a NaN is equal to a NaN."""
    trained = curve(loss=1 / 3, value=float("nan"))
    assert compared(Curve.from_bytes(trained.to_bytes()), trained) == Bits(6, 6, None)


@pytest.mark.parametrize(
    ("now", "first"),
    [
        (curve(rate=np.nextafter(0.1, 1)), "the rate number 2"),
        (curve(loss=1.001), "the training loss number 2"),
        (curve(value=0.51), "the val_loss number 2"),
    ],
)
def test_one_bit_is_enough_to_differ_and_is_told_where(now: Curve, first: str) -> None:
    """Rates and evaluations to the last bit of float64."""
    assert compared(curve(), now) == Bits(5, 6, first)


def test_a_shorter_curve_differs_where_it_ends_and_a_new_metric_says_nothing() -> None:
    """Two updates against one; a workload that has learned a metric since trains as before."""
    short = Curve(np.array([0.2]), np.array([2.0]), np.array([1]), {"val_loss": np.array([2.0])})
    assert compared(curve(), short) == Bits(3, 6, "the rate number 2")
    assert compared(curve(), curve(val_recall=0.3)) == Bits(6, 6, None)


# ── the verdict ──────────────────────────────────────────────────────────────────────────────────────────────────────


def verdict(**given: object) -> tuple[Verdict, str]:
    known = {"metric": "val_loss", "bits": PARTED, "then": 0.5, "now": 0.51, "differences": [], "fresh": [], **given}
    found = judged(ROW, **known)  # type: ignore[arg-type] # of the tests' own making
    return found.verdict, found.sentence


def test_the_same_bits_are_reproduced_without_a_seed() -> None:
    """And so is a training that diverged in the same way."""
    same = Bits(10, 10, None)
    assert verdict(bits=same) == (Verdict.REPRODUCED, "all 10 values agree bit for bit; val_loss 0.51")
    assert verdict(bits=same, then=None, now=None)[1].endswith("it diverges again")


def test_a_value_among_those_of_fresh_seeds_is_reproduced_and_one_beside_them_has_moved() -> None:
    """Of 0.4, 0.5 and 0.6 one more lies between 0.0032 and 0.9968: 0.5 ± 4.303 · 0.1 · √(4/3)."""
    said = verdict(fresh=[0.4, 0.5, 0.6])
    assert said[0] is Verdict.REPRODUCED
    assert "3 fresh seeds put one more at 0.00317" in said[1]
    moved = verdict(then=1.0, fresh=[0.4, 0.5, 0.6])
    assert moved[0] is Verdict.MOVED
    assert moved[1].startswith("by +0.5 against the mean of fresh seeds 0.5")


def test_the_interval_of_one_more_value_is_students() -> None:
    """By hand, from a table: t(2) = 4.303."""
    interval = one_more([0.4, 0.5, 0.6])
    assert interval is not None
    assert interval.high == pytest.approx(0.5 + 4.303 * 0.1 * (4 / 3) ** 0.5, abs=1e-4)
    assert one_more([0.4]) is None


def test_without_seeds_other_bits_have_moved_and_what_to_do_is_said() -> None:
    """One value says nothing of the spread."""
    assert verdict()[0] is Verdict.MOVED
    assert "--seeds" in verdict()[1]


def test_one_that_diverges_only_now_has_moved() -> None:
    """Whatever fresh seeds say; one that diverges otherwise than then is reproduced."""
    assert verdict(now=None, fresh=[0.4, 0.5, 0.6])[0] is Verdict.MOVED
    assert "completed then and diverged now" in verdict(now=None)[1]
    assert verdict(then=None, now=None)[0] is Verdict.REPRODUCED


# ── what forbids it, and what differs ────────────────────────────────────────────────────────────────────────────────


def test_a_script_and_a_training_without_a_result_cannot_be_repeated() -> None:
    """A script may read what nobody kept."""
    study = a_study()
    script = replace(study, workload=WorkloadSpec("command", {"command": "python train.py"}))
    assert "it is a script" in forbidden(ROW, a_trial(0), row_of(study), script)[0]
    assert "it is failed" in forbidden(replace(ROW, status=Status.FAILED), a_trial(0), row_of(study), study)[0]
    assert forbidden(ROW, a_trial(0), row_of(study), study) == []


def test_a_release_that_trains_otherwise_cannot_repeat_it() -> None:
    """By the rules of training, or by an optimizer's settings, as they are stored with the generation."""
    study = a_study()
    row = row_of(study)
    by_rules = replace(row, spec={**row.spec, "training_rules": 0})
    assert "rules of training were 0" in forbidden(ROW, a_trial(0), by_rules, study)[0]
    sgd = {**row.spec["optimizers"], "sgd": {"settings": {"momentum": 0.8}, "rate_exponent": 0.5}}
    by_settings = replace(row, spec={**row.spec, "optimizers": sgd})
    assert "the settings of sgd were {'momentum': 0.8}" in forbidden(ROW, a_trial(0), by_settings, study)[0]


def test_another_workload_of_the_same_name_is_told_by_what_changed() -> None:
    """Version, data, batch size, settings: all that its values mean."""
    assert changed_workload(a_study(), FACTS) == []
    now = replace(FACTS, version=2, data_hash="other", batch_size=32, settings={"model": "cnn"})
    assert [problem.split("workload's ")[1].split(" w")[0] for problem in changed_workload(a_study(), now)] == [
        "version",
        "data (by their hash)",
        "batch size",
        "settings",
    ]


def test_engine_device_and_versions_are_compared_as_far_as_they_are_known() -> None:
    """What trains nothing (MLflow) does not count; a sweep of several processes does not know which trained it."""
    same = {"engine": "sequential", "device": "cpu"}
    assert changed_making(ROW, [THEN], {**THEN, "mlflow": "4"}, **same) == []
    assert changed_making(ROW, [THEN], {**THEN, "torch": "2.16"}, **same) == ["torch was 2.15.0 and is 2.16"]
    assert changed_making(ROW, [THEN], THEN, engine="fused/8", device="cuda:0") == [
        "the engine was sequential and is fused/8",
        "the device was cpu and is cuda:0",
    ]
    assert "were not kept" in changed_making(ROW, [], THEN, **same)[0]
    assert "under 2 sets of versions" in changed_making(ROW, [{}, THEN], THEN, **same)[0]


def test_a_sweep_keeps_the_versions_of_each_process_that_had_others() -> None:
    """The same again changes nothing; a sweep of an earlier release has none."""
    settings = with_versions({}, THEN)
    assert with_versions(settings, THEN) == settings
    other = with_versions(settings, {**THEN, "torch": "2.16"})
    assert [each["torch"] for each in kept_versions(other)] == ["2.15.0", "2.16"]
    assert kept_versions({}) == []
    assert {"lrsweep", "torch", "python"} <= versions().keys()
    assert SETTING in settings


def test_it_is_trained_with_the_slots_that_trained_it_and_seeds_of_its_own() -> None:
    """The last bits depend on how many slots there are."""
    assert crew_of(replace(ROW, engine="fused/16")) == Crew(1, 16)
    assert crew_of(ROW) == crew_of(replace(ROW, engine=None)) == Crew()
    assert len({fresh_seed(ROW, number) for number in range(20)} | {ROW.seed}) == 21


def test_the_command_says_why_it_cannot_and_leaves_with_70(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed training has no result to compare with: nothing is loaded. One seed is refused."""
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", only_sgd(trials=2), in_turn(failed, completed)), {})
    ended = run("reproduce", "quick", "0:30", "--json")
    assert (ended.code, json.loads(ended.out)["verdict"]) == (70, "cannot")
    assert "cannot: it is failed" in run("reproduce", "quick", "0:30").out
    assert run("reproduce", "quick", "0:30", "--seeds", "1").code == 64
