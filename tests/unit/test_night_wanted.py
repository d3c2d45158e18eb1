"""What is wanted of a night's outputs: read from the environment, and refused before anything trains."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lrsweep.errors import SettingsError
from lrsweep.nightly.telling import Wanted, check

JSON, MAIL = "json://127.0.0.1:1/hook", "mailto://ann:secret@example.org"


def refused(wanted: Wanted) -> str:
    with pytest.raises(SettingsError) as caught:
        check(wanted)
    return str(caught.value)


def test_addresses_come_from_the_environment_alone() -> None:
    """Separated by blanks or lines, each once; what is empty is not set."""
    wanted = Wanted.from_environ({"LRSWEEP_NOTIFY": f" {JSON}\n{MAIL} {JSON}", "LRSWEEP_PING": " https://hc/x \n"})
    assert wanted.notify == (JSON, MAIL)
    assert wanted.ping == "https://hc/x"
    assert Wanted.from_environ({"LRSWEEP_NOTIFY": "", "LRSWEEP_PING": "", "GITHUB_STEP_SUMMARY": ""}) == Wanted()


def test_addresses_may_stand_in_a_file(tmp_path: Path) -> None:
    """One to a line, with remarks, so that no secret stands in the environment."""
    file = tmp_path / "notify"
    file.write_text(f"# the team\n{JSON}\n  # not now: json://x\n{MAIL}\n", encoding="utf-8")
    assert Wanted.from_environ({"LRSWEEP_NOTIFY_FILE": str(file)}).notify == (JSON, MAIL)
    with pytest.raises(SettingsError, match="LRSWEEP_NOTIFY and LRSWEEP_NOTIFY_FILE are both set; keep one"):
        Wanted.from_environ({"LRSWEEP_NOTIFY_FILE": str(file), "LRSWEEP_NOTIFY": JSON})
    with pytest.raises(SettingsError, match=r"names .*none, which cannot be read \(No such file or directory\)"):
        Wanted.from_environ({"LRSWEEP_NOTIFY_FILE": str(tmp_path / "none")})


def test_addresses_are_not_in_what_is_printed_of_them() -> None:
    """A traceback shows values."""
    shown = repr(Wanted(notify=(MAIL,), ping="https://hc-ping.com/secret"))
    assert "secret" not in shown


def test_what_can_be_written_and_read_is_accepted(tmp_path: Path) -> None:
    """Files in folders that are there, addresses that Apprise knows, a ping with a path."""
    check(Wanted())
    check(
        Wanted(
            summary=tmp_path / "a.json",
            markdown=tmp_path / "a.md",
            report=tmp_path / "a.html",
            prometheus=tmp_path / "a.prom",
            notify=(JSON, MAIL),
            ping="https://hc-ping.com/abc",
        )
    )


@pytest.mark.parametrize("name", ["x.txt", "x", ".prom", "x.prom.old"])
def test_gauges_that_nobody_would_read_are_refused(name: str, tmp_path: Path) -> None:
    """node_exporter passes by what does not end in .prom, without a word."""
    text = refused(Wanted(prometheus=tmp_path / name))
    assert f"--prometheus is '{tmp_path / name}'; wanted a name that ends in .prom" in text


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """A missing folder, a folder in a file's place, an address and a ping."""
    text = refused(
        Wanted(
            summary=tmp_path / "none" / "a.json", report=tmp_path, notify=(JSON, "jsn://secret"), ping="ftp://secret/x"
        )
    )
    assert len(text.splitlines()) == 4
    assert f"--summary {tmp_path}/none/a.json: there is no folder {tmp_path}/none" in text
    assert f"--report {tmp_path} is a folder; wanted a file." in text
    assert "the 2nd address of LRSWEEP_NOTIFY of the kind 'jsn' is none that Apprise can read" in text
    assert "Did you mean 'json'?" in text
    assert "LRSWEEP_PING is no address that begins with https:// or http://" in text
    assert "secret" not in text.replace("it is a secret", "")


def test_two_outputs_take_no_file_from_each_other(tmp_path: Path) -> None:
    """By whatever names; GitHub's own summary gets the Markdown without being asked."""
    (tmp_path / "link.md").symlink_to(tmp_path / "a.json")
    text = refused(Wanted(summary=tmp_path / "a.json", markdown=tmp_path / "link.md"))
    assert text == f"--summary and --markdown both name {tmp_path}/link.md; give each a file of its own."
    step = tmp_path / "step"
    text = refused(Wanted.from_environ({"GITHUB_STEP_SUMMARY": str(step)}, markdown=step))
    assert "$GITHUB_STEP_SUMMARY, to which the Markdown is appended anyway, and --markdown both name" in text


@pytest.mark.parametrize(
    "address",
    [
        "verysecretthing",
        "verysecretthing://",
        "://verysecretthing",
        "mailto://?x=secret",
        "discord://a",
        "ver-y/secret",
    ],
)
def test_an_address_that_apprise_cannot_read_is_not_shown(address: str) -> None:
    """It may be a password in the wrong place; a short kind that is a word is named."""
    text = refused(Wanted(notify=(address,)))
    assert "the 1st address of LRSWEEP_NOTIFY" in text
    assert "is none that Apprise can read" in text
    assert address not in text
    assert "://a" not in text


@pytest.mark.parametrize(
    "url",
    ["hc-ping.com/secret", "https:///secret", "https://h:port/secret", "https://h/a secret", "file:///secret", "x"],
)
def test_a_ping_that_is_no_address_is_refused_unseen(url: str) -> None:
    """Whoever has it can silence the switch."""
    text = refused(Wanted(ping=url))
    assert "LRSWEEP_PING is no address that begins with" in text
    assert url not in text or url == "x"


def test_a_ping_with_a_password_is_refused() -> None:
    """urllib would read it as a part of the host."""
    assert "has a user or a password in it, which is not sent" in refused(Wanted(ping="https://ann:secret@h/x"))


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is to be notified it is not missed."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert "pip install 'lrsweep[nightly]'" in refused(Wanted(notify=(JSON,)))
    check(Wanted())
