"""``lrsweep choose --from-mlflow EXPERIMENT``: runs of MLflow as results, lrsweep's own and anybody else's.

Of lrsweep's own runs those of each study's newest sweep count, as in ``lrsweep choose STUDY``: an earlier one may have
measured something else. Of these the finalists decide where there are any: a search's values are of one seed each, and
chose them. How often they were looked at as they raced, the sweep's own run says.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lrsweep.cli.choosing.table import choose_among
from lrsweep.errors import InvalidInput, SettingsError, did_you_mean
from lrsweep.findings.asked import NOTHING, Asked, block_of
from lrsweep.schedules.params import value_of
from lrsweep.selection.choice import Choice
from lrsweep.selection.comparing import ALPHA
from lrsweep.selection.results import Point, Result
from lrsweep.settings import FILES, Settings, make_homes
from lrsweep.sweep.importing import FAMILY_NAMES, OPTIMIZER_NAMES, PEAK_NAMES, SCHEDULE_JSON, schedule_named
from lrsweep.tracking.importing import StrangeRun, ended_runs
from lrsweep.tracking.sweeps import STUDY_TAG, SWEEP_TAG, SweepRun, sweep_runs

HORIZON_NAMES = ("horizon", "total_steps", "max_steps", "num_steps", "training_steps", "train_steps", "steps")
SEED_NAMES = ("seed", "random_seed", "random_state", "data_seed")
BESIDE_NAMES = ("model", "batch_size", "per_device_train_batch_size", "weight_decay", "momentum")
"""What tells points apart beside schedule, rate and optimizer. Other params (paths, hosts, versions) do not."""
OLDER = "of an earlier sweep than the newest of study {!r}"


@dataclass(frozen=True)
class Tracked:
    """What the runs of an experiment say."""

    results: tuple[Result, ...]
    searched: tuple[Result, ...]
    """of lrsweep's own search, where finalists decide"""
    left_out: Mapping[str, int]
    """reason -> how many runs"""
    finals: Mapping[tuple[str, str], Mapping[Point, int]] = field(default_factory=dict)
    """by study and sweep, how many seeds of each"""


@dataclass(frozen=True)
class Level:
    """What finals may claim. Where those of several sweeps are put together, the most careful."""

    alpha: float = ALPHA
    looks: int = 1
    racing: tuple[str, ...] = ()
    """studies whose finals have not ended"""
    superseded: tuple[str, ...] = ()
    """those of them of which another sweep was started since, that has no runs to choose by yet"""
    unknown: tuple[str, ...] = ()
    """studies of whose finals it is not known how often they were looked at"""


def results_of(runs: Sequence[StrangeRun], metric: str, sweeps: Mapping[str, SweepRun] | None = None) -> Tracked:
    """Runs newest first: of one training that was run twice the newest counts. ``sweeps`` are those that are known."""
    refused: Counter[str] = Counter()
    found: dict[tuple[bool, Point, int, str], Result] = {}
    newest = newest_sweeps(runs, sweeps or {})
    by_sweep: dict[tuple[str, str], Counter[Point]] = defaultdict(Counter)
    for run in runs:
        study, sweep = run.tags.get(STUDY_TAG, ""), run.tags.get(SWEEP_TAG)
        if sweep is not None and sweep != newest[study]:
            refused[OLDER.format(study)] += 1
            continue
        try:
            result = _result(run, metric)
        except InvalidInput as error:
            refused[str(error)] += 1
            continue
        key = (_is_final(run), result.point, result.horizon, result.seed)
        if key in found:
            refused["the same training as a newer run"] += 1
        elif sweep is not None and _is_final(run):
            by_sweep[study, sweep][result.point] += 1
        found.setdefault(key, result)
    finals = tuple(result for (is_final, *_), result in found.items() if is_final)
    others = tuple(result for (is_final, *_), result in found.items() if not is_final)
    return Tracked(finals or others, others if finals else (), dict(refused.most_common()), dict(by_sweep))


