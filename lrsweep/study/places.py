"""Where a study file says what, for those who find problems after it was read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lrsweep.errors import Problem
from lrsweep.study.lines import Place, line_of


@dataclass(frozen=True)
class Places:
    lines: Mapping[Place, int] = field(default_factory=dict)
    wrong: Sequence[Place] = ()
    """what has a problem already: the study has a default there, of which nothing follows"""

    def problem(self, text: str, *place: str | int) -> Problem:
        """
        >>> Places({("study",): 1, ("study", "metric"): 4}).problem("unknown.", "study", "metric")
        Problem(key='study.metric', text='unknown.', line=4)
        """
        key = ".".join(_key(part) for part in place if isinstance(part, str))
        return Problem(key, text, line_of(self.lines, place))

    def are_sound(self, *places: Place) -> bool:
        """Whether neither these parts nor anything around or inside them has a problem.

        >>> Places(wrong=[("space", "families", 1)]).are_sound(("space", "families"))
        False
        """
        return not any(wrong[: len(each)] == each[: len(wrong)] for wrong in self.wrong for each in places)


def _key(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else repr(part)
