"""The monkey of ``make chaos``, and what it checks: a plan that comes again, and checks that can fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lrsweep.records import Curve, Status, TrainingRow
from lrsweep.store.base import Event
from tests.chaos.monkey.checks import (
    assert_attempts_add_up,
    assert_none_failed,
    assert_nothing_is_left,
    assert_same,
)
from tests.chaos.monkey.plan import DECKS, ON_RAY, Kind, strikes
from tests.chaos.monkey.round import Asked, Round
from tests.chaos.monkey.servers import Disk

ROW = TrainingRow("t", "monkey", trial=0, sweep_id="s", rung=0, horizon=3, seed=7, rate_scale=1.0)
Floats = NDArray[np.float64]
LOSSES: Floats = np.array([0.3, 0.2, 0.1])


def curve(losses: Floats = LOSSES) -> Curve:
    return replace(Curve.empty(), rates=np.full(3, 0.1), train_losses=losses)


def begun(*kinds: str) -> list[Event]:
    return [Event(0.0, "monkey", "s", kind, "token", {}) for kind in kinds]


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("executor", DECKS)
def test_the_same_seed_plans_the_same_strikes_and_another_one_others(executor: str) -> None:
    """Of a round: kinds, moments, which of several, and how long."""
    first = list(islice(strikes(7, 0, executor), 50))
    assert first == list(islice(strikes(7, 0, executor), 50))
    assert first != list(islice(strikes(8, 0, executor), 50))
    assert first != list(islice(strikes(7, 1, executor), 50))


@pytest.mark.parametrize("executor", DECKS)
def test_no_kind_of_fault_is_long_in_coming(executor: str) -> None:
    """A deck has each of them: 21 faults on this machine, 25 on a cluster, whose own kinds come there alone."""
    faults = chain.from_iterable(strike.faults for strike in strikes(7, 0, executor))
    size = {"local": 21, "ray": 25}[executor]
    dealt = [fault.kind for fault in islice(faults, size + 1)]  # the two of a strike may have changed places
    assert set(dealt) == set(Kind) - (set(ON_RAY) if executor == "local" else set())


# ── the checks ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_attempt_without_an_end_is_found() -> None:
    """Begun twice, and only one of them ended; or one that no row counts."""
    whole = begun("training_started", "training_queued_again", "training_started", "training_ended")
    assert_attempts_add_up(whole, [replace(ROW, attempt=2)])
    with pytest.raises(AssertionError, match="2 attempts were begun, and 1 have an end"):
        assert_attempts_add_up([whole[0], *whole[2:]], [replace(ROW, attempt=2)])
    with pytest.raises(AssertionError, match="2 attempts were begun, and the rows say 1"):
        assert_attempts_add_up(whole, [replace(ROW, attempt=1)])


def test_a_training_that_a_fault_has_failed_is_found() -> None:
    """Whatever its error says; one that has diverged is a result."""
    assert_none_failed([ROW, replace(ROW, status=Status.DIVERGED, reason="its loss was NaN")])
    with pytest.raises(AssertionError, match="No space left"):
        assert_none_failed([replace(ROW, status=Status.FAILED, error="OSError: No space left on device")])


def test_a_checkpoint_that_is_left_is_found(tmp_path: Path) -> None:
    """The folder of a training that has ended, also one that waits to be removed."""
    assert_nothing_is_left(tmp_path)
    (tmp_path / "abc.gone").mkdir()
    with pytest.raises(AssertionError, match=r"abc\.gone"):
        assert_nothing_is_left(tmp_path)


def test_one_other_bit_is_found() -> None:
    """In a curve, at its place; or in what the training came to."""
    assert_same(replace(ROW, metrics={"val_loss": 0.5}), {"val_loss": 0.5}, curve(), curve())
    with pytest.raises(AssertionError, match="the training loss number 2 is another"):
        assert_same(ROW, {}, curve(), curve(np.array([0.3, np.nextafter(np.float32(0.2), np.float32(1)), 0.1])))
    with pytest.raises(AssertionError, match="is not"):
        assert_same(replace(ROW, metrics={"val_loss": 0.5}), {"val_loss": 0.25}, curve(), curve())


# ── the monkey ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.chaos
def test_one_fault_of_each_kind_leaves_a_whole_sweep(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On this machine, one after the other; small disks only where this user may mount them."""
    kinds = [kind for kind in DECKS["local"] if kind is not Kind.DRIVER_SLEEPS]
    folder = tmp_path_factory.mktemp("monkey")
    told = Round(Asked(seed=7, number=0, trials=60, only=kinds), folder, lambda: False, lambda _: None).run()
    assert told.error is None
    assert told.checked is not None
    assert told.checked.compared == told.checked.trainings >= 60
    assert set(told.faults) >= {kind for kind in kinds if told.disks or "disk" not in kind.value}


@pytest.mark.chaos
def test_a_disk_is_filled_to_its_last_byte_and_freed(tmp_path: Path) -> None:
    """Where this user may mount one."""
    disk = Disk(tmp_path / "disk", 1)
    disk.mount()
    if not disk.is_small:
        pytest.skip("only root may mount a small disk")
    try:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "more").write_bytes(b"x" * 8192)
        disk.free()
        (disk.folder / "more").write_bytes(b"x" * 8192)
    finally:
        disk.unmount()
