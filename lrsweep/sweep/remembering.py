"""Studies that may be started over HTTP: remembered by `lrsweep register`, and by every run of a file.

What is kept is what a worker needs to read the study again, and what the service needs to say which sweep a start of
it comes to. The worker reads and asks anew: files may have changed since.
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path

from lrsweep.records import StudyRow
from lrsweep.store import Store
from lrsweep.store.queue import Registered
from lrsweep.study import ResolvedStudy, Study, parse_study
from lrsweep.sweep.stored import resolved_from


def remember(store: Store, study: Study, resolved: ResolvedStudy) -> Registered | None:
    """None of a study that is not what its file says."""
    if not study.text:
        return None
    spec = json.loads(json.dumps(resolved.spec()))
    return store.queue.register(
        Registered(
            study.name,
            str(Path.cwd()),
            study.text,
            _user(),
            source=study.source,
            meaning=resolved.meaning,
            generation=resolved.generation,
            spec=spec,
        )
    )


def read_again(kept: Registered) -> Study:
    """From the text, in the working folder that it was checked in. Raises StudyError with all that is wrong now."""
    return parse_study(kept.text, kept.source)


def resolved_as_kept(kept: Registered) -> ResolvedStudy:
    """As its workload completed it when it was checked; nothing is loaded that trains."""
    return resolved_from(StudyRow(kept.study, kept.meaning, kept.generation, kept.spec))


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        return None
