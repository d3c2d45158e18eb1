"""A race for seeds: all arms begin with few, and after each look those that are still open to be best get more.

    next_seeds(arms, looks so far, budget) ──> who gets how many seeds more ──> … ──> nobody: it has stopped

Looks come when the arms have so many seeds as was said beforehand, and are at most as many: what a budget pays for, or
``LOOKS``. What may be claimed wrongly is divided evenly over them, which is valid however the looks depend on each
other, and whenever the race stops; of its part each look keeps ``OUT`` for sending arms home, and the rest for what it
claims in the end. A race of one look sends nobody home and keeps nothing for it.

A larger budget may go on with a race that has ended, and whoever gives it has seen what was found. So no plan of looks
has all of what may be claimed wrongly: each leaves ``LATER`` of what those before it have left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lrsweep.selection.arms import Arm, leader
from lrsweep.selection.coarse import with_least_spreads
from lrsweep.selection.comparing import ALPHA, is_shown_worse
from lrsweep.selection.deciding import Verdict, decide

LOOKS = (3, 5, 8, 12, 18)
"""Seeds of each running arm at a look, where no budget says them; further apart the later, since a gap that is half as
wide takes four times as many."""
LATER = 0.1
"""Of what may still be claimed wrongly, for plans that a larger budget makes later: ALPHA is never used up, and all of
them together claim no more than that wrongly."""
OUT = 0.2
"""Of a look's level, for sending home: an arm that is the best in truth is sent home by mistake in 1 race of 100."""


class Ended(StrEnum):
    WINNER = "a winner is shown"
    WITHIN = "the recommended one is shown to lie within worth of the best"
    ALONE = "one arm is left"
    LOOKS = "every look was taken"
    BUDGET = "the budget of trainings has ended"
    NOBODY = "none came to a value"


@dataclass(frozen=True)
class Race:
    """What a look has found, and what is trained before the next one."""

    seeds: Mapping[str, int]
    """by arm, how many more; empty where the race has stopped"""
    out: tuple[str, ...]
    """who was sent home, now and before"""
    verdict: Verdict | None = None
    """None before the first look"""
    ended: Ended | None = None


def next_seeds(
    arms: Sequence[Arm],
    looks_so_far: int,
    budget: int,
    *,
    out: Collection[str] = (),
    worth: float | None = None,
    alpha: float = ALPHA,
    looks: Sequence[int] = LOOKS,
    is_for_a_winner: bool = False,
) -> Race:
    """The look at what ``arms`` have by now, after ``looks_so_far`` earlier ones of ``looks``: 0 where it is the first.

    ``budget`` is how many trainings may still be made, ``out`` what the look before said, ``alpha`` what all ``looks``
    together may claim wrongly. A look for which no arm still in the race lacks seeds is passed over. A race that
    ``is_for_a_winner`` does not stop where the leader alone is shown to be as good as any, but goes on until its family
    is shown to be better. Arms that have no seeds at all are not looked at: they get those of the first look.

    Raises ValueError where no arm comes to a value at any.

    >>> race = next_seeds([Arm("a", "a", ()), Arm("b", "b", ())], 0, 100)
    >>> dict(race.seeds)
    {'a': 3, 'b': 3}
    """
    if not any(arm.ended for arm in arms):
        return Race(_shared(arms, looks[0], budget), ())
    arms = with_least_spreads(arms)
    taken = looks_so_far + 1
    level = alpha / len(looks)
    verdict = decide(arms, worth=worth, alpha=claimed(alpha, len(looks)), looks=len(looks))
    gone = _sent_home(arms, out, verdict.worth or 0.0, OUT * level) if len(looks) > 1 else tuple(out)
    running = [arm for arm in arms if arm.name not in gone]
    ended = _ended(verdict, running, taken, len(looks))
    if ended is Ended.WITHIN and is_for_a_winner and _may_win(verdict, arms):
        ended = Ended.LOOKS if taken >= len(looks) else None
    seeds: dict[str, int] = {}
    if ended is None:
        # arms that were there before another one came may have more seeds than the next looks want
        wanted = next((each for each in looks[taken:] if any(arm.ended < each for arm in running)), None)
        seeds = {} if wanted is None else _shared(running, wanted, budget)
        if not seeds:
            ended = Ended.LOOKS if wanted is None else Ended.BUDGET
    return Race(seeds, gone, verdict, ended)


def claimed(alpha: float, looks: int) -> float:
    """Of what so many looks may claim wrongly, what is left to ``decide``.

    >>> claimed(0.05, 1), round(claimed(0.05, 5), 3)
    (0.05, 0.04)
    """
    return (1 - OUT) * alpha if looks > 1 else alpha


def planned_alpha(spent: float = 0.0) -> float:
    """What a plan of looks may claim wrongly, after those before it have spent so much.

    >>> round(planned_alpha(), 4), round(planned_alpha(planned_alpha()), 4)
    (0.045, 0.0045)
    """
    return (1 - LATER) * (ALPHA - spent)


def _sent_home(arms: Sequence[Arm], out: Collection[str], worth: float, alpha: float) -> tuple[str, ...]:
    """Those that are shown to be worse than the leader by more than ``worth``, or to diverge more. Any arm might have
    led, so that each has to pass a test for all of them."""
    first = leader(arms)
    each_level = alpha / max(1, len(arms) - 1)
    return tuple(
        arm.name
        for arm in arms
        if arm.name in out or (arm is not first and is_shown_worse(arm, first, worth, each_level))
    )


def _ended(verdict: Verdict, running: Sequence[Arm], taken: int, looks: int) -> Ended | None:
    if verdict.winner is not None:
        return Ended.WINNER
    if verdict.recommended in verdict.equivalence_set:
        return Ended.WITHIN
    if len(running) < 2:
        return Ended.ALONE
    return Ended.LOOKS if taken >= looks else None


def _may_win(verdict: Verdict, arms: Sequence[Arm]) -> bool:
    """Whether the leader's family is all that is shown to lie within ``worth`` of the best, and is to be recommended:
    a baseline in the set would stay."""
    first = leader(arms)
    good = [arm for arm in arms if arm.name in verdict.equivalence_set]
    return all(arm is first or (arm.family == first.family and not arm.is_baseline) for arm in good)


def _shared(arms: Sequence[Arm], wanted: int, budget: int) -> dict[str, int]:
    """So many that each has ``wanted`` trainings that have ended; where the budget does not pay for that, as many as it
    does pay for, the same for each that lacks some, and none where that is less than one."""
    missing = {arm.name: wanted - arm.ended for arm in arms if arm.ended < wanted}
    if sum(missing.values()) > budget:
        missing = {name: min(count, budget // len(missing)) for name, count in missing.items()}
    return {name: count for name, count in missing.items() if count > 0}
