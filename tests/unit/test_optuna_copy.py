"""What is said when Optuna's own storage does not work; that it holds the trials is shown by the mirror's tests."""

from __future__ import annotations

import optuna
import pytest

from lrsweep.errors import StoreUnavailable
from lrsweep.sweep.optuna_copy import add_copy, open_copy
from tests.sweeps import a_study

URL = "postgresql+psycopg://ann:s%40cret-1@db/lrsweep"


def test_no_password_is_shown_when_the_copy_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the address nor by itself, and the error below, whose text has it, is left out."""

    def refuse(url: str, **_: object) -> None:
        raise ConnectionError(f"no route to {url} with s@cret-1\nmore of it")

    monkeypatch.setattr(optuna.storages, "RDBStorage", refuse)
    with pytest.raises(StoreUnavailable) as caught:
        open_copy(URL, a_study())
    assert "ConnectionError: no route to postgresql+psycopg://ann:***@db/lrsweep with ***. It" in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_password_is_shown_when_a_trial_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study does not give its address back: a password is known by where it stands."""
    copy = optuna.create_study()

    def refuse(_trial: object) -> None:
        raise ConnectionError(f"lost {URL}")

    monkeypatch.setattr(copy, "add_trial", refuse)
    with pytest.raises(StoreUnavailable, match=r"lost postgresql\+psycopg://ann:\*\*\*@db/lrsweep\. It holds copies"):
        add_copy(copy, optuna.trial.create_trial(value=0.5))
