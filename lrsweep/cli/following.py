"""What to type next: after a sweep, and after a choice. What is undecided is not to be promoted; it is said what would
show more.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lrsweep.selection.choice import Choice
from lrsweep.settings import DEFAULT_HOME, HOME

SHOWS = "the whole of it on one page, for a browser or a telephone"
PROMOTES = "puts it in force, as a file that trainings load"


def next_commands(study: str, home: Path, *, is_decided: bool = False) -> str:
    """What to type after a sweep, with the home where it is not the one that the commands would find."""
    commands = {
        retyped(f"ui {study}", home): "rate and loss curves of all trainings, by family, in MLflow",
        retyped(f"choose {study}", home): "which schedule to use, by what is shown",
        retyped(f"report {study}", home): SHOWS,
        **({retyped(_promote([study], study), home): PROMOTES} if is_decided else {}),
        retyped("run STUDY.toml", home): "a study of your own",
    }
    width = max(map(len, commands))
    return "\n".join(f"  {command:<{width}}   {about}" for command, about in commands.items())


def after_choice(words: Sequence[str], study: str, *, is_decided: bool) -> str:
    """``words`` name the study as it was typed, with the sweep where one was named."""
    commands = {
        **({f"lrsweep {_promote(words, study)}": PROMOTES} if is_decided else {}),
        f"lrsweep report {shlex.join(words)}": SHOWS,
    }
    width = max(map(len, commands))
    return "\n".join(f"  {command:<{width}}   {about}" for command, about in commands.items())


def why_not_promoted(
    choice: Choice, words: Sequence[str], study: str, *, worth: float | None, own_worth: float | None
) -> list[str]:
    """Why ``lrsweep promote`` would not put in force what was asked for: it takes no ``worth`` and no target."""
    promote = f"`lrsweep {_promote(words, study)}`"
    sentences = []
    if worth is not None and worth != own_worth:
        sentences.append(
            f"{promote} goes by the study's own smallest gain, not by --worth: write `worth = {worth:g}` under "
            "[selection] in the study's file, and `lrsweep run` takes it over."
        )
    reached = None if choice.targeted is None else choice.targeted.shown or choice.targeted.measured
    best = choice.recommended.point
    if reached is not None and (reached.point, reached.horizon) != (best, choice.horizon):
        sentences.append(
            f"{promote} takes what is recommended, {best.family} at {choice.horizon} steps, and not the cheapest that "
            "reaches the target."
        )
    return sentences


def _promote(words: Sequence[str], study: str) -> str:
    return f"promote {shlex.join(words)} --to schedules/{study}.json"


def retyped(arguments: str, home: Path) -> str:
    """A command to paste: with the home, and with the path of ``lrsweep``, where the shell would not find them."""
    prefix = "" if home == Path(DEFAULT_HOME).absolute() else f"{HOME}={shlex.quote(str(home))} "
    typed = Path(sys.argv[0])
    known = typed.name != "lrsweep" or shutil.which("lrsweep") == str(typed.absolute())
    return f"{prefix}{'lrsweep' if known else shlex.quote(sys.argv[0])} {arguments}"
