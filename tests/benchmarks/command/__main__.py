"""The time to the same decision on somebody's script: ``python -m tests.benchmarks.command``.

lrsweep and Optuna with ASHA on cut-off trainings get the same time, each in a fresh process and a fresh folder, the
order turned from round to round. Afterwards every point that was ever the pick is trained with seeds of its own, and a
contender has decided when its pick is, and stays, within noise of the best of all these.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import time
from typing import Any

from tests.benchmarks.command import ours
from tests.benchmarks.command.rival import reports
from tests.benchmarks.command.space import rates_of, rivals_study, write_data
from tests.benchmarks.command.story import Moment, Story, Truth, as_good, decided_at
from tests.benchmarks.command.training import HORIZON
from tests.benchmarks.sweep.figures import spread
from tests.benchmarks.sweep.machine import machine, versions
from tests.benchmarks.sweep.process import ENVIRONMENT, NOT_INHERITED

OURS, RIVAL = "lrsweep", "Optuna + ASHA"
TRUTH_SEEDS = 8
TRUTH_FROM = 5_000_000
"""Seeds that no search has."""
RESULTS = Path(__file__).parents[1] / "results"


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return kept | ENVIRONMENT


def told_by_rival(folder: Path, *, seconds: float, seed: int) -> Story:
    words = ["tests.benchmarks.command.rival", str(seconds), str(time()), str(seed)]
    process = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if process.returncode != 0:
        raise RuntimeError(f"{RIVAL} ended with exit code {process.returncode}:\n{process.stderr[-4000:]}")
    said = json.loads(process.stdout.splitlines()[-1])
    return Story(**{**said, "moments": [Moment(**each) for each in said["moments"]]})


def told_by(contender: str, *, seconds: float, seed: int) -> Story:
    with tempfile.TemporaryDirectory(prefix="lrsweep-bench-") as name:
        folder = Path(name)
        write_data(folder)
        if contender == OURS:
            return ours.run(folder, environment(), seconds=seconds, seed=seed)
        return told_by_rival(folder, seconds=seconds, seed=seed)


def truths(points: Mapping[str, Mapping[str, Any]], seeds: int) -> dict[str, Truth]:
    """Each point with the same seeds."""
    study = rivals_study()
    found = {}
    with tempfile.TemporaryDirectory(prefix="lrsweep-bench-") as name:
        before = Path.cwd()
        write_data(Path(name))
        os.environ |= ENVIRONMENT
        os.chdir(name)
        try:
            for number, (key, params) in enumerate(points.items(), 1):
                rates = rates_of(params, study)
                ends = [list(reports(rates, TRUTH_FROM + seed))[-1][1] for seed in range(seeds)]
                found[key] = Truth([end if math.isfinite(end) else math.inf for end in ends])
                print(f"truth {number} of {len(points)}: {found[key].mean:.4f}  {params['family']}", flush=True)
        finally:
            os.chdir(before)
    return found


def summary(stories: Sequence[tuple[int, str, Story]], known: Mapping[str, Truth]) -> dict[str, Any]:
    """Per contender; a ratio is of the same round. Who never decides needs the whole of its time, at least."""
    good = as_good(known) if known else set()
    at = {(number, name): decided_at(story.moments, good) for number, name, story in stories}
    figures: dict[str, Any] = {}
    for name in (OURS, RIVAL):
        own = [(number, story) for number, each, story in stories if each == name]
        figures[name] = {
            "decided": sum(at[number, name] is not None for number, _ in own),
            "rounds": len(own),
            "seconds_to_the_decision": spread([at[number, name] or story.seconds for number, story in own]),
            "seconds": spread([story.seconds for _, story in own]),
            "trials": spread([story.trials for _, story in own]),
            "trainings": spread([story.trainings for _, story in own]),
            "losses_of_the_last_picks": [known[story.moments[-1].point].mean for _, story in own if story.moments],
        }
    seconds = {(number, name): at[number, name] or story.seconds for number, name, story in stories}
    rounds = sorted({number for number, _, _ in stories})
    figures["times_lrsweep"] = spread([seconds[number, RIVAL] / seconds[number, OURS] for number in rounds])
    figures["undecided_counts_as_the_whole_time"] = True
    if known:
        figures["best"] = min(truth.mean for truth in known.values())
        figures["noise"] = statistics.median(truth.error for truth in known.values())
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.command", description="Time to a decision.")
    parser.add_argument("--rounds", type=int, default=3, help="of both (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=600, help="for each contender (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of 30 seconds; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="the folder of command.json (default: results/ beside)")
    arguments = parser.parse_args()
    rounds, seconds, seeds = (1, 30.0, 2) if arguments.quick else (arguments.rounds, arguments.seconds, TRUTH_SEEDS)
    folder = arguments.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if arguments.quick else RESULTS)

    stories: list[tuple[int, str, Story]] = []
    for number in range(rounds):
        for name in (OURS, RIVAL) if number % 2 == 0 else (RIVAL, OURS):
            story = told_by(name, seconds=seconds, seed=number)
            stories.append((number, name, story))
            print(
                f"round {number + 1} of {rounds}  {name:14} {story.trials} trials in {story.seconds:.0f} s", flush=True
            )
    known = truths({key: params for _, _, story in stories for key, params in story.points.items()}, seeds)
    result = {
        "benchmark": "command",
        "quick": arguments.quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": rounds,
        "seconds": seconds,
        "horizon": HORIZON,
        "truth_seeds": seeds,
        "machine": machine(),
        "versions": versions(),
        "figures": summary(stories, known),
        "runs": [{"round": number, "contender": name, **asdict(story)} for number, name, story in stories],
        "truths": {key: list(truth.losses) for key, truth in known.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "command.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{json.dumps(result['figures'], indent=2)}\n{folder / 'command.json'}")


if __name__ == "__main__":
    main()
