"""What a checkpoint holds, which one is used, and what is said of the others; kills: ``test_killed_training``."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines.checkpoints import identity
from lrsweep.engines.leftovers import LEFT_SECONDS, tag
from lrsweep.records import EngineSettings, OptimizerSpec, Record, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.workloads.base import Half
from tests.trainings import PLAN, Constant, Images, assert_same_curve, files, trained

SHORT = replace(PLAN, workload=WorkloadSpec("images"), peak_lr=0.05, horizon=24, evaluations=6)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingPlan:
    """A training of 24 steps that writes a checkpoint after every one."""
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    return replace(SHORT, checkpoint_url=str(tmp_path / "training"))


def folder_of(plan: TrainingPlan) -> Path:
    assert plan.checkpoint_url is not None
    return Path(plan.checkpoint_url)


def broken_off(plan: TrainingPlan, step: int) -> list[Record]:
    """A training that ends as it asks for the batch of ``step``."""

    class Breaks(Images):
        def batch(self, seed: int, at: int) -> tuple[Tensor, Tensor]:
            if (seed, at) == (plan.seed, step):
                raise RuntimeError("broken off")
            return super().batch(seed, at)

    _, records = trained(plan, Breaks())
    assert records[-1].outcome is not None
    assert "broken off" in (records[-1].outcome.error or "")
    return records


def newest(plan: TrainingPlan) -> Path:
    return max(folder_of(plan).glob("*.ckpt"), key=lambda path: int(path.name.split("-")[1]))


def test_a_resumed_training_goes_on_with_statistics_masks_and_momentum(plan: TrainingPlan) -> None:
    """BatchNorm's buffers and PyTorch's own generator are part of it; the curve is the undisturbed one, to the bit."""
    undisturbed, _ = trained(SHORT, Images())
    broken_off(plan, 11)

    curve, records = trained(replace(plan, attempt=2), Images())

    assert (records[0].first_step, len(records[0].rates), records[0].attempt) == (0, 11, 2)
    assert records[0].evaluation_steps.tolist() == [4, 8]
    assert_same_curve(curve, undisturbed)


def test_evaluations_that_had_exploded_before_the_break_count_too(plan: TrainingPlan) -> None:
    """Two of the three in a row came before it: the resumed training diverges at the third, at step 12."""

    class Explodes(Constant):
        def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
            if step == breaks_at:
                raise RuntimeError("broken off")
            return super().batch(seed, step)

        def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
            return {"loss": 9.0}

    breaks_at = 10
    trained(plan, Explodes())
    breaks_at = -1
    _, records = trained(plan, Explodes())
    assert len(records[0].rates) == 10
    assert records[-1].outcome is not None
    assert (records[-1].outcome.status, records[-1].outcome.steps) == (Status.DIVERGED, 12)


def test_the_time_before_the_break_is_counted_too(plan: TrainingPlan) -> None:
    """An outcome's seconds are those of all the work that it stands for."""
    broken_off(plan, 11)
    path = newest(plan)
    content = torch.load(path, weights_only=True)
    path.unlink()
    save_as_ours(path, {**content, "seconds": 1000.0})
    _, records = trained(plan, Images())
    assert records[-1].outcome is not None
    assert 1000 < records[-1].outcome.seconds < 1100


def save_as_ours(path: Path, content: object) -> Path:
    """Under a name that vouches for it, as a program could that means ill."""
    torch.save(content, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"{path.name.rpartition('-')[0]}-{digest}.ckpt"))


def test_the_two_newest_are_kept(plan: TrainingPlan) -> None:
    """While it trains and when it has ended; to delete them is for whoever commits the result."""
    broken_off(plan, 11)
    assert files(folder_of(plan)) == ["step-10", "step-11"]
    trained(plan, Images())
    assert files(folder_of(plan)) == ["step-23", "step-24"]


