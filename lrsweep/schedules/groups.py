"""A schedule for each parameter group: different curves, different peaks, one table.

>>> import lrsweep
>>> slow, fast = lrsweep.schedule("linear"), lrsweep.schedule("constant")
>>> groups = lrsweep.grouped({"backbone": (slow, 0.1), "head": fast})
>>> {name: rates.tolist() for name, rates in groups.rates(2, peak_lr=1.0).items()}
{'backbone': [0.1, 0.05], 'head': [1.0, 1.0]}
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any, NamedTuple, SupportsIndex, TypeVar

import numpy as np

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.base import JSON_VERSION, Schedule
from lrsweep.schedules.checks import checked_horizon, needs_metric
from lrsweep.schedules.course import Course, Floats
from lrsweep.schedules.families.constant import Constant
from lrsweep.schedules.kinds import ABOVE_ZERO, as_number, listing
from lrsweep.schedules.reading import STANDS_IN, read_json, schedule_from_dict, version_problems

SMALLEST = '{"family": "grouped", "groups": [{"name": "all", "schedule": {"family": "cosine"}}]}'
MOST_GROUPS = 100_000

MULTIPLIER = "the group's own peak as a multiple of peak_lr"
WEIGHT_DECAY = "the curve that the weight decay follows"

Made = TypeVar("Made")


class Group(NamedTuple):
    """A parameter group's name, its schedule, and its own peak as a multiple of ``peak_lr``."""

    name: str
    schedule: Schedule
    multiplier: float = 1.0


@dataclass(frozen=True, repr=False)
class Grouped:
    """A schedule for each parameter group, in their order; it is no ``Schedule``, since it has many rates at a time.

    A floor is a fraction of each group's own peak, which is ``peak_lr`` times its multiplier.
    """

    groups: tuple[Group, ...]
    weight_decay: Schedule | None = None

    def __post_init__(self) -> None:
        problems = [*_problems_with_groups(self.groups), *problems_with_weight_decay(self.weight_decay)]
        if problems:
            raise ScheduleError(listing("grouped", problems))
        read = (Group(group.name, group.schedule, as_number(group.multiplier)) for group in self.groups)
        object.__setattr__(self, "groups", tuple(read))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(group.name for group in self.groups)

    @property
    def schedules(self) -> dict[str, Schedule]:
        return {group.name: group.schedule for group in self.groups}

    @property
    def multipliers(self) -> dict[str, float]:
        return {group.name: group.multiplier for group in self.groups}

    @property
    def needs_metric(self) -> bool:
        """Whether some group's rate depends on a metric."""
        return any(group.schedule.needs_metric for group in self.groups)

    def rates(self, total_steps: SupportsIndex, peak_lr: float = 1.0) -> dict[str, Floats]:
        """The rate of each step, by the group's name; ``NeedsMetric`` where a group reacts to a metric."""
        steps, peak = checked_horizon(total_steps, peak_lr)
        self._time_driven("rates")
        return self._of_each("rates", lambda group: group.schedule.rates(steps, peak * group.multiplier))

    def replay(
        self, metrics: Mapping[int, float] | Sequence[float], total_steps: SupportsIndex, peak_lr: float = 1.0
    ) -> dict[str, Floats]:
        """The rates that a training with these metrics would have had, by the group's name: ``Schedule.replay``."""
        steps, peak = checked_horizon(total_steps, peak_lr, "replay")
        return self._of_each("replay", lambda group: group.schedule.replay(metrics, steps, peak * group.multiplier))

    def table(self, total_steps: SupportsIndex) -> Floats:
        """The rates for a ``peak_lr`` of 1, an array of groups × steps: factors times the group's multiplier."""
        steps, _ = checked_horizon(total_steps, 1.0, "table")
        self._time_driven("table")
        return np.stack(
            list(self._of_each("table", lambda group: group.schedule.rates(steps, group.multiplier)).values())
        )

    def course(self, total_steps: int) -> dict[str, Course]:
        """Each group's schedule laid out, for engines and bridges: factors of the group's own peak, so that its
        multiplier is not in them."""
        return self._of_each("course", lambda group: group.schedule.course(total_steps))

    def weight_decays(self, total_steps: SupportsIndex, weight_decay: float) -> Floats:
        """The weight decay of each step: ``weight_decay`` is its peak, and stays where no schedule was given for it."""
        steps, _ = checked_horizon(total_steps, 1.0, "weight_decays")
        peak = as_number(weight_decay)
        if not 0 <= peak < math.inf:
            raise ScheduleError(
                f"weight_decays: weight_decay must be a finite number of 0 or more, not {shortened(weight_decay)}"
            )
        return peak * (self.weight_decay or Constant()).rates(steps)

    def torch(
        self,
        optimizer: Any,
        total_steps: SupportsIndex,
        *,
        peak_lr: float | Sequence[float] | Mapping[str, float] | None = None,
        on_conflict: str = "refuse",
    ) -> Any:
        """A ``torch.optim.lr_scheduler.LRScheduler``, as from ``Schedule.torch``; a parameter group follows the
        schedule of its ``group["name"]``, and its peak is multiplied by the multiplier of that name."""
        # By name: schedules work where PyTorch is not installed.
        bridge = importlib.import_module("lrsweep.integrations.torch_scheduler").TorchScheduler
        return bridge(
            self, optimizer, total_steps, peak_lr=peak_lr, weight_decay=self.weight_decay, on_conflict=on_conflict
        )

    def to_dict(self) -> dict[str, Any]:
        """As ``to_json`` writes it, without the version."""
        groups = [
            {"name": group.name, "schedule": group.schedule.to_dict(), "multiplier": group.multiplier}
            for group in self.groups
        ]
        return {
            "family": "grouped",
            "groups": groups,
            "weight_decay": self.weight_decay.to_dict() if self.weight_decay else None,
        }

    def to_json(self) -> str:
        """One JSON object, which ``lrsweep.grouped_from_json`` reads."""
        return json.dumps({"version": JSON_VERSION, **self.to_dict()})

    def to_code(self, target: str, total_steps: SupportsIndex, peak_lr: float = 1.0) -> str:
        """The groups on this horizon as a text of Python that needs no lrsweep: ``rate(group, step)``.

        ``target`` is "python", or "torch" for a scheduler too, which finds each parameter group by its "name".
        """
        from lrsweep.schedules.code import grouped_to_code

        return grouped_to_code(self, target, total_steps, peak_lr)

    def __repr__(self) -> str:
        groups = ", ".join(
            f"{name!r}: {one!r}" if multiplier == 1 else f"{name!r}: ({one!r}, {multiplier!r})"
            for name, one, multiplier in self.groups
        )
        decay = f", weight_decay={self.weight_decay!r}" if self.weight_decay else ""
        return f"lrsweep.grouped({{{groups}}}{decay})"

    def _of_each(self, asked: str, make: Callable[[Group], Made]) -> dict[str, Made]:
        """By the group's name; what does not fit a horizon is told for all groups at once."""
        made: dict[str, Made] = {}
        problems = []
        for group in self.groups:
            try:
                made[group.name] = make(group)
            except ScheduleError as refused:
                problems.append(f"group {group.name!r}: {refused}")
        if problems:
            raise ScheduleError(listing(asked, problems))
        return made

    def _time_driven(self, asked: str) -> None:
        for group in self.groups:
            if group.schedule.needs_metric:
                raise needs_metric(group.schedule.family, f"{asked} of group {group.name!r}")


