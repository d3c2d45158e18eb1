"""What would raise the evidence: how many seeds would show what a few only suggest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import is_shown_better
from lrsweep.selection.deciding import Evidence, Verdict
from lrsweep.selection.results import FEWEST

REACH = 1.96 + 0.84
"""Standard errors of a difference that a test at 5 % finds in 80 of 100 cases, for many seeds."""
SMALL = 2
"""Seeds that a test of few adds to what one of many needs."""
MOST = 50
"""Beyond that many seeds a difference is smaller than anybody would pay for."""


def next_step(arms: Sequence[Arm], verdict: Verdict) -> str | None:
    """A sentence; None where the recommended is proven."""
    if verdict.evidence is Evidence.PROVEN:
        return None
    running = sorted((arm for arm in arms if arm.mean is not None), key=lambda arm: arm.place)
    first = next(arm for arm in running if arm.name == verdict.leader)
    rivals = [arm for arm in running if arm.family != first.family]
    if not rivals:
        return f"only {first.family} came to a value: compare it with another family"
    few = [arm for arm in running if arm.n < FEWEST]
    if few:
        one = "1 seed" if max(arm.n for arm in few) == 1 else f"fewer than {FEWEST} seeds"
        families = ", ".join(dict.fromkeys(arm.family for arm in few))
        return f"with {one} nothing is known of chance: train {families} with at least {FEWEST} seeds each, better 5"
    open_to = [arm for arm in rivals if not is_shown_better(first, arm)]
    if not open_to:
        return None
    nearest = max(open_to, key=lambda arm: seeds_to_tell(first, arm) or math.inf)
    needed = seeds_to_tell(first, nearest)
    if needed is None or needed > MOST:
        return (
            f"{first.family} and {nearest.family} are so near each other that more than {MOST} seeds each would be "
            "needed to tell them apart: take either, or look for a larger difference elsewhere"
        )
    return (
        f"about {max(needed, first.n + 1, nearest.n + 1)} seeds each (they have {first.n} and {nearest.n}) would show "
        f"a difference like that between {first.family} and {nearest.family} in 4 of 5 cases"
    )


def seeds_to_tell(first: Arm, second: Arm) -> int | None:
    """Of each, for the difference that their means have now; None where they are equal."""
    if first.mean is None or second.mean is None or first.mean == second.mean:
        return None
    variance = (first.sd or 0.0) ** 2 + (second.sd or 0.0) ** 2
    return math.ceil(variance * (REACH / (first.mean - second.mean)) ** 2) + SMALL
