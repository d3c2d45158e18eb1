"""The search: an Optuna study in memory, rebuilt from the store at each start. Nothing in it is ever lost, for nothing
in it is kept: what it knows is a function of the committed rows.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from lrsweep.records import Direction, Json, Origin, TrainingRow, TrialRow, TrialState, stable_hash
from lrsweep.selection import cost
from lrsweep.space import baseline_params, distributions_from_json, distributions_to_json, suggest
from lrsweep.store.base import TrialEnd
from lrsweep.study import ResolvedStudy, hears
from lrsweep.sweep.halting import rung_step, rung_values
from lrsweep.sweep.samplers import make_pruner, make_sampler

LARGEST_HISTORY = 1000
"""Trials that an ask looks at: of more, the best half and the newest half are kept. At 10,000 an ask would take ten
times as long."""
SLACK = 100
"""The history grows by so many trials beyond that before it is cut again."""

TRIAL_ATTRIBUTE = "lrsweep_trial"
BASELINE = "lrsweep_baseline"

OPTUNA_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}

Point = Mapping[str, Json]

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Search:
    """Asks for trials and is told of them once; knows trials by their number in the study."""

    def __init__(
        self,
        study: ResolvedStudy,
        trials: Sequence[TrialRow],
        trainings: Mapping[int, Sequence[TrainingRow]],
        *,
        sweep_id: str,
        points: Iterable[Point] = (),
    ) -> None:
        """``trials`` are all of the generation, ``trainings`` theirs by trial, and a halted copy's are its original's.
        The sweep's own unfinished go on.

        ``points`` are asked for first, each once in the life of the sweep, and so are imported points without a value.
        """
        self._study = study
        self._refused: frozenset[str] = frozenset()
        self._in_place = 0
        self._asked: dict[int, optuna.Trial] = {}
        self._reported: dict[int, set[int]] = {}
        self._drawn = len(trials)
        own = [trial for trial in trials if trial.sweep_id == sweep_id and trial.origin.counts]
        heard = [trial for trial in trials if trial.is_told and trial.distributions and not _is_a_bare_point(trial)]
        frozen = [frozen_trial(trial, trainings.get(trial.number, ()), study) for trial in heard]
        self._pruner: BasePruner | None
        self._optuna: optuna.Study
        self._begin(kept(frozen, study.sense))
        for trial in own:
            if trial.state is TrialState.RUNNING and trial.distributions:
                values = rung_values(trainings.get(trial.number, ()), study.value_key, study.search.reduction_factor)
                self._resume(trial.number, trial.params, values)
        had = [trial.params for trial in own]
        imported = [trial.params for trial in trials if _is_a_bare_point(trial)]
        first: list[Point] = []
        for point in map(dict, [*points, *imported]):
            if point not in had and point not in first:
                first.append(point)
        # an unfinished trial that another sweep left behind will never say anything
        counted = {trial.number: trial.params for trial in [*heard, *own]}
        tried = Counter(str(params["family"]) for params in [*counted.values(), *first])
        self._owed: deque[Point] = deque([*first, *self._equal_start(tried)])

    def _begin(self, finished: Sequence[FrozenTrial]) -> None:
        """A study that knows these trials and nothing else."""
        # the number of trials is in the seed: after a restart the same points would otherwise be drawn again
        seed = int(stable_hash([self._study.seed, self._study.generation, self._drawn])[:8], 16)
        self._pruner = make_pruner(self._study)
        self._optuna = optuna.create_study(
            storage=None,
            sampler=optuna.samplers.RandomSampler(),
            pruner=self._pruner or optuna.pruners.NopPruner(),
            direction=self._study.sense,
            study_name=self._study.name,  # Hyperband deals trials to its brackets by it
        )
        for trial in finished:
            self._add(trial)
        self._optuna.sampler = make_sampler(self._study, seed)

    def _add(self, trial: FrozenTrial) -> None:
        if self._pruner is None or not trial.intermediate_values:
            self._optuna.add_trial(trial)
            return
        self._optuna.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
        asked = self._optuna.ask(fixed_distributions=trial.distributions)
        self._report_again(asked, trial.intermediate_values)
        self._optuna.tell(asked, trial.value if trial.state is OptunaState.COMPLETE else None, state=trial.state)

    def _report_again(self, asked: optuna.Trial, values: Mapping[int, float]) -> None:
        for step, value in values.items():
            asked.report(value, step)
            if self._pruner is not None:
                asked.should_prune()  # some of Optuna's write into a trial what they said of it, and compare by that

    def ask(self) -> tuple[optuna.Trial, dict[str, Json], dict[str, Json]]:
        """The trial, its parameters and its distributions; it exists once the store has it (see ``accept``)."""
        self._forget()
        trial = self._draw(self._owed.popleft() if self._owed else None)
        while trial.params["family"] in self._refused:
            self._optuna.tell(trial, state=OptunaState.FAIL)  # of a failed trial the sampler learns nothing
            left = [name for name in self._study.space.families if name not in self._refused]
            trial = self._draw({"family": left[self._in_place % len(left)]})
            self._in_place += 1
        return trial, dict(trial.params), distributions_to_json(trial.distributions)

    def baseline(self) -> tuple[dict[str, Json], dict[str, Json], optuna.Trial | None]:
        """The parameters and distributions of what the user runs today; beside the space there is no trial to accept,
        and the search is not to be told of it."""
        params, distributions, is_inside = baseline_params(self._study)
        return params, distributions_to_json(distributions), self._draw(params) if is_inside else None

    def drop_reactive(self) -> bool:
        """From here on families that react to a metric are not drawn, others in turn in their place; False where there
        are no others. A new search asks for them again: the script may have been mended."""
        families = self._study.space.families
        if all(map(hears, families)):
            return False
        self._refused = frozenset(filter(hears, families))
        return True

    def _draw(self, given: Point | None) -> optuna.Trial:
        if given is not None:
            self._optuna.enqueue_trial(dict(given))
        trial = self._optuna.ask()
        suggest(trial, self._study)
        self._drawn += 1
        return trial

    def accept(self, number: int, trial: optuna.Trial) -> None:
        """From here on the trial is known by its number in the study."""
        self._asked[number] = trial
        self._reported[number] = set()

    def knows(self, number: int) -> bool:
        """Whether the trial is to be reported and told: a baseline beside the space is not."""
        return number in self._asked

    def report(self, number: int, rung: int, value: float) -> None:
        step = rung_step(rung, self._study.search.reduction_factor)
        if step not in self._reported[number]:
            self._reported[number].add(step)
            self._asked[number].report(value, step)

    def halts(self, number: int) -> bool | None:
        """What Optuna's pruner says after a ``report``; None where halting is ours."""
        return None if self._pruner is None else self._asked[number].should_prune()

    def tell(self, number: int, end: TrialEnd, *, rung: int) -> None:
        """Tells Optuna once, and reports the value of the last rung, without which TPE takes a halted trial for one
        of the worst. A diverged trial is PRUNED with NaN: so TPE learns that the point is bad.
        """
        if end.state is not TrialState.FAILED:
            self.report(number, rung, math.nan if end.value is None else end.value)
        trial = self._asked.pop(number)
        del self._reported[number]
        trial.set_user_attr(TRIAL_ATTRIBUTE, number)
        self._optuna.tell(
            trial,
            values=end.value if end.state is TrialState.COMPLETE else None,
            state=OPTUNA_STATES[end.state],
        )

    def _forget(self) -> None:
        """Cuts a history that has grown too long; unfinished trials are none of it, and stay."""
        trials = self._optuna.get_trials(deepcopy=False)
        if len(trials) <= LARGEST_HISTORY + SLACK:
            return
        finished = [trial for trial in trials if trial.state.is_finished()]
        asked = {number: trials[trial.number] for number, trial in self._asked.items()}
        self._begin(kept(finished, self._study.sense))
        for number, trial in asked.items():
            self._resume(number, trial.params, trial.intermediate_values)

    def _resume(self, number: int, params: Point, values: Mapping[int, float]) -> None:
        trial = self._draw(params)
        self.accept(number, trial)
        self._reported[number].update(values)
        self._report_again(trial, values)

    def _equal_start(self, had: Counter[str]) -> list[Point]:
        """The first half of the budget gives every family the same number of trials, in turn."""
        families = self._study.space.families
        rounds = max(1, self._study.trials // (2 * len(families)))
        return [{"family": name} for turn in range(rounds) for name in families if had[name] <= turn]


def kept(finished: Sequence[FrozenTrial], sense: Direction) -> list[FrozenTrial]:
    values = [trial.value if trial.state is OptunaState.COMPLETE else None for trial in finished]
    return [finished[place] for place in best_and_newest(values, sense, LARGEST_HISTORY)]


def best_and_newest(values: Sequence[float | None], sense: Direction, most: int) -> list[int]:
    """The places of the best and of the newest, half each where there are too many; None is no value.

    >>> best_and_newest([0.1, 0.4, None, 0.3, 0.2], "minimize", 3), best_and_newest([0.1, None], "minimize", 3)
    ([0, 3, 4], [0, 1])
    """
    ranked = sorted((cost(value, sense), place) for place, value in enumerate(values) if value is not None)
    chosen = {place for _, place in ranked[: most // 2]}
    newest = (place for place in reversed(range(len(values))) if place not in chosen)
    return sorted({*chosen, *islice(newest, most - len(chosen))})


def frozen_trial(trial: TrialRow, trainings: Sequence[TrainingRow], study: ResolvedStudy) -> FrozenTrial:
    """A finished trial in Optuna's own form, as the search and the copy in Optuna's storage hold it.

    Of one that was copied ``trainings`` are those of the trial that it was copied from, and what halted it stands at
    the rung that this reached; at the first where that is not known. A baseline beside the space has no parameters in
    Optuna's sense; they are one attribute.
    """
    values = rung_values(trainings, study.value_key, study.search.reduction_factor)
    if not trial.origin.counts and trial.state is TrialState.PRUNED:
        values = {max(values, default=rung_step(0)): math.nan if trial.value is None else trial.value}
    return optuna.create_trial(
        state=OPTUNA_STATES[trial.state],
        value=trial.value,
        params=dict(trial.params) if trial.distributions else {},
        distributions=distributions_from_json(trial.distributions),
        intermediate_values=values,
        user_attrs={TRIAL_ATTRIBUTE: trial.number, **({} if trial.distributions else {BASELINE: dict(trial.params)})},
    )


def _is_a_bare_point(trial: TrialRow) -> bool:
    """Imported without a value that could be compared: its point is tried, and teaches nothing before."""
    return trial.origin is Origin.FOREIGN and trial.state is TrialState.FAILED
