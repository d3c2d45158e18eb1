"""What a study asks, as its file states it; ``resolved`` fills in what only the workload knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lrsweep.errors import InvalidInput, Problem, ScheduleError, StudyError, did_you_mean
from lrsweep.records import Direction, EngineSettings, WorkloadFacts, WorkloadSpec
from lrsweep.schedules.reading import schedule_from_json
from lrsweep.scripts import command
from lrsweep.scripts.command_line import placeholders
from lrsweep.study.adjusted import ADVICE
from lrsweep.study.baselines import AskedBaseline
from lrsweep.study.objectives import Objective
from lrsweep.study.places import Places
from lrsweep.study.problems import no_metric
from lrsweep.study.resolved import ResolvedStudy
from lrsweep.study.spaces import Range, SpaceSpec, is_count
from lrsweep.study.specs import (
    PLAIN,
    Baseline,
    BudgetSpec,
    NightlySpec,
    RunSpec,
    SearchSpec,
    SelectionSpec,
    TrackingSpec,
)
from lrsweep.workloads import catalog
from lrsweep.workloads.horizon import steps_of


@dataclass(frozen=True)
class Study:
    """A study file, read and checked whole."""

    name: str
    workload: WorkloadSpec
    """with all its settings, the defaults too"""
    space: SpaceSpec
    budget: BudgetSpec
    source: str
    """the file, for messages"""
    horizon: int | str | None = None
    """of a full training, in steps or as a text such as "30 epochs"; None: the workload's own"""
    seed: int = 0
    metric: str = "val_loss"
    direction: Direction | None = None
    """None: what the workload says of the metric, else a smaller one is better"""
    engine: EngineSettings = PLAIN
    objective: Objective = Objective()  # noqa: RUF009 (frozen values, here and below)
    search: SearchSpec = SearchSpec()  # noqa: RUF009
    selection: SelectionSpec = SelectionSpec()  # noqa: RUF009
    baseline: AskedBaseline | None = None
    """None: what a script itself says of its schedule, else none"""
    run: RunSpec = RunSpec()  # noqa: RUF009
    nightly: NightlySpec = NightlySpec()  # noqa: RUF009
    """no part of what a sweep does, so that nothing of it is kept with one"""
    tracking: TrackingSpec = TrackingSpec()  # noqa: RUF009
    places: Places = field(default_factory=Places, compare=False, repr=False)
    """where the file says what, for problems that its text alone does not show"""
    text: str = field(default="", compare=False, repr=False)
    """the file's; none where this is not what it says, as on random data"""

    def on_random_data(self) -> Study:
        """The same with random tensors of the true shapes for data; only its speed means anything.

        Raises InvalidInput where the workload has none.
        """
        have = [name for name in catalog.workload_names() if _has_random_data(name)]
        if self.workload.name not in have:
            raise InvalidInput(
                f"--synthetic: the workload {self.workload.name!r} has no random data in place of its own. "
                f"These have: {', '.join(have)}."
            )
        settings = {**self.workload.settings, "synthetic": True}
        return replace(self, workload=catalog.complete(WorkloadSpec(self.workload.name, settings)), text="")

    def resolved(self, facts: WorkloadFacts) -> ResolvedStudy:
        """The study with the workload's horizon, rate ranges and direction wherever the file gives none of its own.

        Raises StudyError with all that ``completed`` finds.
        """
        study, problems = self.completed(facts)
        if problems:
            raise StudyError(self.source, problems)
        return study

    def completed(self, facts: WorkloadFacts) -> tuple[ResolvedStudy, list[Problem]]:
        """The same, and what is wrong with it: an optimizer that has no range in either, a metric that the workload
        does not have, a parameter that the script does not take, a horizon that it cannot count in steps, a baseline
        that nobody can make, and points of the space that a rung has no room for.

        With problems the study is no more than what the others can be looked for in.
        """
        horizon, problems = self._horizon(facts)
        is_counted = not problems
        ranges = {name: self.space.peak_lr.get(name) or facts.peak_lr.get(name) for name in self.space.optimizers}
        known = {f"val_{name}": direction for name, direction in facts.metrics.items()}
        direction = self.direction or known.get(self.metric, "minimize")
        problems += [
            *self._no_ranges(facts, ranges),
            *self._no_metric(facts, known),
            *self._not_taken(facts),
        ]
        baseline, told = self._baseline(facts, horizon, direction) if is_counted else (None, [])
        study = ResolvedStudy(
            name=self.name,
            workload=self.workload,
            facts=facts,
            metric=self.metric,
            direction=direction,
            engine=self.engine,
            horizon=horizon,
            seed=self.seed,
            space=replace(self.space, peak_lr={name: searched for name, searched in ranges.items() if searched}),
            trials=0,
            source=self.source,
            objective=self.objective,
            search=self.search,
            budget=self.budget,
            selection=self.selection,
            baseline=baseline,
            run=self.run,
            tracking=self.tracking,
        ).paced(None)
        return study, [*problems, *told, *self._misfits(study, is_counted=is_counted)]

    def _horizon(self, facts: WorkloadFacts) -> tuple[int, list[Problem]]:
        """The workload's own where the file's cannot be counted in steps."""
        try:
            horizon = facts.horizon if self.horizon is None else steps_of(self.horizon, facts)
        except InvalidInput as error:
            return facts.horizon, [self.places.problem(str(error), "study", "horizon")]
        counted = self.space.counted_steps()
        if counted < horizon or not self.places.are_sound(("study", "horizon")):
            return horizon, []
        place = ("space", "warmup" if is_count(self.space.warmup) else "settings")
        text = f"{counted} steps leave nothing of a full training of {horizon}. Give fewer, or a longer study.horizon."
        return horizon, [self.places.problem(text, *place)]

    def _no_ranges(self, facts: WorkloadFacts, ranges: Mapping[str, Range | None]) -> list[Problem]:
        if not self.places.are_sound(("space", "optimizers")):
            return []
        missing = [name for name, searched in ranges.items() if searched is None]
        return [
            self.places.problem(
                f"missing, and the workload {facts.name!r} names no range of its own for {name}. "
                f"Write one under [space.peak_lr], for example {name} = [0.001, 0.1].",
                *("space", "peak_lr", name),
            )
            for name in missing
            if self.places.are_sound(("space", "peak_lr", name))
        ]

    def _no_metric(self, facts: WorkloadFacts, known: Mapping[str, Direction]) -> list[Problem]:
        if not known or self.metric in known or not self.places.are_sound(("study", "metric"), ("study", "objective")):
            return []
        key = "objective" if self.objective.kind == "target" else "metric"
        return [self.places.problem(no_metric(facts.name, self.metric, known), "study", key)]

    def _not_taken(self, facts: WorkloadFacts) -> list[Problem]:
        """Parameters that the script would refuse in every training: a wrong name costs no trial."""
        if facts.script_settings is None:
            return []
        known = facts.script_settings
        on_its_command_line = placeholders(command.command_of(self.workload).command)
        return [
            self.places.problem(
                f"the script's lrsweep.attach(settings=...) has no {name!r}.{did_you_mean(name, known)} "
                f"It has {', '.join(known)}. Add the name there with the script's own value, or take it out here.",
                *("space", "extra", name),
            )
            for name in self.space.extra
            if name not in known and name not in on_its_command_line
        ]

    def _baseline(
        self, facts: WorkloadFacts, horizon: int, direction: Direction
    ) -> tuple[Baseline | None, list[Problem]]:
        if self.baseline is not None:
            try:
                return self.baseline.on(horizon, direction), []
            except InvalidInput as error:
                return None, [self.places.problem(str(error), "baseline")]
        if facts.baseline is None:
            return None, []
        text, peak_lr = facts.baseline
        try:
            return Baseline(schedule_from_json(text), peak_lr, command.OPTIMIZER), []
        except ScheduleError:  # a function of the script's own, which no file may call
            return None, []

    def _misfits(self, study: ResolvedStudy, *, is_counted: bool) -> list[Problem]:
        """Of families that the study says something of: points that are no schedule, or that a rung has no room for."""
        problems = []
        shared = [("space", "warmup"), ("space", "floor"), ("study", "horizon"), ("search", "rungs")]
        for name in study.space.settings:
            place = ("space", "settings", name)
            if not self.places.are_sound(place, *shared):
                continue
            if misfit := study.space.misfit(name, study.direction):
                problems.append(self.places.problem(f"{misfit}. {ADVICE}.", *place))
            elif is_counted and (crowded := study.space.crowded(name, study.rungs)):
                text = f"{crowded}. {ADVICE}, study.horizon or search.rungs."
                problems.append(self.places.problem(text, *place))
        return problems


def _has_random_data(workload: str) -> bool:
    return any(setting.name == "synthetic" for setting in catalog.entry(workload).settings)
