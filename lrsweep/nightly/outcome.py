"""What a night came to: values that the runner makes, and that every output is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lrsweep.errors import InvalidInput
from lrsweep.records import Json

FORMAT = 1
"""Of the summary's JSON; a reader refuses what is newer than it knows."""
CHANGED = 4
"""Exit code: the champion changed or drifted."""
FAILED = "failed"
"""In the place of a verdict, where a study's night came to none."""


@dataclass(frozen=True)
class StudyNight:
    """One study's."""

    study: str
    generation: str
    key: str
    verdict: str
    """a ``NightVerdict``, or ``failed``"""
    sentence: str
    """why, in one sentence; of one that failed, the message with its remedy"""
    next_step: str
    exit_code: int
    is_unchanged: bool = False
    """nothing was trained, since nothing had changed"""
    is_recorded: bool = False
    """it had ended before, and only its result was read"""
    champion: str | None = None
    """what is in force, in words; None where nothing is"""
    candidate: str | None = None
    promoted: str | None = None
    """what came into force tonight, in words"""
    trainings: int = 0
    """tonight's, over all starts"""
    steps: int = 0
    seconds: float = 0.0
    """of training"""
    judgement: Mapping[str, Json] | None = None
    """``Judgement.to_json()``; None where nothing was compared"""
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def state(self) -> str:
        """What somebody is told of when it becomes another: the verdict, and whom it names."""
        standing = (self.judgement or {}).get("standing")
        return f"{self.verdict}: {standing}" if standing else self.verdict

    def to_json(self) -> dict[str, Json]:
        return {
            "study": self.study,
            "generation": self.generation,
            "key": self.key,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "next_step": self.next_step,
            "exit_code": self.exit_code,
            "is_unchanged": self.is_unchanged,
            "is_recorded": self.is_recorded,
            "champion": self.champion,
            "candidate": self.candidate,
            "promoted": self.promoted,
            "trainings": self.trainings,
            "steps": self.steps,
            "seconds": self.seconds,
            "judgement": None if self.judgement is None else dict(self.judgement),
            "began_at": self.began_at,
            "ended_at": self.ended_at,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StudyNight:
        return cls(**value)


@dataclass(frozen=True)
class NightRun:
    """All studies of one `lrsweep nightly run`."""

    key: str
    studies: Sequence[StudyNight]
    exit_code: int
    began_at: float
    ended_at: float
    notes: Sequence[str] = field(default_factory=tuple)
    """of what was left out: studies that a deadline or another process kept from running"""

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "key": self.key,
            "exit_code": self.exit_code,
            "began_at": self.began_at,
            "ended_at": self.ended_at,
            "verdicts": {each.study: each.verdict for each in self.studies},
            "studies": [each.to_json() for each in self.studies],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> NightRun:
        """Raises InvalidInput for one that a newer lrsweep wrote."""
        if value["format"] > FORMAT:
            raise InvalidInput(
                f"the summary of night {value.get('key')!r} has format {value['format']}, and this lrsweep reads up to "
                f"{FORMAT}: a newer lrsweep wrote it, so use that one"
            )
        return cls(
            key=value["key"],
            studies=tuple(StudyNight.from_json(each) for each in value["studies"]),
            exit_code=value["exit_code"],
            began_at=value["began_at"],
            ended_at=value["ended_at"],
            notes=tuple(value["notes"]),
        )
