"""What a person sees: the table, the best schedule as code, and the lines on the way, on a recorded console."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from rich.console import Console

import lrsweep
from lrsweep.cli.commands.running import run
from lrsweep.cli.following import next_commands
from lrsweep.cli.live import Display, pasteable, sparkline
from lrsweep.errors import DeadlinePassed, Interrupted
from lrsweep.records import Status, SweepRow, TrialState, WorkloadSpec
from lrsweep.schedules import Schedule, family_names, schedule
from lrsweep.scripts.command import Command
from lrsweep.selection import by_family
from lrsweep.selection.choice import choose
from lrsweep.selection.results import Point, Result
from lrsweep.space import candidate, suggest
from lrsweep.study import OPTIMIZERS
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.progress import Best, Progress, Running, SweepResult
from tests.sweeps import STUDY_FILE, a_complete_trial, a_progress, a_study, a_training, a_trial

HOMES = Homes(Path("/data/[lr]"), "", "", "", None)
TRIALS = [
    a_complete_trial(0, 0.25),
    a_trial(1, state=TrialState.PRUNED, value=0.5),
    a_trial(2, family="linear", optimizer="adamw", state=TrialState.PRUNED, value=None),
]
BEST = Best(
    trial=0,
    value=0.25,
    metric="val_loss",
    direction="minimize",
    workload=WorkloadSpec("digits"),
    family="cosine",
    schedule=schedule("cosine", warmup=0.05),
    peak_lr=0.123456789,
    optimizer="sgd",
    optimizer_settings=OPTIMIZERS["sgd"].settings,
    horizon=600,
    metrics={"val_loss": 0.25},
)
NOTHING = a_progress()
SOMETHING = a_progress(
    trials_told=3,
    trainings_ended=4,
    steps_done=180,
    seconds=75.0,
    seconds_left=7500.0,
    families=by_family(TRIALS),
    best=BEST,
    running=[Running(a_training(3, status=Status.RUNNING), a_trial(3, family="linear"))],
)


SEARCHED = [name for name in family_names() if name not in ("table", "function")]
REACTIVE = [name for name in SEARCHED if schedule(name).needs_metric]
TIME_DRIVEN = [name for name in SEARCHED if name not in REACTIVE]
HEARD = dict(zip(range(30, 601, 30), [2.0, 1.5, 1.0] + [0.5] * 10 + [0.25] * 7, strict=True))
"""A loss that falls and then hardly moves: each reactive family does something about it."""
EVENLY = dict.fromkeys(range(30, 601, 30), 1.0)


def drawn(name: str) -> Schedule:
    """A schedule as a search may draw it."""
    study = a_study(families=(name,), optimizers=("sgd",), floor=(0.0, 0.1))
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    suggest(trial, study)
    return candidate(trial.params, study).schedule


def a_result(**changes: Any) -> SweepResult:
    result = SweepResult(
        sweep=SweepRow("s", "quick", "g", seconds=12.34),
        trials=TRIALS,
        trainings=[a_training(0, value=0.3), a_training(0, 1, value=0.25), a_training(1, value=0.5)],
        families=by_family(TRIALS),
        best=BEST,
        home="/data/[lr]",
        startup_seconds=5.67,
    )
    return replace(result, **changes)


def recorded(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), record=True, width=120, force_terminal=terminal)


def reported(result: SweepResult) -> list[str]:
    console = recorded()
    Display(console, STUDY_FILE, HOMES).report(result, again="lrsweep run quick")
    return [line.rstrip() for line in console.export_text().splitlines()]


def seen(progress: Progress) -> str:
    """What a live terminal shows of it; Rich draws at the latest when it stops."""
    console = recorded(terminal=True)
    with Display(console, STUDY_FILE, HOMES) as display:
        display.show(progress)
    return console.export_text()


def test_the_report_has_a_row_per_family_with_its_best_and_its_counts() -> None:
    """Best family first; a family without a trial at the full horizon has a dash."""
    header, *rows = reported(a_result())[:3]
    assert " ".join(header.split()) == "family best peak rate optimizer trials full halted diverged failed"
    assert rows[0].split() == ["cosine", "0.2500", "0.1", "sgd", "2", "1", "1", "0", "0"]
    assert rows[1].split() == ["linear", "–", "1", "0", "0", "1", "0"]


def test_the_report_counts_trials_trainings_steps_and_seconds() -> None:
    """30 + 90 + 30 steps; the start is told apart."""
    assert "3 trials, 3 trainings, 150 steps in 12.3 s (and 5.7 s to start)" in reported(a_result())


@pytest.mark.parametrize("name", TIME_DRIVEN)
def test_the_pasteable_line_gives_the_rates_in_a_fresh_interpreter(name: str) -> None:
    """With ``import lrsweep`` alone it evaluates to one rate per step, whatever was drawn for its settings."""
    best = replace(BEST, schedule=drawn(name))
    rates = eval(pasteable(best), {"lrsweep": lrsweep})
    assert isinstance(rates, np.ndarray)
    assert rates.shape == (600,)
    np.testing.assert_array_equal(rates, best.schedule.rates(600, BEST.peak_lr))


@pytest.mark.parametrize("name", REACTIVE)
def test_the_pasteable_line_of_a_reactive_winner_trains_as_it_did(name: str) -> None:
    """It makes a PyTorch scheduler; told the same losses at the same steps, it sets the rates of the sweep."""
    best = replace(BEST, family=name, schedule=drawn(name), heard=HEARD)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = eval(pasteable(best), {"lrsweep": lrsweep, "optimizer": optimizer})
    rates = []
    for step in range(600):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % 30:
            scheduler.step()
        else:
            scheduler.step(HEARD[step + 1])
    np.testing.assert_array_equal(rates, best.schedule.replay(HEARD, 600, BEST.peak_lr))
    assert len(set(rates)) > 1


def test_the_report_of_a_reactive_winner_says_how_it_is_fed() -> None:
    """The line to paste, then what to call after an update; the bars are those of its training: halved at the 2nd of 20
    evaluations, which is where a tenth of it is over, and at each after that."""
    halved = schedule("plateau", patience=0, gamma=0.5)
    best = replace(BEST, family="plateau", schedule=halved, heard=EVENLY)
    lines = reported(a_result(best=best))
    assert f"    {halved!r}.torch(optimizer, 600, peak_lr=0.123456789)" in lines
    told = [line for line in lines if line.startswith("It reacts to val_loss: ")]
    assert told == [
        "It reacts to val_loss: after each update call `.step()` on it, or `.step(val_loss)` after one that was "
        "evaluated; here 20 of 600 were."
    ]
    [shown] = [line for line in lines if line.startswith("best: ")]
    assert shown.endswith("  ██▅▅▃▂" + 18 * "▁")


def test_the_report_of_a_time_driven_winner_says_nothing_of_metrics() -> None:
    """There is nothing to feed."""
    assert "reacts" not in "\n".join(reported(a_result()))


def test_the_report_ends_with_the_best_schedule_and_what_to_type_next() -> None:
    """The line of code stands alone on its line, so that it can be copied; the home is part of the commands."""
    lines = reported(a_result())
    assert "    lrsweep.schedule('cosine', warmup=0.05).rates(600, peak_lr=0.123456789)" in lines
    [best] = [line for line in lines if line.startswith("best: ")]
    assert best.startswith("best: cosine with sgd, peak rate 0.123, val_loss 0.2500  ")
    assert best.endswith(sparkline(BEST.schedule, 600))
    assert (
        "for sgd (momentum=0.9, weight_decay=0). Best of its trials on one seed each: partly luck, see the README."
        in (lines)
    )
    typed = [line.split("   ")[0] for line in lines[lines.index("Next:") + 1 :]]
    home = "  LRSWEEP_HOME='/data/[lr]' lrsweep "
    assert typed == [f"{home}{words}" for words in ("ui quick", "choose quick", "report quick", "run STUDY.toml")]


@pytest.mark.parametrize("value", [0.9, 0.2], ids=["decided", "undecided"])
def test_a_report_names_promote_where_it_is_decided_and_else_what_would_show_more(value: float) -> None:
    """Three seeds of two families, far apart or not."""
    rows = {"cosine": (0.1, 0.2, 0.3), "linear": (value, value + 0.1, value - 0.1)}
    found = choose(
        [Result(Point(name), 90, str(seed), each) for name, of in rows.items() for seed, each in enumerate(of)]
    )
    console = recorded()
    Display(console, STUDY_FILE, HOMES).report(a_result(), again="", choice=found)
    text = console.export_text()
    promotes = "lrsweep promote quick --to schedules/quick.json   puts it in force, as a file that trainings load"
    assert (promotes in text) == (value == 0.9)
    assert (f"Which schedule is best is undecided. To know more: {found.next_step}." in text) == (value == 0.2)


def test_a_report_without_any_trial_says_so() -> None:
    """No exception, no table row, and no line to paste."""
    lines = reported(a_result(trials=[], trainings=[], families=[], best=None))
    assert "0 trials, 0 trainings, 0 steps in 12.3 s (and 5.7 s to start)" in lines
    assert "No training reached the full horizon, so there is no best schedule." in lines


def test_what_mlflow_lacks_is_said_with_the_command_that_sends_it() -> None:
    """Brackets in an address are text, not markup."""
    text = "\n".join(reported(a_result(not_mirrored=2, outage="no answer from http://[::1]:5000.")))
    assert "MLflow still lacks 2 of 3 trainings: no answer from http://[::1]:5000." in text
    assert "Nothing is lost; to send what is missing: lrsweep run quick" in text


def test_the_live_view_shows_progress_families_the_best_and_the_running_training() -> None:
    """75 seconds are 1 min 15 s, 7,500 are 2 h 05 min."""
    text = seen(SOMETHING)
    assert "lrsweep study quick, 60 trials; results in /data/[lr]" in text
    assert "3/60 trials, 4 trainings, 1 min 15 s, about 2 h 05 min left" in text
    assert "cosine" in text
    assert sparkline(BEST.schedule, 600) in text
    assert "now: trial 3, linear with sgd, 30 steps" in text


def test_where_a_clock_ends_the_sweep_the_live_view_shows_its_time() -> None:
    """How many trials it pays for nobody knows: they are counted, and the bar is that of the time."""
    timed = replace(SOMETHING, trials_wanted=None, seconds_left=25.0)
    assert "3 trials, 4 trainings, 1 min 15 s, about 25 s left" in seen(timed)
    assert "1 trial, " in seen(replace(timed, trials_told=1))


def test_the_live_view_shows_an_outage_with_the_backlog() -> None:
    """A person sees why the curves in MLflow do not move."""
    text = seen(replace(SOMETHING, behind=5, outage="the server did not answer"))
    assert "MLflow is behind by 5 trainings: the server did not answer" in text


def test_the_live_view_stands_before_the_first_trial() -> None:
    """Zero of sixty, no table rows, no time left that could be guessed."""
    text = seen(NOTHING)
    assert "0/60 trials, 0 trainings, 0 s" in text
    assert "left" not in text


def test_without_a_terminal_there_is_a_plain_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one every five seconds: a log file stays readable."""
    clock = iter([100.0, 100.0, 101.0, 106.0, 106.0])
    monkeypatch.setattr("lrsweep.cli.live.time.monotonic", lambda: next(clock))
    console = recorded()
    with Display(console, STUDY_FILE, HOMES) as display:
        for progress in (NOTHING, SOMETHING, SOMETHING):
            display.show(progress)
    assert console.export_text().splitlines()[1:] == [
        "0/60 trials, 0 s",
        "3/60 trials, 1 min 15 s, about 2 h 05 min left; best 0.2500 (cosine)",
    ]


