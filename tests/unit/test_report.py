"""The report's content, page and Markdown: of every kind of sweep, for hostile names, and not too large."""

from __future__ import annotations

import itertools
import json
import re
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import numpy as np
import pytest

from lrsweep.findings.reporting import curves
from lrsweep.findings.reporting.gathering import gather
from lrsweep.records import Outcome, SweepStatus, TrainingPlan
from lrsweep.report import using
from lrsweep.report.answer import answer
from lrsweep.report.charts import Chart, Series, charts, sensitivity
from lrsweep.report.content import Report
from lrsweep.report.drawing import drawn, ticks, whiskers
from lrsweep.report.html import page
from lrsweep.report.markdown import markdown, quoted
from lrsweep.report.numbers import NOTHING
from lrsweep.report.tables import tables
from lrsweep.report.thinning import MOST_POINTS, averaged, thinned
from lrsweep.schedules import schedule, schedule_from_json
from lrsweep.selection.rates import Rates
from lrsweep.study.spaces import SEARCHABLE
from tests.looked import a_driven_bench
from tests.reported import (
    A_SCRIPT,
    NOW,
    ONE_FAMILY,
    WITH_FINALS,
    WITHOUT_FINALS,
    a_report,
    a_report_in_the_middle,
    noisy,
)
from tests.scripted import completed, diverged, failed, value_of
from tests.sweeps import a_study

HOSTILE = "<!--<script></script><img src=x onerror=alert(1)>|`*\n# x"


class Read(HTMLParser):
    """Tags with their attributes, and the text of each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data


def data_in(text: str) -> Any:
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


@pytest.fixture(scope="module")
def finished() -> Report:
    return a_report()


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_answer_has_winner_value_gain_worth_and_what_would_show_more(finished: Report) -> None:
    """In one paragraph, the schedule to use first."""
    found = answer(finished)
    said = " ".join(found.sentences)
    assert found.evidence == "proven"
    assert re.fullmatch(r"Use cosine with sgd at a peak rate of 0\.\d+\.", found.headline)
    assert "It is shown to be better than every other family by" in said
    assert re.search(r"It comes to decide_loss 1\.\d+ \(95 %: [\d.]+ to [\d.]+, \d seeds\), on the half", said)
    assert re.search(r"That is 0\.4\d* \(95 %: [\d.]+ to [\d.]+\) better than the baseline, constant\.", said)
    assert "is not worth a change." in said
    undecided = " ".join(answer(a_report(WITHOUT_FINALS, completed)).sentences)
    assert "It leads, by 1 seed at 90 steps, and that may be chance" in undecided
    assert "names no baseline" in undecided
    assert "To know more: with 1 seed nothing is known of chance" in undecided


def test_finalists_come_with_intervals_and_the_recommended_is_marked(finished: Report) -> None:
    """The baseline is among them, and gains are over it."""
    table = tables(finished)["finalists"]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert table.rows[0][0] == "cosine"
    assert (table.marked, rows[0][""]) == (0, "recommended")
    assert {str(row["family"]) for row in rows if "baseline" in str(row[""])} == {"constant"}
    assert all(re.fullmatch(r"[\d.]+ to [\d.]+", str(row[2])) for row in table.rows)


def test_curves_are_strong_for_bests_finalists_and_the_baseline(finished: Report) -> None:
    """One for each such trial; fresh seeds and other trials are faint."""
    strong = Counter(each.family for each in finished.curves if each.is_strong)
    assert set(strong) >= {"cosine", "constant", "step"}
    assert any("seed" in each.about for each in finished.curves if not each.is_strong)
    assert all(each.rates[0][0] == 0 and each.rates[-1][0] == 89 for each in finished.curves)


def test_curves_beyond_the_most_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strong ones stay; the page says how many are not shown."""
    monkeypatch.setattr(curves, "MOST_CURVES", 5)
    report = a_report()
    assert len(report.curves) == 5
    assert report.curves_left_out > 5
    assert sum(each.is_strong for each in report.curves) >= 3
    assert f"{report.curves_left_out} curves more are left out here" in page(report)


