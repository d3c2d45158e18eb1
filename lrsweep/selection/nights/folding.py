"""Night after night: what each is compared with, and which verdict that gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from lrsweep.errors import InvalidInput
from lrsweep.selection.nights.canaries import Canaries
from lrsweep.selection.nights.challenging import Challenges
from lrsweep.selection.nights.judgement import Judgement, Rules
from lrsweep.selection.nights.rows import Change, Night, changes
from lrsweep.selection.nights.saying import Facts, next_step, reason

FOLLOWED = 3
"""Nights that ask for challengers, from one whose canary left its limits: one alone would hardly raise a suspicion."""


def judge(nights: Sequence[Night], rules: Rules | None = None) -> Judgement:
    """The last night's, by all of them; the oldest comes first. Raises InvalidInput where there is none."""
    if not nights:
        raise InvalidInput("no night is given, and a verdict needs one at least: give tonight's row")
    return judgements(nights, rules)[-1]


def judgements(
    nights: Sequence[Night], rules: Rules | None = None, told: Mapping[str, Collection[str]] | None = None
) -> list[Judgement]:
    """One for each night, by that night and those before it. ``told`` holds by key, of nights whose verdicts were
    given by the rules of their time, whom they have shown to be better. Raises InvalidInput where a key comes
    twice."""
    twice = [key for key, count in Counter(night.key for night in nights).items() if count > 1]
    if twice:
        raise InvalidInput(f"night {twice[0]!r} is given twice; give each night once, with all that it has trained")
    watch = _Watch(rules or Rules(), told or {})
    return [watch.judged(night) for night in nights]


class _Watch:
    """All that the nights so far say of the next one."""

    def __init__(self, rules: Rules, told: Mapping[str, Collection[str]]) -> None:
        self._rules, self._told = rules, told
        self._before: Night | None = None
        self._used: set[int] = set()
        self._canaries = Canaries("", rules)
        self._challenges = Challenges(rules.worth)
        self._has_drifted = False
        self._owed = 0
        """nights that still ask for challengers, after a canary that left its limits"""

    def judged(self, night: Night) -> Judgement:
        changed = () if self._before is None else changes(self._before, night)
        restarting = tuple(change for change in changed if self._rules.restart(change))
        self._begin(night, restarting)
        stale = self._used & (night.canary.seeds | night.canary_baseline.seeds)
        canary, baseline = night.canary.without(self._used), night.canary_baseline.without(self._used)
        self._used |= canary.seeds | baseline.seeds
        seen = self._canaries.seen(canary, baseline)
        stale |= self._challenges.stale(night)
        asked = set(self._challenges.suspects)  # by the nights before; what tonight has found may have settled it
        compared = self._challenges.add(night, asked)
        shown = self._challenges.shown(compared, self._told.get(night.key))
        if seen.drift is not None:
            self._challenges.drifted(seen.drift.nights)
        self._has_drifted = seen.drift is not None
        if seen.is_out:
            self._owed = FOLLOWED
        suspects = self._challenges.suspects
        wanted = self._owed > 0 or bool(asked or suspects)
        self._owed = max(0, self._owed - 1)
        facts = Facts(
            seen=seen,
            restarting=restarting,
            changed=changed,
            shown=shown,
            standing=self._challenges.standing if shown is None else None,
            suspects=suspects,
            more_wanted=self._owed > 0 or (wanted and not compared),
        )
        return Judgement(
            key=night.key,
            verdict=facts.verdict,
            reason=reason(facts),
            next_step=next_step(facts),
            needs_challengers=wanted,
            challengers=tuple(sorted(asked.union(suspects))),
            since=self._canaries.since,
            charts=seen.charts,
            diverged=seen.diverged,
            diverged_before=seen.diverged_before,
            changes=changed,
            compared=compared,
            standing=facts.standing,
            shown=None if shown is None else shown.name,
            stale_seeds=tuple(sorted(stale)),
        )

    def _begin(self, night: Night, restarting: Sequence[Change]) -> None:
        if self._before is None or restarting or self._has_drifted:
            self._canaries = Canaries(night.key, self._rules)
        if restarting:
            self._challenges.restart()
            self._owed = 0
        self._before = night
