"""``lrsweep export``: the choice as code, table and JSON, for those who have no lrsweep."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lrsweep.champion.exporting import FORMS, exported
from lrsweep.champion.reading import from_json, written
from lrsweep.champion.value import RateRule
from lrsweep.cli.main import app
from lrsweep.errors import InvalidInput, NeedsMetric, SettingsError
from lrsweep.schedules import schedule
from lrsweep.schedules.code import TARGETS
from tests.choices import STANDING, choice


def run(text: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    exec(text, own)
    return own


def test_the_code_has_the_rates_of_the_choice() -> None:
    """Peak and horizon of the choice; on other steps the peak of the exponent."""
    own = run(exported(choice(), "python"))
    assert [own["rate"](step) for step in (0, 300, 600)] == [0.4, 0.2, 0.0]
    longer = run(exported(choice(), "python", 2400))
    assert longer["rate"](0) == 0.2
    assert longer["TOTAL_STEPS"] == 2400


def test_the_code_says_what_it_rests_on() -> None:
    """A comment before the module's docstring: name, peak, optimizer, evidence with its interval, and where from."""
    value = choice(
        extra={"width": 64, "note": None}, test={**STANDING, "metric": "test_loss"}, rate_rule=RateRule(0.5, None)
    )
    text = exported(value, "torch", 1200)
    comment = " ".join(line.removeprefix("# ").strip() for line in text.splitlines() if line.startswith("#"))
    for fact in (
        "digits, by lrsweep: peak rate 0.4 for sgd (momentum 0.9, weight_decay 0), batches of 64, 600 steps",
        "Here for 1,200 steps: its peak rate 0.4 was found on 600 steps",
        "the default of sgd, not measured",
        "Found with width 64 Evidence",
        "Evidence: recommended: decide_loss 0.0748 (95 %: 0.0637 to 0.086), n = 3",
        "Test set: test_loss 0.0748 (95 %: 0.0637 to 0.086), n = 3",
        "From study digits, sweep 0123456789abcdef. Its JSON has more.",
    ):
        assert fact in comment
    assert (ast.get_docstring(ast.parse(text)) or "").startswith("The learning rate of every update.")
    assert max(len(line) for line in text.splitlines()) <= 88
    assert "Here for" not in exported(value, "torch", 600)


def test_the_comment_tells_trainings_without_a_value() -> None:
    """On the test set they are in no mean; a count that is no number is nothing."""
    test = {**STANDING, "metric": "test_loss", "n": 2, "without_value": 1}
    assert "n = 2 (1 of 3 came to no value)" in exported(choice(test=test), "python")
    for odd in ("many", None, True, 0, [1]):
        assert "no value" not in exported(choice(test={**test, "without_value": odd}), "python")


@pytest.mark.parametrize("form", TARGETS)
def test_texts_of_a_choice_cannot_leave_the_comment(form: str) -> None:
    """Line breaks of any kind in what others wrote stay text: loading and exporting run no code of theirs."""
    bad = 'x\nraise SystemExit("out")\r\x0b\x0c\x1c\x85\u2028raise SystemExit("out")'
    value = choice(
        extra={bad: bad},
        evidence={"evidence": bad, "metric": bad, "n": bad, "choice": {**STANDING, "interval": [bad, bad]}},
        test={bad: bad, "metric": bad, "n": bad},
        provenance={"study": bad, "workload": {"name": bad}, bad: 1},
    )
    body = exported(choice(extra={}, evidence={}, test=None, provenance={}), form)
    text = exported(from_json(written(value), "file"), form)
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(body))
    assert len(text.splitlines()) == text.count("\n"), "an editor that breaks lines at other signs sees the same"


def test_a_table_has_a_line_for_each_step() -> None:
    """Rates to their last digit, as any spreadsheet reads them."""
    lines = exported(choice(), "csv").splitlines()
    assert lines[:2] == ["step,rate", "0,0.4"]
    assert np.array_equal([float(line.split(",")[1]) for line in lines[1:]], choice().rates())
    with pytest.raises(InvalidInput, match="a line for each step"):
        exported(choice(), "csv", 10**9)


