"""What a look at results loads, which is most of the time that it takes."""

from __future__ import annotations

import textwrap

from tests.checks.test_imports import modules_after


def test_a_look_loads_neither_optuna_nor_what_trains() -> None:
    """The points of trials are read without it: ``list``, ``status``, ``show`` and ``choose`` start sooner."""
    looks = ("findings.look", "findings.choosing", "cli.show", "cli.show_drawing", "cli.look_drawing", "cli.main")
    modules = modules_after("import " + ", ".join(f"lrsweep.{each}" for each in looks))
    assert not modules & {"optuna", "torch", "mlflow", "scipy", "alembic", "lrsweep.study.tables"}


def test_a_choice_is_made_without_scipy() -> None:
    """Of results with several seeds: intervals, chances and the next step. SciPy takes a fifth of a second."""
    code = """
        from lrsweep.selection.choice import choose
        from lrsweep.selection.results import Point, Result
        results = [
            Result(Point(family), 100, str(seed), 0.3 + seed / 97 + 0.1 * (family == "wsd") + seed**2 / 1e3, 1)
            for family in ("wsd", "cosine", "linear")
            for seed in range(4 + len(family))
        ]
        assert choose(results, worth=0.01).to_json()["probability_best"]
    """
    assert "scipy" not in modules_after(textwrap.dedent(code))