def grouped(
    groups: Mapping[str, Schedule | tuple[Schedule, float]], *, weight_decay: Schedule | None = None
) -> Grouped:
    """A schedule for each parameter group, by the group's name; with a multiplier where a group's peak is not
    ``peak_lr`` itself. The weight decay may follow a schedule too.

    >>> import lrsweep
    >>> cosine = lrsweep.schedule("cosine")
    >>> lrsweep.grouped({"backbone": (cosine, 0.1), "head": cosine}).table(2).tolist()
    [[0.1, 0.05], [1.0, 0.5]]
    """
    if not isinstance(groups, Mapping):
        raise ScheduleError(
            "grouped: groups must be a mapping of names to schedules such as {'head': lrsweep.schedule('cosine')}, "
            f"not {shortened(groups)}"
        )
    pairs = {name: one if isinstance(one, (tuple, list)) else (one, 1.0) for name, one in groups.items()}
    members = [Group(name, *pair) for name, pair in pairs.items() if len(pair) == 2]
    problems = [
        f"group {shortened(name)} must be a schedule, or a pair of a schedule and a multiplier, not {shortened(pair)}"
        for name, pair in pairs.items()
        if len(pair) != 2
    ]
    if problems:
        problems += [*_problems_with_groups(members, least=0), *problems_with_weight_decay(weight_decay)]
        raise ScheduleError(listing("grouped", problems))
    return Grouped(tuple(members), weight_decay)


def layerwise(
    schedule: Schedule, names: Iterable[str], decay: float = 0.75, *, weight_decay: Schedule | None = None
) -> Grouped:
    """The same curve for all layers, lower towards the input: ``names`` go from the input to the output; the last has
    the whole peak, and each one before it ``decay`` times the peak of the next.

    >>> import lrsweep
    >>> lrsweep.layerwise(lrsweep.schedule("cosine"), ["stem", "body", "head"], decay=0.5).multipliers
    {'stem': 0.25, 'body': 0.5, 'head': 1.0}
    """
    share = as_number(decay)
    problems = [] if share in ABOVE_ZERO else [f"decay must be {ABOVE_ZERO}, not {shortened(decay)}"]
    layers = [] if isinstance(names, (str, bytes)) or not isinstance(names, Iterable) else list(names)
    if not layers:
        problems.append(f"names must be a list of names, from the input to the output, not {shortened(names)}")
    if problems:
        raise ScheduleError(listing("layerwise", problems))
    depths = range(len(layers) - 1, -1, -1)
    members = [Group(name, schedule, share**depth) for name, depth in zip(layers, depths, strict=True)]
    return Grouped(tuple(members), weight_decay)


