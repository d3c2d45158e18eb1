"""Study files for tests of how they are read: a text with the tables that a test adds, read or refused."""

from __future__ import annotations

import pytest

from lrsweep.errors import StudyError
from lrsweep.records import WorkloadFacts
from lrsweep.study import ResolvedStudy, Study, parse_study

FACTS = WorkloadFacts(
    name="digits",
    settings={"model": "mlp", "noise": 0.0},
    version=1,
    data_hash="d1",
    batch_size=64,
    horizon=600,
    peak_lr={"sgd": (0.01, 2.0), "adamw": (0.0003, 0.1)},
    metrics={"loss": "minimize", "acc": "maximize"},
)
TWO_RUNGS = "[search]\nrungs = 2\n"
SCRIPT = WorkloadFacts("command", {"command": "python train.py"}, 1, "", 0, 600, {"script": (0.001, 0.1)})


def text_of(tables: str = "", *, study: str = "", budget: str = "trials = 38") -> str:
    """The tables begin on line 7."""
    return f'[study]\nname = "q"\nworkload = "digits"\n{study}\n[budget]\n{budget}\n{tables}\n'


def read(tables: str = "", **more: str) -> Study:
    return parse_study(text_of(tables, **more), "s.toml")


def resolved(tables: str = "", **more: str) -> ResolvedStudy:
    return read(tables, **more).resolved(FACTS)


def problems(text: str) -> list[str]:
    with pytest.raises(StudyError) as raised:
        parse_study(text, "s.toml")
    return [str(problem) for problem in raised.value.problems]
