"""A results database that goes silent: who is told, and when it is asked again."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from lrsweep.store.patience import ANSWER_SECONDS
from lrsweep.sweep.silence import REST_SECONDS, Silence


class Clock:
    """In the place of ``time``: 12:00:00 UTC of some day, and later as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        clock = SimpleNamespace(monotonic=lambda: 1000 + self.passed, time=lambda: 12 * 3600.0 + self.passed)
        clock.strftime, clock.gmtime = time.strftime, time.gmtime
        monkeypatch.setattr("lrsweep.sweep.silence.time", clock)


class Signals:
    signum: int | None = None


def test_a_night_asks_a_silent_database_again_after_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before, so that each study left does not wait as long again; and it says since when and until when."""
    clock, said = Clock(monkeypatch), list[str]()
    patience = Silence(Signals(), said.append, rests=True)
    assert patience(0.0)
    assert not patience(ANSWER_SECONDS)
    assert said[-1] == (
        "the results database has not answered for 30 s; since 12:00:00 UTC it is not asked any more, and from "
        "12:05:00 UTC on it is again"
    )
    clock.passed = REST_SECONDS - 1
    assert not patience(0.0)
    clock.passed = REST_SECONDS
    assert patience(0.0)
    assert patience(ANSWER_SECONDS - 1)
    assert not patience(ANSWER_SECONDS)
    assert not patience(0.0)
    assert "since 12:05:00 UTC" in said[-1]


def test_a_driver_asks_a_silent_database_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one sweep, which the silence has ended."""
    Clock(monkeypatch)
    said: list[str] = []
    patience = Silence(Signals(), said.append)
    assert not patience(ANSWER_SECONDS)
    assert patience(0.0)
    assert len(said) == 1


@pytest.mark.parametrize("rests", [False, True])
def test_after_a_signal_a_silent_database_is_asked_no_more(monkeypatch: pytest.MonkeyPatch, rests: bool) -> None:
    """Three seconds, and then never again, whoever asks."""
    clock, signals = Clock(monkeypatch), Signals()
    patience = Silence(signals, lambda _: None, rests=rests)
    signals.signum = 15
    assert patience(2.9)
    assert not patience(3.0)
    clock.passed = 2 * REST_SECONDS
    assert not patience(0.0)
