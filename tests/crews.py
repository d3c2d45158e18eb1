"""Trainings of ``digits`` in the processes of an executor: given, waited for, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lrsweep.executors.base import Executor
from lrsweep.executors.messages import Lost
from lrsweep.records import Curve, Outcome, Record, TrainingPlan
from tests.trainings import PLAN

PATIENCE = 300.0
"""A child imports torch first, which takes a minute where others use the machine too."""

SHORT = replace(PLAN, horizon=20)
ENDLESS = replace(PLAN, horizon=100_000, evaluations=1_000, peak_lr=0.01)

Messages = list[Record | Lost]


def named(plan: TrainingPlan, names: Sequence[str]) -> list[TrainingPlan]:
    """The plan with these ids, each with a seed of its own."""
    return [replace(plan, training_id=name, seed=seed) for seed, name in enumerate(names)]


def submit(executor: Executor, plans: Sequence[TrainingPlan]) -> None:
    for plan in plans:
        assert executor.free > 0
        executor.submit(plan)


def until(
    executor: Executor, is_enough: Callable[[Messages], bool], messages: Sequence[Record | Lost] = ()
) -> Messages:
    """These messages, and all that come up to the one that is enough."""
    give_up = time.monotonic() + PATIENCE
    heard = [*messages]
    while not is_enough(heard):
        assert time.monotonic() < give_up, heard
        heard += executor.poll(0.05)
    return heard


def until_idle(executor: Executor, messages: Messages) -> Messages:
    return until(executor, lambda _: not executor.in_flight, messages)


def until_running(executor: Executor, names: str) -> Messages:
    """Until each of these has made a step."""

    def run(heard: Messages) -> bool:
        return set(names) <= {each.training_id for each in heard if isinstance(each, Record) and each.first_step}

    return until(executor, run)


def ends(messages: Messages) -> dict[str, Outcome]:
    records = [each for each in messages if isinstance(each, Record)]
    assert len(records) == len(messages), messages
    return {each.training_id: each.outcome for each in records if each.outcome}


def curve_of(name: str, messages: Messages) -> Curve:
    curve = Curve.empty()
    for each in messages:
        if isinstance(each, Record) and each.training_id == name:
            curve = curve.extended(each)
    return curve


def engines(messages: Messages) -> dict[str, str]:
    return {each.training_id: each.engine for each in messages if isinstance(each, Record)}
