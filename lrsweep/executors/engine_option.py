"""``--engine``: how the trainings of a sweep run side by side, as a user asks for it.

auto                     measured where that pays (``lrsweep.executors.choosing``)
sequential               one training after the other, in one process
sequential:PROCESSES     the same in each of several processes
fused                    many trainings at once in one model; how many, and in how many processes, is measured
fused:SLOTS              so many at once
fused:SLOTSxPROCESSES    so many in each of several processes
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lrsweep.errors import SettingsError, did_you_mean
from lrsweep.records import SEQUENTIAL, Crew, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND

AUTO = "auto"
FUSED = "fused"
OPTION = "--engine"

_ENGINES = (AUTO, SEQUENTIAL, FUSED)
_FORM = re.compile(
    r"(?P<auto>auto)|sequential(?::(?P<processes>\d+))?|(?P<fused>fused)(?::(?P<slots>\d+)(?:x(?P<times>\d+))?)?"
)


@dataclass(frozen=True)
class EngineOption:
    """What was asked for; ``crew`` is None where a measurement decides, among all engines or the fused one alone."""

    engine: str = AUTO
    crew: Crew | None = None
    given_by: str = field(default=OPTION, compare=False)
    """the option or variable, for messages"""

    @classmethod
    def parsed(cls, text: str, given_by: str = OPTION) -> EngineOption:
        """Raises SettingsError for anything else.

        >>> EngineOption.parsed("fused:16x2").crew, EngineOption.parsed("auto").crew
        (Crew(processes=2, slots=16), None)
        """
        found = _FORM.fullmatch(text)
        counts = [int(found[name]) for name in ("processes", "slots", "times") if found[name]] if found else []
        if found is None or 0 in counts:
            word = text.partition(":")[0]
            guess = "" if word in _ENGINES else did_you_mean(word, _ENGINES)
            raise SettingsError(
                f"{given_by} is {text!r}; wanted auto, sequential, sequential:PROCESSES, fused, fused:SLOTS or "
                f"fused:SLOTSxPROCESSES with whole numbers from 1, as in 'sequential:2' or 'fused:16x2'.{guess}"
            )
        if found["auto"]:
            return cls(AUTO, None, given_by)
        if found["fused"]:
            crew = Crew(int(found["times"] or 1), int(found["slots"])) if found["slots"] else None
            return cls(FUSED, crew, given_by)
        return cls(SEQUENTIAL, Crew(int(found["processes"] or 1)), given_by)

    def check(self, workload: WorkloadSpec) -> None:
        """Raises SettingsError where the workload is a script, which no engine but its own can train."""
        if workload.name == COMMAND and self.engine != AUTO and self.crew != Crew():
            raise SettingsError(
                f"{self.given_by} asks for {described(self.crew) if self.crew else FUSED}, but the study's workload is "
                "a script, which trains by itself. Leave it out; `concurrency` under [study.workload] says how many "
                "scripts run at a time."
            )


DEFAULT = EngineOption()


def as_option(crew: Crew) -> str:
    """As a user asks for it.

    >>> as_option(Crew()), as_option(Crew(2)), as_option(Crew(1, 16)), as_option(Crew(2, 16))
    ('sequential', 'sequential:2', 'fused:16', 'fused:16x2')
    """
    if crew.slots is None:
        return SEQUENTIAL if crew.processes == 1 else f"{SEQUENTIAL}:{crew.processes}"
    return f"{FUSED}:{crew.slots}" + ("" if crew.processes == 1 else f"x{crew.processes}")


def described(crew: Crew) -> str:
    """In words.

    >>> described(Crew()), described(Crew(2)), described(Crew(1, 16))
    ('sequential in 1 process', 'sequential in 2 processes', 'fused with 16 slots in 1 process')
    """
    engine = SEQUENTIAL if crew.slots is None else f"{FUSED} with {crew.slots} slot{'' if crew.slots == 1 else 's'}"
    return f"{engine} in {crew.processes} process{'' if crew.processes == 1 else 'es'}"
