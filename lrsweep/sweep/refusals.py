"""All that keeps a sweep of a study file from beginning, at once: what its text shows, and what only others can say.

The workload says what it is, and the sampler and the pruner are made once. Neither is asked of a part that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lrsweep.errors import InvalidInput, LrsweepError, Problem, StudyError
from lrsweep.records import WorkloadFacts, WorkloadSpec
from lrsweep.study import Examined, ResolvedStudy, Study

ALWAYS_MADE = ("auto", "halving")
"""What a study has by default, and what takes no settings."""

UNKNOWN = WorkloadFacts("unknown", {}, version=1, data_hash="", batch_size=1, horizon=1000, peak_lr={})
"""Stands for the facts of a workload that is wrong, where nothing that is looked at follows from them."""


def completed(examined: Examined, describe: Callable[[WorkloadSpec], WorkloadFacts]) -> ResolvedStudy:
    """The study as its workload completes it. Raises StudyError with all problems; what ``describe`` raises, where that
    is all that is wrong."""
    study = examined.study
    problems = list(examined.problems)
    facts, refused = UNKNOWN, None
    is_asked = study.places.are_sound(("study", "workload"))
    if is_asked:
        try:
            facts = describe(study.workload)
        except LrsweepError as error:
            refused = error
    resolved, told = study.completed(facts)
    if is_asked and refused is None:
        problems += told
    problems += _unmade(study, resolved)
    if refused is not None:
        if not problems or not isinstance(refused, InvalidInput):
            raise refused
        problems.append(study.places.problem(str(refused).replace("\n", "\n  "), "study", "workload"))
    if problems:
        raise StudyError(study.source, problems)
    return resolved


def _unmade(study: Study, resolved: ResolvedStudy) -> Iterator[Problem]:
    """A sampler or pruner whose class cannot be imported, or does not take these settings."""
    wanted = {"sampler": study.search.sampler, "pruner": study.search.pruner}
    asked = [key for key, each in wanted.items() if each.name not in ALWAYS_MADE]
    if not asked:
        return
    from lrsweep.sweep.samplers import make_pruner, make_sampler  # Optuna takes a while to import

    for key in asked:
        if not study.places.are_sound(("search", key)):
            continue
        try:
            if key == "sampler":
                make_sampler(resolved, seed=0)
            else:
                make_pruner(resolved)
        except InvalidInput as error:
            yield study.places.problem(str(error).removeprefix(f"search.{key} "), "search", key)
