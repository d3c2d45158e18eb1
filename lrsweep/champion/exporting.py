"""A choice for those who have no lrsweep: code for a library, a table of rates, or its own JSON.

The code is ``Schedule.to_code``'s with the peak and the horizon of the choice, under a comment that says what it is and
what it rests on. Whatever stands in a choice stays inside of that comment: its texts are quoted, line breaks and all.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import SupportsIndex

from lrsweep.champion.applying import another_horizon, horizon_of, peak_at
from lrsweep.champion.reading import written
from lrsweep.champion.scoring import lost_told
from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Json
from lrsweep.schedules.code import TARGETS

WIDTH = 88
MOST_RATES = 10_000_000
"""Lines of a table, some 250 MB."""
LONGEST = 100
"""Characters of one text in the comment."""
ORIGIN = ("study", "sweep", "trial", "began", "device")
"""Of the provenance: what a reader can follow up."""


def exported(choice: ChampionChoice, form: str, total_steps: SupportsIndex | None = None) -> str:
    """The text. On another horizon the peak is that of ``peak_at``, as the comment says."""
    if form not in FORMS:
        raise InvalidInput(
            f"there is no form {form!r}; wanted is one of {', '.join(FORMS)}.{did_you_mean(form, FORMS)}"
        )
    return FORMS[form](choice, horizon_of(choice, total_steps))


def _json(choice: ChampionChoice, total_steps: int) -> str:
    if total_steps != choice.horizon:
        raise InvalidInput(
            f"json is the choice as it was promoted, found on {choice.horizon:,} steps, not {total_steps:,}; leave the "
            "steps out. choice.torch(optimizer, total_steps) trains it on another horizon."
        )
    return written(choice)


def _csv(choice: ChampionChoice, total_steps: int) -> str:
    if total_steps > MOST_RATES:
        raise InvalidInput(f"csv has a line for each step, and {total_steps:,} are too many; at most {MOST_RATES:,}.")
    rates = choice.schedule.rates(total_steps, peak_at(choice, total_steps)).tolist()
    return "".join(["step,rate\n", *(f"{step},{rate!r}\n" for step, rate in enumerate(rates))])


def _code(target: str) -> Callable[[ChampionChoice, int], str]:
    def code(choice: ChampionChoice, total_steps: int) -> str:
        text = choice.schedule.to_code(target, total_steps, peak_at(choice, total_steps))
        return f"{_comment(choice, total_steps)}\n{text}"

    return code


FORMS: Mapping[str, Callable[[ChampionChoice, int], str]] = {
    **{target: _code(target) for target in TARGETS},
    "json": _json,
    "csv": _csv,
}
"""By name: what ``lrsweep export --to`` takes."""


# ── the comment ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _comment(choice: ChampionChoice, total_steps: int) -> str:
    lines = [
        wrapped
        for line in _facts(choice, total_steps)
        for wrapped in textwrap.wrap(line, WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)
    ]
    return "".join(f"# {line}\n" for line in lines)


def _facts(choice: ChampionChoice, total_steps: int) -> Iterator[str]:
    batches = "" if choice.batch_size is None else f", batches of {choice.batch_size}"
    settings = ", ".join(f"{_shown(name)} {value:g}" for name, value in choice.optimizer.settings.items())
    yield (
        f"{choice.name}, by lrsweep: peak rate {choice.peak_lr:.4g} for {choice.optimizer.name}"
        f"{f' ({settings})' if settings else ''}{batches}, {choice.horizon:,} steps"
    )
    if said := another_horizon(choice, total_steps):
        yield f"Here for {total_steps:,} steps: {said.partition(': ')[2]}"
    if choice.extra:
        yield f"Found with {_listed(choice.extra)}"
    yield f"Evidence: {_evidence_told(choice)}"
    if choice.test:
        lost = lost_told(choice.test)
        yield (
            f"Test set: {_mean_told(choice.test, choice.test.get('metric'))}, n = {_shown(choice.test.get('n', '?'))}"
            f"{f' ({lost})' if lost else ''}"
        )
    workload = choice.provenance.get("workload")
    origin = {key: choice.provenance.get(key) for key in ORIGIN}
    if told := _listed({**origin, "workload": workload.get("name") if isinstance(workload, Mapping) else None}):
        yield f"From {told}. Its JSON has more."


def _evidence_told(choice: ChampionChoice) -> str:
    """The verdict, the mean with its interval, and the number of seeds, as far as the choice has them."""
    evidence = choice.evidence
    verdict = evidence.get("evidence")
    if verdict is None:
        return "none is kept with it"
    standing = evidence.get("choice")
    told = _mean_told(standing, evidence.get("metric")) if isinstance(standing, Mapping) else ""
    return f"{_shown(verdict)}{f': {told}' if told else ''}, n = {_shown(evidence.get('n', '?'))}"


def _mean_told(given: Mapping[str, Json], metric: Json) -> str:
    """With its interval where there is one."""
    mean, name = given.get("mean"), "the metric" if metric is None else _shown(metric)
    if not isinstance(mean, int | float):
        return f"no mean of {name}"
    return f"{name} {mean:.4g}{_reach_told(given.get('interval'))}"


def _reach_told(interval: Json) -> str:
    if (
        isinstance(interval, list | tuple)
        and len(interval) == 2
        and all(isinstance(end, int | float) for end in interval)
    ):
        return f" (95 %: {interval[0]:.4g} to {interval[1]:.4g})"
    return ""


def _listed(given: Mapping[str, Json]) -> str:
    return ", ".join(f"{_shown(name)} {_shown(value)}" for name, value in given.items() if value is not None)


def _shown(value: Json) -> str:
    """On one line whatever it holds; ordinary words without quotes."""
    text = value if isinstance(value, str) else json.dumps(value)
    if not (text.isascii() and text.isprintable()):
        text = json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