def test_peak_rates_are_a_view_per_optimizer_and_horizon() -> None:
    """With the full horizon's first; a rung's rate counts as the peak that the trial has at the full horizon."""
    report = a_report(WITHOUT_FINALS, completed)
    chart = sensitivity(report)
    assert set(chart.views) == {"sgd, 90 steps", "adamw, 90 steps", "sgd, 30 steps", "adamw, 30 steps"}
    assert all(view.endswith("90 steps") for view in chart.views[:2])
    by_trial = {each.about: each.peak_lr for each in report.peaks if each.horizon == 90}
    assert by_trial
    again = {each.about: each.peak_lr for each in report.peaks if each.horizon == 30 and each.about in by_trial}
    assert again == pytest.approx({about: by_trial[about] for about in again}, rel=1e-4)


def test_diverged_trainings_are_crosses_and_counted_by_family(finished: Report) -> None:
    """With the smallest rate that diverged and the largest that did not."""
    assert any(each.value is None for each in finished.peaks)
    assert finished.divergences
    for each in finished.divergences:
        assert each.lowest > 0.6
        assert each.highest_sound is None or each.highest_sound <= 0.6
        assert 0 < each.diverged <= each.trainings
    assert any(series.crosses for series in sensitivity(finished).series)


def test_the_band_of_rates_within_worth_is_marked_where_it_is_known(finished: Report) -> None:
    """On the view of the recommended schedule's optimizer alone; else a sentence says why not."""
    assert finished.choice is not None
    assert sensitivity(finished).band is None
    assert "From where to where the peak loses nothing is not known: " in page(finished)
    known = replace(finished, choice=replace(finished.choice, rates=Rates(0.1, 0.05, 0.2, 5, 0.001)))
    band = sensitivity(known).band
    assert band is not None
    assert (band.low, band.high, band.view) == (0.05, 0.2, "sgd, 90 steps")
    assert "cosine: 0.05 to 0.2 lose less than is worth a change" in page(known)


def test_the_cost_adds_up_over_the_phases(finished: Report) -> None:
    """Steps by rung and for the finals; money where the study names a price."""
    lines = {each.phase: each for each in finished.cost.lines}
    assert set(lines) == {"search, 30 steps", "search, 90 steps", "finals"}
    assert lines["finals"].steps == 90 * lines["finals"].trainings
    total = tables(finished)["cost"].rows[-1]
    assert total[0] == "in all"
    assert total[2] == f"{sum(each.steps for each in finished.cost.lines):,}"
    assert "of money" not in page(finished)
    priced = replace(finished, cost=replace(finished.cost, money=1.5, price_per_hour=2.0))
    assert "1.50 of money at 2 an hour" in page(priced)


def test_the_cost_says_what_the_best_of_each_rung_loses_and_saves(finished: Report) -> None:
    """One seed of the search, by the metric that decides; without a choice there is nothing to compare it with."""
    assert finished.choice is not None
    [rung, _] = finished.choice.by_horizon
    [note] = [each for each in tables(finished)["cost"].notes if each.startswith("The best at")]
    assert note.startswith(f"The best at 30 steps, by the search: {rung.best.family} at a peak rate of ")
    assert f"decide_loss {rung.mean:.4g} (1 seed): " in note
    assert "than 90 steps, with 33% of the steps." in note
    assert note in page(finished).replace("&#x27;", "'")
    unknown = replace(finished, choice=replace(finished.choice, by_horizon=(replace(rung, worse=None),)))
    assert tables(unknown)["cost"].notes[-1].endswith("(1 seed), the luckiest of those that ended there.")
    assert not any("The best at" in each for each in tables(replace(finished, choice=None))["cost"].notes)


def test_the_code_gives_the_recommended_rates(finished: Report) -> None:
    """What stands under 'how to use it' runs, and names the trial's own peak."""
    use = finished.use
    assert use is not None
    [text] = re.findall(r"```python\n(import lrsweep\n\nschedule = .*?)\n```", markdown(finished), re.DOTALL)
    names: dict[str, Any] = {}
    exec("\n".join(line for line in text.splitlines() if "scheduler =" not in line), names)
    assert names["rates"].max() == pytest.approx(use.peak_lr)
    assert names["schedule"] == schedule_from_json(use.schedule)
    assert f"total_steps=90, peak_lr={use.peak_lr!r}" in text


