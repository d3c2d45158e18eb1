"""What sources of results have in common: what one asks of them, and which trainings may be compared."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.errors import SettingsError
from lrsweep.records import Direction
from lrsweep.selection.targets import Target
from lrsweep.study.objectives import read_aim

NOTHING = 0.0
"""A level at which nothing is claimed: a look in the middle of a race is none of those that it was planned with."""


@dataclass(frozen=True)
class Asked:
    """What one may ask of results that are no study's."""

    direction: Direction | None = None
    horizon: int | None = None
    baseline: str | None = None
    worth: float | None = None
    target: str | None = None
    source: tuple[str, ...] = ()
    """what was typed to name the results"""

    @property
    def typed(self) -> tuple[str, ...]:
        """The words after ``lrsweep choose``, but for the direction and the target."""
        options = {"--horizon": self.horizon, "--baseline": self.baseline, "--worth": self.worth}
        return *self.source, *(
            word for name, value in options.items() if value is not None for word in (name, str(value))
        )


def read_target(
    given: str, metric: str, direction: Direction | None, *, typed: Sequence[str], is_free: bool
) -> tuple[Target, Direction]:
    """``value >= 0.94``: the target, and which way the metric is better, which it says too.

    ``typed`` are the words beside it, for a line to type instead; ``is_free``: whether the direction is the user's to
    give here. Raises SettingsError for another metric, and for another direction than the one that is known already.
    """
    aim = read_aim(given)
    sign = {"maximize": ">=", "minimize": "<=", None: ""}[direction]
    examples = [f"'{metric} {each} {value}'" for each, value in ((">=", "0.94"), ("<=", "0.31")) if sign in each]
    if aim is None or aim.objective.target is None or aim.direction is None:
        raise SettingsError(f"--target is {given!r}; wanted is such as {' or '.join(examples)}.")
    if aim.metric != metric:
        start = " ".join(filter(None, [metric, sign]))
        raise SettingsError(f"--target is {given!r}, and what is compared is {metric}: write '{start} …'.")
    if direction not in (None, aim.direction):
        assert direction is not None
        right = f"{metric} {sign} {aim.objective.target:g}"
        ours = shlex.join(
            ["lrsweep", "choose", *typed, *(["--direction", direction] if is_free else []), "--target", right]
        )
        said = "by --direction" if is_free else "by the study's file (study.direction)"
        other = f" Where it is to {aim.direction}: `{shlex.join(['lrsweep', 'choose', *typed, '--target', given])}`."
        raise SettingsError(
            f"--target is {given!r}, and {metric} is to {direction} {said}. Type `{ours}`.{other if is_free else ''}"
        )
    return Target(aim.objective.target, aim.direction), aim.direction


def block_of(engine: str | None, device: str | None) -> str:
    """Trainings of one engine with as many slots, on one kind of device. A study's precision is the same for all.

    >>> block_of("fused/32", "cuda:1"), block_of(None, "cpu")
    ('fused/32 on cuda', 'cpu')
    """
    kind = (device or "").partition(":")[0]
    return " on ".join(filter(None, [engine, kind]))
