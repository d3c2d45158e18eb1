"""Faults of every kind while sweeps run: ``python -m tests.chaos.monkey --seed 7 --minutes 10``.

Rounds follow each other, at least one of each study, until the time is over; half of it is the first one's. A round
whose time is over is left alone to its end. What a seed does is the same each time, and a round that failed is run
alone with ``--round`` and ``--strikes``, as it is told.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.chaos.monkey.figures import RESULTS, figures, table, written
from tests.chaos.monkey.plan import DECKS
from tests.chaos.monkey.round import Asked, Round, Told
from tests.chaos.monkey.study import KINDS

TRIALS = 110
"""of a round; two of them have more than 200"""


def main() -> int:
    asked = _arguments()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    _say(f"seed {seed}, {asked.minutes:g} minutes, executor {asked.executor}")
    began, seconds = time.monotonic(), 60 * asked.minutes
    told: list[Told] = []
    while not told or (asked.round is None and (len(told) < len(KINDS) or time.monotonic() < began + seconds)):
        number = len(told) if asked.round is None else asked.round
        share = 1.0 if asked.round is not None else min(1.0, (number + 1) / len(KINDS))
        told.append(_round(Asked(seed, number, asked.trials, asked.executor, asked.strikes), began + share * seconds))
        if told[-1].error is not None:
            break
    found = figures(told)
    _say(table(found))
    if asked.keep and told[-1].error is None:
        written(found, RESULTS)
    return int(told[-1].error is not None)


def _round(asked: Asked, over_at: float) -> Told:
    _say(f"round {asked.number}: {asked.trials} trials, {asked.study}")
    folder = Path(tempfile.mkdtemp(prefix="lrsweep-monkey-"))
    is_replay = asked.most is not None
    over = Round(asked, folder, lambda: not is_replay and time.monotonic() > over_at, _say)
    told = over.run()
    if told.error is None:
        shutil.rmtree(folder, ignore_errors=True)
        _say(f"round {asked.number} is whole: {told.strikes} strikes in {told.seconds:.0f} s")
    else:
        _say(
            f"round {asked.number} is BROKEN after {told.strikes} strikes; {folder} has what its drivers said. "
            f"To run it again:\n    python -m tests.chaos.monkey --seed {asked.seed} --round {asked.number} "
            f"--strikes {told.strikes} --trials {asked.trials} --executor {asked.executor}",
        )
    return told


def _say(text: str) -> None:
    """At once, also into a file."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=_seed_given(), help="of what is done, and when (CHAOS_SEED)")
    parser.add_argument("--minutes", type=float, default=10.0, help="after which no strike comes any more")
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each round")
    parser.add_argument("--executor", choices=sorted(DECKS), default="local")
    parser.add_argument("--round", type=int, help="this one alone")
    parser.add_argument("--strikes", type=int, help="of a round at most, however long they take")
    parser.add_argument("--keep", action="store_true", help=f"write the figures to {RESULTS.name}")
    return parser.parse_args()


def _seed_given() -> int | None:
    given = os.environ.get("CHAOS_SEED")
    return int(given) if given else None


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and disks are not left behind
    warnings.simplefilter("ignore")
    sys.exit(main())
