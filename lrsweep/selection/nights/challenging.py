"""Whether a challenger is shown to be better than the champion, by pairs of seeds that gather over nights.

    suspected    all pairs so far say so, one-sided at 10 %: a reason to train the pair again, no claim
    confirming   a later night whose own fresh pairs gain more than ``worth``
    shown        two nights have confirmed, and all pairs show a gain over ``worth`` at this look's level

Whoever looks each night and stops when it looks good would find a gain where none is. So what all looks at all
challengers may claim wrongly, ever (``FALSE``), is divided beforehand: the j-th challenger gets of it
5 / ((j + 4) (j + 5)), and its m-th night, from the third on, 2 / (m (m - 1)) of that. Both series add up to 1, so the
promise holds whenever one stops. The test is Student's on the pairs' differences; half of a level is for divergences,
by Fisher's exact test, where the champion diverges more.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrsweep.records import Json
from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import Difference, diverges_more
from lrsweep.selection.deciding import WORTH
from lrsweep.selection.nights.drifting import WINDOWS, Values
from lrsweep.selection.nights.rows import Night, Outcomes
from lrsweep.selection.statistics import Interval, listed, turned

FALSE = 0.1
"""Challengers that are claimed to be better and are not: the mean number over the life of a study."""
SUSPICION = 0.2
"""One-sided, half of it for pairs and half for divergences. What it finds by chance costs trainings, no more."""
CONFIRMING = 2
"""Nights."""
AT_ONCE = 5
"""Challengers that get about the same of what may be claimed wrongly."""
MOST_NIGHTS = 30
"""With one challenger, or without a pair of it though it was asked for: after so many its gain is too small for
anybody to wait for, or it cannot be trained, and no more are asked for."""


@dataclass(frozen=True)
class Compared:
    """A challenger and the champion, by what all nights since the last restart have found."""

    name: str
    nights: int
    pairs: int
    """seeds with which both came to a value"""
    gain: float | None
    """champion's mean cost less the challenger's over the pairs: above 0 the challenger is better"""
    gain_interval: Interval | None
    """95 %, of these pairs alone: for reading, not for deciding, since it does not know of earlier looks"""
    worth: float
    level: float | None
    """one-sided, of this look; None before the third night, which is the first that may show anything"""
    suspected_since: str | None
    """a night's key"""
    confirmed: int
    """nights since then that gained more than ``worth`` by themselves"""
    diverged: int
    champion_diverged: int
    ended: int
    is_shown: bool

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "nights": self.nights,
            "pairs": self.pairs,
            "gain": self.gain,
            "gain_interval": listed(self.gain_interval),
            "worth": self.worth,
            "level": self.level,
            "suspected_since": self.suspected_since,
            "confirmed": self.confirmed,
            "diverged": self.diverged,
            "champion_diverged": self.champion_diverged,
            "ended": self.ended,
            "is_shown": self.is_shown,
        }


def level_of(place: int, night: int) -> float | None:
    """Of the look at the ``place``-th challenger (from 1) on its ``night``-th night.

    >>> level_of(1, 2) is None, round(level_of(1, 3), 5), round(level_of(6, 10), 6)
    (True, 0.00556, 0.000101)
    """
    if night <= CONFIRMING:
        return None
    own = FALSE * AT_ONCE / ((place + AT_ONCE - 1) * (place + AT_ONCE))
    return own * CONFIRMING / (night * (night - 1))


