"""A night that ended under the same key, of the same file: read again, without loading anything of its workload.

Its generation hangs on what only the workload knows, such as the hash of its data, and asking takes seconds. So a plan
also says which file it was made of: the same key and the same file is the same night, and what else has changed since
is the next key's to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lrsweep.nightly.history import read_night
from lrsweep.nightly.outcome import StudyNight
from lrsweep.records import Json, stable_hash
from lrsweep.store.nights import NightRow
from lrsweep.study import Study
from lrsweep.sweep.refusals import UNKNOWN

FILE = "file"
"""Where a plan has it."""


def of_file(plan: Mapping[str, Json], study: Study) -> dict[str, Json]:
    """The plan, with the file that it was made of."""
    return {**plan, FILE: _hash(study)}


def recorded_night(rows: Sequence[NightRow], study: Study, key: str) -> StudyNight | None:
    """None where there is none, or it is under way."""
    file = _hash(study)
    newest = next((row for row in reversed(rows) if row.key == key and row.plan.get(FILE) == file), None)
    return None if newest is None or newest.result is None else replace(read_night(newest), is_recorded=True)


def _hash(study: Study) -> str:
    """Of all that is known without the workload; another release of lrsweep may mean something else by the text."""
    return stable_hash([study.text, study.completed(UNKNOWN)[0].generation])