@pytest.mark.parametrize("name", [*TIME_DRIVEN, *REACTIVE])
def test_a_sparkline_is_as_wide_as_it_is_asked_for(name: str) -> None:
    """One bar per part of the training; somewhere it is near the peak."""
    bars = sparkline(schedule(name), 600, heard={30 * place: 1.0 - place / 32 for place in range(1, 21)})
    assert len(bars) == 24
    assert {"▇", "█"} & set(bars)


def test_the_bars_of_a_warm_up_in_steps_are_those_of_the_training_that_was_run() -> None:
    """300 of 600 steps: twelve bars rise and twelve stay."""
    counted = replace(BEST, schedule=schedule("constant", warmup="300 steps"))
    [shown] = [line for line in reported(a_result(best=counted)) if line.startswith("best: ")]
    assert shown.endswith("  ▁▂▂▃▄▄▅▆▆▇██" + 12 * "█")


def test_the_sparkline_of_a_constant_is_full_and_that_of_a_line_falls() -> None:
    """By hand: the middles of eight parts of a line are 15/16, 13/16 … 1/16."""
    assert sparkline(schedule("constant"), 600, 4) == "████"
    assert sparkline(schedule("linear"), 600, 8) == "█▇▆▅▄▃▂▁"


def test_the_bars_of_a_reactive_schedule_are_the_rates_of_its_training() -> None:
    """By hand: 24 steps, one bar each; the rate is halved at the second of four evaluations, after 12, and at 18."""
    halved = schedule("plateau", patience=0, gamma=0.5)
    assert sparkline(halved, 24, heard={6: 1.0, 12: 1.0, 18: 1.0, 24: 1.0}) == 12 * "█" + 6 * "▅" + 6 * "▃"
    assert sparkline(halved, 24, heard={6: 1.0, 12: 0.5, 18: 0.25, 24: 0.125}) == 24 * "█"


