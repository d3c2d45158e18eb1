"""Real processes that run nights and start in a moment, to be killed and started again; see ``tests.drivers``."""

from __future__ import annotations

import atexit
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import pytest

from lrsweep.champion.reading import written
from lrsweep.store.champions import Action, Alias, ChampionRow
from tests.agreement import results
from tests.choices import choice
from tests.commands import LONGEST_SECONDS, Ran
from tests.drivers import PRELOAD, Driver, Home, QuickExecutor, _live

TRAINED = "SELECT count(*) FROM lrs_night_training"


def _live_night(arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> NoReturn:
    pytest.MonkeyPatch().setattr("lrsweep.executors.opening.LocalExecutor", QuickExecutor)
    _live(arguments, environ, folder)


def promote(home: Path, environ: Mapping[str, str] = MappingProxyType({}), horizon: int = 90) -> None:
    """A champion of ``tiny``, as a promotion leaves it that MLflow has not heard of."""
    value = replace(choice(), name="tiny", horizon=horizon)
    with results(home, environ) as store:
        row = ChampionRow("tiny", Alias.CHAMPION, Action.PROMOTE, written(value), "tiny", None, None)
        store.champions.promote(row)


@dataclass
class NightHome(Home):
    """A folder with a study, a home beside it, and processes that run the study's nights."""

    _nights: int = 0

    def night(self, *options: str, **environ: str) -> Driver:
        """``lrsweep nightly run tiny.toml`` with these options."""
        return self.command("nightly", "run", str(self.folder / "tiny.toml"), *options, **environ)

    def command(self, *words: str, **environ: str) -> Driver:
        self._nights += 1
        folder = self.folder / f"night-{self._nights}"
        folder.mkdir()
        for name in ("out", "err"):
            (folder / name).touch()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("LRSWEEP_", "MLFLOW_"))}
        own = {"LRSWEEP_HOME": str(self.path), "LRSWEEP_ENGINE": "sequential"}
        given = ([*words], {**outer, **own, **self.environ, **environ}, folder)
        process = context.Process(target=_live_night, args=given)
        process.start()
        atexit.register(process.kill)
        return Driver(process, folder)

    def ran(self, *options: str, seconds: float = LONGEST_SECONDS, **environ: str) -> Ran:
        return self.night(*options, "--json", **environ).wait(seconds)

    def promote(self) -> None:
        promote(self.path, self.environ)

    @property
    def trained(self) -> int:
        """Trainings of all nights that are committed."""
        with results(self.path, self.environ) as store:
            return sum(len(store.nights.trainings(row.id)) for row in store.nights.rows())
