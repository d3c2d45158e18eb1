"""Command lines that cannot be meant: what was given, what is wanted, and where to look, as every refusal says it."""

from __future__ import annotations

import sys

import pytest

from lrsweep.cli.main import main


def left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The exit code, and what was printed."""
    monkeypatch.setattr(sys, "argv", ["lrsweep", *words])
    with pytest.raises(SystemExit) as leaving:
        main()
    out, err = capsys.readouterr()
    return int(leaving.value.code or 0), out, err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("choose", "quick", "--direction", "sideways"),
            "--direction is 'sideways'; wanted one of minimize, maximize. `lrsweep choose --help`",
        ),
        (("choose", "--from", "t.csv", "--horizon", "abc"), "--horizon is 'abc'; wanted a whole number."),
        (("choose", "--from", "t.csv", "--worth=much"), "--worth is 'much'; wanted a number."),
        (("advise", "digits", "--horizon", "0"), "--horizon is '0'; wanted a whole number from 1 up. `lrsweep advise"),
        (("reproduce", "quick", "1", "--seeds", "1.5"), "--seeds is '1.5'; wanted a whole number."),
        (("export", "quick", "--to", "nowhere"), "--to is 'nowhere'; wanted is one of python, torch"),
        (("lsit",), "No such command 'lsit'. Did you mean 'list'? `lrsweep --help` says what there is."),
        (("show",), "Missing argument 'study'. `lrsweep show --help` says what there is."),
        (
            ("choose", "x", "--sweep"),
            "Option '--sweep' requires an argument. `lrsweep choose --help` says what there is.",
        ),
        (("db", "check", "--json=1"), "Option '--json' does not take a value. `lrsweep db check --help` says what"),
        (("list", "--nope"), "No such option: --nope. `lrsweep list --help` says what there is."),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    """Exit code 64, as for every other input; nothing on standard output, and no usage of the whole command."""
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = left(monkeypatch, capsys, *words)
    assert (code, out) == (64, "")
    assert err.startswith(f"lrsweep: {said}")
    assert "Usage" not in err


def test_a_group_alone_shows_what_it_has(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`lrsweep db` asks for nothing yet."""
    code, _, err = left(monkeypatch, capsys, "db")
    assert code == 64
    assert "backup" in err


def test_a_version_and_help_leave_with_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """They are no mistakes."""
    assert left(monkeypatch, capsys, "--version")[0] == 0
    code, out, _ = left(monkeypatch, capsys, "choose", "--help")
    assert code == 0
    assert "--target" in out
