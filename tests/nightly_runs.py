"""Nights of scripted trainings on a store: whole runs in milliseconds, with surroundings that a test changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import lrsweep.nightly.around as around
from lrsweep.champion.reading import written
from lrsweep.engines import versions as engine_versions
from lrsweep.errors import LrsweepError
from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Lost
from lrsweep.nightly.asked import Asked
from lrsweep.nightly.finding import Found
from lrsweep.nightly.outcome import NightRun, StudyNight
from lrsweep.nightly.running import run_nights
from lrsweep.nightly.workplace import Workplace
from lrsweep.records import Record, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.store import MemoryStore, Store
from lrsweep.store.champions import Action, Alias, ChampionRow
from lrsweep.study import parse_study
from lrsweep.sweep.homes import Homes
from lrsweep.tracking.surroundings import Surroundings
from tests.choices import SGD, choice
from tests.scripted import End, Script, ScriptedExecutor, completed
from tests.sweeps import FACTS

STUDY = """\
[study]
name = "{name}"
workload = "digits"
horizon = 900
[space]
families = ["constant", "cosine", "linear"]
optimizers = ["sgd"]
[budget]
trials = 6
[baseline]
family = "exponential"
peak_lr = 0.2
optimizer = "sgd"
[nightly]
{nightly}
"""
HERE = Surroundings("c1", False, {"torch": "2.15.0", "numpy": "2.4", "mlflow": "3.17", "python": "3.11"})
CHALLENGER = choice(name="quick", schedule=schedule("cosine"), peak_lr=0.1, optimizer=SGD, horizon=900)


def noise(plan: TrainingPlan) -> float:
    """Normal, by seed and family, with a deviation of 0.01 from seed to seed."""
    return float(np.random.default_rng([plan.seed, len(plan.schedule.family)]).normal()) / 100


def usual(plan: TrainingPlan) -> End:
    """The champion comes to 0.5, the baseline to 0.7, and every challenger to 0.6."""
    level = {"linear": 0.5, "exponential": 0.7}.get(plan.schedule.family, 0.6)
    return completed(plan, level + noise(plan))


class NightExecutor(ScriptedExecutor):
    """A test double of ``LocalExecutor``: trains by a script, and says what the study's workload is."""

    def __init__(
        self,
        script: Script,
        facts: WorkloadFacts,
        device: str,
        loaded: list[str],
        far_device: str | None = None,
        cannot: LrsweepError | None = None,
    ) -> None:
        super().__init__(script)
        self.far_device, self._cannot = far_device, cannot
        self._facts, self._device, self._loaded = facts, device, loaded
        self._is_started = False

    def poll(self, seconds: float) -> list[Record | Lost]:
        heard = super().poll(seconds)
        return [replace(each, device=self._device) if isinstance(each, Record) else each for each in heard]

    def start(self, workload: WorkloadSpec) -> None:
        if not self._is_started:
            self._loaded.append(workload.name)
        self._is_started = True

    arrangement = "sequential"

    def fit(self, *_: object, **__: object) -> None:
        """There is one crew."""

    def describe(self, _: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        tick()
        if self._cannot is not None:
            raise self._cannot
        return self._facts


@dataclass(frozen=True)
class Scripted(Workplace):
    script: Script = usual
    facts: WorkloadFacts = FACTS
    begun: list[TrainingPlan] = field(default_factory=list)
    """what all executors were given"""
    loaded: list[str] = field(default_factory=list)
    """the workload of each process that was started"""
    far_device: str | None = None
    cannot: LrsweepError | None = None

    def executor(self, device: str, say: Callable[[str], None]) -> OpenedExecutor:
        del say
        made = NightExecutor(self.script, self.facts, device, self.loaded, self.far_device, self.cannot)
        made.begun = self.begun
        return cast(OpenedExecutor, made)


@dataclass
class Nights:
    """A store, a champion in it, and runs one after the other; each is a day after the one before."""

    folder: Path
    store: Store = None  # type: ignore[assignment] # one in memory, by this clock
    script: Script = usual
    facts: WorkloadFacts = FACTS
    here: Surroundings = HERE
    device: str = "cpu"
    nightly: str = ""
    now: float = 1.8e9
    said: list[str] = field(default_factory=list)
    begun: list[TrainingPlan] = field(default_factory=list)
    """of the last run"""
    loaded: list[str] = field(default_factory=list)
    """by its processes, one of each"""
    far_device: str | None = None
    """what a Ray cluster gives to trainings; None: they are trained here"""
    cannot: LrsweepError | None = None
    """why the workload cannot be loaded"""
    checkpoints_at: Path | str | None = None

    def __post_init__(self) -> None:
        if self.store is None:
            self.store = MemoryStore(clock=lambda: self.now)

    def promote(self, value: Any = None, alias: Alias = Alias.CHAMPION, name: str = "quick") -> ChampionRow:
        """``linear`` at 0.4, unless another choice is given."""
        made = choice(name=name, horizon=900) if value is None else replace(value, name=name)
        row = ChampionRow(name, alias, Action.PROMOTE, written(made), name, None, None)
        return self.store.champions.promote(row)[0]

    def study(self, name: str = "quick", text: str = STUDY) -> Found:
        parsed = parse_study(text.format(name=name, nightly=self.nightly), f"{name}.toml")
        return Found(name, f"{name}.toml", parsed)

    def at(self) -> Scripted:
        homes = Homes(
            self.folder, "sqlite://", "sqlite://", "http://127.0.0.1:9", None, checkpoints_at=self.checkpoints_at
        )
        self.begun, self.loaded = [], []
        return Scripted(
            self.store,
            homes,
            self.said.append,
            EngineOption.parsed("sequential"),
            clock=lambda: self.now,
            script=self.script,
            facts=self.facts,
            begun=self.begun,
            loaded=self.loaded,
            far_device=self.far_device,
            cannot=self.cannot,
        )

    def run(self, key: str, studies: Iterable[Found] | None = None, **asked: Any) -> NightRun:
        self.now += 86400.0
        found = [self.study()] if studies is None else list(studies)
        return run_nights(found, self.at(), Asked(key, device=self.device, **asked))

    def night(self, key: str, **asked: Any) -> StudyNight:
        """Of the one study; raises what it failed of."""
        run = self.run(key, **asked)
        assert len(run.studies) == 1, run.notes
        [night] = run.studies
        assert night.verdict != "failed", night.sentence
        return night

    def many(self, keys: Iterable[str]) -> list[StudyNight]:
        return [self.night(key, is_always=True) for key in keys]


def packages(**changes: str) -> Mapping[str, str]:
    return {**HERE.versions, **changes}


assert "mlflow" in engine_versions.PACKAGES


def of_a_champion(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Of a study whose champion is ``linear``; what surrounds them is what they say."""
    made = Nights(folder)
    monkeypatch.setattr(around, "look_around", lambda **_: made.here)
    monkeypatch.setattr(around, "nvidia_driver", lambda: None)
    made.promote()
    return made


# ── what changes between two nights ──────────────────────────────────────────────────────────────────────────────────
def another_commit(nights: Nights) -> None:
    nights.here = replace(HERE, commit="c2")


def an_uncommitted_change(nights: Nights) -> None:
    nights.here = replace(HERE, is_changed=True)


def other_data(nights: Nights) -> None:
    nights.facts = replace(nights.facts, data_hash="d2")


def another_workload(nights: Nights) -> None:
    nights.facts = replace(nights.facts, version=2)


def another_torch(nights: Nights) -> None:
    nights.here = replace(HERE, versions=packages(torch="2.16.0"))


def another_device(nights: Nights) -> None:
    nights.device = "cuda"


def another_champion(nights: Nights) -> None:
    nights.promote(CHALLENGER)


def a_cluster(nights: Nights) -> None:
    nights.far_device = "cpu"


def an_old_verdict(nights: Nights) -> None:
    nights.now += 8 * 86400