def test_the_json_is_the_choice_itself() -> None:
    """What another lrsweep loads; it has one horizon, its own."""
    assert from_json(exported(choice(), "json"), "exported") == choice()
    with pytest.raises(InvalidInput, match="found on 600 steps, not 700"):
        exported(choice(), "json", 700)


def test_an_unknown_form_and_a_reactive_schedule_are_refused() -> None:
    """A schedule that hears a metric has no rates before there are any; its JSON is complete."""
    with pytest.raises(
        InvalidInput, match=r"no form 'touch'; wanted is one of python, .*, csv. Did you mean 'torch'\?"
    ):
        exported(choice(), "touch")
    reactive = choice(schedule=schedule("plateau"))
    for form in FORMS:
        if form == "json":
            assert json.loads(exported(reactive, form))["schedule"]["family"] == "plateau"
        else:
            with pytest.raises(NeedsMetric):
                exported(reactive, form)


def test_a_choice_with_hardly_any_evidence_is_exported_all_the_same() -> None:
    """What is not there is left out."""
    text = exported(choice(evidence={}, provenance={}, batch_size=None), "python")
    assert "# Evidence: none is kept with it\n" in text
    assert "# From" not in text
    assert "# Test set: no mean of the metric, n = ?\n" in exported(choice(test={"acc": 0.9}), "python")
    assert "# Evidence: undecided, n = ?\n" in exported(choice(evidence={"evidence": "undecided"}), "python")


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``schedules/digits.json`` in a working folder without results."""
    for name in ("LRSWEEP_HOME", "LRSWEEP_DATABASE_URL", "LRSWEEP_DATABASE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "schedules" / "digits.json"
    path.parent.mkdir()
    path.write_text(written(choice()))
    return path


def test_the_command_writes_to_standard_output_or_to_a_file(file: Path) -> None:
    """By name or by path; a file is written whole, and nothing else is left beside it."""
    found = CliRunner().invoke(app, ["export", "digits", "--to", "python"])
    assert found.exit_code == 0
    assert found.stdout == exported(choice(), "python")
    out = file.parent / "rates.csv"
    found = CliRunner().invoke(app, ["export", str(file), "--to", "csv", "--out", str(out)])
    assert (found.exit_code, found.stdout, found.stderr) == (0, "", f"written: {out}\n")
    assert out.read_text() == exported(choice(), "csv")
    assert sorted(each.name for each in file.parent.iterdir()) == ["digits.json", "rates.csv"]


def test_the_command_says_on_standard_error_that_the_peak_has_moved(file: Path) -> None:
    """Standard output is code alone."""
    found = CliRunner().invoke(app, ["export", "digits", "--to", "python", "--steps", "2400"])
    assert run(found.stdout)["rate"](0) == 0.2
    assert "0.4 was found on 600 steps; for 2,400 it is 0.2" in found.stderr


def test_the_command_refuses_what_it_cannot_write(file: Path) -> None:
    """A form that is none, and a folder that is not there."""
    found = CliRunner().invoke(app, ["export", "digits", "--to", "kears"])
    assert isinstance(found.exception, SettingsError)
    assert "Did you mean 'keras'?" in str(found.exception)
    found = CliRunner().invoke(app, ["export", "digits", "--to", "csv", "--out", "../none/x.csv"])
    assert "--out ../none/x.csv: there is no folder ../none" in str(found.exception)
    found = CliRunner().invoke(app, ["export", "digits", "--to", "csv", "--steps", "0"])
    assert str(found.exception) == "--steps must be a whole number of 1 or more, not 0: the number of updates."
    found = CliRunner().invoke(app, ["export", "digits", "--to", "csv", "--out", "."])
    assert str(found.exception) == "--out . is a folder; wanted a file."


def test_exporting_a_file_loads_no_large_package(file: Path) -> None:
    """A build step of somebody's repository: no database, no MLflow, no PyTorch."""
    code = (
        "import sys, lrsweep; from lrsweep.champion.exporting import exported;"
        "exported(lrsweep.load_choice('schedules/digits.json'), 'torch');"
        "print({'torch', 'mlflow', 'sqlalchemy', 'optuna', 'pydantic'} & set(sys.modules))"
    )
    environ = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
