"""What a look at results loads, which is most of the time that it takes."""

from __future__ import annotations

from tests.checks.test_imports import modules_after


def test_a_look_loads_neither_optuna_nor_what_trains() -> None:
    """The points of trials are read without it: ``list``, ``status``, ``show`` and ``choose`` start sooner."""
    looks = ("findings.look", "findings.choosing", "cli.show", "cli.show_drawing", "cli.look_drawing", "cli.main")
    modules = modules_after("import " + ", ".join(f"lrsweep.{each}" for each in looks))
    assert not modules & {"optuna", "torch", "mlflow", "scipy", "alembic"}