def level_of(finals: Mapping[tuple[str, str], Mapping[Point, int]], sweeps: Mapping[str, SweepRun]) -> Level:
    """Finals that were planned with as many seeds for all are looked at once. Others raced, or lack some: where no run
    says which, it is not known."""
    races = [(study, sweeps[sweep].race if sweep in sweeps else None) for study, sweep in finals]
    known = [race for _, race in races if race is not None]
    racing = [
        (study, sweep) for (study, sweep), (_, race) in zip(finals, races, strict=True) if race and not race.ended
    ]
    are_even = [len(set(seeds.values())) == 1 for seeds in finals.values()]
    return Level(
        alpha=min([ALPHA, *(race.alpha for race in known)]),
        looks=max([1, *(race.looks for race in known)]),
        racing=tuple(study for study, _ in racing),
        superseded=tuple(study for study, sweep in racing if _is_superseded(study, sweep, sweeps)),
        unknown=tuple(
            study for (study, race), is_even in zip(races, are_even, strict=True) if race is None and not is_even
        ),
    )


def _is_superseded(study: str, sweep: str, sweeps: Mapping[str, SweepRun]) -> bool:
    """Whether a later one of the study is known."""
    return any(each.study == study and each.started > sweeps[sweep].started for each in sweeps.values())


def newest_sweeps(runs: Sequence[StrangeRun], sweeps: Mapping[str, SweepRun]) -> dict[str, str]:
    """By study, of those that have runs. Where a sweep's own run is gone its newest training says when it was."""
    found: dict[str, str] = {}
    for run in runs:
        study, sweep = run.tags.get(STUDY_TAG, ""), run.tags.get(SWEEP_TAG)
        if sweep is None:
            continue
        before = found.setdefault(study, sweep)
        if before in sweeps and sweep in sweeps and sweeps[sweep].started > sweeps[before].started:
            found[study] = sweep
    return found


def _check_meanings(experiment: str, sweeps: Mapping[str, str], known: Mapping[str, SweepRun]) -> None:
    """Raises SettingsError where the sweeps are known to have measured different things."""
    meanings = {known[sweep].meaning for sweep in sweeps.values() if sweep in known}
    if len(meanings - {None}) > 1:
        raise SettingsError(
            f"experiment {experiment!r} has runs of studies that measure different things (another workload, data, "
            f"objective, horizon or batch size), so that their values cannot be compared: {', '.join(sorted(sweeps))}. "
            "`lrsweep choose STUDY` answers for one of them; where studies have experiments of their own (`experiment` "
            "in the file's [tracking]), so does --from-mlflow."
        )


def _result(run: StrangeRun, metric: str) -> Result:
    """Raises InvalidInput with the reason why it is none."""
    if run.value is None and not run.has_diverged:
        raise InvalidInput(f"no value of {metric}")
    logged = {name: value_of(text) for name, text in run.logged.items()}
    family, schedule = _schedule(
        {name: text if name == SCHEDULE_JSON else value_of(text) for name, text in run.params.items()}
    )
    horizon = _number(logged, HORIZON_NAMES)
    if horizon is None or horizon % 1:
        raise InvalidInput(f"no horizon (one of {', '.join(HORIZON_NAMES)})")
    seed = next((str(logged[name]) for name in SEED_NAMES if logged.get(name) is not None), run.run_id)
    point = Point(family, schedule, _number(logged, PEAK_NAMES), _beside(logged))
    block = block_of(run.tags.get("lrsweep.engine"), run.tags.get("lrsweep.device"))
    return Result(point, int(horizon), seed, None if run.has_diverged else run.value, run.seconds, block)


def _schedule(params: Mapping[str, Any]) -> tuple[str, str]:
    """Label and JSON; a schedule that lrsweep does not know is its label alone."""
    try:
        schedule, _ = schedule_named(params)
    except InvalidInput:
        label = next((params[name] for name in FAMILY_NAMES if isinstance(params.get(name), str)), None)
        if label is None:
            raise InvalidInput(f"no schedule family (one of {', '.join(FAMILY_NAMES)})") from None
        return label, ""
    return schedule.family, schedule.to_json()


def _number(params: Mapping[str, Any], names: Sequence[str]) -> float | None:
    """The first that is a number above 0: a Trainer's ``max_steps`` is -1 where epochs say how long it trains."""
    given = (params.get(name) for name in names)
    numbers = (float(each) for each in given if isinstance(each, int | float) and not isinstance(each, bool))
    return next((each for each in numbers if 0 < each < math.inf), None)


