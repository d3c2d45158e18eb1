"""Notifications and the dead-man switch, received by a real HTTP server; and a night that cannot tell."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lrsweep.nightly.outcome import NightRun
from lrsweep.nightly.telling import Wanted, begin, notifying, pinging, tell
from lrsweep.nightly.telling.news import News
from tests.nights_told import plain, run_of
from tests.receivers import Answer, Receiver, receiver

NEWS = News("lrsweep: mine: failed", "mine: failed\nwhy it failed", "bad")


def hook(received: Receiver, path: str = "/hook") -> str:
    return f"json://127.0.0.1:{received.port}{path}"


@pytest.fixture(autouse=True)
def _proxies_are_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


# ── notifications ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_change_of_state_is_received_once_for_each_address_and_no_change_is_not() -> None:
    """Night after night, as a runner tells them: only the change and the way back."""
    nights = [plain(0), plain(1), plain(2, "workload drifted"), plain(3, "workload drifted"), plain(4)]
    said: list[str] = []
    with receiver() as received:
        wanted = Wanted(notify=(hook(received, "/one"), hook(received, "/two")))
        for place, night in enumerate(nights):
            tell(run_of(night), {"mine": nights[:place]}, wanted, said.append)
    assert said == []
    assert received.paths == ["/one", "/two", "/one", "/two"]
    first, _, back, _ = (json.loads(each.body) for each in received.asked)
    assert (first["title"], first["type"]) == ("lrsweep: mine: workload drifted", "warning")
    assert (
        "mine: workload drifted (before: holds)\nwhy it is workload drifted\nNext: what comes next" in first["message"]
    )
    assert (back["title"], back["type"]) == ("lrsweep: mine: holds", "success")


def test_an_address_that_does_not_take_it_is_told_and_the_next_one_is_tried(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """By its place and its kind: neither the sentence nor any log has more of it."""
    said: list[str] = []
    caplog.set_level(logging.DEBUG)
    with receiver(Answer(403)) as received:
        addresses = (hook(received, "/secretpath?+key=secretvalue"), hook(received, "/two"))
        notifying.notify(addresses, NEWS, said.append)
        assert len(received.asked) == 2
    notifying.notify(addresses[1:], NEWS, said.append)
    assert said[0].startswith("the 1st address of LRSWEEP_NOTIFY (json) was not notified: it answered 403.")
    assert said[1].startswith("the 1st address of LRSWEEP_NOTIFY (json) was not notified: it could not be reached")
    heard = "".join([*said, caplog.text, *capfd.readouterr()])
    assert "secret" not in heard, heard
    assert "/two" not in heard


def test_an_address_that_never_answers_does_not_hold_the_night() -> None:
    """It is waited for so long, and the next one is told."""
    may_end = threading.Event()
    said: list[str] = []
    with receiver(Answer(before=may_end.wait)) as received:
        slow = f"{hook(received, '/slow')}?rto=60"
        try:
            began = time.monotonic()
            notifying.notify((slow,), NEWS, said.append, seconds=1.0)
            assert time.monotonic() - began < 30, "the address itself would wait for 60 s"
        finally:
            may_end.set()
        assert received.paths == ["/slow"]
    assert said[0].startswith("the 1st address of LRSWEEP_NOTIFY (json) was not notified: no answer within 1 s.")


# ── the dead-man switch ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("exit_code", "asked"), [(0, ["/ping"]), (4, ["/ping"]), (70, ["/ping/70"]), (124, ["/ping/124"]), (99, [])]
)
def test_the_switch_is_asked_at_the_end_by_the_exit_code(exit_code: int, asked: list[str]) -> None:
    """A verdict that stands is a good end, whatever it is; a night that another process has is that one's to tell."""
    said: list[str] = []
    with receiver() as received:
        wanted = Wanted(ping=f"{received.url}/ping/")
        begin(wanted, "2026-01-01", said.append)
        tell(run_of(plain(0), exit_code=exit_code), {}, Wanted(ping=f"{received.url}/ping"), said.append)
    assert received.paths == ["/ping/start", *asked]
    assert said == []


