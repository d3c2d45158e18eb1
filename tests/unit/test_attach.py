"""``lrsweep.attach`` where no PyTorch is used: values, facts, reports, rates."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrsweep
from lrsweep import NeedsMetric, ScheduleError
from lrsweep.errors import InvalidInput
from lrsweep.scripts.plan_file import ATTEMPT, VARIABLE, PlanFile, read_facts, write_plan_file
from lrsweep.scripts.reports import Begin, End, Preempted, Report, Wrong, append, signed
from tests.plans import in_sweep, plan_in, said

REPOSITORY = Path(__file__).parents[2]
PLATEAU = lrsweep.schedule("plateau", patience=0, gamma=0.5)


def run_script(text: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A script in a process and a folder of its own."""
    script = folder / "train.py"
    script.write_text(text)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("LRSWEEP_")}
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=outer | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"} | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )


# ── outside of a sweep ───────────────────────────────────────────────────────────────────────────────────────────────


def test_outside_a_sweep_the_scripts_own_values_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, and the rates of its own schedule."""
    monkeypatch.delenv(VARIABLE, raising=False)
    run = lrsweep.attach(
        peak_lr=0.4, total_steps=4, schedule="linear", seed=3, settings={"width": 8}, checkpoint_dir="saved"
    )
    assert not run.in_sweep
    assert (run.peak_lr, run.total_steps, run.seed, run.settings) == (0.4, 4, 3, {"width": 8})
    assert run.checkpoint_dir == Path("saved")
    assert run.rates.tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert [run.rate(step) for step in range(4)] == run.rates.tolist()
    assert not run.should_stop


def test_outside_a_sweep_nothing_is_touched(tmp_path: Path) -> None:
    """No file, no variable, no random number, nothing that is left for the end of the process."""
    done = run_script(
        """
