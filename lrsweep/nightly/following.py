"""What follows from a night's verdict: whom it puts in force, and what it says of who is.

A night judges the champion that it began with. Where another is in force by now, who was shown to be better than the
one before was never compared with it, and nobody is put up. What the same night did before it was killed is found by
its note, and not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lrsweep.champion.history import said
from lrsweep.champion.reading import from_json
from lrsweep.nightly.contenders import Contender
from lrsweep.nightly.planning import Plan
from lrsweep.nightly.promoting import Promotion, Say, note_of, put_in_force, sent
from lrsweep.selection.nights import Judgement, NightVerdict
from lrsweep.store import Store
from lrsweep.store.champions import Action, Alias, ChampionRow, in_force
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.homes import Homes


@dataclass(frozen=True)
class Followed:
    champion: str
    """in words: what is in force where the night has put it there, else what it judged"""
    promotion: Promotion | None = None
    alias: Alias | None = None
    remark: str = ""
    step: str = ""
    """the next one, where it is another than the verdict's"""

    @property
    def promoted(self) -> str | None:
        return self.promotion.words if self.promotion is not None and self.alias is Alias.CHAMPION else None

    @property
    def sentence(self) -> str:
        if self.promotion is None:
            return self.remark
        return f"in force as the {self.alias} is now {self.promotion.words}"

    def next_step(self, judgement: Judgement, study: str) -> str:
        if self.promotion is None:
            return self.step or judgement.next_step
        if self.alias is Alias.CHAMPION:
            return f"`lrsweep demote {study}` takes it back; with the next night limits start anew"
        return f"`lrsweep nightly promote {study}` makes it the champion; else set a larger nightly.worth"


@dataclass(frozen=True)
class Follows:
    """All that it takes."""

    store: Store
    homes: Homes
    study: ResolvedStudy
    plan: Plan
    key: str
    confirm: Callable[[], None]
    say: Say

    def put_in_force(self, contender: Contender | None, judgement: Judgement, alias: Alias) -> Followed:
        """The contender, where there is one and the champion is still the one that it was compared with."""
        rows = self.store.champions.rows(self.study.name)
        champion = in_force(rows, self.study.name, Alias.CHAMPION)
        own = None if contender is None else self._put_before(rows, alias, contender)
        judged = self._judged(rows)
        is_own = own is not None and own == champion
        if not is_own and (champion is None or champion.id != self.plan.row):
            return _overtaken(judged, champion, contender)
        if contender is None:
            return Followed(judged)
        made: Promotion | None
        if own is None:
            self.confirm()
            made = put_in_force(self.store, self.homes, self.study, contender, judgement, alias, self.say)
        elif own == in_force(rows, self.study.name, alias):
            sent(self.store, self.homes, self.study.name, self.say)
            made = Promotion(own, None)
        else:
            back = f"{contender.name} was the {alias} and was taken back, so that nobody is put up"
            return Followed(judged, remark=back)
        if made is None:
            return Followed(judged)
        return Followed(made.words if alias is Alias.CHAMPION else judged, made, alias)

    def _put_before(self, rows: Sequence[ChampionRow], alias: Alias, contender: Contender) -> ChampionRow | None:
        """By this night, before it was killed."""

        def is_own(row: ChampionRow) -> bool:
            if row.id <= self.plan.row or (row.alias, row.action) != (alias, Action.PROMOTE) or row.choice is None:
                return False
            if not (row.note or "").startswith(note_of(self.key)):
                return False
            choice = from_json(row.choice, f"the {alias} of {row.name} in the results")
            return (choice.schedule, choice.peak_lr) == (contender.schedule, contender.peak_lr)

        return next((row for row in reversed(rows) if is_own(row)), None)

    def _judged(self, rows: Sequence[ChampionRow]) -> str:
        return next((said(row) for row in rows if row.id == self.plan.row), self.plan.champion.words)


def _overtaken(judged: str, champion: ChampionRow | None, contender: Contender | None) -> Followed:
    now = "no champion is in force any more" if champion is None else f"in force by now is {said(champion)}"
    put_up = "" if contender is None else ", so that nobody is put up"
    step = (
        "the next night runs the study's sweep" if champion is None else "the next night compares with what is in force"
    )
    remark = f"the night judges the champion that it began with, and {now}{put_up}"
    return Followed(judged, remark=remark, step=step)


def who_follows(judgement: Judgement, promotes: bool) -> str | None:
    """Who was shown tonight; where the study promotes by itself also who was shown before and waits."""
    if judgement.verdict is NightVerdict.CHALLENGER_BETTER:
        return judgement.shown
    return judgement.standing if promotes else None
