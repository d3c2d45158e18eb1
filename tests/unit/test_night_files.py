"""What a night writes: JSON, Markdown and gauges; each whole, and each read by what reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from prometheus_client.parser import text_string_to_metric_families

from lrsweep.nightly.outcome import NightRun, StudyNight
from lrsweep.nightly.telling import Wanted, prometheus, tell
from lrsweep.nightly.telling.markdown import markdown
from lrsweep.nightly.telling.nights import nights_of, points
from tests.nights_by_hand import HERE, night, quiet
from tests.nights_told import EVENING, drifting, plain, run_of, told

Gauges = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def sayings() -> list[str]:
    return []


def gauges(text: str) -> Gauges:
    """As Prometheus reads them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_summary_is_json_with_what_programs_ask_for(tmp_path: Path) -> None:
    """And comes back as the run that it was."""
    run, said = run_of(plain(1, "failed", "one"), plain(1, study="two"), notes=["three was left out"]), sayings()
    tell(run, {}, Wanted(summary=tmp_path / "night.json"), said.append)
    written = json.loads((tmp_path / "night.json").read_text(encoding="utf-8"))
    assert written["key"] == "2026-01-02"
    assert written["verdicts"] == {"one": "failed", "two": "holds"}
    assert written["exit_code"] == 70
    assert [each["study"] for each in written["studies"]] == ["one", "two"]
    assert NightRun.from_json(written) == run
    assert said == []


def test_markdown_is_a_table_and_the_details_below_it() -> None:
    """With the canaries as they stand on their charts, and what changed around them."""
    nights = told(drifting()[:21])
    text = markdown(run_of(nights[-1], notes=["other was left out"]), {"mine": nights[:-1]})
    assert "# Night 2026-01-21: 1 undecided" in text
    assert "| mine | undecided | the device changed from cpu to cuda:0 NVIDIA H200, so that limits" in text
    assert "- other was left out" in text
    assert "- State: holds before, undecided now" in text
    assert "- Changed: the device changed from cpu to cuda:0 NVIDIA H200" in text
    assert "- Trained: 6 trainings, 1,200 steps, 1.5 min" in text
    assert "| champion | 1 | 3 | none yet | 0 |" in text
    assert text.endswith("*Exit code 0; ended 2026-01-21 00:02 UTC, after 2.5 min.*\n")


def test_a_study_with_nothing_more_to_tell_has_its_row_alone() -> None:
    """A failure's lines stand in it one after the other."""
    failed = plain(1, "failed", sentence="mine.toml: 2 problems\n  line 1: a\n  line 2: b")
    text = markdown(run_of(failed), {"mine": [plain(0, "failed")]})
    assert "| mine | failed | mine.toml: 2 problems; line 1: a; line 2: b | what comes next |" in text
    assert "## mine" not in text


def test_names_and_messages_are_text_in_markdown() -> None:
    """No tag, link, picture or column comes out of them."""
    bad = "<img src=x onerror=a()> | [a](http://b) ![c](http://d) `e\n\n# f"
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(
        markdown(run_of(plain(1, study=bad, sentence=bad, next_step=bad, champion=bad), notes=[bad]), {})
    )
    assert "<img" not in html
    assert "<a " not in html
    assert html.count("<td") == 4
    assert html.count("<h1") == 1


def test_markdown_is_appended_to_the_summary_of_a_github_job(tmp_path: Path) -> None:
    """Below what other steps have written, also where no option asks for Markdown."""
    summary, said = tmp_path / "step.md", sayings()
    summary.write_text("before\n", encoding="utf-8")
    tell(run_of(plain(1)), {}, Wanted.from_environ({"GITHUB_STEP_SUMMARY": str(summary)}), said.append)
    assert summary.read_text(encoding="utf-8").startswith("before\n# Night 2026-01-02: 1 holds\n")
    assert said == []


def test_prometheus_reads_the_gauges_of_a_run() -> None:
    """Verdict as one of five, the canary with its limits, when and how it ended."""
    nights = told(quiet(12))
    chart = points(nights, "champion")[-1]
    found = gauges(prometheus.text(run_of(nights[-1]), {"mine": nights}, succeeded=7.0))
    assert found["lrsweep_night_last_end_timestamp_seconds", ()] == nights[-1].ended_at
    assert found["lrsweep_night_last_success_timestamp_seconds", ()] == 7.0
    assert found["lrsweep_night_exit_code", ()] == 0
    assert found["lrsweep_night_seconds", ()] == 150
    verdicts = {labels: value for (name, labels), value in found.items() if name == "lrsweep_night_verdict"}
    assert len(verdicts) == 5
    assert [labels for labels, value in verdicts.items() if value] == [(("study", "mine"), ("verdict", "holds"))]
    assert found["lrsweep_night_study_trainings", (("study", "mine"),)] == 6
    assert found["lrsweep_night_study_steps", (("study", "mine"),)] == 1200
    assert found["lrsweep_night_study_seconds", (("study", "mine"),)] == 90
    series = (("series", "champion"), ("study", "mine"))
    assert found["lrsweep_night_canary_value", series] == chart.value
    assert chart.limits is not None
    assert found["lrsweep_night_canary_limit", (("bound", "low"), *series)] == chart.limits[0]
    assert found["lrsweep_night_canary_limit", (("bound", "high"), *series)] == chart.limits[1]
    assert found["lrsweep_night_canary_out", series] == 0