def test_an_old_checkpoint_that_cannot_be_deleted_is_left_where_it_is(
    plan: TrainingPlan, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is tried once, and nobody is told that a checkpoint could not be written."""
    tried: list[str] = []

    def refuse(path: Path, missing_ok: bool = False) -> None:
        tried.append(path.name.rpartition("-")[0])
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    trained(plan, Images())
    assert tried == [f"step-{step}" for step in range(1, 23)]
    assert caplog.messages == []


def test_a_training_that_was_broken_off_after_its_last_step_is_only_evaluated(plan: TrainingPlan) -> None:
    """The checkpoint of step 24 was written before the last evaluation: it is made up for, and the outcome is whole."""
    undisturbed, whole = trained(plan, Images())
    curve, records = trained(plan, Images())
    assert [len(record.rates) for record in records] == [24, 0, 0, 0]
    assert_same_curve(curve, undisturbed)
    assert records[-1].outcome is not None
    assert whole[-1].outcome is not None
    assert records[-1].outcome.metrics == whole[-1].outcome.metrics


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    path.unlink()
    save_as_ours(path, {**content, "identity": "another"})


def with_code(path: Path) -> None:
    path.unlink()
    save_as_ours(path, Runs())


def unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


class Runs:
    def __reduce__(self) -> Any:
        return (Path("/dev/null").write_text, ("code from a checkpoint",))


DAMAGES = {
    torn: "its content does not have the checksum in its name: it is torn, or was changed.",
    flipped: "its content does not have the checksum in its name: it is torn, or was changed.",
    of_another: "it belongs to another training, or to this one under another plan, model or kind of device.",
    with_code: "UnpicklingError: Weights only load failed.",
    unreadable: "IsADirectoryError: [Errno 21] Is a directory",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    damage: Any, plan: TrainingPlan, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason; the curve is the undisturbed one all the same."""
    broken_off(plan, 11)
    damage(newest(plan))

    curve, records = trained(plan, Images())

    [said] = caplog.messages
    assert said.startswith(f"The checkpoint {folder_of(plan)}/step-11-")
    assert DAMAGES[damage] in said
    assert len(records[0].rates) == 10
    assert_same_curve(curve, trained(SHORT, Images())[0])


def test_where_every_checkpoint_is_damaged_the_training_starts_again(
    plan: TrainingPlan, caplog: pytest.LogCaptureFixture
) -> None:
    """Both are named, and a file that never was one; the first record is empty, the curve the undisturbed one."""
    broken_off(plan, 11)
    for path in folder_of(plan).glob("*.ckpt"):
        torn(path)
    (folder_of(plan) / "mine.ckpt").write_text("?")

    curve, records = trained(plan, Images())

    assert "/step-11-" in caplog.messages[0]
    assert "/step-10-" in caplog.messages[1]
    assert "mine.ckpt is not used: its name is none that this engine gives." in caplog.messages[2]
    assert len(records[0].rates) == 0
    assert_same_curve(curve, trained(SHORT, Images())[0])


def test_a_damaged_checkpoint_does_not_count_as_one_that_is_kept(plan: TrainingPlan) -> None:
    """Its step is the highest, and yet two whole ones stand beside it while the training catches up."""
    broken_off(plan, 11)
    torn(newest(plan))
    broken_off(replace(plan, attempt=2), 11)
    assert files(folder_of(plan)) == ["step-10", "step-11", "step-11"]


def test_a_model_of_another_shape_does_not_get_the_old_weights(
    plan: TrainingPlan, caplog: pytest.LogCaptureFixture
) -> None:
    """A workload whose code was changed between two attempts starts again, and says so."""
    broken_off(plan, 11)
    _, records = trained(plan, Constant())
    assert "under another plan, model or kind of device" in caplog.messages[0]
    assert len(records[0].rates) == 0
    assert records[-1].outcome is not None
    assert records[-1].outcome.status is Status.COMPLETED


def test_a_folder_that_cannot_be_written_costs_only_the_checkpoints(
    plan: TrainingPlan, caplog: pytest.LogCaptureFixture
) -> None:
    """Here a file stands in its place: said at each try, and the training ends as it should."""
    folder_of(plan).write_text("in the way")
    curve, _ = trained(plan, Images())
    assert len(caplog.messages) == 24
    assert "FileExistsError" in caplog.messages[0]
    assert_same_curve(curve, trained(SHORT, Images())[0])


def test_a_short_training_writes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first checkpoint is due after a minute; and no folder, no checkpoints at all."""
    caplog.set_level(logging.DEBUG)
    trained(replace(SHORT, checkpoint_url=str(tmp_path / "training")), Images())
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages == []


def test_a_url_that_leads_elsewhere_is_refused(plan: TrainingPlan) -> None:
    """Not made into a folder named ``nosuch:``."""
    _, records = trained(replace(plan, checkpoint_url="nosuch://bucket/training"), Images())
    assert records[-1].outcome is not None
    assert "cannot be written to 'nosuch://bucket/training': Protocol not known" in (records[-1].outcome.error or "")


def test_two_that_write_at_the_same_time_do_not_tear_each_other(
    plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A station out of reach goes on beside the attempt that has taken over: here a whole attempt writes between two
    moments of another's write."""
    synced, began = os.fsync, False

    def fsync(number: int) -> None:
        nonlocal began
        if not began:
            began = True
            drawn = torch.get_rng_state()
            trained(replace(plan, attempt=2), Images())
            torch.set_rng_state(drawn)
        synced(number)

    monkeypatch.setattr("lrsweep.engines.checkpoints.os.fsync", fsync)
    curve, _ = trained(plan, Images())
    assert_same_curve(curve, trained(SHORT, Images())[0])
    assert caplog.messages == []
    found = list(folder_of(plan).iterdir())
    assert found
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem.split("-")[2] for path in found)


