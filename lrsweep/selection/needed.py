"""What would raise the evidence: how many seeds would show what a few only suggest, and what no seeds would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import ALPHA, is_shown_better
from lrsweep.selection.deciding import Evidence, Verdict, level_to_win
from lrsweep.selection.results import FEWEST
from lrsweep.selection.statistics import t_quantile

MISSED = 0.2
"""Of cases in which what is there to be shown is not."""
IN_MOST_CASES = 0.84
"""Standard errors beyond what a test asks for, with which it finds a difference in 80 of 100 cases."""
SMALL = 2
"""Seeds that a test of few adds to what one of many needs."""
MOST = 50
"""Beyond that many seeds a difference is smaller than anybody would pay for."""


def next_step(arms: Sequence[Arm], verdict: Verdict, *, alpha: float = ALPHA, looks: int = 1) -> str | None:
    """A sentence, by the levels at which the verdict was made; None where the recommended is proven."""
    if verdict.evidence is Evidence.PROVEN:
        return None
    running = sorted((arm for arm in arms if arm.mean is not None), key=lambda arm: arm.place)
    first = next(arm for arm in running if arm.name == (verdict.winner or verdict.leader))
    rivals = [arm for arm in running if arm.family != first.family]
    if not rivals:
        return _of_one_family(first, arms, running, verdict, alpha / looks)
    if verdict.winner is not None:
        return _not_worth_it(first, verdict)
    few = [arm for arm in running if arm.ended < FEWEST]
    if few:
        return _too_few(few)
    if all(arm.is_constant for arm in running):
        return (
            "every seed gives the same value, so that chance is not seen: see that the training uses its seed, or "
            "compare by a finer metric, such as the loss"
        )
    level = level_to_win(first, running, alpha / looks)
    open_to = [arm for arm in rivals if not is_shown_better(first, arm, level)]
    by_divergences = [arm for arm in open_to if _is_for_divergences(first, arm)]
    if by_divergences:
        return _no_seeds_would(first, by_divergences[0])
    settles = _settling(first, running, verdict, alpha / looks)
    return _seeds_would(first, open_to, level, settles)


def seeds_to_tell(first: Arm, second: Arm, level: float = ALPHA) -> int | None:
    """Of each, for the difference that their means have now, in 4 of 5 cases; None where they are equal."""
    if first.mean is None or second.mean is None or first.mean == second.mean:
        return None
    variance = (first.spread or 0.0) ** 2 + (second.spread or 0.0) ** 2
    reach = t_quantile(math.inf, 1 - level) + IN_MOST_CASES
    wanted = variance * (reach / (first.mean - second.mean)) ** 2
    return math.ceil(wanted) + SMALL if math.isfinite(wanted) else None


def seeds_to_settle(first: Arm, second: Arm, worth: float, alpha: float = ALPHA, *, rivals: int = 1) -> int | None:
    """Of each, to show that the first lies within ``worth`` of the second, where their means stay what they are now:
    so often that it is shown of all ``rivals`` in 4 of 5 cases. None where no seeds would."""
    if first.mean is None or second.mean is None or first.divergence_rate > second.divergence_rate:
        return None
    margin = worth + second.mean - first.mean
    if margin <= 0:
        return None
    variance = (first.spread or 0.0) ** 2 + (second.spread or 0.0) ** 2
    reach = t_quantile(math.inf, 1 - 2 * alpha) + t_quantile(math.inf, 1 - 2 * MISSED / rivals)
    wanted = variance * (reach / margin) ** 2
    return math.ceil(wanted) + SMALL if math.isfinite(wanted) else None


@dataclass(frozen=True)
class _Settling:
    """How many seeds would settle by ``worth`` what is undecided: whoever leads is taken then, since nobody is better
    by more than that."""

    seeds: int
    first: Arm
    rival: Arm
    """who takes most of them"""
    worth: float

    def sentence(self, leader: str) -> str:
        return (
            f"about {self.seeds} seeds each (they have {self.first.n} and {self.rival.n}) would show in 4 of 5 cases "
            f"that {leader} lies within {self.worth:.3g}, the smallest gain worth a change, of the best"
        )


def _settling(first: Arm, running: Sequence[Arm], verdict: Verdict, alpha: float) -> _Settling | None:
    """None where something is settled already, and where no seeds that anybody would pay for settle it."""
    others = [arm for arm in running if arm is not first]
    if verdict.evidence is not Evidence.UNDECIDED or not verdict.worth or not others:
        return None
    needed = [
        (seeds_to_settle(first, arm, verdict.worth, alpha, rivals=len(others)) or math.inf, arm) for arm in others
    ]
    most, rival = max(needed, key=lambda each: each[0])
    seeds = max(most, first.n + 1, rival.n + 1)
    return _Settling(int(seeds), first, rival, verdict.worth) if seeds <= MOST else None


def _of_one_family(first: Arm, arms: Sequence[Arm], running: Sequence[Arm], verdict: Verdict, alpha: float) -> str:
    """There is no winner, for a family wins against others; which of its points to take may be settled all the same."""
    diverged = ", ".join(dict.fromkeys(arm.family for arm in arms if arm.mean is None))
    if diverged:
        return f"only {first.family} came to a value, and {diverged} diverged: compare it with a family that trains"
    if len(running) == 1:
        return f"only {first.family} was compared: compare it with another family, by at least {FEWEST} seeds each"
    lone = f"all {len(running)} that were compared are of {first.family}, and only another family could be beaten"
    few = [arm for arm in running if arm.ended < FEWEST]
    if few:
        return f"{lone}; {_too_few(few)}"
    settles = _settling(first, running, verdict, alpha)
    return f"{lone}: compare it with one" if settles is None else f"{lone}; {settles.sentence('the one that leads')}"


def _too_few(few: Sequence[Arm]) -> str:
    one = "1 seed" if max(arm.ended for arm in few) == 1 else f"fewer than {FEWEST} seeds"
    families = ", ".join(dict.fromkeys(arm.family for arm in few))
    return f"with {one} nothing is known of chance: train {families} with at least {FEWEST} seeds each, better 5"


def _not_worth_it(first: Arm, verdict: Verdict) -> str:
    """The baseline stays, or a simpler one is taken."""
    worth = 0.0 if verdict.worth is None else verdict.worth
    return (
        f"{first.family} is shown to be better than every other family, and by how much is not shown to be worth a "
        f"change ({worth:.3g}): a smaller worth would take it"
    )


def _is_for_divergences(first: Arm, second: Arm) -> bool:
    """Whether the second is behind for its divergences, and no seeds would show the first to have the better mean."""
    if second.divergence_rate <= first.divergence_rate or first.mean is None or second.mean is None:
        return False
    return second.mean < first.mean or second.spread is None


def _no_seeds_would(first: Arm, second: Arm) -> str:
    mean = "its mean is the better one" if second.n > 1 else "one value is all that it has"
    return (
        f"{second.family} is behind {first.family} for its divergences, {second.diverged} of {second.ended}, and "
        f"{mean}: where trainings may diverge at times, take it; else try it at a lower peak rate or with a warm-up"
    )


def _seeds_would(first: Arm, open_to: Sequence[Arm], level: float, settles: _Settling | None) -> str:
    """What takes fewer seeds comes first: a winner, or that nobody is better by as much as a change is worth."""
    nearest = max(open_to, key=lambda arm: seeds_to_tell(first, arm, level) or math.inf)
    told = seeds_to_tell(first, nearest, level)
    needed = math.inf if told is None else max(told, first.n + 1, nearest.n + 1)
    if settles is not None and settles.seeds < needed:
        takes = f"about {needed}" if needed <= MOST else f"more than {MOST}"
        return f"{settles.sentence(first.family)}; to tell it from {nearest.family} takes {takes}"
    if needed > MOST:
        return (
            f"{first.family} and {nearest.family} are so near each other that more than {MOST} seeds each would be "
            "needed to tell them apart: take either, or look for a larger difference elsewhere"
        )
    return (
        f"about {needed} seeds each (they have {first.n} and {nearest.n}) would show "
        f"a difference like that between {first.family} and {nearest.family} in 4 of 5 cases"
    )