import atexit, os, random
import numpy
import lrsweep.integrations.attach
random.seed(1); numpy.random.seed(1)
before = atexit._ncallbacks(), dict(os.environ), random.getstate(), numpy.random.get_state()[1].tolist()
run = lrsweep.attach(peak_lr=0.1, total_steps=10)
run.report(1, val_loss=0.5)
assert not run.should_stop
assert before == (atexit._ncallbacks(), dict(os.environ), random.getstate(), numpy.random.get_state()[1].tolist())
assert sorted(os.listdir()) == ["train.py"], os.listdir()
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def test_a_reactive_schedule_of_the_scripts_own_hears_its_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that ``metric`` names, and no other."""
    monkeypatch.delenv(VARIABLE, raising=False)
    run = lrsweep.attach(peak_lr=0.8, total_steps=4, schedule=PLATEAU, metric="loss")
    run.report(1, loss=1.0, val_loss=9.0)
    run.report(2, loss=1.5)
    run.report(3, val_loss=99.0)
    assert [run.rate(step) for step in range(4)] == [0.8, 0.8, 0.4, 0.4]


def test_without_a_horizon_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sweep the plan has one; outside, the script must say it."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ScheduleError, match=r"wanted attach\(peak_lr=\.\.\., total_steps=20_000\)"):
        _ = lrsweep.attach(peak_lr=0.1).total_steps


# ── in a sweep ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_a_sweep_the_plans_values_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search's settings lie over the script's."""
    plan = in_sweep(monkeypatch, tmp_path, settings={"width": 64})
    run = lrsweep.attach(peak_lr=1e-3, total_steps=20_000, seed=1, settings={"width": 8, "depth": 2})
    assert run.in_sweep
    assert (run.peak_lr, run.total_steps, run.seed, run.settings) == (0.8, 8, 7, {"width": 64, "depth": 2})
    assert run.checkpoint_dir == plan.checkpoint_dir
    assert run.checkpoint_dir.is_dir()
    assert run.rates.tolist() == pytest.approx([0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_reports_are_there_when_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of any kind; NaN and infinity are results."""
    plan = in_sweep(monkeypatch, tmp_path, attempt=2)
    run = lrsweep.attach(peak_lr=1e-3)
    assert said(plan) == [Begin(2)]
    run.report(np.int64(2), val_loss=np.float32(0.5), acc=1)
    assert said(plan)[1:] == [Report(2, {"val_loss": 0.5, "acc": 1.0})]
    run.report(4, val_loss=math.inf, other=np.array(0.25))
    assert said(plan)[2:] == [Report(4, {"val_loss": math.inf, "other": 0.25})]


def test_every_line_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt, and the same process in all lines of one call of attach and in none of another."""
    plan = in_sweep(monkeypatch, tmp_path, attempt=2)
    lrsweep.attach(peak_lr=1e-3).report(2, val_loss=0.5)
    lrsweep.attach(peak_lr=1e-3)
    writers = [by for _, by in map(signed, plan.reports.read_text().splitlines())]
    first, again, other = [by for by in writers if by is not None]
    assert first == again != other
    assert [each.attempt for each in (first, other)] == [2, 2]
    assert str(os.getpid()) in first.process.split(":")


def test_a_script_of_another_attempt_leaves_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that a batch system starts when its sweep has gone on without it: preempted, and not a word in reports."""
    plan = in_sweep(monkeypatch, tmp_path, attempt=2)
    monkeypatch.setenv(ATTEMPT, "1")
    with pytest.raises(SystemExit) as left:
        lrsweep.attach(peak_lr=1e-3)
    assert left.value.code == 75
    assert "was started for attempt 1 of a training whose plan is of attempt 2 by now" in capsys.readouterr().err
    assert said(plan) == []
    monkeypatch.setenv(ATTEMPT, "2")
    assert lrsweep.attach(peak_lr=1e-3).in_sweep


@pytest.mark.parametrize("sweep", [False, True])
def test_a_script_that_gives_way_says_so_and_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweep: bool
) -> None:
    """With exit code 75, and in the reports as well: a launcher's exit code may be another."""
    monkeypatch.delenv(VARIABLE, raising=False)
    plan = in_sweep(monkeypatch, tmp_path) if sweep else plan_in(tmp_path)
    with pytest.raises(SystemExit) as left:
        lrsweep.attach(peak_lr=1e-3).preempted()
    assert left.value.code == 75
    assert said(plan) == ([Begin(1), Preempted(None)] if sweep else [])


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize(
    ("step", "metrics", "told"),
    [
        (1, {"val_loss": "0.5"}, "report: val_loss must be a number, not '0.5'"),
        (1, {"val_loss": True}, "report: val_loss must be a number, not True"),
        (1, {"val_loss": [1.0]}, "report: val_loss must be a number"),
        (1, {"val_loss": np.zeros(2)}, "report: val_loss must be a number"),
        (1, {}, "report: nothing to report after 1 updates"),
        (1, {"mAP@0.5": 0.5}, "report: 'mAP@0.5' cannot be a metric's name in MLflow; wanted letters, digits, spaces"),
        (-1, {"val_loss": 1.0}, "report: wanted the number of updates done, 0 or more, not -1"),
        (1.5, {"val_loss": 1.0}, "wanted the number of updates done, 0 or more, not 1.5"),
        (True, {"val_loss": 1.0}, "wanted the number of updates done, 0 or more, not True"),
    ],
)
def test_what_cannot_be_a_report_raises_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweep: bool, step: Any, metrics: dict[str, Any], told: str
) -> None:
    """Outside a sweep as in one, so that it is found before a sweep is started."""
    monkeypatch.delenv(VARIABLE, raising=False)
    if sweep:
        in_sweep(monkeypatch, tmp_path)
    run = lrsweep.attach(peak_lr=0.1, total_steps=8)
    with pytest.raises(ScheduleError) as refused:
        run.report(step, **metrics)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"peak_lr": 0.0}, "peak_lr must be a finite number above 0, not 0.0"),
        ({"total_steps": 0}, "total_steps must be a whole number of 1 or more, not 0"),
        ({"settings": {"path": Path("x")}}, "settings must be what JSON can hold"),
        ({"settings": {"x": math.nan}}, "settings must be what JSON can hold"),
        ({"schedule": "cosinus"}, "cosinus"),
    ],
)
def test_a_call_that_cannot_be_meant_raises_at_once(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], told: str
) -> None:
    """With what was given."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(InvalidInput) as refused:
        lrsweep.attach(**({"peak_lr": 0.1} | given))
    assert told in str(refused.value)


def test_a_setting_that_the_script_does_not_know_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search over a name that nobody reads would be wasted; the sweep hears why."""
    plan = in_sweep(monkeypatch, tmp_path, settings={"droput": 0.1})
    with pytest.raises(ScheduleError, match="Did you mean 'dropout'") as refused:
        lrsweep.attach(peak_lr=0.1, settings={"dropout": 0.5})
    assert said(plan)[1:] == [Wrong(str(refused.value))]