def test_provenance_names_what_a_result_depends_on_and_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meaning, generation, data, engine; neither user nor host nor a path of this machine."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "a-certain-person")
    monkeypatch.setattr(socket, "gethostname", lambda: "a-certain-host")
    finished = a_report()
    told = dict(finished.provenance)
    assert {"study", "sweep", "meaning", "generation", "workload", "data", "engine and device", "sampler"} <= set(told)
    assert told["horizon"] == "90 steps; rungs of 30, 90"
    whole = page(finished) + json.dumps(finished.to_json())
    assert "a-certain" not in whole
    assert not re.search(r"(?<![<\w])/(tmp|home|root|work)\b", whole)


def test_secrets_of_a_workloads_settings_are_masked() -> None:
    """Also in the page's head."""
    study = a_study(trials=2, families=("linear",), optimizers=("sgd",))
    facts = replace(study.facts, settings={"hub_token": "a1b2c3"})
    text = page(a_report(replace(study, facts=facts), completed))
    assert "a1b2c3" not in text
    assert "hub_token=***" in text


def scripted(plan: TrainingPlan) -> Outcome:
    """A script reports one metric."""
    return replace(completed(plan), metrics={"val_loss": value_of(plan)})


def test_a_script_is_told_by_its_command_without_its_secrets() -> None:
    """It has an optimizer of its own, and parameters that go with the schedule."""
    report = a_report(A_SCRIPT, scripted)
    text = page(report)
    assert "a1b2c3" not in text + markdown(report)
    assert "a script, python train.py --api-key=***" in Read(text).text
    assert re.search(r"Trained with the script's own parameters \(width=\d+\), for 90 steps\.", Read(text).text)
    assert {each.optimizer for each in report.peaks} == {""}
    assert "extra.width" in report.importance.shares


def test_a_schedule_that_reacts_is_used_without_rates_in_advance() -> None:
    """It has none before it hears a metric."""
    report = a_report(a_study(trials=4, families=("plateau",)), completed)
    assert report.use is not None
    assert report.use.reacts
    code = using.code(report.use)
    assert "schedule.rates" not in code
    assert "scheduler.step(metric)" in code


# ── every kind of sweep ──────────────────────────────────────────────────────────────────────────────────────────────

