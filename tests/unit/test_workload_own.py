"""The user's own workload: the template that they begin with, and what is said when something is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import torch

import lrsweep
from lrsweep.engines.examples import raised
from lrsweep.engines.sequential import train
from lrsweep.errors import InvalidInput
from lrsweep.records import OptimizerSpec, Record, Status, TrainingPlan, WorkloadSpec
from lrsweep.workloads.base import Workload, load

CPU = torch.device("cpu")
TEMPLATE = resources.files("lrsweep.workloads").joinpath("template.py.txt").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python remembers modules and where it looked for them: this forgets both."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith(("lrsweep_own_", "mine", "neighbour")):
            del sys.modules[name]


def written(text: str = TEMPLATE, path: str = "mine.py") -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def loaded(name: str = "mine.py:MyWorkload", **settings: object) -> Workload:
    return load(WorkloadSpec(name, settings), CPU)


def refusal(name: str = "mine.py:MyWorkload", **settings: object) -> str:
    with pytest.raises(InvalidInput) as raised:
        loaded(name, **settings)
    return str(raised.value)


def test_the_template_trains_as_it_stands() -> None:
    """100 steps of the three arms: the loss falls from about log 3 = 1.10 by a third, twice in the same bits."""
    written()
    workload = loaded()
    first, again = (curve(workload, seed=3) for _ in range(2))
    assert first == again
    assert 0.9 < first[0] < 1.3
    assert first[-1] < 0.67 * first[0]
    assert curve(workload, seed=4) != first
    weights = []
    for generator in (1, 2):
        torch.manual_seed(generator)
        weights.append([each.tolist() for each in workload.model(3).parameters()])
    assert weights[0] == weights[1]
    epochs = [torch.cat([workload.batch(seed, step)[0] for step in range(30)]).tolist() for seed in (3, 4)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])


def test_the_template_tells_the_losses_of_its_examples() -> None:
    """80 of the half that decides, of each of two models, whose means are the models' losses."""
    written()
    workload = loaded()
    models = [workload.model(seed) for seed in (3, 4)]
    with torch.no_grad():
        losses = workload.example_losses(lambda inputs: torch.stack([each(inputs) for each in models]), "decide")
    assert losses is not None
    assert losses.shape == (2, 80)
    assert losses.mean(dim=1).tolist() == pytest.approx(
        [workload.evaluate(each, "decide")["loss"] for each in models], rel=1e-5
    )


def test_an_error_in_a_workloads_losses_names_its_own_file_and_line() -> None:
    """And not the line of PyTorch that raised it: there is nothing to mend there."""
    written(TEMPLATE.replace("cross_entropy(each, targets, reduction", "cross_entropy(each, targets[1:], reduction"))
    workload = loaded()
    model = workload.model(3)
    with pytest.raises(ValueError, match="batch_size") as told:
        workload.example_losses(lambda inputs: model(inputs).unsqueeze(0), "decide")
    [line] = [number for number, text in enumerate(TEMPLATE.splitlines(), 1) if "torch.stack([functional" in text]
    assert raised(told.value).endswith(f"(mine.py, line {line})")


def curve(workload: Workload, seed: int) -> list[float]:
    spec = WorkloadSpec(workload.facts.name, workload.facts.settings)
    sgd = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})
    plan = TrainingPlan("t", 1, spec, lrsweep.schedule("linear"), 0.5, sgd, 100, seed)
    records: list[Record] = []
    train(plan, workload, records.append)
    outcome = records[-1].outcome
    assert outcome is not None
    assert outcome.status is Status.COMPLETED, outcome.error
    assert set(workload.facts.metrics) == {name.removeprefix("val_") for name in outcome.metrics if "val_" in name}
    return [float(loss) for record in records for loss in record.train_losses]


def test_an_own_workload_is_known_by_what_the_study_wrote() -> None:
    """Name and settings are the study's; version, data and the horizon of 20 epochs of 960 / 32 steps the class's."""
    written(path="nets/mine.py")
    facts = loaded("nets/mine.py:MyWorkload", width=8).facts
    assert (facts.name, facts.settings, facts.version) == ("nets/mine.py:MyWorkload", {"width": 8}, 1)
    assert (facts.horizon, len(facts.data_hash)) == (600, 64)


def test_a_module_is_found_from_the_working_folder() -> None:
    """As Python finds it."""
    written(path="mine_package/nets.py")
    assert loaded("mine_package.nets:MyWorkload").facts.batch_size == 32