def test_the_bars_show_when_a_script_reported() -> None:
    """By hand: 24 steps, a bar each; reports after 2, 3, 20 and 21 updates halve the rate at the second, third and
    fourth, of which evenly spaced ones would know nothing."""
    halved = schedule("plateau", patience=0, gamma=0.5)
    assert sparkline(halved, 24, heard=dict.fromkeys((2, 3, 20, 21), 1.0)) == 3 * "█" + 17 * "▅" + "▃" + 3 * "▂"


def test_a_view_that_cannot_be_drawn_ends_no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, with what was wrong, and later looks are not drawn; on a terminal and without one."""
    broken = replace(SOMETHING, best=replace(BEST, schedule=schedule("plateau"), heard={601: 1.0}))
    assert seen(broken).count("the sweep goes on without a view, which could not be drawn: ScheduleError") == 1
    monkeypatch.setattr("lrsweep.cli.live._plain_line", None)
    console = recorded()
    with Display(console, STUDY_FILE, HOMES) as display:
        display.show(SOMETHING)
        display.show(SOMETHING)
    assert console.export_text().count("the sweep goes on without a view") == 1


def test_a_start_does_not_promise_torch_where_a_script_trains() -> None:
    """Nothing loads torch for it here."""
    console = recorded(terminal=True)
    with Display(console, replace(STUDY_FILE, workload=Command("python train.py").spec()), HOMES):
        pass
    text = console.export_text()
    assert "starting: MLflow" in text
    assert "torch" not in text


def test_next_commands_name_the_home_only_where_it_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default home is found by itself; a path with blanks is quoted."""
    monkeypatch.chdir(tmp_path)
    assert next_commands("quick", tmp_path / ".lrsweep").startswith("  lrsweep ui quick ")
    assert next_commands("quick", Path("/a b")).startswith("  LRSWEEP_HOME='/a b' lrsweep ui quick ")


