"""A driver that dies in a race, right after any of its writes: the next one trains what the first one would have."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrsweep.records import Purpose, Status, TrainingPlan
from lrsweep.study import BudgetSpec, SelectionSpec
from lrsweep.sweep.race import RACE_KEY
from tests.agreement import results
from tests.chaos.test_every_write import Killed, World
from tests.drivers import STUDY as TEXT
from tests.drivers import Home
from tests.scripted import End, completed, value_of
from tests.sweeps import a_study

STUDY = replace(
    a_study(families=("cosine", "linear"), optimizers=("sgd",), trials=8),
    budget=BudgetSpec(trials=8),
    total_steps=8 * 90 + 20 * 90,
    selection=SelectionSpec(share=0.7),
)


def noisy(plan: TrainingPlan) -> End:
    """The two families come out alike, from seed to seed as chance has it."""
    noise = np.random.default_rng([plan.seed, round(1e6 * plan.peak_lr)]).normal()
    return completed(plan, value_of(plan) + float(noise))


def a_world() -> World:
    return World(study=STUDY, script=noisy)


def finals(world: World) -> set[tuple[int, int, float]]:
    return {
        (row.trial, row.seed, row.metrics["decide_loss"])
        for row in world.store.trainings(STUDY.name)
        if row.purpose is Purpose.FINAL
    }


def race(world: World) -> dict[str, Any]:
    [sweep] = world.sweeps()
    return dict(sweep.settings[RACE_KEY])


def undisturbed() -> tuple[World, int]:
    """And how many writes its search makes."""
    world = a_world()
    writes_at: list[int] = []

    def script(plan: TrainingPlan) -> End:
        [sweep] = world.sweeps()
        if RACE_KEY in sweep.settings and not writes_at:
            writes_at.append(world.store.writes)
        return noisy(plan)

    world.script = script
    world.drive()
    return world, writes_at[0]


WHOLE, BEFORE = undisturbed()


def test_the_race_has_several_rounds() -> None:
    """Else the test below would say nothing of what comes between them."""
    assert race(WHOLE)["taken"] >= 2
    assert len(finals(WHOLE)) > 9


@pytest.mark.parametrize("write", range(BEFORE - 3, WHOLE.store.writes))
def test_whichever_write_of_a_race_is_the_last_the_same_finals_are_trained(write: int) -> None:
    """From the word of the race on: the same trials with the same seeds, and the same looks."""
    world = a_world()
    with pytest.raises(Killed):
        world.drive(dies_after=write)
    world.drive()
    assert finals(world) == finals(WHOLE)
    assert race(world) == race(WHOLE)


def test_a_race_whose_drivers_die_every_few_writes_trains_the_same() -> None:
    """Dead after every sixth write of the finals."""
    world = a_world()
    with pytest.raises(Killed):
        world.drive(dies_after=BEFORE - 3)
    for _ in range(100):
        try:
            world.drive(dies_after=9)
        except Killed:
            continue
        break
    assert finals(world) == finals(WHOLE)
    assert race(world) == race(WHOLE)


# ── real processes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_process_that_is_killed_between_two_rounds_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    """With SIGKILL, as soon as the second round is queued: the next one trains it, and the three databases agree."""
    home = Home(tmp_path, study=TEXT.replace("share = 0.6", "share = 0.85").replace("seeds = 2", "worth = 1e-9"))
    assert home.run(fault="after-phase:2", NOISE="1.0").code == -signal.SIGKILL
    with results(home.path) as store:
        [sweep] = store.sweeps("tiny")
        before = sweep.settings[RACE_KEY]
        assert any(row.status is Status.QUEUED for row in store.trainings("tiny"))
    assert (before["taken"], before["ended"]) == (1, None)
    home.finish()
    with results(home.path) as store:
        [sweep] = store.sweeps("tiny")
        found = sweep.settings[RACE_KEY]
        rows = [row for row in store.trainings("tiny") if row.purpose is Purpose.FINAL]
    assert found["ended"] is not None
    assert found["taken"] > 1
    assert found["seeds"][: len(before["seeds"])] == before["seeds"]
    assert len(rows) == sum(found["ordered"].values())
