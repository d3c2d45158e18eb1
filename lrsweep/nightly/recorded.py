"""The same key again. Of the same generation it is the same night, which is gone on with or read; of another it is a
night of its own, and says so.

The generation hangs on what only the workload knows, such as the hash of its data. So the workload is loaded each time,
which takes seconds: its files may be changed on the day of the night, and nobody but it knows which these are. Where it
cannot be loaded, as on a machine without the GPU, the one night of the key is read where it has ended, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lrsweep.errors import DeadlinePassed, Interrupted, LrsweepError, TryAgain, Unavailable
from lrsweep.nightly.history import is_failure, read_night
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.planning import data_then
from lrsweep.redaction import masked
from lrsweep.store.nights import NightRow
from lrsweep.study import ResolvedStudy


def night_of_key(rows: Sequence[NightRow], generation: str, key: str) -> NightRow | None:
    """Under way, or ended."""
    return next((row for row in rows if (row.generation, row.key) == (generation, key)), None)


def recorded_night(
    rows: Sequence[NightRow], key: str, resolved: Callable[[], ResolvedStudy], say: Callable[[str], None]
) -> StudyNight | None:
    """None where the night has not ended. The workload is asked only where one of that key has."""
    nights = [row for row in rows if row.key == key and not is_failure(row)]
    ended = [row for row in nights if row.result is not None]
    if not ended:
        return None
    try:
        generation = resolved().generation
    except (DeadlinePassed, Interrupted, TryAgain, Unavailable):  # it passes: the same command finds out
        raise
    except LrsweepError as error:
        if len(nights) > 1:  # of several generations, perhaps one under way, and nobody can say which is meant
            raise
        return _unchecked(ended[0], masked(str(error)), say)
    row = night_of_key(rows, generation, key)
    return None if row is None or row.result is None else replace(read_night(row), is_recorded=True)


def _unchecked(row: NightRow, why: str, say: Callable[[str], None]) -> StudyNight:
    night = read_night(row)
    remark = f"whether the study, its data and its workload are still those of that night could not be checked: {why}"
    say(f"{row.study}: {remark}")
    return replace(night, is_recorded=True, sentence=f"{night.sentence}; {remark}")


def had_ended(rows: Sequence[NightRow], key: str) -> bool:
    """A night of that key has a result, and none goes on: what fails now fails before another one has begun."""
    nights = [row for row in rows if row.key == key and not is_failure(row)]
    return bool(nights) and all(row.result is not None for row in nights)


def beside_another(rows: Sequence[NightRow], row: NightRow, data: str) -> str:
    """A sentence where the key had a night before, of another generation; ``data`` is the hash of what there is now."""
    others = [each for each in rows if each.key == row.key and each.id < row.id and not is_failure(each)]
    if not others:
        return ""
    then = data_then(others[-1])
    is_data = then is not None and then != data
    what = "its data have changed since" if is_data else "the study, its data or its workload have changed since"
    return (
        f"night {row.key} had begun before with another generation of the study: {what}, so this is a night of its own"
    )