# ── scripts, other metrics, many at once ─────────────────────────────────────────────────────────────────────────────


def of_a_script(command: Command, **changes: Any) -> Best:
    best = replace(
        BEST,
        metric="val_acc",
        direction="maximize",
        workload=command.spec(),
        optimizer="script",
        optimizer_settings={},
        extra={"dropout": 0.123456, "head": "a b"},
    )
    return replace(best, **changes)


def test_the_best_of_a_script_is_its_call_of_attach() -> None:
    """Exact in the line to paste, which gives outside a sweep what the sweep gave; readable in the sentence."""
    best = of_a_script(Command("python train.py"))
    lines = reported(a_result(best=best))
    assert (
        "    run = lrsweep.attach(peak_lr=0.123456789, total_steps=600, "
        "schedule=lrsweep.schedule('cosine', warmup=0.05), metric='val_acc', "
        "settings={'dropout': 0.123456, 'head': 'a b'})"
    ) in lines
    [shown] = [line for line in lines if line.startswith("best: ")]
    assert shown.startswith("best: cosine, peak rate 0.123, val_acc 0.2500  ")
    assert [line for line in lines if line.startswith("for the script with dropout=0.1235, head=a b. ")]
    given: dict[str, Any] = {}
    exec(pasteable(best), {"lrsweep": lrsweep}, given)
    np.testing.assert_array_equal(given["run"].rates, BEST.schedule.rates(600, BEST.peak_lr))
    assert given["run"].settings == best.extra
    assert "metric" not in pasteable(replace(best, metric="val_loss"))  # the default of attach


