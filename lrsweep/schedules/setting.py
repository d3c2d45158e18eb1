"""What one setting of a schedule is: its default, what may be given, what a search tries, and what it means.

A family declares its settings as dataclass fields with ``setting(...)``; ``Family.settings()`` reads them back as
``Setting`` values, so the checks, the search space and the documentation all come from the one declaration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field
from reprlib import repr as shortened
from typing import Any

from lrsweep.schedules.kinds import Kind, NotOfThisKind


class _Required:
    """The default of a setting that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


@dataclass(frozen=True)
class Search:
    """The range that a search tries unless told otherwise, both ends included; for a list, the range of each number."""

    low: float
    high: float
    log: bool = False
    """search on a log scale"""
    whole: bool = False
    """whole numbers only"""


@dataclass(frozen=True)
class Options:
    """The names that a search tries unless told otherwise."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """One setting of a family. ``search`` is None where a search leaves the default alone."""

    name: str
    default: Any
    """``REQUIRED`` where it must be given"""
    allowed: Kind
    search: Search | Options | None
    meaning: str
    implied: bool
    """the default is a rule of the format, fixed for ever: JSON leaves it out, and a search that knew nothing of the
    setting did the same"""

    def told(self, given: object, refused: NotOfThisKind) -> str:
        """The sentence for a value that was refused."""
        wanted = str(refused) or f"must be {self.allowed}, not {shortened(given)}"
        return f"{self.name} {wanted}: {self.meaning}"

    def searched(self) -> dict[str, Search | Options]:
        """What a search draws, by name: the setting's own, or for a list ``points.1``, ``points.2``…"""
        if self.search is None:
            return {}
        if isinstance(self.default, tuple):
            return {f"{self.name}.{place}": self.search for place in range(1, len(self.default) + 1)}
        return {self.name: self.search}

    def drawn(self, values: Mapping[str, Any]) -> Any:
        """The setting's value from what a search drew. A list that must ascend is put in order: its places are drawn
        independently, and which of them is first carries no meaning."""
        if not isinstance(self.default, tuple):
            return values[self.name]
        numbers = [values[name] for name in self.searched()]
        return tuple(sorted(numbers) if getattr(self.allowed, "ascending", False) else numbers)


def setting(
    default: Any, *, allowed: Kind, meaning: str, search: Search | Options | None = None, implied: bool = False
) -> Any:
    """A dataclass field that carries all of a ``Setting`` but its name, which it learns when the class is made."""
    described = {"default": default, "allowed": allowed, "search": search, "meaning": meaning, "implied": implied}
    return field(metadata=described) if default is REQUIRED else field(default=default, metadata=described)


def setting_of(declared: Field[Any]) -> Setting:
    return Setting(name=declared.name, **declared.metadata)