def grouped_from_json(text: str, *, allow_code: bool = False) -> Grouped:
    """What ``Grouped.to_json`` wrote. All problems of a text are told at once; ``allow_code`` as for a schedule."""
    return read_json(
        text, "grouped JSON", lambda given, problems: _from_dict(given, problems, allow_code=allow_code), SMALLEST
    )


def is_grouped(text: str) -> bool:
    """Whether ``grouped_from_json`` is to read a text; one that is no JSON is for ``schedule_from_json`` to refuse."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("family") == "grouped"


KEYS = ("version", "family", "groups", "weight_decay")
GROUP_KEYS = ("name", "schedule", "multiplier")


def _from_dict(given: Mapping[str, Any], problems: list[str], *, allow_code: bool) -> Grouped | None:
    problems += version_problems(given.get("version", JSON_VERSION))
    if given.get("family") != "grouped":
        problems.append(
            f"family must be 'grouped', not {shortened(given.get('family'))}; "
            "a single schedule is read by lrsweep.schedule_from_json"
        )
    problems += _unknown_keys(given, KEYS, "")
    decay = given.get("weight_decay")
    follows = None if decay is None else _inner(decay, "weight_decay", problems, allow_code=allow_code)
    groups = given.get("groups")
    if not isinstance(groups, list) or not groups or len(groups) > MOST_GROUPS:
        problems.append(f"groups must be a list of 1 to {MOST_GROUPS} objects, not {shortened(groups)}; see {SMALLEST}")
        return None
    read: list[Group] = []
    for place, group in enumerate(groups):
        if not isinstance(group, Mapping):
            problems.append(f"groups[{place}] must be an object with {', '.join(GROUP_KEYS)}, not {shortened(group)}")
            continue
        problems += _unknown_keys(group, GROUP_KEYS, f"groups[{place}]: ")
        one = _inner(group.get("schedule"), f"groups[{place}].schedule", problems, allow_code=allow_code)
        read.append(Group(group.get("name"), one, group.get("multiplier", 1.0)))  # type: ignore[arg-type]  # judged below
    problems += [*_problems_with_groups(read, least=0), *problems_with_weight_decay(follows)]
    return None if problems else Grouped(tuple(read), follows)


def _inner(given: object, place: str, problems: list[str], *, allow_code: bool) -> Schedule:
    if not isinstance(given, Mapping):
        problems.append(f"{place} must be an object such as {{'family': 'cosine'}}, not {shortened(given)}")
        return STANDS_IN
    return schedule_from_dict(given, problems, allow_code=allow_code, place=f"{place}.") or STANDS_IN


def _unknown_keys(given: Iterable[str], known: Sequence[str], where: str) -> list[str]:
    return [
        f"{where}{shortened(key)} is not known.{did_you_mean(key, known)} There are: {', '.join(known)}"
        for key in given
        if key not in known
    ]


def _problems_with_groups(groups: Iterable[Group], least: int = 1) -> list[str]:
    members = [*groups]
    if len(members) < least:
        return ["there must be one group or more, and there is none"]
    problems = []
    seen: set[str] = set()
    for member in members:
        if not isinstance(member, Group):
            problems.append(f"a group must be a Group with {', '.join(Group._fields)}, not {shortened(member)}")
            continue
        name, one, multiplier = member
        if not isinstance(name, str) or not name:
            problems.append(f"a group is named by a string that is not empty, not by {shortened(name)}")
        elif name in seen:
            problems.append(f"group {shortened(name)} is given more than once; keep one")
        else:
            seen.add(name)
        if not isinstance(one, Schedule):
            problems.append(
                f"group {shortened(name)}: the schedule must be one such as lrsweep.schedule('cosine'), "
                f"not {shortened(one)}"
            )
        if not 0 < as_number(multiplier) < math.inf:
            problems.append(
                f"group {shortened(name)}: the multiplier must be a finite number above 0, not "
                f"{shortened(multiplier)}: {MULTIPLIER}"
            )
    return problems


def problems_with_weight_decay(given: object) -> list[str]:
    if given is None or (isinstance(given, Schedule) and not given.needs_metric):
        return []
    return [
        f"weight_decay must be a time-driven schedule such as lrsweep.schedule('cosine'), or None, "
        f"not {shortened(given)}: {WEIGHT_DECAY}"
    ]
