"""What the runs of one sweep are called and tagged, from the templates of its study. Pure but for the surroundings."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass

from lrsweep.records import Purpose, SweepRow, TrainingRow
from lrsweep.redaction import masked_command
from lrsweep.schedules import Schedule
from lrsweep.scripts import command
from lrsweep.study import ResolvedStudy
from lrsweep.templates import filled
from lrsweep.tracking.rows import LONGEST_TAG, training_tags
from lrsweep.tracking.surroundings import UNKNOWN, Surroundings

SHORT = 8
"""digits of a hash in a name"""
LONGEST_DIGEST = 36
"""of a data set, in MLflow"""


@dataclass(frozen=True)
class Data:
    """A workload's data as MLflow's input of a run."""

    name: str
    digest: str
    source: str
    """JSON: which workload makes them"""


@dataclass(frozen=True)
class Naming:
    study: ResolvedStudy
    sweep: SweepRow
    surroundings: Surroundings

    @property
    def experiment(self) -> str:
        return filled(self.study.tracking.experiment, self._shared())

    @property
    def data(self) -> Data | None:
        """None for a script, of whose data nothing is known."""
        facts = self.study.facts
        if not facts.data_hash or facts.name == command.NAME:
            return None
        source = json.dumps({"workload": facts.name, "version": facts.version})
        return Data(facts.name, facts.data_hash[:LONGEST_DIGEST], source)

    def run_name(self, training: TrainingRow, family: str, optimizer: str) -> str:
        return filled(self.study.tracking.run_name, self._values(training, family, optimizer))

    def training_tags(
        self, training: TrainingRow, *, parent: str, schedule: Schedule, optimizer: str
    ) -> dict[str, str]:
        values = self._values(training, schedule.family, optimizer)
        return {
            **{key: filled(text, values)[:LONGEST_TAG] for key, text in self.study.tracking.tags.items()},
            **training_tags(training, parent=parent, schedule=schedule),
            **self.surroundings.commit_tags(),
            **self._data_tag(),
        }

    def sweep_tags(self) -> dict[str, str]:
        """Of the sweep's own run, with those of the user's whose template asks for nothing of a training."""
        shared = {**self._shared(), "sweep": self.sweep.sweep_id[:SHORT], "commit": self._commit}
        tags = {
            "lrsweep.kind": "sweep",
            "lrsweep.sweep": self.sweep.sweep_id,
            "lrsweep.study": self.study.name,
            "lrsweep.meaning": self.study.meaning,
            "lrsweep.generation": self.study.generation,
            "mlflow.source.name": "lrsweep",
            **self.surroundings.tags(),
            **self._data_tag(),
        }
        if self.study.workload.name == command.NAME:
            tags["lrsweep.command"] = masked_command(command.command_of(self.study.workload).command)[:LONGEST_TAG]
        return {**_filled_where_possible(self.study.tracking.tags, shared), **tags}

    @property
    def _commit(self) -> str:
        return (self.surroundings.commit or UNKNOWN)[:SHORT]

    def _data_tag(self) -> dict[str, str]:
        return {} if self.data is None else {"lrsweep.data": f"{self.data.name}@{self.data.digest[:SHORT]}"}

    def _shared(self) -> dict[str, str | int]:
        """The day is the one on which the sweep began, so that it stays in its experiment when it goes on."""
        began = datetime.datetime.fromtimestamp(self.sweep.created_at, datetime.UTC)
        return {
            "study": self.study.name,
            "workload": self.study.facts.name,
            "generation": self.study.generation[:SHORT],
            "date": began.date().isoformat(),
        }

    def _values(self, training: TrainingRow, family: str, optimizer: str) -> dict[str, str | int]:
        return {
            **self._shared(),
            "sweep": training.sweep_id[:SHORT],
            "family": family,
            "optimizer": optimizer,
            "trial": training.trial,
            "horizon": training.horizon,
            "rung": training.rung,
            "seed": training.seed,
            "purpose": training.purpose.value,
            "commit": self._commit,
        }


def is_sent(purpose: Purpose, runs: str) -> bool:
    """Whether every training of the purpose becomes a run; families' bests are sent beside, at the end.

    >>> is_sent(Purpose.SEARCH, "all"), is_sent(Purpose.SEARCH, "finalists"), is_sent(Purpose.FINAL, "finalists")
    (True, False, True)
    """
    return runs == "all" or (runs == "finalists" and purpose is Purpose.FINAL)


def _filled_where_possible(templates: Mapping[str, str], values: Mapping[str, str | int]) -> dict[str, str]:
    found = {}
    for key, text in templates.items():
        try:
            found[key] = filled(text, values)[:LONGEST_TAG]
        except KeyError:
            continue
    return found
