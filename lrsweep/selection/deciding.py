"""The decision: who is shown to be best, who is shown to be as good, and whom to take now.

    winner           the family that is *shown* to be better than every other, or none
    equivalence set  the arms that are *shown* to lie within ``worth`` of the best; fewer seeds make it smaller
    recommended      never none: the baseline where it is in the set, else the set's simplest, else the leader

A winner has to beat each other family in a test of its own at 5 %, two-sided. No correction is needed for their number:
where two tie at the top, the one has to pass the test against the other, and where more tie it has more to pass. An
own number of arms is corrected for, since each of them is another chance. The same holds for the set, at a one-sided
5 % for each arm. Whether an arm that was picked by its mean beats the baseline is a question about all that might have
been picked, and so is corrected for their number. ``looks`` divides what a look at growing data may claim wrongly, so
that all looks together keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lrsweep.selection.arms import Arm, leader
from lrsweep.selection.coarse import with_least_spreads
from lrsweep.selection.comparing import ALPHA, is_shown_better, is_shown_within

WORTH = 0.5
"""Of the baseline's deviation from seed to seed: a gain of less is smaller than what another seed would change."""


class Evidence(StrEnum):
    PROVEN = "proven"
    """the recommended is the winner"""
    RECOMMENDED = "recommended"
    """it is shown to lie within ``worth`` of the best, or to be better than the baseline"""
    UNDECIDED = "undecided"
    """it leads, and that may be luck"""


@dataclass(frozen=True)
class Verdict:
    """What the data shows, by names of arms."""

    winner: str | None
    equivalence_set: tuple[str, ...]
    """the simplest first"""
    recommended: str
    evidence: Evidence
    leader: str
    worth: float | None
    """None where nobody's spread is known and none was given"""


def decide(arms: Sequence[Arm], *, worth: float | None = None, alpha: float = ALPHA, looks: int = 1) -> Verdict:
    """Raises ValueError where no arm has a value. ``alpha`` is what all ``looks`` together may claim wrongly."""
    arms = with_least_spreads(arms)
    leading = leader(arms)
    running = [arm for arm in arms if arm.mean is not None]
    if worth is None:
        worth = default_worth(running)
    alpha /= looks
    winner = _winner(arms, alpha)
    good = _equivalent(running, worth, alpha)
    recommended = _recommended(good, winner, leading)
    return Verdict(
        winner=winner.name if winner else None,
        equivalence_set=tuple(arm.name for arm in good),
        recommended=recommended.name,
        evidence=_evidence(recommended, good, winner, running, alpha),
        leader=leading.name,
        worth=worth,
    )


def default_worth(arms: Sequence[Arm]) -> float | None:
    """Half the baseline's deviation from seed to seed; without one, the leader's."""
    known = [arm for arm in arms if arm.spread is not None]
    if not known:
        return None
    judge = next((arm for arm in known if arm.is_baseline), leader(known))
    return WORTH * judge.spread if judge.spread is not None else None


def level_to_win(arm: Arm, running: Sequence[Arm], alpha: float) -> float:
    """At which it has to beat each other family: each of a family's own arms is another chance."""
    return alpha / sum(other.family == arm.family for other in running)


def _winner(arms: Sequence[Arm], alpha: float) -> Arm | None:
    """Where all are of one family there is none: nothing was compared.

    Who always diverges is a rival only of one that has no other: a training that diverged with its only seed keeps
    nobody from winning against those that train."""
    running = [arm for arm in arms if arm.mean is not None]
    rivals = arms if len({arm.family for arm in running}) == 1 else running
    for arm in sorted(running, key=lambda each: each.place):
        others = [other for other in rivals if other.family != arm.family]
        level = level_to_win(arm, running, alpha)
        if others and all(is_shown_better(arm, other, level) for other in others):
            return arm
    return None


def _equivalent(arms: Sequence[Arm], worth: float | None, alpha: float) -> list[Arm]:
    if worth is None or len(arms) < 2:
        return []
    good = [arm for arm in arms if all(is_shown_within(arm, other, worth, alpha) for other in arms if other is not arm)]
    return sorted(good, key=lambda arm: (arm.complexity, *arm.place))


def _recommended(good: Sequence[Arm], winner: Arm | None, leading: Arm) -> Arm:
    stays = next((arm for arm in good if arm.is_baseline), None)
    if stays is not None:
        return stays
    if good:
        return good[0]
    return winner or leading


def _evidence(
    recommended: Arm, good: Sequence[Arm], winner: Arm | None, running: Sequence[Arm], alpha: float
) -> Evidence:
    if recommended is winner:
        return Evidence.PROVEN
    baseline = next((arm for arm in running if arm.is_baseline and arm is not recommended), None)
    beats = baseline is not None and is_shown_better(recommended, baseline, alpha / (len(running) - 1))
    return Evidence.RECOMMENDED if recommended in good or beats else Evidence.UNDECIDED
