"""What an import loads, and what it can do without. Each test asks a new interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from lrsweep.schedules import schedule
from lrsweep.scripts.plan_file import PlanFile, write_plan_file
from tests.checks.licences import runtime_closure

REPOSITORY = Path(__file__).parents[2]
LARGE = {"alembic", "mlflow", "numpy", "optuna", "pydantic", "ray", "rich", "sklearn", "sqlalchemy", "torch", "typer"}
LARGE |= {"matplotlib"}

# Hides every package but ALLOWED and the standard library, as if it had never been installed. `None` rather than an
# exception: packages look for optional parts with importlib.util.find_spec, which must answer "not there".
ONLY = """
import sys
from importlib.machinery import PathFinder

class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        standard = top in sys.stdlib_module_names or top.startswith("_sysconfigdata")
        return PathFinder.find_spec(name, path, target) if standard or top in ALLOWED else None

sys.meta_path = [Only() if finder is PathFinder else finder for finder in sys.meta_path]
"""


def modules_after(code: str, allowed: set[str] | None = None) -> set[str]:
    """The names in ``sys.modules`` of a new interpreter after ``code``; with ``allowed``, no other package is there."""
    hide = "" if allowed is None else f"ALLOWED = {sorted(allowed | {'lrsweep'})!r}\n{ONLY}\n"
    program = f"{hide}{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of(*packages: str) -> set[str]:
    """The top-level modules of these packages and of all that they need."""
    needed = {package.name for package in runtime_closure({"dependencies": packages})}
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if any(name.lower().replace("_", "-").replace(".", "-") in needed for name in distributions)
    }


def of_lrsweep(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "lrsweep"}


def test_importing_lrsweep_loads_the_top_of_the_package_alone() -> None:
    """``import lrsweep`` costs one small module: no other of ours, none of the large dependencies."""
    modules = modules_after("import lrsweep")
    assert of_lrsweep(modules) == {"lrsweep"}
    assert not modules & LARGE


def test_a_schedule_loads_numpy_and_no_other_large_dependency() -> None:
    """The first use of a name loads its home, which is the schedules with what they stand on."""
    modules = modules_after("import lrsweep; lrsweep.schedule('cosine').rates(4, peak_lr=0.1)")
    loaded = {name for name in of_lrsweep(modules) if not name.startswith("lrsweep.schedules.")}
    assert loaded == {"lrsweep", "lrsweep.errors", "lrsweep.schedules"}
    assert modules & LARGE == {"numpy"}


def test_schedules_work_where_only_numpy_is_installed() -> None:
    """A bare machine with numpy makes a schedule, its rates and its JSON."""
    modules_after(
        "import lrsweep; s = lrsweep.schedule('wsd', warmup=0.1); s.rates(10, peak_lr=0.1);"
        "assert lrsweep.schedule_from_json(s.to_json()) == s",
        allowed={"numpy"},
    )


def test_a_script_attaches_where_only_numpy_is_installed(tmp_path: Path) -> None:
    """In a sweep too: the plan is read, a metric reported, a rate asked, and no PyTorch is looked for."""
    plan = PlanFile(tmp_path, schedule=schedule("plateau", patience=0), peak_lr=0.8, total_steps=8)
    modules = modules_after(
        f"import os; os.environ['LRSWEEP_PLAN'] = {str(write_plan_file(plan))!r}\n"
        "import lrsweep; run = lrsweep.attach(peak_lr=0.1, total_steps=20)\n"
        "run.report(1, val_loss=0.5); assert run.rate(1) == 0.8 and not run.should_stop",
        allowed={"numpy"},
    )
    assert "multiprocessing" not in modules
    assert "lrsweep.integrations.attached" not in modules
    assert plan.reports.read_text().count("\n") == 2


def test_records_need_only_numpy() -> None:
    """What crosses the borders can be read where nothing but numpy is installed."""
    modules_after("import lrsweep.records", allowed={"numpy"})


@pytest.mark.parametrize(
    "module", ["lrsweep.engines", "lrsweep.engines.sequential", "lrsweep.workloads.base", "lrsweep.executors.child"]
)
def test_training_needs_only_torch_torchvision_and_numpy(module: str) -> None:
    """A bare GPU box trains: no SQL, no MLflow, no Optuna, no pydantic, no terminal library."""
    bare = modules_of("torch", "torchvision", "numpy")
    assert not bare & (LARGE - {"numpy", "torch"})
    modules_after(f"import {module}", allowed=bare)


def test_a_digits_training_needs_nothing_more_than_scikit_learn_for_its_images() -> None:
    """An engine trains four steps of digits with torch, torchvision, numpy and scikit-learn alone."""
    train = """
import lrsweep, torch
from lrsweep.engines.sequential import train
from lrsweep.records import OptimizerSpec, TrainingPlan, WorkloadSpec
from lrsweep.workloads.base import load
spec = WorkloadSpec("digits")
sgd = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})
plan = TrainingPlan("t", 1, spec, lrsweep.schedule("linear"), 0.1, sgd, 4, seed=0)
records = []
train(plan, load(spec, torch.device("cpu")), records.append)
assert records[-1].outcome.status == "completed", records[-1].outcome
assert sum(len(record.rates) for record in records) == 4
"""
    modules_after(train, allowed=modules_of("torch", "torchvision", "numpy", "scikit-learn"))


@pytest.mark.parametrize("name", ["digits", "logistic"])
def test_a_table_of_scikit_learn_says_what_it_is_without_torch(name: str) -> None:
    """``lrsweep plan`` asks no more of it."""
    modules = modules_after(
        "from lrsweep.records import WorkloadSpec; from lrsweep.workloads import catalog\n"
        f"assert not catalog.needs_torch({name!r})\n"
        f"assert catalog.facts_without_torch(WorkloadSpec({name!r})).data_hash"
    )
    assert not modules & {"torch", "sklearn"}


def test_a_training_loads_nothing_of_a_compiler_nor_scikit_learn(tmp_path: Path) -> None:
    """Each of them takes as long to load as torch does, and each engine's process would wait for it: for no optimizer,
    and for no checkpoint."""
    train = """
from contextlib import suppress
from dataclasses import replace
from itertools import count
from lrsweep.engines.sequential import Drained, train
from lrsweep.study import OPTIMIZERS
from tests.trainings import PLAN, digits
workload = digits()
for name, spec in OPTIMIZERS.items():
    plan = replace(PLAN, training_id=name, optimizer=spec, horizon=8, peak_lr=0.01, checkpoint_url=f"FOLDER/{name}")
    steps, records = count(1), []
    with suppress(Drained):
        train(plan, workload, [].append, gives_way=lambda: next(steps) == 5)
    train(plan, workload, records.append)
    assert (records[1].first_step, records[-1].outcome.status) == (5, "completed"), records
"""
    modules = modules_after(train.replace("FOLDER", tmp_path.as_uri()))
    assert "torch" in modules
    assert not modules & {"torch._dynamo", "torch._inductor", "sympy", "sklearn", "scipy"}


def test_what_is_hidden_cannot_be_imported() -> None:
    """The check itself: a package outside the allowed ones looks as if it were not installed."""
    with pytest.raises(AssertionError, match="No module named 'rich'"):
        modules_after("import rich", allowed={"numpy"})
    modules_after("import importlib.util; assert importlib.util.find_spec('rich') is None", allowed={"numpy"})