def test_drafts_that_were_left_go_and_those_of_others_at_work_stay(plan: TrainingPlan) -> None:
    """Those of processes of this machine that have ended; of other machines those that are older than an hour."""
    with subprocess.Popen(["true"]) as ended:
        pass
    mine, old = tag(), time.time() - LEFT_SECONDS - 1
    node, pid, random = mine.split(".")
    folder = folder_of(plan)
    folder.mkdir(parents=True)
    for name in (mine, f"{node}.{ended.pid}.{random}", f"elsewhere.{ended.pid}.{random}", f"gone.{pid}.{random}"):
        (folder / f"next-{name}.draft").write_bytes(b"half")
    os.utime(folder / f"next-gone.{pid}.{random}.draft", (old, old))
    broken_off(plan, 1)
    assert {path.name for path in folder.glob("*.draft")} == {
        f"next-{mine}.draft",
        f"next-elsewhere.{ended.pid}.{random}.draft",
    }


def test_a_checkpoint_is_of_its_plan_and_of_nothing_else() -> None:
    """Each field but the attempt, the folder and what is read at the end makes it another's; a field that is added must
    be decided on here."""
    changes: dict[str, object] = {
        "training_id": "u",
        "workload": WorkloadSpec("images", {"model": "cnn"}),
        "schedule": schedule("linear"),
        "peak_lr": 0.06,
        "optimizer": OptimizerSpec("sgd", {"momentum": 0.8, "weight_decay": 0.0}),
        "horizon": 25,
        "seed": 4,
        "evaluations": 5,
        "metric": "val_acc",
        "direction": "maximize",
        "extra": {"depth": 2},
        "engine": EngineSettings(clip_norm=1.0),
    }
    same: dict[str, object] = {"attempt": 2, "checkpoint_url": "elsewhere", "reads_test": True, "keeps_examples": True}
    assert {field.name for field in fields(TrainingPlan)} == changes.keys() | same.keys()
    model = Images().model(0)
    own = identity(SHORT, model)
    for name, value in changes.items():
        assert identity(replace(SHORT, **{name: value}), model) != own, name  # type: ignore[arg-type]
    for name, value in same.items():
        assert identity(replace(SHORT, **{name: value}), model) == own, name  # type: ignore[arg-type]


def test_a_checkpoint_is_of_one_kind_of_device() -> None:
    """Another kind gives other bits, so the curve would not be the same; which of several GPUs it was is all one."""
    assert identity(SHORT, Images().model(0).to("meta")) != identity(SHORT, Images().model(0))