KINDS: dict[str, Callable[[], Report]] = {
    "with finals": a_report,
    "without finals": lambda: a_report(WITHOUT_FINALS, completed),
    "one family": lambda: a_report(ONE_FAMILY, completed),
    "all diverged": lambda: a_report(WITHOUT_FINALS, diverged),
    "nothing yet": lambda: a_report_in_the_middle(after=0),
    "in the search": lambda: a_report_in_the_middle(after=9),
    "in the finals": lambda: a_report_in_the_middle(after=28),
    "to be maximized": lambda: a_report(a_study(trials=10, direction="maximize"), completed),
    "of a script": lambda: a_report(A_SCRIPT, scripted),
    "that reacts": lambda: a_report(a_study(trials=4, families=("plateau", "linear")), completed),
    "of all families": lambda: a_report(a_study(trials=25, families=SEARCHABLE), completed),
    "without rungs": lambda: a_report(a_study(trials=5, horizon=40), completed),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sweep_has_a_page_and_a_text(kind: str) -> None:
    """Each of all sections, with no figure that is none."""
    report = KINDS[kind]()
    text, plain = page(report), markdown(report)
    read = Read(text)
    assert sum(tag == "section" for tag, _ in read.tags) == 10
    for each in (read.text, plain):
        assert not re.search(r"\b(nan|NaN|inf|Infinity|None|null)\b", each), kind
    json.dumps(report.to_json(), allow_nan=False)
    assert data_in(text)["charts"] is not None


def test_a_sweep_that_still_runs_says_so() -> None:
    """With what it has so far, and with how much of the finals is left."""
    assert "The sweep is running: this may change." in page(a_report_in_the_middle(after=9))
    assert "No training of study" in page(a_report_in_the_middle(after=0))
    report = a_report_in_the_middle(after=28)
    assert report.finals_left > 0
    assert f"The finals are not over ({report.finals_left} trainings left): this may change." in page(report)


@pytest.mark.parametrize("after", [9, 15, 22, 28])
def test_nothing_is_to_be_used_before_the_finals_are_over(after: int) -> None:
    """In bold stands who leads so far, and the table says what is shown."""
    report = a_report_in_the_middle(after=after)
    if report.choice is None:
        pytest.skip("no training of the full horizon yet")
    found, table = answer(report), tables(report)["finalists"]
    assert re.fullmatch(r"\w+ with sgd leads so far, at a peak rate of [\d.]+\.", found.headline)
    assert table.title == ("Finalists" if report.has_finals else "The search's best")
    assert f"## {table.title}" in markdown(report)
    state = "The finals are under way, " if report.are_finals_open else "No finals so far: shown are "
    assert table.notes[0].startswith(state)
    assert "trials stand for themselves" not in markdown(report)


def test_finals_without_a_result_show_the_search_and_say_so(finished: Report) -> None:
    """Also between two rounds, when no training is left; of a cancelled sweep they are not under way."""
    between = replace(finished, has_finals=False, are_finals_open=True, finals_left=0, state="stopped")
    said = "The finals are under way: shown are the search's trials, with the one seed that each of them has."
    assert tables(between)["finalists"].notes[0] == f"{said} Nothing is claimed yet."
    assert "The finals are not over: this may change." in answer(between).sentences
    cancelled = replace(between, state="cancelled", finals_left=2)
    assert "under way" not in markdown(cancelled)
    assert "The sweep was cancelled before its finals were over (2 trainings left)." in answer(cancelled).sentences
    assert re.match(r"cosine with sgd leads, at", answer(cancelled).headline)


def test_a_race_between_its_rounds_is_not_over() -> None:
    """No training of it is left, and it has not ended."""
    bench = a_driven_bench(WITH_FINALS, noisy)
    sweep = bench.store.sweeps("quick")[-1]
    race = {**sweep.settings.get("race", {"alpha": 0.05, "looks": 2}), "ended": None}
    bench.store.update_sweep(bench.lease, sweep.sweep_id, settings={"race": race})
    assert gather(bench.store, "quick", now=NOW).are_finals_open == (sweep.status is not SweepStatus.FINISHED)
    assert not gather(bench.store, "quick", now=NOW, state="finished").are_finals_open


def test_trainings_side_by_side_are_told_where_their_time_is_more_than_the_clocks(finished: Report) -> None:
    """One after the other they take no more than the sweep."""
    added = sum(each.seconds for each in finished.cost.lines)
    assert added > 0
    told = [
        "side by side" in " ".join(tables(replace(finished, cost=cost))["cost"].notes)
        for cost in (replace(finished.cost, wall_seconds=share * added) for share in (0.5, 1.2))
    ]
    assert told == [True, False]


def test_where_all_diverged_that_is_the_answer() -> None:
    """With the smallest rate, and without anything to use."""
    report = a_report(WITHOUT_FINALS, diverged)
    found = answer(report)
    assert (found.evidence, found.headline) == ("no answer", "There is no answer.")
    assert any(
        re.match(r"All \d+ trainings that ended diverged, from a peak rate of", each) for each in found.sentences
    )
    assert report.use is None
    assert "There is nothing to use yet." in page(report)


def test_failures_are_counted() -> None:
    """They say nothing of a schedule, and stand with the cost."""

    def some(plan: Any) -> Any:
        return failed(plan) if plan.schedule.family == "step" and plan.horizon == 30 else noisy(plan)

    report = a_report(script=some)
    assert report.failed > 0
    assert f"{report.failed} training" in " ".join(tables(report)["cost"].notes)


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_asks_no_network_for_anything(finished: Report) -> None:
    """No address in it but of namespaces, no source, and a policy that would forbid it."""
    text = page(finished)
    read = Read(text)
    assert set(re.findall(r"https?://[^\"'\s<)]+", text)) <= {"http://www.w3.org/2000/svg"}
    loading = [
        (tag, name) for tag, attributes in read.tags for name in attributes if name in ("src", "srcset", "action")
    ]
    assert loading == []
    assert [attributes["href"] for tag, attributes in read.tags if tag == "link"] == ["data:,"]
    [policy] = [attributes["content"] for tag, attributes in read.tags if "http-equiv" in attributes]
    assert str(policy).startswith("default-src 'none'; ")
    assert "unsafe" not in str(policy)
    assert "style" not in {name for _, attributes in read.tags for name in attributes}


def test_hostile_names_are_text(finished: Report) -> None:
    """Of study, family, metric and note: no tag of theirs is in the page, and what they are called is legible."""
    hostile = replace(
        finished,
        study=HOSTILE,
        workload=HOSTILE,
        searched_metric=HOSTILE,
        curve_metric=HOSTILE,
        state=HOSTILE,
        why_none=HOSTILE,
        families=tuple(replace(each, family=HOSTILE) for each in finished.families),
        curves=tuple(replace(each, family=HOSTILE, about=HOSTILE) for each in finished.curves),
        peaks=tuple(replace(each, family=HOSTILE, optimizer=HOSTILE, about=HOSTILE) for each in finished.peaks),
        divergences=tuple(replace(each, family=HOSTILE) for each in finished.divergences),
        provenance=((HOSTILE, HOSTILE),),
        notes=(HOSTILE,),
    )
    text = page(hostile)
    assert "img" not in {tag for tag, _ in Read(text).tags}
    assert text.count("<script") == text.count("</script>") == 2
    assert "<!--" not in text
    assert HOSTILE in Read(text).text
    assert any(each["series"][0]["family"] == HOSTILE for each in data_in(text)["charts"])
    plain = re.sub(r"^(```+)\w*\n.*?^\1$", "", markdown(hostile), flags=re.DOTALL | re.MULTILINE)
    assert "<img" not in plain
    assert "\n# x" not in plain


def test_code_in_a_sentence_is_code_and_a_name_in_it_no_markup(finished: Report) -> None:
    """In the answer, in notes and at the foot; what is no code keeps its backticks, and every sign is escaped."""
    notes = ("Then type `lrsweep run mine.toml`, or `--new`, not `<script>x</script>`.",)
    text = page(replace(finished, notes=notes, curves_left_out=3))
    assert "<code>lrsweep run mine.toml</code>, or <code>--new</code>, not `&lt;script&gt;x&lt;/script&gt;`." in text
    assert "more are left out here; <code>lrsweep ui</code> shows all." in text
    assert text.count("<script") == 2


def test_without_a_script_the_charts_are_there(finished: Report) -> None:
    """Each figure has a picture with a line or a point for the strong series."""
    text = page(finished)
    pictures = re.findall(r'<div class="plot">(<svg.*?</svg>)', text)
    assert len(pictures) == 3
    assert all("polyline" in each for each in pictures[:2])
    assert "<circle" in pictures[2]
    assert all("nan" not in each for each in pictures)


def test_a_family_has_one_colour_in_all_charts(finished: Report) -> None:
    """By its place among the families, on the page and in its pictures."""
    text = page(finished)
    places = data_in(text)["families"]
    buttons = dict(re.findall(r'data-family="(\w+)" class="c(\d+)', text))
    assert {family: int(number) for family, number in buttons.items()} == places


def test_a_page_of_many_long_trainings_is_small() -> None:
    """Under a megabyte for 60 trials of 5,000 updates, whose curves are thinned."""
    study = replace(a_study(trials=60, horizon=5000), selection=replace(WITH_FINALS.selection, finalists=0))
    report = a_report(study, completed)
    assert max(len(each.rates) for each in report.curves) <= MOST_POINTS
    assert len(page(report).encode()) < 1_000_000


def test_style_and_script_are_parts_of_the_package() -> None:
    """So that a wheel has them."""
    folder = resources.files("lrsweep.report") / "page"
    assert {each.name for each in folder.iterdir()} == {"page.css", "charts.js"}


def test_the_same_content_gives_the_same_page(finished: Report) -> None:
    """A report may be kept in git: nothing in it changes by itself."""
    again = replace(a_report(), provenance=finished.provenance)  # but for the minute in which that one began
    assert page(finished) == page(again)
    assert finished.made_at == NOW


# ── curves, axes, figures ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_drop_of_the_rate_stays_a_drop() -> None:
    """Of 10,000 steps both sides of each are kept: 0.1 until step 4,999, and 0.01 from step 5,000 on."""
    points = dict(thinned(np.where(np.arange(10_000) < 5_000, 0.1, 0.01)))
    assert (points[4999.0], points[5000.0]) == (0.1, 0.01)
    assert len(points) <= MOST_POINTS


def test_a_corner_of_the_rate_is_kept() -> None:
    """Where a cool-down begins."""
    rates = schedule("wsd", cooldown=0.123).rates(10_000, peak_lr=1.0)
    kept = [x for x, _ in thinned(rates)]
    assert any(abs(x - 8_770) <= 1 for x in kept)


def test_what_is_no_number_is_a_gap() -> None:
    """Neither JSON nor an SVG has one."""
    assert thinned(np.array([1.0, np.nan, np.inf])) == ((0.0, 1.0), (1.0, None), (2.0, None))
    assert averaged(np.array([np.inf, 1.0])) == ((0.0, None), (1.0, 1.0))
    assert averaged(np.empty(0)) == thinned(np.empty(0)) == ()


def test_ticks_are_round_and_inside() -> None:
    """Of any range, also a narrow one far from zero and one of a single decade."""
    assert ticks(0.0, 90.0) == [0.0, 20.0, 40.0, 60.0, 80.0]
    assert ticks(1.501, 1.512) == pytest.approx([1.502, 1.504, 1.506, 1.508, 1.51, 1.512])
    assert ticks(0.001, 0.1, is_log=True) == [0.001, 0.01, 0.1]
    assert ticks(0.2, 0.9, is_log=True) == [0.2, 0.3, 0.5, 0.7]
    assert ticks(5.0, 5.0) == [5.0]


@pytest.mark.parametrize(
    ("low", "high"), [(0.12, 0.33), (0.11, 2.5), (0.4, 0.6), (0.201, 0.209), (2e-4, 0.9), (1, 9e5)]
)
def test_a_log_axis_has_three_ticks_and_one_near_each_end(low: float, high: float) -> None:
    """Also where all points lie within one decade: none is far from a label."""
    found = ticks(low, high, is_log=True)
    shares = [np.log(each / low) / np.log(high / low) for each in found]
    assert 3 <= len(found) <= 12
    assert 0 <= min(shares) < 0.3
    assert 0.7 < max(shares) <= 1 + 1e-9
    assert ticks(0.11, 2.5, is_log=True) == [0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2]


def test_labels_of_an_axis_do_not_touch() -> None:
    """Long ones on a log axis are left out where the one before is nearer than 10 units; a sign takes 7."""
    rates = ((0.00012, 0.5), (0.0021, 0.6))
    chart = Chart("peaks", "peak rate", "val_loss", (Series("cosine", "", rates, abouts=("", "")),), x_log=True)
    labels = re.findall(r'<text x="([\d.]+)" y="278" text-anchor="middle">([\d.]+)<', drawn(chart, {"cosine": 0}))
    places = [(float(x), 7 * len(label) / 2) for x, label in labels]
    assert len(places) >= 3
    assert all(left + half + 10 <= right - other for (left, half), (right, other) in itertools.pairwise(places))


def test_code_in_a_sentence_is_code_in_markdown(finished: Report) -> None:
    """A backtick in a name is text."""
    assert finished.choice is not None
    step = "the finals have not ended: `lrsweep run three` goes on with them"
    text = markdown(replace(finished, choice=replace(finished.choice, next_step=step)))
    assert "`lrsweep run three` goes on" in text
    assert "\\`" not in text
    assert quoted("a`b and `*x*`") == r"a\`b and \`\*x\*\`"


def test_an_interval_is_drawn_where_it_lies() -> None:
    """From 25 % to 75 % of its cell with the mean in the middle; what lies outside ends at the edge."""
    found = whiskers(1.0, 2.0, 3.0, (0.0, 4.0))
    assert 'x1="25.00%" x2="75.00%"' in found
    assert 'cx="50.00%"' in found
    assert 'x1="0.00%" x2="100.00%"' in whiskers(-9.0, 2.0, 9.0, (0.0, 4.0))


def test_markdown_tables_have_as_many_cells_in_each_row(finished: Report) -> None:
    """And pictures are left to the page."""
    blocks = [block for block in markdown(finished).split("\n\n") if block.startswith("|")]
    assert len(blocks) >= 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert NOTHING in markdown(finished)


def test_charts_have_views_that_their_series_are_in(finished: Report) -> None:
    """Else a button would show an empty chart."""
    for chart in charts(finished):
        assert {each.view for each in chart.series} == set(chart.views)
