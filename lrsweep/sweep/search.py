"""The search: an Optuna study in memory, rebuilt from the store at each start. Nothing in it is ever lost, for nothing
in it is kept: what it knows is a function of the committed rows.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from lrsweep.records import Json, TrainingRow, TrialRow, TrialState, stable_hash
from lrsweep.space import distributions_from_json, distributions_to_json, suggest
from lrsweep.store.base import TrialEnd
from lrsweep.study import ResolvedStudy, hears
from lrsweep.sweep.halting import rung_step, rung_values

LARGEST_HISTORY = 1000
"""TPE's ask takes 42 ms at 1,000 trials and 413 ms at 10,000; the newest are kept."""

TRIAL_ATTRIBUTE = "lrsweep_trial"

_OPTUNA_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}

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
    ) -> None:
        """``trials`` are all of the generation, ``trainings`` theirs by trial; the sweep's own unfinished go on."""
        self._study = study
        self._refused: frozenset[str] = frozenset()
        self._in_place = 0
        self._asked: dict[int, optuna.Trial] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `group` is what conditions need
            # the number of trials is in the seed: after a restart the same points would otherwise be drawn again
            seed = int(stable_hash([study.seed, study.generation, len(trials)])[:8], 16)
            sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
        self._optuna = optuna.create_study(
            storage=None, sampler=sampler, pruner=optuna.pruners.NopPruner(), direction=study.direction
        )
        finished = [trial for trial in trials if trial.state is not TrialState.RUNNING]
        for trial in finished[-LARGEST_HISTORY:]:
            self._optuna.add_trial(frozen_trial(trial, trainings.get(trial.number, ()), study.metric))
        for trial in trials:
            if trial.state is TrialState.RUNNING and trial.sweep_id == sweep_id:
                self._resume(trial, rung_values(trainings.get(trial.number, ()), study.metric))
        # an unfinished trial that another sweep left behind will never say anything
        counted = [trial for trial in trials if trial.is_told or trial.sweep_id == sweep_id]
        self._enqueue_equal_start(Counter(str(trial.params["family"]) for trial in counted))

    def ask(self) -> tuple[optuna.Trial, dict[str, Json], dict[str, Json]]:
        """The trial, its parameters and its distributions; it exists once the store has it (see ``accept``)."""
        trial = self._drawn()
        while trial.params["family"] in self._refused:
            self._optuna.tell(trial, state=OptunaState.FAIL)  # of a failed trial the sampler learns nothing
            left = [name for name in self._study.space.families if name not in self._refused]
            self._optuna.enqueue_trial({"family": left[self._in_place % len(left)]})
            self._in_place += 1
            trial = self._drawn()
        return trial, dict(trial.params), distributions_to_json(trial.distributions)

    def drop_reactive(self) -> bool:
        """From here on families that react to a metric are not drawn, others in turn in their place; False where there
        are no others. A new search asks for them again: the script may have been mended."""
        families = self._study.space.families
        if all(map(hears, families)):
            return False
        self._refused = frozenset(filter(hears, families))
        return True

    def _drawn(self) -> optuna.Trial:
        trial = self._optuna.ask()
        suggest(trial, self._study)
        return trial

    def accept(self, number: int, trial: optuna.Trial) -> None:
        """From here on the trial is known by its number in the study."""
        self._asked[number] = trial

    def report(self, number: int, rung: int, value: float) -> None:
        self._asked[number].report(value, rung_step(rung))

    def tell(self, number: int, end: TrialEnd, *, rung: int) -> None:
        """Tells Optuna once, and reports the value of the last rung, without which TPE takes a halted trial for one
        of the worst. A diverged trial is PRUNED with NaN: so TPE learns that the point is bad.
        """
        trial = self._asked.pop(number)
        if end.state is not TrialState.FAILED:
            trial.report(math.nan if end.value is None else end.value, rung_step(rung))
        self._optuna.tell(
            trial,
            values=end.value if end.state is TrialState.COMPLETE else None,
            state=_OPTUNA_STATES[end.state],
        )

    def _resume(self, trial: TrialRow, values: Mapping[int, float]) -> None:
        self._optuna.enqueue_trial(dict(trial.params))
        asked = self._optuna.ask()
        suggest(asked, self._study)
        for step, value in values.items():
            asked.report(value, step)
        self._asked[trial.number] = asked

    def _enqueue_equal_start(self, had: Counter[str]) -> None:
        """The first half of the budget gives every family the same number of trials, in turn."""
        families = self._study.space.families
        rounds = max(1, self._study.trials // (2 * len(families)))
        for turn in range(rounds):
            for name in families:
                if had[name] <= turn:
                    self._optuna.enqueue_trial({"family": name})


def frozen_trial(trial: TrialRow, trainings: Sequence[TrainingRow], metric: str) -> FrozenTrial:
    """A finished trial in Optuna's own form, as the search and the copy in Optuna's storage hold it."""
    values = rung_values(trainings, metric)
    return optuna.create_trial(
        state=_OPTUNA_STATES[trial.state],
        value=trial.value,
        params=dict(trial.params),
        distributions=distributions_from_json(trial.distributions),
        intermediate_values=values,
        user_attrs={TRIAL_ATTRIBUTE: trial.number},
    )