def test_the_line_to_paste_has_what_the_script_says_itself_too() -> None:
    """It takes the place of the script's own call: without `hidden` the script would find none."""
    best = replace(of_a_script(Command("python train.py")), script_settings={"hidden": 16, "act": None})
    assert "settings={'hidden': 16, 'act': None, 'dropout': 0.123456, 'head': 'a b'})" in pasteable(best)
    assert best.to_json()["script_settings"] == {"hidden": 16, "act": None}
    assert best.to_json()["extra"] == {"dropout": 0.123456, "head": "a b"}


def test_the_best_of_a_script_with_flags_is_its_command_line() -> None:
    """Each value is one word of the shell; the seed is the reader's to choose."""
    flags = {"wsd": "--lr {peak_lr} --decay {cooldown} --head {head}"}
    best = of_a_script(
        Command("train.sh --n {steps} --seed {seed}", families=flags),
        family="wsd",
        schedule=schedule("wsd", cooldown=0.25),
    )
    assert pasteable(best) == "train.sh --n 600 --seed SEED --lr 0.123456789 --decay 0.25 --head 'a b'"


def test_the_best_of_a_script_with_a_file_of_rates_is_the_rates() -> None:
    """What the file held."""
    best = of_a_script(Command("train --lr-table {lr_table}"))
    assert pasteable(best) == "lrsweep.schedule('cosine', warmup=0.05).rates(600, peak_lr=0.123456789)"


def test_a_reactive_winner_names_the_studys_metric() -> None:
    """Of a workload `.step` takes it; of a script `run.report` has it."""
    reacts = replace(BEST, family="plateau", schedule=schedule("plateau"), heard=EVENLY, metric="val_acc")
    assert any("It reacts to val_acc: after each" in line for line in reported(a_result(best=reacts)))
    told = reported(a_result(best=replace(reacts, workload=Command("train").spec())))
    assert "It reacts to val_acc, which `run.report` tells it." in told


def test_the_live_view_of_many_trainings_names_their_trials() -> None:
    """Ten run: eight numbers and how many more."""
    many = [Running(a_training(number, status=Status.RUNNING), a_trial(number)) for number in range(3, 13)]
    text = seen(replace(SOMETHING, running=many))
    assert "now: 10 trainings, of the trials 3, 4, 5, 6, 7, 8, 9, 10 and 2 more" in text
    assert "now: 2 trainings, of the trials 3, 4\n" in seen(replace(SOMETHING, running=many[:2])).replace(" \n", "\n")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "run 'my quick.toml'"),
        (
            {"device": "cpu", "engine": "fused:4x2", "deadline": "10m", "synthetic": True, "new": True},
            "run 'my quick.toml' --synthetic --device cpu --engine fused:4x2 --deadline 10m",
        ),
    ],
)
def test_what_continues_a_sweep_has_the_options_that_were_given(
    given: dict[str, Any],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """But for ``--new``, which would start another. The sweep is a double: a real one takes 10 s to be stopped."""

    def stopped(*_: Any, **__: Any) -> None:
        raise DeadlinePassed("the deadline passed")

    monkeypatch.setattr("lrsweep.cli.sweeping.run_sweep", stopped)
    monkeypatch.setenv("LRSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("my quick.toml").write_text('[study]\nname = "quick"\nworkload = "mnist"\n[budget]\ntrials = 2\n')
    with pytest.raises(DeadlinePassed):
        run("my quick.toml", **given)
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("to continue: ")]
    assert line.endswith(f" {told}")


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_signal_before_anything_was_trained_promises_nothing_of_it(
    has_begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start takes many seconds, and leaves nothing: only what a driver has shown is kept. The sweep is a double."""

    def stopped(*_: Any, observe: Callable[[Progress], None], **__: Any) -> None:
        if has_begun:
            observe(NOTHING)
        raise Interrupted(signal.SIGINT, "interrupted; what was finished is kept")

    monkeypatch.setattr("lrsweep.cli.sweeping.run_sweep", stopped)
    monkeypatch.setenv("LRSWEEP_HOME", str(tmp_path / "home"))
    file = tmp_path / "quick.toml"
    file.write_text('[study]\nname = "quick"\nworkload = "mnist"\n[budget]\ntrials = 2\n')
    with pytest.raises(Interrupted) as left:
        run(str(file))
    assert left.value.exit_code == 130
    assert ("nothing was trained yet" in str(left.value)) is not has_begun
