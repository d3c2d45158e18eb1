"""A challenger that nights have shown to be better comes into force: as the candidate, or as the champion.

What it stands on are nights' pairs with fresh seeds; the test set is not read for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from lrsweep.champion.comparing import why_worse
from lrsweep.champion.history import said
from lrsweep.champion.making import with_test
from lrsweep.champion.reading import from_json, written
from lrsweep.champion.value import ChampionChoice, RateRule
from lrsweep.errors import InvalidInput, LrsweepError, SettingsError, did_you_mean
from lrsweep.nightly.contenders import Contender
from lrsweep.records import Json
from lrsweep.redaction import public
from lrsweep.selection.deciding import Evidence
from lrsweep.selection.nights import Compared, Judgement
from lrsweep.store import Store
from lrsweep.store.champions import Action, Alias, ChampionRow, in_force, is_same_choice
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.registering import register

Say = Callable[[str], None]


@dataclass(frozen=True)
class Promotion:
    row: ChampionRow
    was: ChampionRow | None
    """in force before it under that alias"""
    is_new: bool = True
    """False: it was in force already"""

    @property
    def words(self) -> str:
        return said(self.row)


def put_in_force(
    store: Store,
    homes: Homes,
    study: ResolvedStudy,
    contender: Contender,
    judgement: Judgement,
    alias: Alias,
    say: Say,
) -> Promotion | None:
    """None where nothing is in force any more that it could take the place of."""
    rows = store.champions.rows(study.name)
    champion = in_force(rows, study.name, Alias.CHAMPION)
    if champion is None or champion.choice is None:
        return None
    choice = from_json(champion.choice, f"the champion of {study.name} in the results")
    compared = next((each for each in judgement.compared if each.name == contender.name), None)
    value = _value(choice, contender, study, judgement.key, compared)
    note = f"{note_of(judgement.key)}{judgement.reason}"
    return _promoted(store, homes, _row(study.name, alias, value, contender, note), say)


def note_of(key: str) -> str:
    """With which notes begin of what a night has put in force: so it is known again by a night that was killed."""
    return f"night {key}: "


def candidate_becomes_champion(
    store: Store, homes: Homes, name: str, note: str | None, say: Say, *, is_anyway: bool = False
) -> Promotion:
    """Raises SettingsError where no candidate is in force, and where `lrsweep promote` would make none but a candidate
    of it, unless that is wanted."""
    rows = store.champions.rows(name)
    row = in_force(rows, name, Alias.CANDIDATE)
    if row is None or row.choice is None:
        guess = did_you_mean(name, _candidates(store, name))
        raise SettingsError(
            f"no candidate of {name!r} is in force.{guess} A night makes one of a challenger that it has shown to "
            f"be better; `lrsweep history {name}` shows what is, and `lrsweep promote {name}` takes what a sweep found."
        )
    if not is_anyway and (why := why_not(row, in_force(rows, name, Alias.CHAMPION))):
        raise SettingsError(
            f"the candidate of {name!r}, {said(row)}, is not made the champion: {why}. Wanted is one that is "
            f"`recommended` or `proven`: `lrsweep choose {name}` says what would show more, and `lrsweep promote "
            f"{name}` takes what has been shown since. `--anyway` makes it the champion all the same."
        )
    return _promoted(store, homes, replace(row, alias=Alias.CHAMPION, note=note or row.note, mlflow_version=None), say)


def _candidates(store: Store, name: str) -> list[str]:
    """The other names that have one."""
    names = [each for each in store.champions.names() if each != name]
    return [each for each in names if in_force(store.champions.rows(each), each, Alias.CANDIDATE) is not None]


def why_not(row: ChampionRow, present: ChampionRow | None) -> str | None:
    """A sentence where a candidate is none to put in force by the way: by the rules of `lrsweep promote`."""
    if row.choice is None or (present is not None and is_same_choice(row.choice, present.choice)):
        return None
    candidate = from_json(row.choice, f"the candidate of {row.name} in the results")
    if present is not None and present.choice is not None:
        with suppress(InvalidInput):  # of a release whose choices this one cannot read
            if worse := why_worse(candidate, from_json(present.choice, f"the champion of {row.name}")):
                return worse
    is_undecided = candidate.evidence.get("evidence") == Evidence.UNDECIDED
    return "its evidence is undecided: that it leads may be chance" if is_undecided else None


def _promoted(store: Store, homes: Homes, row: ChampionRow, say: Say) -> Promotion:
    was = in_force(store.champions.rows(row.name), row.name, row.alias)
    new, is_new = store.champions.promote(replace(row, id=0, at=0.0))
    sent(store, homes, row.name, say)
    return Promotion(new, was if is_new else None, is_new=is_new)


def sent(store: Store, homes: Homes, name: str, say: Say) -> None:
    """What is in force, to MLflow's registry, once."""
    with suppress(LrsweepError):  # it is in force; `lrsweep sync` sends it where MLflow was away
        outage = register(homes, store, name, say=say).outage
        if outage is not None:
            say(f"MLflow's registry has not got what came into force; `lrsweep sync` sends it. {outage}")


def _row(name: str, alias: Alias, value: ChampionChoice, contender: Contender, note: str) -> ChampionRow:
    return ChampionRow(
        name=name,
        alias=alias,
        action=Action.PROMOTE,
        choice=written(value),
        study=name,
        sweep_id=contender.sweep_id,
        trial=contender.trial,
        note=note[:1000],
    )


def _value(
    champion: ChampionChoice, contender: Contender, study: ResolvedStudy, key: str, compared: Compared | None
) -> ChampionChoice:
    same_optimizer = contender.optimizer.name == champion.optimizer.name
    exponent = study.rate_exponents.get(contender.optimizer.name, study.default_exponent(contender.optimizer.name))
    value = replace(
        champion,
        schedule=contender.schedule,
        peak_lr=contender.peak_lr,
        optimizer=contender.optimizer,
        batch_size=study.facts.batch_size or None,
        horizon=study.horizon,
        rate_rule=champion.rate_rule if same_optimizer else RateRule(exponent, None),
        extra=public(contender.extra),
        evidence=public(_evidence(study, key, compared)),
        provenance=public(_provenance(champion, study, contender, key)),
    )
    return with_test(value, None)


def _evidence(study: ResolvedStudy, key: str, compared: Compared | None) -> dict[str, Json]:
    return {
        "evidence": "proven",
        "n": 0 if compared is None else compared.pairs,
        "metric": study.value_key,
        "direction": study.sense,
        "worth": None if compared is None else compared.worth,
        "night": {"key": key, **({} if compared is None else {"compared": compared.to_json()})},
    }


def _provenance(champion: ChampionChoice, study: ResolvedStudy, contender: Contender, key: str) -> dict[str, Json]:
    facts = study.facts
    return {
        **{name: value for name, value in champion.provenance.items() if name not in ("began", "promoted_from")},
        "study": study.name,
        "sweep": contender.sweep_id,
        "trial": contender.trial,
        "meaning": study.meaning,
        "generation": study.generation,
        "metric": study.metric,
        "night": key,
        "workload": {
            "name": facts.name,
            "settings": dict(facts.settings),
            "version": facts.version,
            "data_hash": facts.data_hash,
        },
    }
