"""Many trainings at once: what each is shown, and how its model is judged, are what they would be alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lrsweep.records import WorkloadSpec
from lrsweep.workloads import char_lm, labelled
from lrsweep.workloads.base import Forward, Half, Workload, evaluating, load
from lrsweep.workloads.labelled import Epochs
from tests.datasets import write_all
from tests.trainings import Images

CPU = torch.device("cpu")
HALVES: tuple[Half, ...] = ("search", "decide", "test")

SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "digits": ("digits", {}),
    "digits with noise": ("digits", {"noise": 0.1, "model": "cnn", "batch_size": 7}),
    "logistic": ("logistic", {}),
    "mnist": ("mnist", {"batch_size": 32}),
    "cifar10": ("cifar10", {"batch_size": 10}),
    "char_lm": ("char_lm", {"text": "text.txt", "batch_size": 8, "context": 16}),
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "text.txt").write_text("to be or not to be, that is the question. " * 60)
    with pytest.MonkeyPatch.context() as patch:
        write_all(folder, patch)
        yield folder


@pytest.fixture(scope="module", params=SETTINGS)
def workload(request: pytest.FixtureRequest, folder: Path) -> Workload:
    name, settings = SETTINGS[request.param]
    if "text" in settings:
        settings = {**settings, "text": str(folder / "text.txt")}
    return load(WorkloadSpec(name, settings), CPU, folder)


def assert_alone(workload: Workload, together: tuple[Tensor, Tensor], seeds: list[int], steps: list[int]) -> None:
    """Each row has the bits of the training's own batch."""
    alone = [workload.batch(seed, step) for seed, step in zip(seeds, steps, strict=True)]
    for given, wanted in zip(together, zip(*alone, strict=True), strict=True):
        assert given.dtype == wanted[0].dtype
        assert given.equal(torch.stack(wanted))


def test_each_training_is_shown_its_own_batches(workload: Workload) -> None:
    """Through two ends of an epoch, at places of their own; two have the same seed, and one slot stands still."""
    assert workload.facts.examples_per_epoch is not None
    per_epoch = workload.facts.examples_per_epoch // workload.facts.batch_size
    seeds, steps = [5, 5, 2**40, 0], [0, per_epoch - 1, 3 * per_epoch - 2, 0]
    feed = workload.feed()
    for _ in range(4):
        assert_alone(workload, feed(seeds, steps), seeds, steps)
        steps = [step + 1 for step in steps[:3]] + steps[3:]


def test_a_slot_may_be_given_to_another_training_and_slots_may_become_fewer(workload: Workload) -> None:
    """Another seed at the same epoch, a training that goes on in another slot, half of the slots, and all again."""
    feed = workload.feed()
    for seeds, steps in (
        ([1, 2, 3, 4], [0, 1, 2, 0]),
        ([1, 9, 3, 4], [1, 1, 3, 0]),
        ([3, 1, 9, 4], [4, 2, 2, 0]),
        ([3, 1], [5, 3]),
        ([1, 3], [4, 6]),
        ([1, 3, 7, 8], [5, 0, 0, 0]),
        ([1], [6]),
    ):
        assert_alone(workload, feed(seeds, steps), seeds, steps)


def test_feeds_of_one_workload_do_not_disturb_each_other(workload: Workload) -> None:
    """Nor what was given before, which is a tensor of its own."""
    one, other = workload.feed(), workload.feed()
    first = one([1, 2], [0, 0])
    other([3, 4], [0, 1])
    one([5, 6], [1, 1])
    assert_alone(workload, first, [1, 2], [0, 0])
    assert_alone(workload, one([1, 6], [1, 1]), [1, 6], [1, 1])


def test_a_workload_of_your_own_has_a_feed_already() -> None:
    """One batch after the other, stacked."""
    workload = Images()
    assert_alone(workload, workload.feed()([1, 2], [7, 0]), [1, 2], [7, 0])


def test_orders_are_made_only_when_seed_or_epoch_changes_and_those_of_a_step_together() -> None:
    """Three trainings on 10 examples in batches of 3: an epoch has three steps, and its last example is left out."""
    epochs, made = Epochs(10, 3, CPU), []

    def orders(seeds: object, numbers: object) -> Tensor:
        made.append((seeds, numbers))
        return epochs.orders(seeds, numbers)  # type: ignore[arg-type]

    many = epochs.many(orders)
    for step in range(5):
        many([1, 2, 3], [step, step + 2, 0])
    many([1, 2, 8], [5, 7, 0])
    many([1, 2], [5, 7])
    assert made == [
        ((1, 2, 3), (0, 0, 0)),
        ((2,), (1,)),  # step 3
        ((1,), (1,)),
        ((2,), (2,)),
        ((8,), (0,)),
        ((1, 2), (1, 2)),
    ]


# ── evaluations ──────────────────────────────────────────────────────────────────────────────────────────────────────


def side_by_side(models: list[nn.Module]) -> Forward:
    return lambda inputs: torch.stack([model(inputs) for model in models])


def test_models_that_are_evaluated_together_have_the_values_of_each_alone(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, where the outputs are the same ones; in several chunks, of which the last is shorter."""
    monkeypatch.setattr(labelled, "CHUNK", 16)
    monkeypatch.setattr(char_lm, "CHUNK", 2)
    models = [workload.model(seed) for seed in (1, 2, 3)]
    with torch.no_grad():
        for parameter in models[2].parameters():
            parameter.mul_(torch.nan)  # as of a training that has diverged
    for half in HALVES:
        with evaluating(models[0]), evaluating(models[1]), evaluating(models[2]):
            together = workload.evaluate_many(side_by_side(models), half)
        assert together is not None
        alone = [workload.evaluate(model, half) for model in models]
        assert list(map(repr, together)) == list(map(repr, alone))
        assert repr(alone[0]) != repr(alone[1])


def test_windows_are_judged_alike_in_chunks_of_any_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven windows at once, and in chunks of two of which the last has one."""
    name, settings = SETTINGS["char_lm"]
    workload = load(WorkloadSpec(name, {**settings, "text": str(folder / "text.txt")}), CPU, folder)
    model = workload.model(1)
    whole = workload.evaluate(model, "search")
    monkeypatch.setattr(char_lm, "CHUNK", 2)
    assert workload.evaluate(model, "search") == pytest.approx(whole, rel=1e-6)


def test_a_workload_of_your_own_is_evaluated_one_model_after_the_other() -> None:
    """Unless it says how to do it together."""
    assert Images().evaluate_many(side_by_side([]), "search") is None
