"""``studies/``: every file is valid, stands in the README's table, and says no more than what was found."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lrsweep.records import WorkloadFacts, WorkloadSpec
from lrsweep.study import ResolvedStudy, load_study
from lrsweep.study.planning import plan
from lrsweep.workloads import catalog
from lrsweep.workloads.base import load
from lrsweep.workloads.facts import METRICS, peak_ranges

STUDIES = Path(__file__).parents[2] / "studies"
FILES = sorted([*STUDIES.glob("*.toml"), *STUDIES.glob("*/study.toml")])
RESULTS = sorted((STUDIES / "results").glob("*.json"))
RATES = peak_ranges(sgd=(0.01, 1.0), adam=(3e-4, 0.03))


def name_of(path: Path) -> str:
    return path.parent.name if path.name == "study.toml" else path.stem


def rows() -> dict[str, list[str]]:
    """The README's table by the name in its first column."""
    found = {}
    for line in (STUDIES / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and (named := re.match(r"\[?`([\w-]+)`", cells[0])):
            found[named[1]] = cells
    return found


def facts_of(spec: WorkloadSpec) -> WorkloadFacts:
    """Of workloads whose data are not here what their documentation says; of the others, their own."""
    pictures = {"mnist": (64, 50_000), "cifar10": (128, 45_000)}
    if spec.name in pictures:
        batch_size, examples = pictures[spec.name]
        horizon = 3 * (examples // batch_size)
        return WorkloadFacts(
            spec.name, dict(spec.settings), 1, "d", batch_size, horizon, RATES, METRICS, examples_per_epoch=examples
        )
    if spec.name == "char_lm":
        return WorkloadFacts(spec.name, dict(spec.settings), 1, "d", 8, 300, RATES, METRICS, tokens_per_example=32)
    if spec.name == "command":
        return WorkloadFacts("command", dict(spec.settings), 1, "", 0, spec.settings["steps"], {"script": (1e-3, 0.1)})
    if catalog.is_own(spec.name):
        return load(spec, torch.device("cpu")).facts
    return catalog.facts_without_torch(spec)


def resolved(path: Path) -> ResolvedStudy:
    study = load_study(path)
    return study.resolved(facts_of(study.workload))


@pytest.fixture
def _from_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study's own workload is named from there."""
    monkeypatch.chdir(STUDIES.parent)


@pytest.mark.usefixtures("_from_the_repository")
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_shipped_study_can_be_planned(path: Path) -> None:
    """It is named after its file; every family gets a trial, and there are at least two finalists with three seeds."""
    study = resolved(path)
    assert study.name == name_of(path)
    found = plan(study)
    assert found is not None
    assert min(counts[0] for _, counts in found.families) >= 1
    if study.name != "own-script":  # shows what 16 trials of somebody's script come to
        assert found.finalists >= 2
        assert found.seeds >= 3


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_shipped_study_stands_in_the_readme(path: Path) -> None:
    """With its question, its n, the machine and the result; ``not run`` in the place of the last three, together."""
    question, n, machine, result = rows()[name_of(path)][1:]
    assert question.endswith("?")
    assert {"not run" in cell for cell in (n, machine, result)} in ({True}, {False})
    assert all((question, n, machine, result))


def test_the_readme_names_no_study_that_is_not_there() -> None:
    """A file that is renamed or removed takes its row with it."""
    assert set(rows()) == {name_of(path) for path in FILES}


@pytest.mark.parametrize(("epochs", "steps"), [(3, 1_053), (15, 5_265), (30, 10_530), (75, 26_325)])
def test_resnet20_is_trained_for_1_to_25_percent_of_300_epochs(epochs: int, steps: int) -> None:
    """An epoch of 45,000 pictures has 351 whole batches of 128."""
    assert resolved(STUDIES / f"resnet20_{epochs}_epochs.toml").horizon == steps


# ── what was found ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_readme_says_what_was_found(path: Path) -> None:
    """The row has the recommended family, its peak, its mean with the half width of the interval, n and evidence as
    the kept result has them, and a picture; one that was run is not called ``not run``."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    choice = found["choice"]
    n, machine, result = rows()[path.stem][2:]
    chosen = choice["choice"]
    low, high = chosen["interval"]
    assert f"`{choice['recommended']}` at {chosen['peak_lr']:.2g}" in result
    assert f"{choice['metric']} {chosen['mean']:.3f} ± {(high - low) / 2:.2g}" in result
    assert f"**{choice['evidence']}**" in result
    assert f"results/{path.stem}.svg" in result
    assert path.with_suffix(".svg").exists()
    assert f"{choice['n']} seeds" in n
    assert f"{found['sweep']['trials']:,} trials, {found['sweep']['trainings']:,} trainings" in n
    assert machine == found["machine"]


def test_what_was_run_is_kept() -> None:
    """A row is ``not run``, or has a result file; ``own-script`` was measured before there were choices."""
    run = {name for name, cells in rows().items() if "not run" not in cells[2]}
    assert run - {"own-script"} == {path.stem for path in RESULTS}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_kept_result_is_of_the_study_as_it_is(path: Path) -> None:
    """Its finalists are of the study's families and its baseline's, trained to a horizon the study has."""
    found = json.loads(path.read_text(encoding="utf-8"))
    study = load_study(STUDIES / f"{path.stem}.toml")
    known = set(study.space.families)
    for each in found["choice"]["finalists"]:
        assert each["is_baseline"] or each["family"] in known
        assert each["is_baseline"] or each["optimizer"] in study.space.optimizers
    if study.horizon is not None and str(study.horizon).endswith("steps"):
        assert found["choice"]["horizon"] == int(str(study.horizon).split()[0])


# ── what belongs to them ─────────────────────────────────────────────────────────────────────────────────────────────


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, STUDIES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepare() -> Iterator[ModuleType]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield script("fine_tuning/prepare.py")
    torch.set_num_threads(before)


def test_the_fine_tuning_study_begins_with_what_is_prepared(prepare: ModuleType, tmp_path: Path) -> None:
    """The weights fit, and the descriptions are text enough: a training starts from the checkpoint's own numbers,
    whatever its seed."""
    (tmp_path / "descriptions.txt").write_text(prepare.descriptions(), encoding="utf-8")
    model = prepare.pretrained(STUDIES / "texts" / "shakespeare.txt", 2)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    given = load_study(STUDIES / "fine_tuning.toml").workload
    assert Path(given.settings["init"]).parent == Path(given.settings["text"]).parent == Path("studies/fine_tuning")
    settings = {
        **given.settings,
        "text": str(tmp_path / "descriptions.txt"),
        "init": str(tmp_path / "weights.pt"),
    }
    begun = load(WorkloadSpec("char_lm", settings), torch.device("cpu")).model(7)
    pairs = zip(begun.parameters(), model.parameters(), strict=True)
    assert all(mine.equal(theirs) for mine, theirs in pairs)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_kept_picture_is_of_the_kept_result(path: Path, tmp_path: Path) -> None:
    """Drawn again it names the same finalists in the same order, and the same answer above them."""
    script("evidence.py").draw(json.loads(path.read_text(encoding="utf-8")), tmp_path / "again.svg")
    said = [
        re.findall(r">([^<>]+)</text>", each.read_text()) for each in (path.with_suffix(".svg"), tmp_path / "again.svg")
    ]
    assert said[0] == said[1]
    assert "(blue)" in said[0][-1]


@pytest.mark.usefixtures("_from_the_repository")
def test_every_seventh_of_the_few_digits_has_a_drawn_label() -> None:
    """An epoch shows 256 pictures; with the right labels 37 of them could differ, and a tenth of these is right by
    chance. The same batch comes from the seed and the step alone, and many at once are the same."""
    from sklearn.datasets import load_digits

    workload = load(load_study(STUDIES / "little_data.toml").workload, torch.device("cpu"))
    truth = {tuple(pixels): int(digit) for pixels, digit in zip(*load_digits(return_X_y=True), strict=True)}
    seen = [workload.batch(3, step) for step in range(8)]
    wrong = sum(
        truth[tuple((row * 16).tolist())] != int(label)
        for inputs, labels in seen
        for row, label in zip(inputs, labels, strict=True)
    )
    assert 25 <= wrong <= 37
    feed = workload.feed()
    assert feed is not None
    inputs, labels = feed([3, 4], [2, 5])
    assert inputs[0].equal(seen[2][0])
    assert labels[1].equal(workload.batch(4, 5)[1])
