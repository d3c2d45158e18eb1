"""The README's table of families, from what the families say of themselves. `python -m tests.checks.families_table`."""

from __future__ import annotations

from collections.abc import Iterable

from lrsweep.schedules import Options, Reactive, Schedule, Setting, family, family_names
from lrsweep.schedules.base import shared_names
from lrsweep.schedules.setting import REQUIRED

HEAD = "| family | factor of the peak | own settings: default (range searched) | when |\n|---|---|---|---|"

REACTIVE_SHARED = ("base", "mode")
"""What every reactive family has; the text beside the table says it once."""


def tables() -> tuple[str, str]:
    """The time-driven families, and the reactive ones."""
    classes = [family(name) for name in family_names()]
    time_driven = [row(one) for one in classes if not issubclass(one, Reactive)]
    reactive = [row(one) for one in classes if issubclass(one, Reactive)]
    return "\n".join([HEAD, *time_driven]), "\n".join([HEAD, *reactive])


def row(one: type[Schedule]) -> str:
    """One family's line of the table."""
    hidden = {*shared_names(), *(REACTIVE_SHARED if issubclass(one, Reactive) else ())}
    own = ", ".join(described(each) for each in one.settings() if each.name not in hidden)
    return f"| `{one.family}` | {one.formula.replace('|', chr(92) + '|')} | {own or '–'} | {one.use} |"


def described(one: Setting) -> str:
    """A setting's name, default and searched range."""
    default = "(required)" if one.default is REQUIRED else shown(one.default)
    return f"`{one.name}` {default}{_searched(one)}"


def _searched(one: Setting) -> str:
    if one.search is None:
        return ""
    if isinstance(one.search, Options):
        return f" ({', '.join(one.search.names)})"
    return f" ({shown(one.search.low)}–{shown(one.search.high)}{' each' * isinstance(one.default, tuple)})"


def shown(value: object) -> str:
    """A default as a reader likes it.

    >>> shown(1 / 3), shown(4e-6), shown((1.0, 0.5)), shown("linear"), shown(False), shown(10.0)
    ('1/3', '4e-06', '(1, 0.5)', 'linear', 'off', '10')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"({', '.join(shown(one) for one in value)})"
    if isinstance(value, float):
        return "1/3" if value == 1 / 3 else f"{value:g}"
    return str(value)


if __name__ == "__main__":
    print("\n\n".join(tables()))  # noqa: T201
