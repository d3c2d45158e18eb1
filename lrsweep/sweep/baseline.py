"""The baseline of a sweep has the first number that the sweep gives, also where the search does not ask first."""

from __future__ import annotations

from lrsweep.records import Origin, SweepRow, SweepStatus, TrialRow
from lrsweep.space import baseline_params, distributions_to_json
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.plans import first_training


def put_first(store: Store, lease: Lease, study: ResolvedStudy, sweep: SweepRow) -> None:
    """Before trials are copied or imported into a sweep that has asked nothing; elsewhere it does nothing.

    ``study`` is the sweep's, with the exponents that it has frozen. The driver finds the trial waiting.
    """
    has_begun = any(trial.origin.counts for trial in store.trials(study.name, sweep_id=sweep.sweep_id))
    if study.baseline is None or has_begun or sweep.status is not SweepStatus.RUNNING:
        return
    params, distributions, _ = baseline_params(study)
    number = store.next_trial_number(study.name)
    at = distributions_to_json(distributions)
    trial = TrialRow(study.name, number, sweep.sweep_id, params, at, origin=Origin.BASELINE)
    store.add_trial(lease, trial, [first_training(study, sweep.sweep_id, number, params)])
