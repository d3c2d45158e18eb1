"""The files and the command line that a script finds, and how its reports are read back."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from lrsweep.engines.command.folder import prepare, script_environment
from lrsweep.engines.command.tail import Tail
from lrsweep.errors import InvalidInput
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command, TableFormat, command_of
from lrsweep.scripts.command_line import filled, placeholders
from lrsweep.scripts.plan_file import read_plan_file
from lrsweep.scripts.rate_tables import write_rates
from lrsweep.scripts.reports import Begin, from_line
from tests.scripted_commands import a_plan

RATES = np.array([0.1, 1 / 3, 1e-9])


@pytest.mark.parametrize("form", ["json", "csv", "npy"])
def test_a_table_of_rates_reads_back_as_the_same_numbers(form: TableFormat, tmp_path: Path) -> None:
    """By the plain readers that a script has, to the last bit."""
    path = write_rates(tmp_path, RATES, form)
    assert path == tmp_path / f"rates.{form}"
    match form:
        case "json":
            read = json.loads(path.read_text())
        case "csv":
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            assert [row["step"] for row in rows] == ["0", "1", "2"]
            read = [float(row["lr"]) for row in rows]
        case "npy":
            read = np.load(path, allow_pickle=False).tolist()
    assert read == RATES.tolist()


def test_a_commands_places_are_filled_with_the_plan(tmp_path: Path) -> None:
    """Also with the user's own parameters; a value is one argument, whatever characters it has."""
    command = Command(
        "train --lr-table {lr_table} -s {seed} -n {steps} --lr={peak_lr} --text {text}", table_format="csv"
    )
    plan = a_plan(command, tmp_path, extra={"text": "a; rm -r $HOME"})
    table = str(tmp_path / "rates.csv")
    wanted = ["train", "--lr-table", table, "-s", "3", "-n", "40", "--lr=0.1", "--text", "a; rm -r $HOME"]
    assert prepare(tmp_path, plan, command) == wanted
    assert Path(table).read_text().startswith("step,lr\n0,0.1\n")


def test_flags_are_those_of_the_family_with_its_own_settings(tmp_path: Path) -> None:
    """They follow the command; warm-up and floor are every family's."""
    flags = {"cosine": "--sched cosine", "step": "--sched step --every {every} --by {gamma} --warm {warmup}"}
    command = Command("train --n {steps}", families=flags)
    plan = a_plan(command, schedule=schedule("step", every=0.25, gamma=0.5, warmup=0.1))
    argv = prepare(tmp_path, plan, command)
    own = ["--every", "0.25", "--by", "0.5", "--warm", "0.1"]
    assert argv == ["train", "--n", "40", "--sched", "step", *own]
    assert prepare(tmp_path, a_plan(command), command) == ["train", "--n", "40", "--sched", "cosine"]


def test_a_file_of_rates_is_written_wherever_it_is_named(tmp_path: Path) -> None:
    """Beside flags too, in the command or in those of the family; it is that family's rates."""
    table = str(tmp_path / "rates.json")
    for command in (
        Command("train --table {lr_table}", families={"cosine": "--sched mine"}),
        Command("train", families={"cosine": "--table {lr_table}", "step": "--sched step"}),
    ):
        plan = a_plan(command)
        assert table in prepare(tmp_path, plan, command)
        assert json.loads(Path(table).read_text()) == plan.schedule.rates(40, 0.1).tolist()
        Path(table).unlink()


def test_lists_and_truths_are_written_as_command_lines_have_them() -> None:
    """Commas between, and small letters: neither Python's brackets nor its capitals."""
    values = {"list": (0.5, 0.75), "on": True, "none": None, "number": 1e-5, "text": "x"}
    assert filled("{list} {on} {none} {number} {text}", values) == ["0.5,0.75", "true", "null", "1e-05", "x"]


def test_braces_that_are_no_names_are_refused() -> None:
    """Doubled, they stand for themselves."""
    assert placeholders("train '{{\"a\": 1}}' {seed}") == ("seed",)
    for text in ("train {", "train {0}", "train {seed:d}", "train {a.b}", "train {}", "train 'a"):
        with pytest.raises(InvalidInput, match="train"):
            placeholders(text)


def test_a_command_crosses_the_border_as_a_workload() -> None:
    """What the study writes is what the engine reads, and how it is run is no part of its meaning."""
    command = Command("train {lr_table}", steps=100, concurrency=16, time_limit=60.0, table_format="csv")
    assert command_of(command.spec()) == command
    assert command.meaning() == Command("train {lr_table}").meaning()
    follows = [Command(text).follows for text in ("train", "train {lr_table}")]
    assert [*follows, Command("train", families={"cosine": ""}).follows] == ["attach", "table", "flags"]


def test_the_plan_is_written_anew_and_what_was_reported_stays(tmp_path: Path) -> None:
    """A later attempt of a script that prints is begun for it, on a line of its own."""
    command = Command("train {lr_table}")
    reports = tmp_path / "reports.jsonl"
    prepare(tmp_path, a_plan(command), command)
    with reports.open("a") as file:
        file.write('{"step": 10, "val_loss": 0.5}\n{"step": 20, "val')  # killed within a line
    (tmp_path / "stop").touch()
    prepare(tmp_path, a_plan(command, attempt=2), command)
    assert read_plan_file(tmp_path / "plan.json").attempt == 2
    assert not (tmp_path / "stop").exists()
    lines = [from_line(line) for line in reports.read_text().splitlines()]
    assert [line for line in lines if isinstance(line, Begin)] == [Begin(1), Begin(2)]


def test_a_script_has_the_users_environment_and_the_way_to_its_plan() -> None:
    """lrsweep stands before what the user has on the path, in a folder where nothing else is."""
    folder = Path("/data/t")
    outer = {"A": "1", "PYTHONPATH": "/mine", "LRSWEEP_ATTEMPT": "7"}
    environ = script_environment(outer, folder, {"CUDA_VISIBLE_DEVICES": "2"}, attempt=3)
    assert environ == {
        "A": "1",
        "PYTHONPATH": f"/data/t/packages{os.pathsep}/mine",
        "CUDA_VISIBLE_DEVICES": "2",
        "LRSWEEP_PLAN": "/data/t/plan.json",
        "LRSWEEP_ATTEMPT": "3",
    }
    assert "RANK" not in script_environment({"RANK": "1"}, folder, {})
    assert script_environment({}, folder, {})["PYTHONPATH"] == "/data/t/packages"


def test_a_link_to_another_lrsweep_is_replaced(tmp_path: Path) -> None:
    """The driver may have moved to another environment since the last attempt."""
    stale = tmp_path / "packages" / "lrsweep"
    stale.parent.mkdir()
    stale.symlink_to(tmp_path / "gone")
    prepare(tmp_path, a_plan(Command("train")), Command("train"))
    assert (stale / "errors.py").is_file()
    assert [each.name for each in stale.parent.iterdir()] == ["lrsweep"]


def test_lines_are_read_once_and_when_they_are_whole(tmp_path: Path) -> None:
    """A line whose end is still to come waits; a file that is not there has none; bytes that are no text harm none."""
    path = tmp_path / "reports.jsonl"
    tail = Tail(path)
    assert tail.lines() == []
    path.write_bytes(b"one\ntw")
    assert tail.lines() == ["one"]
    assert tail.lines() == []
    with path.open("ab") as file:
        file.write(b"o\n\xff\n")
    assert tail.lines() == ["two", "\ufffd"]
