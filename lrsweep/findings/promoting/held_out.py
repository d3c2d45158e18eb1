"""At a promotion alone: what the test set says of the choice. A read is counted before it happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from lrsweep.champion.making import with_test
from lrsweep.champion.reading import written
from lrsweep.champion.scoring import scored
from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import InvalidInput, SweepFailed
from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.to_the_end import train
from lrsweep.findings.promoting.alone import Claim
from lrsweep.records import Json, SweepRow
from lrsweep.selection.choice import Choice
from lrsweep.selection.deciding import Evidence
from lrsweep.store import Store
from lrsweep.store.champions import TestRead, is_same_on_test
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.held_out import Reading, reading, scores, why_none
from lrsweep.sweep.reproducing import changed_workload

Say = Callable[[str], None]
MakeExecutor = Callable[[], OpenedExecutor]


def known_test(store: Store, value: ChampionChoice) -> Mapping[str, Json] | None:
    """What an earlier promotion of the same choice has read."""
    text = written(value)
    for row in reversed(store.champions.rows(value.name)):
        if row.choice is not None and is_same_on_test(text, row.choice):
            test: Mapping[str, Json] | None = json.loads(row.choice).get("test")
            if test is not None:
                return test
    return None


def why_not_yet(choice: Choice) -> str | None:
    """Why a read would be spent on what another choice will follow; None where it is time."""
    if choice.evidence is not Evidence.UNDECIDED or choice.recommended.n > 1:
        return None
    return "the choice is undecided and has one seed, so another one may well follow. `--test` reads it all the same"


def with_test_set(
    claim: Claim,
    study: ResolvedStudy,
    sweep: SweepRow,
    value: ChampionChoice,
    make_executor: MakeExecutor,
    say: Say,
) -> ChampionChoice:
    """Where it cannot be read the value comes back as it is, and ``say`` has heard why."""
    store = claim.store
    if why := why_none(study):
        say(f"the test set is not read: {why}")
        return value
    trials = store.trials(sweep.study, sweep_id=sweep.sweep_id)
    trainings = store.trainings(sweep.study, sweep_id=sweep.sweep_id)
    read = reading(study, trials, trainings, int(value.provenance["trial"]))
    if read is None:
        say("the test set is not read: this release cannot read the trial that was chosen")
        return value
    executor = make_executor()
    try:
        if problem := _problem(study, executor):
            say(f"the test set is not read: {problem}")
            return value
        return with_test(value, _read(claim, study, sweep, read, executor, say))
    finally:
        executor.close()


def _problem(study: ResolvedStudy, executor: OpenedExecutor) -> str | None:
    try:
        facts = executor.describe(study.workload)
    except (InvalidInput, SweepFailed) as error:
        if str(error).startswith("--device"):  # what was typed is wrong, and not what is to be loaded
            raise
        return f"its workload cannot be loaded here: {str(error).strip().splitlines()[-1]}"
    return "; ".join(changed_workload(study, facts)) or None


def _read(
    claim: Claim, study: ResolvedStudy, sweep: SweepRow, read: Reading, executor: OpenedExecutor, say: Say
) -> Mapping[str, Json] | None:
    claim.confirm()
    # counted first: a process that is killed while it reads has read
    count = claim.store.champions.read_test(
        TestRead(read.data, sweep.study, sweep.sweep_id, tuple(read.trials), len(read.plans))
    )
    say(f"training {len(read.plans)} times for the test set: {' and '.join(read.trials.values())}")
    ended = train(executor, list(read.plans.values()))
    chosen, *baseline = scores(read, {name: each.outcome for name, each in ended.items()})
    if not chosen.known:
        reasons = [each.outcome.error or each.outcome.reason for each in ended.values()]
        why = next((reason.strip().splitlines()[-1] for reason in reasons if reason), f"none gives {read.metric}")
        say(f"no training of the choice came to a value on the test set: {why}")
        return None
    return scored(
        chosen,
        baseline[0] if baseline else None,
        data=read.data,
        metric=read.metric,
        direction=study.direction,
        seeds=read.seeds,
        read=count,
        device=next(iter(ended.values())).device,
    )
