"""Studies that may be started over HTTP: remembered by `lrsweep register`, and by every run of a file.

What is kept is what a worker needs to read the study again, and what the service needs to say which sweep a start of
it comes to. The worker reads and asks anew: files may have changed since.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from pathlib import Path

from lrsweep.errors import TryAgain
from lrsweep.records import StudyRow
from lrsweep.store import Store
from lrsweep.store.queue import Registered
from lrsweep.study import ResolvedStudy, Study, parse_study
from lrsweep.sweep.owner import is_dead
from lrsweep.sweep.stored import resolved_from


def remember(
    store: Store, study: Study, resolved: ResolvedStudy, say: Callable[[str], None] = lambda _: None
) -> Registered | None:
    """None of a study that is not what its file says. Says which other file's place it has taken."""
    if not study.text:
        return None
    before = next(iter(store.queue.registered(study.name)), None)
    spec = json.loads(json.dumps(resolved.spec()))
    kept = store.queue.register(
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
    if before is not None and (before.folder, before.source) != (kept.folder, kept.source):
        say(
            f"study {study.name!r} was registered by {before.who or 'somebody'} from {before.source or 'a file'} in "
            f"{before.folder}: what is asked for over HTTP is {kept.source} in {kept.folder} from now on"
        )
    return kept


def forget(store: Store, study: str) -> bool:
    """It may be started over HTTP no more, and a request that waits is cancelled; whether there was anything. Raises
    TryAgain where a worker has it."""
    try:
        return store.queue.unregister(study, is_dead=is_dead)
    except ValueError as error:
        raise TryAgain(f"{error}: nothing was changed. `lrsweep cancel {study}` ends the sweep; then again.") from error


def read_again(kept: Registered) -> Study:
    """From the text, in the working folder that it was checked in. Raises StudyError with all that is wrong now."""
    return parse_study(kept.text, kept.source)


def has_changed(kept: Registered) -> bool | None:
    """Whether the file says something else by now; None where it cannot be read."""
    try:
        now = (Path(kept.folder) / kept.source).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError):
        return None
    return now != kept.text


def resolved_as_kept(kept: Registered) -> ResolvedStudy:
    """As its workload completed it when it was checked; nothing is loaded that trains."""
    return resolved_from(StudyRow(kept.study, kept.meaning, kept.generation, kept.spec))


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        return None
