"""What the report tells: the answer, curves, costs, code, and what a result depends on."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from lrsweep.findings.reporting import curves
from lrsweep.report import using
from lrsweep.report.answer import answer
from lrsweep.report.charts import sensitivity
from lrsweep.report.content import Report
from lrsweep.report.html import page
from lrsweep.report.markdown import markdown
from lrsweep.report.tables import tables
from lrsweep.schedules import schedule_from_json
from lrsweep.selection.rates import Rates
from tests.read_pages import Read
from tests.reported import (
    A_SCRIPT,
    WITHOUT_FINALS,
    a_report,
    scripted,
)
from tests.scripted import completed
from tests.sweeps import a_study


@pytest.fixture(scope="module")
def finished() -> Report:
    return a_report()


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