def _beside(params: Mapping[str, Any]) -> str:
    optimizer = next((str(params[name]) for name in OPTIMIZER_NAMES if isinstance(params.get(name), str)), None)
    settings = (f"{optimizer}.", "extra.")
    others = {name: each for name, each in params.items() if name in BESIDE_NAMES or name.startswith(settings)}
    found = {**({} if optimizer is None else {"optimizer": optimizer}), **dict(sorted(others.items()))}
    return json.dumps(found) if found else ""


def _is_final(run: StrangeRun) -> bool:
    return run.tags.get("lrsweep.kind") == "finalist"


def choose_tracked(
    experiment: str, settings: Settings, metric: str | None, asked: Asked
) -> tuple[str, Choice, Mapping[str, int], tuple[str, ...]]:
    """The metric, the choice, which runs say nothing, by reason, and what is to be known of the others.

    Raises SettingsError where no metric is named, and where no run is a result.
    """
    uri, artifact_root = _mlflow(settings)
    runs = ended_runs(uri, experiment, metric or "", artifact_root=artifact_root)
    known = sorted({name for run in runs for name in run.metrics})
    if metric is None or metric not in known:
        given = "--metric is not given" if metric is None else f"--metric is {metric!r}"
        near = "" if metric is None else did_you_mean(metric, known)
        raise SettingsError(
            f"{given}; wanted is what the runs of experiment {experiment!r} are compared by. They have "
            f"{', '.join(known) or 'none'}.{near}"
        )
    sweeps: Mapping[str, SweepRun] = {}
    if any(SWEEP_TAG in run.tags for run in runs):
        sweeps = sweep_runs(uri, experiment, artifact_root=artifact_root)
        _check_meanings(experiment, newest_sweeps(runs, sweeps), sweeps)
    found = results_of(runs, metric, sweeps)
    if not found.results:
        reasons = "".join(f"\n  {count}: {reason}" for reason, count in found.left_out.items())
        raise SettingsError(f"no run of experiment {experiment!r} is a result to choose by:{reasons}")
    level = level_of(found.finals, sweeps)
    source = ("--from-mlflow", experiment, "--metric", metric)
    choice = choose_among(
        *(found.results, f"experiment {experiment!r}", metric, replace(asked, source=source)),
        searched=found.searched,
        alpha=NOTHING if level.racing else level.alpha,
        looks=level.looks,
    )
    if level.racing:
        choice = replace(choice, next_step=_to_end_the_races(level))
    return metric, replace(choice, cost_unit="s"), found.left_out, _notes(level)


def _to_end_the_races(level: Level) -> str:
    """Which file the later sweep of a study is of, its runs do not say: ``lrsweep run`` goes on with the newest of each
    file."""
    open_ = f"the finals of {_named(level.racing)} have not ended, so that nothing is claimed"
    if not level.superseded:
        return f"{open_}: `lrsweep run` with the study's file goes on with them, where the sweep was not cancelled"
    since = f"another sweep of {_named(level.superseded)} was started since, which has no run to choose by yet"
    return (
        f"{open_}, and {since}. `lrsweep run` goes on with that one, and with these finals only where the study's file "
        "was another one: `lrsweep choose STUDY` knows"
    )


def _notes(level: Level) -> tuple[str, ...]:
    if not level.unknown:
        return ()
    return (
        f"It is not known how often the finals of {_named(level.unknown)} were looked at: they have unequal seeds, as "
        "in a race, and no run of their sweep says at which level. They are judged as if this were the only look; "
        "`lrsweep choose STUDY` knows.",
    )


def _named(studies: Sequence[str]) -> str:
    names = [repr(name) for name in dict.fromkeys(studies)]
    return f"{'study' if len(names) == 1 else 'studies'} {', '.join(names)}"


def _mlflow(settings: Settings) -> tuple[str, Path | None]:
    """Raises SettingsError where there is none yet: a look makes nothing."""
    file = settings.home / FILES[2]
    if settings.tracking_uri is None and settings.database_url is None and not file.is_file():
        raise SettingsError(
            f"there is no MLflow in {settings.home} yet. Set MLFLOW_TRACKING_URI to the server that has the runs, or "
            "LRSWEEP_HOME to the folder of a sweep."
        )
    homes = make_homes(settings)
    return homes.mlflow_uri, homes.artifact_root
