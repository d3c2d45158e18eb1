"""What the command line hands in: the functions by which its own commands find what they show.

The service stands below the command line and imports none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lrsweep.champion.value import ChampionChoice
from lrsweep.records import Json, SweepRow
from lrsweep.store import Store


@dataclass(frozen=True)
class Sources:
    recommended: Callable[[Store, SweepRow], ChampionChoice]
    """what ``lrsweep promote`` would put in force; SettingsError where nothing has come to a value yet"""
    standing: Callable[[Store, SweepRow], Mapping[str, Json]]
    """where the sweep stands, as ``lrsweep status --json`` says it"""
    page: Callable[[Store, SweepRow], str]
    """the report as HTML"""
    families: Callable[[], Sequence[Mapping[str, Json]]]
    """as ``lrsweep families --json``"""
