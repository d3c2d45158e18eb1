"""The answer in one paragraph: what to use, how far that is shown, what it gains, and what would show more."""

from __future__ import annotations

from dataclasses import dataclass

from lrsweep.report.content import Report
from lrsweep.report.numbers import between, counted, number, rate
from lrsweep.selection.choice import Choice, Standing
from lrsweep.selection.deciding import Evidence


@dataclass(frozen=True)
class Answer:
    evidence: str
    """``proven``, ``recommended``, ``undecided``, or ``no answer``"""
    headline: str
    sentences: tuple[str, ...]


def answer(report: Report) -> Answer:
    if report.choice is None:
        headline = "There is no answer." if report.is_over else "There is no answer yet."
        return Answer("no answer", headline, (*_state(report), *_all_diverged(report), report.why_none or ""))
    choice = report.choice
    best = choice.recommended
    optimizer = f" with {report.use.optimizer}" if report.use is not None and report.use.optimizer else ""
    peak = "" if best.point.peak_lr is None else f" at a peak rate of {rate(best.point.peak_lr)}"
    sentences = [
        _shown(choice, report.metric),
        _value(best, report),
        *_gain(choice),
        *([best.turning] if best.turning is not None else []),
        *_worth(choice, report),
        *_alike(choice),
        *_missing(choice),
        _luck(choice, report),
        *([f"To know more: {choice.next_step}."] if choice.next_step is not None else []),
        *_state(report),
    ]
    headline = f"Use {best.point.family}{optimizer}{peak}."
    if report.is_provisional:
        so_far = "" if report.is_left_for_good else " so far"
        headline = f"{best.point.family}{optimizer} leads{so_far}{peak and ','}{peak}."
    return Answer(choice.evidence.value, headline, tuple(sentences))


def _shown(choice: Choice, metric: str) -> str:
    best, verdict = choice.recommended, choice.verdict
    rested = f"by {counted(best.n, 'seed')} at {choice.horizon:,} steps"
    if choice.evidence is Evidence.PROVEN:
        return f"It is shown to be better than every other family {rested}."
    if best.point.name in verdict.equivalence_set:
        which = "What is used today" if best.is_baseline else "It"
        others = len(verdict.equivalence_set) > 1 and not best.is_baseline
        simplest = ", and the simplest of those that are" if others else ""
        return f"{which} is shown to lie within {number(verdict.worth)} of {metric} of the best {rested}{simplest}."
    if choice.evidence is Evidence.RECOMMENDED:
        return f"It is shown to be better than the baseline {rested}, and not better than every other family."
    return f"It leads, {rested}, and that may be chance: it is not shown to be better than the others."


def _value(best: Standing, report: Report) -> str:
    within = f" (95 %: {between(best.interval)}, {counted(best.n, 'seed')})" if best.interval is not None else ""
    diverged = f" {best.diverged} of its {best.n + best.diverged} trainings diverged." if best.diverged else ""
    half = ", on the half of the validation data that the search did not see" if _is_decide(report) else ""
    single = "" if best.interval is not None else ", with one seed"
    return f"It comes to {report.metric} {number(best.mean)}{within}{single}{half}.{diverged}"


def _is_decide(report: Report) -> bool:
    return report.has_finals and report.metric.startswith("decide_")


def _gain(choice: Choice) -> list[str]:
    best = choice.recommended
    baseline = next((each for each in choice.standings if each.is_baseline), None)
    if best.is_baseline or any(each.is_baseline for each in choice.left_out):
        return []
    if baseline is None:
        return ["The study names no baseline, so that no gain over what is used today is known."]
    if best.gain is None:
        return [f"The baseline, {baseline.point.family}, came to no value."]
    better = "better" if best.gain >= 0 else "worse"
    within = "" if best.gain_interval is None else f" (95 %: {between(best.gain_interval)})"
    return [f"That is {number(abs(best.gain))}{within} {better} than the baseline, {baseline.point.family}."]


def _worth(choice: Choice, report: Report) -> list[str]:
    if choice.verdict.worth is None:
        return ["With one seed each nothing is known of chance, and so not which gain is worth a change."]
    return [f"A gain of less than {number(choice.verdict.worth)} of {report.metric} is not worth a change."]


def _alike(choice: Choice) -> list[str]:
    names = choice.verdict.equivalence_set
    others = [
        each.point.family for each in choice.standings if each.point.name in names and each is not choice.recommended
    ]
    return [f"Shown to be as good: {', '.join(dict.fromkeys(others))}."] if others else []


def _missing(choice: Choice) -> list[str]:
    left_out = next((each for each in choice.left_out if each.is_baseline), None)
    if left_out is None:
        return []
    return [f"The baseline, {left_out.point.family}, is not compared: it has {counted(left_out.seeds, 'seed')}."]


def _luck(choice: Choice, report: Report) -> str:
    argmin = choice.argmin
    what = f"The search's best {report.searched_metric}" if argmin.is_searched else f"The best single {report.metric}"
    taken = f"{what}, {number(argmin.value)}, is {argmin.point.family}'s"
    if argmin.mean is None or argmin.optimism is None:
        return f"{taken}; no other seed says how lucky that was."
    how = "too good" if argmin.optimism >= 0 else "worse than they are"
    return f"{taken}, whose other seeds come to {number(argmin.mean)}: {number(abs(argmin.optimism))} {how}."


def _all_diverged(report: Report) -> list[str]:
    diverged = sum(each.diverged for each in report.divergences)
    if not diverged or diverged < report.trainings_ended:
        return []
    lowest = min(each.lowest for each in report.divergences)
    return [f"All {counted(diverged, 'training')} that ended diverged, from a peak rate of {rate(lowest)} on."]


def _state(report: Report) -> list[str]:
    if report.are_finals_open:
        left = f" ({counted(report.finals_left, 'training')} left)" if report.finals_left else ""
        if report.is_left_for_good:
            since = "; another one was started since, and this one will not go on" if report.is_superseded else ""
            return [f"The sweep was {report.state} before its finals were over{left}{since}."]
        return [f"The finals are not over{left}: this may change."]
    if not report.is_over:
        return [f"The sweep is {report.state}: this may change."]
    return [] if report.state == "finished" else [f"The sweep was {report.state} before its budget was used up."]
