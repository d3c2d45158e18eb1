"""All studies of one `lrsweep nightly run`: one after the other within one budget of time, whatever becomes of each.

exit code, the gravest of:  143, 130  a signal: the rest waits for the same command
                            70, 69, 64, 75, 1  a study failed, in this order
                            124  the deadline came before all were done
                            99  other processes were at work on all of them: nothing ran here
                            4  a champion changed, or a workload drifted
                            0
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lrsweep.errors import DeadlinePassed, Interrupted, InvalidInput, LeaseHeld, LeaseLost, LrsweepError
from lrsweep.nightly.asked import Asked
from lrsweep.nightly.finding import Found
from lrsweep.nightly.history import is_unknown, keep_failure, keep_unknown
from lrsweep.nightly.outcome import CHANGED, FAILED, NightRun, StudyNight
from lrsweep.nightly.recorded import had_ended
from lrsweep.nightly.studying import Limit, night_of_study
from lrsweep.nightly.workplace import Workplace
from lrsweep.redaction import masked
from lrsweep.sweep.owner import driver_shown
from lrsweep.sweep.silence import obeying

GRAVEST = (143, 130, 70, 69, 64, 75, 1, 124, 99, CHANGED, 0)
SHORTEST = 5.0
"""Seconds: with less left no study begins again, since loading it takes as long."""


@dataclass
class _Tally:
    """What became of the studies so far."""

    nights: dict[str, StudyNight] = field(default_factory=dict)
    """by source"""
    unfinished: dict[str, str] = field(default_factory=dict)
    """by source, a sentence: the deadline kept them from ending"""
    locked: dict[str, str] = field(default_factory=dict)
    interrupted: Interrupted | None = None


def run_nights(found: Sequence[Found], at: Workplace, asked: Asked) -> NightRun:
    """Raises nothing that one of the studies raises."""
    began_at, tally = at.clock(), _Tally()
    until = None if asked.deadline_seconds is None else time.monotonic() + asked.deadline_seconds
    waiting = list(found)
    try:
        while waiting and tally.interrupted is None:
            again = _round(waiting, at, asked, until, tally)
            # what the quicker ones have left goes to those that needed more
            waiting = again if until is not None and until - time.monotonic() > SHORTEST else []
    finally:
        at.describing.close()
    left = [each for each in found if each.source not in tally.nights | tally.unfinished | tally.locked]
    if tally.interrupted is not None:
        tally.unfinished |= {each.source: f"{each.name}: {tally.interrupted}" for each in left}
    studies = tuple(tally.nights[each.source] for each in found if each.source in tally.nights)
    return NightRun(
        key=asked.key,
        studies=studies,
        exit_code=_exit_code(tally, asked),
        began_at=began_at,
        ended_at=at.clock(),
        notes=(*tally.unfinished.values(), *tally.locked.values()),
    )


def _round(waiting: Sequence[Found], at: Workplace, asked: Asked, until: float | None, tally: _Tally) -> list[Found]:
    """Each once; those come back that their share of the time did not do for."""
    again = []
    for place, one in enumerate(waiting):
        limit = Limit(None if until is None else _share(until, len(waiting) - place))
        tally.unfinished.pop(one.source, None)
        try:
            tally.nights[one.source] = _night(one, at, asked, limit)
        except DeadlinePassed:
            tally.unfinished[one.source] = (
                f"{one.name}: the deadline came before its night had ended; what was finished is kept, and the same "
                "command goes on with it"
            )
            again.append(one)
        except LeaseHeld as held:
            tally.locked[one.source] = (
                f"{one.name}: {driver_shown(held.owner)} is at work on it, so it was left out; `--on-locked wait` waits"
            )
        except LeaseLost as lost:
            tally.locked[one.source] = f"{one.name}: another process has taken the night over: {lost}"
        except Interrupted as interrupted:
            tally.interrupted = interrupted
            break
        if one.source not in tally.nights:
            at.say(tally.unfinished.get(one.source) or tally.locked[one.source])
    return again


def _share(until: float, studies: int) -> float:
    now = time.monotonic()
    return now + max(0.0, until - now) / studies


def _night(one: Found, at: Workplace, asked: Asked, limit: Limit) -> StudyNight:
    """A study that fails has a night that says so."""
    began_at = at.clock()
    try:
        if one.study is None:
            assert one.problem is not None
            raise one.problem
        if limit.at is None and one.study.run.deadline is not None:
            limit = Limit(time.monotonic() + one.study.run.deadline)
        with obeying(at.stops):
            return night_of_study(at, one.study, asked, limit)
    except (DeadlinePassed, Interrupted, LeaseHeld, LeaseLost):
        raise
    except LrsweepError as error:
        return _failed(one, at, asked, str(error), error.exit_code, began_at)
    except Exception as error:  # the others are to have their night whatever this one meets
        return _failed(one, at, asked, f"{type(error).__name__}: {error}", 1, began_at)


def _failed(one: Found, at: Workplace, asked: Asked, text: str, code: int, began_at: float) -> StudyNight:
    night = StudyNight(
        study=one.name,
        generation="",
        key=asked.key,
        verdict=FAILED,
        sentence=masked(text),
        next_step=("mend that first; " if code == InvalidInput.exit_code else "")
        + "the same command tries it again; what had ended is kept",
        exit_code=code,
        began_at=began_at,
        ended_at=at.clock(),
    )
    if not _is_known(one, at):
        return keep_unknown(at.store, night)
    return night if one.study is not None and _had_ended(at, one.name, asked.key) else keep_failure(at.store, night)


def _had_ended(at: Workplace, study: str, key: str) -> bool:
    """Its result stands, and no failure is kept beside it."""
    with suppress(LrsweepError):
        return had_ended(at.store.nights.rows(study), key)
    return False


def _is_known(one: Found, at: Workplace) -> bool:
    """False of a name that is perhaps mistyped, with no file and without any result: no history is to have it for
    ever."""
    if one.study is not None or Path(one.source).exists():
        return True
    with suppress(LrsweepError):
        store = at.store
        nights = [row for row in store.nights.rows(one.name) if not is_unknown(row)]
        return bool(nights or store.sweeps(one.name) or store.champions.rows(one.name))
    return True


def _exit_code(tally: _Tally, asked: Asked) -> int:
    codes = [night.exit_code for night in tally.nights.values()]
    if asked.is_changed_fine:
        codes = [0 if code == CHANGED else code for code in codes]
    if tally.interrupted is not None:
        codes.append(tally.interrupted.exit_code)
    if tally.unfinished and tally.interrupted is None:
        codes.append(DeadlinePassed.exit_code)
    if tally.locked and not tally.nights:
        codes.append(LeaseHeld.exit_code)
    return gravest(codes)


def gravest(codes: Sequence[int]) -> int:
    """
    >>> gravest([0, 4, 64]), gravest([4, 124]), gravest([])
    (64, 124, 0)
    """
    order = {code: place for place, code in enumerate(GRAVEST)}
    return min(codes, key=lambda code: order.get(code, order[1]), default=0)