class Challenge:
    """Of one challenger, since it came or since the last restart."""

    def __init__(self, name: str, place: int) -> None:
        self.name = name
        self._place = place
        self._nights = 0
        self._missed = 0
        self._sums = (0, 0.0, 0.0)
        self._values = Values()
        self._ended = self._diverged = self._champion_diverged = 0
        self._since: str | None = None
        self._confirmed = 0
        self.found: Compared | None = None

    @property
    def nights(self) -> int:
        """With pairs, and without one though they were asked for."""
        return self._nights + self._missed

    def miss(self) -> None:
        """A night that was to train it and has no pair of it, as where its trainings fail."""
        self._missed += 1

    def add(self, key: str, champion: Outcomes, challenger: Outcomes, worth: float) -> Compared:
        """A night's. Only seeds with which both ended are compared."""
        night = _Pairs.of(champion, challenger)
        self._nights += 1
        count, first, second = self._sums
        gains = night.gains
        self._sums = (
            count + len(gains),
            first + math.fsum(gains),
            second + math.fsum(gain**2 for gain in gains),
        )
        self._values.add(night.costs)
        self._ended += night.ended
        self._diverged += night.diverged
        self._champion_diverged += night.champion_diverged
        self._suspect(key, night, worth)
        level = level_of(self._place, self._nights)
        gain = self._difference()
        self.found = Compared(
            name=self.name,
            nights=self._nights,
            pairs=self._sums[0],
            gain=None if gain is None else -gain.mean,
            gain_interval=None if gain is None or gain.degrees < 1 else turned(gain.interval(), -1.0),
            worth=worth,
            level=level,
            suspected_since=self._since,
            confirmed=self._confirmed,
            diverged=self._diverged,
            champion_diverged=self._champion_diverged,
            ended=self._ended,
            is_shown=level is not None and self._confirmed >= CONFIRMING and self._is_better(level, worth),
        )
        return self.found

    def _suspect(self, key: str, night: _Pairs, worth: float) -> None:
        """The suspicion lapses when all pairs together no longer bear it."""
        if not self._is_better(SUSPICION, worth):
            self._since, self._confirmed = None, 0
        elif self._since is None:
            self._since = key
        elif night.confirms(worth):
            self._confirmed += 1

    def _is_better(self, level: float, worth: float) -> bool:
        """As ``comparing.is_shown_better``, but paired, over ``worth``, and one-sided."""
        if self._diverged > self._champion_diverged:
            return False
        gain = self._difference()
        if gain is not None and gain.degrees > 0 and gain.is_below(-worth, level / 2):
            return True
        if self._champion_diverged == self._diverged or (gain is not None and gain.mean > 0):
            return False
        return diverges_more(
            Arm("", "", (0.0,) * (self._ended - self._champion_diverged), self._champion_diverged),
            Arm("", "", (0.0,) * (self._ended - self._diverged), self._diverged),
            level / 2,
        )

    def _difference(self) -> Difference | None:
        """Challenger less champion."""
        count, first, second = self._sums
        if count == 0:
            return None
        mean = first / count
        variance = max(0.0, second - first * mean) / max(1, count - 1)
        spread = max(math.sqrt(variance), math.sqrt(2) * self._values.least_spread)
        return Difference(-mean, spread / math.sqrt(count), count - 1)