def test_the_switch_is_asked_again_once_after_a_fault_that_may_pass() -> None:
    """A refusal is one for good; both are told with the host alone."""
    said: list[str] = []
    with receiver(Answer(503)) as received:
        pinging.ended(f"{received.url}/secret", 0, said.append)
        assert received.paths == ["/secret", "/secret"]
        assert said == []
        received.answers[:] = [Answer(503), Answer(500)]
        pinging.ended(f"{received.url}/secret", 0, said.append)
        received.answers[:] = [Answer(404)]
        pinging.ended(f"{received.url}/secret", 0, said.append)
    assert len(received.paths) == 5
    pinging.started(f"{received.url}/secret", said.append)
    assert said[0].startswith(
        "127.0.0.1, which LRSWEEP_PING names, was not told that the run has ended: it answered 500."
    )
    assert "has ended: it answered 404." in said[1]
    assert "begins: Connection refused." in said[2]
    assert "secret" not in "".join(said)


def test_the_switch_s_address_goes_to_no_other_host() -> None:
    """A redirect on the same host is followed; one that leaves it is not, and is told."""
    said: list[str] = []
    with receiver() as other, receiver() as received:
        received.answers[:] = [Answer(302, location=f"{received.url}/moved")]
        pinging.ended(f"{received.url}/a", 0, said.append)
        assert received.paths == ["/a", "/moved"]
        received.answers[:] = [Answer(302, location=f"{other.url}/stolen")] * 2
        pinging.ended(f"{received.url}/secret", 0, said.append)
        assert other.asked == []
    assert "was not told that the run has ended: it sends on to another host, which is not followed." in said[0]
    assert "secret" not in said[0]


def test_a_switch_that_never_ends_its_answer_does_not_hold_the_night() -> None:
    """The time is for the whole of it, also where a sign comes now and then."""
    said: list[str] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def drip() -> None:
            with server.accept()[0] as connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not over.wait(0.05):
                    connection.sendall(b"a")

        dripping = [threading.Thread(target=drip, daemon=True) for _ in range(pinging.TRIES)]
        for thread in dripping:
            thread.start()
        try:
            pinging.started(f"http://127.0.0.1:{port}/a", said.append, seconds=0.5)
        finally:
            over.set()
            for thread in dripping:
                thread.join()
    assert len(said) == 1
    assert "was not told that the run begins: no answer within 0.5 s." in said[0]


# ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_each_output_is_tried_whatever_became_of_the_others(tmp_path: Path) -> None:
    """One folder is gone, one address is away: the rest is there, and what is not is told."""
    said: list[str] = []
    with receiver() as received:
        wanted = Wanted(
            summary=tmp_path / "none" / "a.json",
            markdown=tmp_path / "a.md",
            report=tmp_path / "a.html",
            prometheus=tmp_path / "a.prom",
            notify=(hook(received),),
            ping=f"{received.url}/ping",
            step_summary=tmp_path,
        )
        tell(run_of(plain(0, "failed")), {}, wanted, said.append)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.html", "a.md", "a.prom"]
    assert received.paths == ["/hook", "/ping/70"]
    assert len(said) == 2
    assert said[0].startswith("the summary could not be told: --summary")
    assert said[1].startswith("$GITHUB_STEP_SUMMARY could not be told: ")


def test_a_night_with_nothing_wanted_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread, no file, no word."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("something was asked"))
    said: list[str] = []
    begin(Wanted(), "1", said.append)
    tell(NightRun("1", (), 0, 0.0, 1.0), {}, Wanted(), said.append)
    assert said == []


def test_a_secret_in_a_message_is_told_nowhere(tmp_path: Path) -> None:
    """What failed a night may quote an address or a token; an earlier night's may as well."""
    failed = plain(1, "failed", sentence="no route to postgresql://ann:hunter22@db/x with api_key=hunter22 (why)")
    said: list[str] = []
    with receiver() as received:
        wanted = Wanted(
            summary=tmp_path / "a.json",
            markdown=tmp_path / "a.md",
            report=tmp_path / "a.html",
            prometheus=tmp_path / "a.prom",
            notify=(hook(received),),
        )
        tell(
            run_of(failed, notes=["token=hunter22"]),
            {"mine": [plain(0, sentence=failed.sentence)]},
            wanted,
            said.append,
        )
    texts = [each.read_text(encoding="utf-8") for each in tmp_path.iterdir()] + [received.asked[0].body, *said]
    assert len(texts) == 5
    assert [text for text in texts if "hunter22" in text] == []
    assert len([text for text in texts if "(why)" in text]) == 4
