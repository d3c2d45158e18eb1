"""What somebody asks of nights: which, for how long, and what to do where another process is at work."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Literal

from lrsweep.errors import SettingsError
from lrsweep.executors.engine_option import EngineOption

KEY = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}"
OnLocked = Literal["skip", "wait"]


@dataclass(frozen=True)
class Asked:
    key: str
    """of the night: the same key goes on with it, or reads what came of it"""
    deadline_seconds: float | None = None
    """for all studies together"""
    on_locked: OnLocked = "skip"
    """where another process runs the study's night, or its sweep"""
    is_always: bool = False
    """whether it trains although nothing has changed"""
    device: str = "auto"
    engine: EngineOption | None = None
    """None: the study's, or the environment's"""
    is_changed_fine: bool = False
    """whether a change or a drift is exit code 0"""


def key_of(given: str | None, now: float) -> str:
    """Today's date (UTC) unless one is given. Raises SettingsError.

    >>> key_of(None, 0.0), key_of("release-1.2", 0.0)
    ('1970-01-01', 'release-1.2')
    """
    if given is None:
        return datetime.datetime.fromtimestamp(now, datetime.UTC).date().isoformat()
    if re.fullmatch(KEY, given) is None:
        raise SettingsError(
            f"--key is {given[:200]!r}; wanted up to 100 letters, digits and . _ : - with a letter or digit first, "
            "such as 2026-11-20. By default it is today's date (UTC)."
        )
    return given
