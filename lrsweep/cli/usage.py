"""What a command line has that cannot be meant, as a sentence: an option's value, a word too many, a name unknown.

Typer finds these before any command is called. It says what is wrong with a value without the value, and shows the
usage of the whole command first; here it reads as every other refusal does: what was given, what is wanted, what to do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Any

import typer

from lrsweep.errors import SettingsError

Usage: type[Exception] = typer.BadParameter.__mro__[1]
"""Of Typer's own copy of click, or of click's, whichever this Typer has."""
WANTED: dict[object, str] = {int: "a whole number", float: "a number"}
HELP_ALONE = "NoArgsIsHelpError"
"""Not a mistake: ``lrsweep db`` alone asks what there is."""


def asked(app: Callable[..., Any], commands: Collection[str]) -> int:
    """Runs the command of this process's command line; the exit code that it left with. ``commands`` are all there are,
    as they are typed.

    Raises SettingsError for a command line that cannot be meant.
    """
    try:
        code = app(prog_name="lrsweep", standalone_mode=False)
    except Usage as error:
        if type(error).__name__ == HELP_ALONE:
            error.show()  # type: ignore[attr-defined]
            return SettingsError.exit_code
        raise SettingsError(sentence(error, _path(sys.argv[1:], commands))) from error
    except typer.Abort:
        typer.echo("Aborted.", err=True)
        return 1
    return code if isinstance(code, int) else 0


def sentence(error: Any, path: str = "lrsweep") -> str:
    """``--horizon is 'abc'; wanted a whole number. `lrsweep choose --help` says what there is.``

    ``path`` is for mistakes that are found before their command is known: an option without its value.
    """
    told = _of_value(error) or " ".join(error.format_message().split())
    told = told if told.endswith((".", "?")) else f"{told}."
    return f"{told} `{getattr(error.ctx, 'command_path', path)} --help` says what there is."


def _path(words: Sequence[str], commands: Collection[str]) -> str:
    """
    >>> _path(["db", "backup", "--nope"], ["db backup"]), _path(["choose", "x", "--sweep"], ["choose"]), _path([], [])
    ('lrsweep db backup', 'lrsweep choose', 'lrsweep')
    """
    typed = next((name for name in (" ".join(words[:2]), *words[:1]) if name in commands), None)
    return "lrsweep" if typed is None else f"lrsweep {typed}"


def _of_value(error: Any) -> str | None:
    """None where the mistake is no value, or this Typer does not say which."""
    param = getattr(error, "param", None)
    problems: Callable[[], Sequence[Any]] = getattr(error.__cause__, "errors", list)
    problem = next(iter(problems()), None)
    if param is None or problem is None or problem["input"] is None:
        return None
    given, least = problem["input"], problem.get("ctx", {}).get("ge")
    names = [name for name in param.opts if name.startswith("--")]
    name = names[0] if names else str(param.metavar or param.name).upper()
    kind = getattr(param, "type_descriptor", None)
    choices = [str(each.value if isinstance(each, Enum) else each) for each in getattr(kind, "choices", None) or ()]
    wanted = f"one of {', '.join(choices)}" if choices else WANTED.get(getattr(kind, "annotation", None), error.message)
    wanted += "" if least is None else f" from {least} up"
    return f"{name} is {given!r}; wanted {wanted}."
