"""The lines that a script reports."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lrsweep.scripts.reports import (
    Begin,
    End,
    Line,
    Preempted,
    Report,
    Writer,
    Wrong,
    append,
    from_line,
    reported,
    signed,
    to_line,
)


@pytest.mark.parametrize(
    "line",
    [
        Begin(2),
        Report(500, {"val_loss": 0.1}, 500),
        Report(3, {"a": math.inf}),
        End(7),
        Preempted(7),
        Preempted(None),
        Wrong('"said"\n'),
    ],
)
def test_a_line_is_read_as_it_was_written(line: Line) -> None:
    """Floats keep every bit, and a line break inside a text makes no second line."""
    assert to_line(line).count("\n") == 1
    assert from_line(to_line(line)) == line
    assert signed(to_line(line)) == (line, None)
    by = Writer(2, "host:17:4")
    assert signed(to_line(line, by)) == (line, by)


def test_nan_is_a_result_and_passes() -> None:
    """Divergence reaches the sweep as the number that it is."""
    read = from_line(to_line(Report(1, {"val_loss": math.nan})))
    assert isinstance(read, Report)
    assert math.isnan(read.metrics["val_loss"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epoch 3: loss 0.4",
        '{"step": 500, "metrics": {"val_lo',
        '{"step": true}',
        '{"step": -1, "loss": 1.0}',
        '{"step": "5"}',
        '{"step": "5", "attempt": 2}',
        '{"step": 5.5, "loss": 1.0}',
        '{"step": -5.0, "loss": 1.0}',
        '{"step": Infinity, "loss": 1.0}',
        '{"attempt": true}',
        '{"attempt": -1}',
        '{"end": "soon"}',
        "[" * 100_000,
        "5",
    ],
)
def test_what_says_nothing_of_this_is_left_alone(text: str) -> None:
    """A script may print anything, in any depth, and the last line may be torn."""
    assert from_line(text) is None


def test_numbers_beside_the_step_are_metrics_and_nothing_else_is() -> None:
    """Texts, flags and lists are left out; a whole number too large for a float is infinite."""
    line = '{"step": 4, "loss": 1, "note": "x", "best": true, "all": [1], "huge": 1' + "0" * 400 + "}"
    assert from_line(line) == Report(4, {"loss": 1.0, "huge": math.inf})


def test_a_printed_line_with_a_step_is_a_report_whatever_else_it_has() -> None:
    """An attempt of the script's own counting begins nothing, and array libraries print whole numbers as floats."""
    assert from_line('{"step": 100, "attempt": 2, "val_loss": 0.5}') == Report(100, {"attempt": 2.0, "val_loss": 0.5})
    read = from_line('{"end": 3, "step": 100.0, "val_loss": 0.5}')
    assert read == Report(100, {"end": 3.0, "val_loss": 0.5})
    assert isinstance(read, Report)
    assert type(read.step) is int


def test_a_count_of_updates_that_is_none_is_left_out() -> None:
    """The engine compares it with a number."""
    assert from_line('{"step": 4, "updates": "four", "metrics": {"loss": 1}}') == Report(4, {"loss": 1.0}, None)


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    """A kill or a full disk left half a line: the next one begins anew."""
    path = tmp_path / "reports.jsonl"
    append(path, [Begin(1)])
    with path.open("a") as file:
        file.write('{"step": 1, "upda')
    append(path, [Begin(2), Report(1, {"loss": 0.5})])
    read = [from_line(line) for line in path.read_text().splitlines()]
    assert read == [Begin(1), None, Begin(2), Report(1, {"loss": 0.5})]


def test_one_metric_of_all_attempts_in_order(tmp_path: Path) -> None:
    """What a schedule that reacts hears again after a resume."""
    path = tmp_path / "reports.jsonl"
    assert list(reported(path, "loss")) == []
    append(path, [Begin(1), Report(2, {"loss": 0.5}), Report(4, {"acc": 1.0}), Begin(2), Report(2, {"loss": 0.25})])
    assert list(reported(path, "loss")) == [(2, 0.5), (2, 0.25)]


def test_an_attempt_that_lives_on_is_not_heard_after_a_newer_one_has_begun(tmp_path: Path) -> None:
    """A job of a batch system that nobody has cancelled; what is printed has no writer, and is the newest attempt's."""
    path = tmp_path / "reports.jsonl"
    append(path, [Begin(1), Report(2, {"loss": 0.5})], Writer(1, "old"))
    append(path, [Begin(2)], Writer(2, "new"))
    append(path, [Report(4, {"loss": 9.0})], Writer(1, "old"))
    append(path, [Report(4, {"loss": 0.25})], Writer(2, "new"))
    append(path, [Report(6, {"loss": 0.125})])
    assert list(reported(path, "loss")) == [(2, 0.5), (4, 0.25), (6, 0.125)]