def test_each_family_of_gauges_says_what_it_is() -> None:
    """And is named once, or a collector refuses the whole file."""
    text = prometheus.text(run_of(told(quiet(12))[-1], plain(11, study="two")), {}, succeeded=1.0)
    families = list(text_string_to_metric_families(text))
    assert all(
        each.documentation and each.type == "gauge" and each.name.startswith("lrsweep_night_") for each in families
    )
    assert len({each.name for each in families}) == len(families)
    assert len(gauges(text)) == sum(len(each.samples) for each in families)


def test_a_night_that_trained_nothing_keeps_the_canary_of_the_last_one() -> None:
    """A gap in a gauge would look like a canary that went away."""
    nights = [*told(quiet(12)), plain(12, is_unchanged=True)]
    found = gauges(prometheus.text(run_of(nights[-1]), {"mine": nights}, None))
    assert ("lrsweep_night_canary_value", (("series", "champion"), ("study", "mine"))) in found
    assert found["lrsweep_night_unchanged", (("study", "mine"),)] == 1
    assert found["lrsweep_night_study_trainings", (("study", "mine"),)] == 0


def test_a_study_that_did_not_run_tonight_keeps_its_gauges() -> None:
    """With the time at which its own night ended."""
    found = gauges(prometheus.text(run_of(plain(3)), {"other": [plain(1, "workload drifted", "other")]}, None))
    assert found["lrsweep_night_verdict", (("study", "other"), ("verdict", "workload drifted"))] == 1
    assert found["lrsweep_night_study_end_timestamp_seconds", (("study", "other"),)] == plain(1).ended_at


def test_a_run_that_failed_keeps_the_time_of_the_last_success(tmp_path: Path) -> None:
    """Read from the file that it replaces; a run whose champion changed (4) is a success."""
    file = tmp_path / "lrsweep.prom"
    success = ("lrsweep_night_last_success_timestamp_seconds", ())

    def written(run: NightRun) -> Gauges:
        prometheus.write(file, run, {})
        return gauges(file.read_text(encoding="utf-8"))

    assert success not in written(run_of(plain(0, "failed")))
    assert written(run_of(plain(1, "workload drifted")))[success] == plain(1).ended_at
    after = written(run_of(plain(2, "failed")))
    assert after[success] == plain(1).ended_at
    assert after["lrsweep_night_exit_code", ()] == 70
    assert after["lrsweep_night_study_end_timestamp_seconds", (("study", "mine"),)] == plain(2).ended_at
    assert ("lrsweep_night_study_success_timestamp_seconds", (("study", "mine"),)) not in after


def test_a_name_with_quotes_and_lines_stays_one_label() -> None:
    """As Prometheus writes them."""
    found = gauges(prometheus.text(run_of(plain(0, study='a"b\\c\nd')), {}, None))
    assert found["lrsweep_night_unchanged", (("study", 'a"b\\c\nd'),)] == 0


def test_tonight_is_told_once_though_the_history_has_it_already() -> None:
    """In its place: nights that came later stay after it."""

    def keys(found: Sequence[StudyNight]) -> list[str]:
        return [each.key for each in found]

    nights = [plain(0), plain(1), plain(2)]
    again = replace(nights[1], sentence="another")
    assert nights_of(run_of(again), {"mine": nights})["mine"] == [nights[0], again, nights[2]]
    assert keys(nights_of(run_of(plain(3)), {"mine": nights})["mine"]) == keys([*nights, plain(3)])
    assert nights_of(run_of(plain(3)), {"never": []}).keys() == {"mine"}


def test_limits_that_began_anew_are_seen_where_they_did() -> None:
    """At the first night of another device, and after a drift; the first night of all is no new beginning."""
    found = points(told(drifting()), "champion")
    restarted = [point.key for point in found if point.restarted]
    assert restarted[0] == "2026-01-21"
    assert found[20].changed == ("the device changed from cpu to cuda:0 NVIDIA H200",)
    assert found[20].limits is None
    drifted = [place for place, point in enumerate(found) if point.verdict == "workload drifted"]
    assert len(drifted) == 2, "there, and back again"
    assert all(found[place + 1].restarted for place in drifted)


def test_the_moments_of_these_tests_are_those_of_a_calendar() -> None:
    """The helper's own: its first evening is the first of January 2026."""
    assert plain(0).began_at == EVENING
    assert "ended 2026-01-01 00:02 UTC" in markdown(run_of(plain(0)), {})


@pytest.mark.parametrize("odd", [{}, {"charts": None, "changes": None}, {"charts": [], "changes": []}])
def test_a_judgement_of_another_release_that_says_less_is_still_told(odd: dict[str, None]) -> None:
    """Nothing is drawn of it, and nothing fails."""
    run = run_of(plain(0, judgement=odd))
    assert "mine" in markdown(run, {})
    assert "lrsweep_night_canary" not in prometheus.text(run, {}, None)


def test_a_canary_of_other_versions_says_so_beside_its_value() -> None:
    """A change is shown as what it is."""
    other = replace(HERE, versions={**HERE.versions, "torch": "2.16.0"})
    nights = told([*quiet(12), night(12, around=other)])
    assert "- Changed: the version of torch changed from 2.15.0 to 2.16.0" in markdown(run_of(nights[-1]), {})