def test_a_file_may_import_its_neighbours() -> None:
    """As when Python runs it."""
    written("WIDTH = 7", "nets/neighbour.py")
    written(
        TEMPLATE.replace('settings.get("width", 32)', "WIDTH").replace(
            "import math", "import math\nfrom neighbour import WIDTH"
        ),
        "nets/mine.py",
    )
    assert loaded("nets/mine.py:MyWorkload").model(0).get_submodule("0").out_features == 7


def test_data_lie_in_the_folder_that_is_named(tmp_path: Path) -> None:
    """The constructor gets the folder of data sets."""
    written(TEMPLATE.replace("del data", "self.data = data; del data"))
    workload = load(WorkloadSpec("mine.py:MyWorkload"), CPU, tmp_path / "data")
    assert vars(workload)["data"] == tmp_path / "data"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """The file, the module, or the class in it."""
    assert refusal() == (
        f"workload 'mine.py:MyWorkload': there is no file {str(tmp_path / 'mine.py')!r}. "
        "`lrsweep new workload` writes one that trains as it stands."
    )
    assert refusal("mine_missing:Net").startswith(
        "workload 'mine_missing:Net': importing 'mine_missing' raised ModuleNotFoundError: No module named"
    )
    written()
    assert refusal("mine.py:MyWorkloat") == (
        "workload 'mine.py:MyWorkloat': there is no 'MyWorkloat' in it. Did you mean 'MyWorkload'? "
        "Its workloads: MyWorkload."
    )
    assert "'SPLIT_SEED' is of type int, not a subclass of lrsweep.workloads.base.Workload" in refusal(
        "mine.py:SPLIT_SEED"
    )


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        (
            "import math",
            "import maths",
            r"running mine.py raised ModuleNotFoundError: No module .*\(mine.py, line \d+\)",
        ),
        ("import math", "raise SystemExit(3)", r"running mine.py raised SystemExit: 3 \(mine.py, line \d+\)"),
        ("def batch", "def batches", r"making it raised TypeError: Can't instantiate .*batch"),
        ("device: torch.device, data: Path", "device: torch.device", r"wanted is MyWorkload\(settings, device, data\)"),
        ("self.facts =", "other =", r"self.facts is not there, wanted is a lrsweep.records.WorkloadFacts"),
        ("(1e-3, 0.1)", "(0.1, 1e-3)", r"peak_lr\['adamw'\] is \(0.1, 0.001\), wanted is a range"),
        ('"loss": "minimize", ', "", r"metrics has no \"loss\""),
        ('"maximize"', '"max"', r"metrics\['acc'\] is 'max', wanted is \"minimize\" or \"maximize\""),
        ("batch_size=BATCH_SIZE", "batch_size=32.0", r"batch_size is 32.0, wanted is a whole number from 1"),
        ("version=1", 'version="one"', r"version is 'one', wanted is a whole number"),
        ("settings={}", 'settings={"a": math.nan}', r"settings\['a'\] is nan, wanted is what JSON has"),
        ("settings={}", "settings=None", r"settings is None, wanted is a mapping"),
        ("peak_lr=peak_ranges(", 'peak_lr={"sgd": 0.1} or dict(', r"peak_lr\['sgd'\] is 0.1, wanted is a range"),
        ("peak_lr=peak_ranges(", "peak_lr=0.1 or dict(", r"peak_lr is 0.1, wanted is a mapping"),
        ("self.device = device", "raise SystemExit(3)", r"making it raised SystemExit: 3 \(mine.py, line \d+\)"),
        ("data_hash=hash", 'data_hash="" and hash', r"data_hash is '', wanted is a text that changes"),
    ],
)
def test_a_class_that_does_not_fit_is_refused_with_what_is_wanted(replaced: str, by: str, message: str) -> None:
    """One line, no traceback; the error that was raised is the cause."""
    assert replaced in TEMPLATE
    written(TEMPLATE.replace(replaced, by))
    with pytest.raises(InvalidInput, match=message):
        loaded()


def test_a_setting_that_the_class_refuses_is_told_with_its_place() -> None:
    """The class checks its settings in its own words."""
    written()
    assert refusal(width="wide").startswith(
        "workload 'mine.py:MyWorkload': making it raised ValueError: invalid literal for int() with base 10: 'wide' ("
    )


def test_a_setting_that_is_no_number_is_refused() -> None:
    """A study's identity is a hash of its settings as JSON, which has no such number."""
    written()
    assert "settings['note'] is nan, wanted is what JSON has" in refusal(note=float("nan"))


def test_all_that_is_wrong_with_the_facts_is_told_at_once() -> None:
    """Two things in one message."""
    written(TEMPLATE.replace("version=1", "version=None").replace('"maximize"', '"up"'))
    text = refusal()
    assert "version is None" in text
    assert "metrics['acc'] is 'up'" in text