def test_a_script_that_declares_no_settings_takes_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads them from ``run.settings``."""
    in_sweep(monkeypatch, tmp_path, settings={"dropout": 0.1})
    assert lrsweep.attach(peak_lr=0.1).settings == {"dropout": 0.1}


def test_the_stop_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not unseen again."""
    plan = in_sweep(monkeypatch, tmp_path)
    monkeypatch.setattr("lrsweep.scripts.stopping.ALONE_PAUSE", 0.0)
    run = lrsweep.attach(peak_lr=0.1)
    assert not run.should_stop
    plan.stop.touch()
    assert run.should_stop
    plan.stop.unlink()
    assert run.should_stop


def test_updates_are_unknown_before_pytorch_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero would be a count."""
    in_sweep(monkeypatch, tmp_path)
    with pytest.raises(ScheduleError, match="nobody counts them"):
        _ = lrsweep.attach(peak_lr=0.1).updates


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ASKED = """
import lrsweep
def main():
    try:
        lrsweep.attach(peak_lr=0.1, total_steps=50, settings={"width": 8}, schedule="linear")
    except Exception:
        print("caught")
    print("went on")
main()
"""


@pytest.mark.parametrize("rank", ["0", "1"])
def test_asked_for_facts_it_answers_and_ends(tmp_path: Path, rank: str) -> None:
    """From within ``try``, with exit 0, in every process; the first alone answers."""
    plan = PlanFile(folder=tmp_path / "facts", asks="facts")
    named = write_plan_file(plan)
    done = run_script(ASKED, tmp_path, **{VARIABLE: str(named), "RANK": rank, "WORLD_SIZE": "2"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = read_facts(plan)
    if rank == "0":
        assert found is not None
        assert (found.peak_lr, found.total_steps, found.settings) == (0.1, 50, {"width": 8})
        assert found.schedule == {"family": "linear", "floor": 0.0, "warmup": 0.0}
    else:
        assert found is None


# ── schedules that react, without PyTorch ────────────────────────────────────────────────────────────────────────────


def test_the_rate_of_a_reactive_schedule_is_that_of_a_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, each asked before the update that it is for."""
    greedy = lrsweep.schedule("greedy", warmup=0.1, floor=0.01, base=lrsweep.schedule("cosine"))
    in_sweep(monkeypatch, tmp_path, schedule=greedy, total_steps=40, peak_lr=0.3)
    metrics = {done: [1.0, 0.9, math.nan, 0.95, 0.7, 0.6, 0.8][done // 5 - 1] for done in range(5, 40, 5)}
    run = lrsweep.attach(peak_lr=0.1)
    with pytest.raises(NeedsMetric):
        _ = run.rates
    rates = []
    for step in range(40):
        rates.append(run.rate(step))
        if step + 1 in metrics:
            run.report(step + 1, val_loss=metrics[step + 1])
    assert rates == greedy.replay(metrics, 40, 0.3).tolist()


def test_a_resumed_training_has_heard_what_was_reported_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By earlier attempts, up to where it goes on; what it reports anew counts once."""
    plan = in_sweep(monkeypatch, tmp_path, schedule=PLATEAU, attempt=2)
    append(plan.reports, [Begin(1), Report(2, {"val_loss": 1.0}), Report(4, {"val_loss": 2.0})])
    run = lrsweep.attach(peak_lr=0.1)
    assert [run.rate(3), run.rate(4)] == [0.8, 0.4]
    run.report(4, val_loss=0.5)
    assert run.rate(4) == 0.8
    run.report(4, val_loss=0.75)
    run.report(6, val_loss=0.6)
    assert [run.rate(step) for step in (0, 5, 6)] == [0.8, 0.8, 0.8]


def test_what_an_earlier_attempt_reported_later_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went further than its checkpoint, and this attempt evaluates at another step."""
    plan = in_sweep(monkeypatch, tmp_path, schedule=PLATEAU, attempt=2)
    append(plan.reports, [Begin(1), *(Report(2 * nth, {"val_loss": float(nth)}) for nth in (1, 2, 3))])
    run = lrsweep.attach(peak_lr=0.1)
    run.report(3, val_loss=0.5)
    assert run.rate(7) == 0.8


def test_in_several_processes_a_reactive_schedule_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would hear a metric of its own; the sweep hears the reason too."""
    plan = in_sweep(monkeypatch, tmp_path, schedule=PLATEAU)
    monkeypatch.setenv("WORLD_SIZE", "2")
    run = lrsweep.attach(peak_lr=0.1)
    with pytest.raises(ScheduleError, match="each would hear its own") as refused:
        run.rate(0)
    assert said(plan)[1:] == [Wrong(str(refused.value))]


# ── what goes wrong with the folder ──────────────────────────────────────────────────────────────────────────────────


def test_a_full_disk_ends_no_training_and_loses_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told once, and what was not written comes with the next report; ``/dev/full`` is a full disk."""
    plan = in_sweep(monkeypatch, tmp_path)
    run = lrsweep.attach(peak_lr=0.1)
    plan.reports.rename(tmp_path / "kept")
    plan.reports.symlink_to("/dev/full")
    run.report(1, val_loss=0.5)
    run.report(2, val_loss=0.4)
    plan.reports.unlink()
    (tmp_path / "kept").rename(plan.reports)
    run.report(3, val_loss=0.3)
    assert said(plan) == [Begin(1), *(Report(step, {"val_loss": (6 - step) / 10}) for step in (1, 2, 3))]
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_a_lost_folder_is_told_at_the_end_again(tmp_path: Path) -> None:
    """The script ends as ever: the sweep finds that the metric is missing."""
    plan = plan_in(tmp_path)
    done = run_script(
        "import lrsweep, shutil, sys\n"
        "run = lrsweep.attach(peak_lr=0.1)\n"
        f"shutil.rmtree({str(plan.folder)!r})\n"
        "run.counted(1)\n"
        "run.report(1, val_loss=0.5)\n"
        "assert not run.should_stop\n",
        tmp_path,
        **{VARIABLE: str(plan.folder / "plan.json")},
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stderr
    assert "2 lines of what this script reports could not be written" in done.stderr


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────────────

WORKERS = """
import multiprocessing, os, sys
import lrsweep
run = lrsweep.attach(peak_lr=0.1)

def help(step):
    run.report(step, val_loss=0.5)
    return os.getpid()

if __name__ == "__main__":
    run.counted(3)
    context = multiprocessing.get_context(os.environ["METHOD"])
    with context.Pool(2) as pool:
        pool.map(help, range(3))
    other = context.Process(target=print)
    other.start(); other.join()
    if os.environ["METHOD"] == "fork":
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_helping_processes_say_nothing_and_end_nothing(tmp_path: Path, method: str) -> None:
    """Loaders' workers inherit the run by a fork, or make one anew as they import the script; so do other children."""
    plan = plan_in(tmp_path)
    named = str(plan.folder / "plan.json")
    done = run_script(WORKERS, tmp_path, **{VARIABLE: named, "METHOD": method})
    assert done.returncode == 0, done.stderr
    assert said(plan) == [Begin(1), End(3)]