class Challenges:
    """All challengers since the last restart, which count on over restarts: each is another chance to claim wrongly."""

    def __init__(self, worth: float | None) -> None:
        self._given_worth = worth
        self._places = 0
        self._used: set[int] = set()
        self._by_name: dict[str, Challenge] = {}
        self._champion: list[float] = []
        self._recent: deque[tuple[str, Outcomes, Mapping[str, Outcomes]]] = deque(maxlen=max(WINDOWS))
        self._standing: set[str] = set()

    @property
    def worth(self) -> float:
        """Without one in the study, half the champion's deviation from seed to seed."""
        if self._given_worth is not None:
            return self._given_worth
        return WORTH * float(np.std(self._champion, ddof=1)) if len(self._champion) > 1 else 0.0

    @property
    def suspects(self) -> tuple[str, ...]:
        """Who is to be trained again: an open suspicion that a few nights may still bear out."""
        return tuple(
            found.name
            for found in self._found
            if found.suspected_since
            and found.name not in self._standing
            and self._by_name[found.name].nights < MOST_NIGHTS
        )

    @property
    def standing(self) -> str | None:
        """Shown on an earlier night, and not disproved since."""
        return min(self._standing, default=None)

    def stale(self, night: Night) -> set[int]:
        """Tonight's seeds that an earlier night has used."""
        return self._used & night.full.seeds.union(*(arm.seeds for arm in night.challengers.values()))

    def add(self, night: Night, asked: Collection[str]) -> tuple[Compared, ...]:
        """Those that tonight had fresh seeds, as all nights since the last restart compare them."""
        champion = night.full.without(self._used)
        challengers = {name: arm.without(self._used) for name, arm in night.challengers.items()}
        self._used |= champion.seeds.union(*(arm.seeds for arm in challengers.values()))
        row = night.key, champion, challengers
        self._recent.append(row)
        compared = self._added(*row)
        for name in {name for name in asked if name in self._by_name} - {each.name for each in compared}:
            self._by_name[name].miss()
        return compared

    def shown(self, compared: Iterable[Compared], told: Collection[str] | None = None) -> Compared | None:
        """The best of those that are shown for the first time; it stands from here on. ``told`` is whom the night has
        named where its verdict was given long ago: by a smaller worth others are shown on it too, which nobody heard,
        so that a later night has to show them."""
        new = [each for each in compared if each.is_shown and each.name not in self._standing]
        new = [each for each in new if told is None or each.name in told]
        self._standing |= {each.name for each in new}
        return max(new, key=lambda each: -math.inf if each.gain is None else each.gain, default=None)

    def restart(self) -> None:
        """Nothing stays: on another device, or beside another champion, what was shown is no claim."""
        self._standing.clear()
        self._keep(())

    def drifted(self, nights: int) -> None:
        """Only the last nights stay: those after a drift has begun, which was seen in other trainings than theirs.

        Who stands goes on to: whom a drift follows would else be found a second time, by the same pairs in part.
        """
        self._keep(list(self._recent)[-nights:])

    def _keep(self, nights: Sequence[tuple[str, Outcomes, Mapping[str, Outcomes]]]) -> None:
        self._by_name, self._champion = {}, []
        self._recent.clear()
        for row in nights:
            self._recent.append(row)
            self._added(*row)

    @property
    def _found(self) -> list[Compared]:
        return [each.found for each in self._by_name.values() if each.found is not None]

    def _added(self, key: str, champion: Outcomes, challengers: Mapping[str, Outcomes]) -> tuple[Compared, ...]:
        self._champion += champion.costs.values()
        compared = []
        for name, arm in sorted(challengers.items()):
            if champion.seeds.isdisjoint(arm.seeds):
                continue
            if name not in self._by_name:
                self._places += 1
                self._by_name[name] = Challenge(name, self._places)
            found = self._by_name[name].add(key, champion, arm, self.worth)
            if found.suspected_since is None and found.nights > CONFIRMING:
                self._standing.discard(name)  # fewer nights, as after a drift, could not have shown a gain either
            compared.append(found)
        return tuple(compared)


@dataclass(frozen=True)
class _Pairs:
    """One night's."""

    gains: tuple[float, ...]
    costs: tuple[float, ...]
    ended: int
    diverged: int
    champion_diverged: int

    @classmethod
    def of(cls, champion: Outcomes, challenger: Outcomes) -> _Pairs:
        ended = champion.seeds & challenger.seeds
        both = [seed for seed in champion.costs if seed in challenger.costs]
        return cls(
            gains=tuple(champion.costs[seed] - challenger.costs[seed] for seed in both),
            costs=tuple(arm.costs[seed] for arm in (champion, challenger) for seed in both),
            ended=len(ended),
            diverged=len(ended & challenger.diverged),
            champion_diverged=len(ended & champion.diverged),
        )

    def confirms(self, worth: float) -> bool:
        if self.diverged > self.champion_diverged:
            return False
        if not self.gains:
            return self.champion_diverged > self.diverged
        return math.fsum(self.gains) / len(self.gains) > worth
