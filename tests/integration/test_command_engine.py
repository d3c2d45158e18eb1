"""The command engine on real scripts: what each attempt comes to, and what the script finds when it starts."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrsweep.engines.command import describe, training
from lrsweep.engines.command import engine as engine_module
from lrsweep.engines.command.devices import Place
from lrsweep.errors import InvalidInput
from lrsweep.records import Record, Status
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command, command_of
from tests.patience import in_time
from tests.scripted_commands import PATIENCE, SCRIPTS, Bench, a_plan, inline, python, run, wait_until

QUADRATIC = Command(python("quadratic.py"))
PRINTING = python("printing.py", "--seed {seed} --steps {steps}")


def losses(rates: Any, every: int = 10) -> list[float]:
    """x²/2 at each evaluation of gradient descent from 1."""
    x = np.cumprod(1 - np.asarray(rates))[every - 1 :: every]
    return list(x * x / 2)


def a_print(*lines: str) -> str:
    """A command that prints these lines, which are code."""
    return inline("; ".join(lines)) + " {lr_table}"


def said(step: int, value: str) -> str:
    r"""Code that prints a report; the braces are doubled, as in any command."""
    return f'print("{{{{\\"step\\": {step}, \\"val_loss\\": {value}}}}}", flush=True)'


def test_a_script_that_attaches_follows_the_plan(tmp_path: Path) -> None:
    """Its curve has the plan's rates and its own evaluations; it begins at once and ends complete."""
    ran = run(QUADRATIC, tmp_path / "t")
    rates = schedule("cosine").rates(40, 0.1)
    assert ran.outcome.status is Status.COMPLETED
    assert (ran.outcome.steps, ran.records[0].first_step, len(ran.records[0].rates)) == (40, 0, 0)
    np.testing.assert_array_equal(ran.curve.rates, rates)
    assert ran.curve.evaluation_steps.tolist() == [10, 20, 30, 40]
    np.testing.assert_allclose(ran.curve.evaluations["val_loss"], losses(rates), rtol=1e-12)
    assert ran.outcome.metrics == {"val_loss": ran.curve.evaluations["val_loss"][-1]}
    assert {record.device for record in ran.records} == {"script"}


def test_a_script_that_attaches_follows_a_schedule_that_reacts(tmp_path: Path) -> None:
    """The engine replays what the script heard, and both have the same rates: halved where the loss has not grown."""
    ran = run(QUADRATIC, tmp_path / "t", schedule=schedule("plateau", mode="max", patience=0, gamma=0.5))
    assert ran.outcome.status is Status.COMPLETED
    assert ran.curve.rates[9::10].tolist() == [0.1, 0.1, 0.05, 0.025]
    np.testing.assert_allclose(ran.curve.evaluations["val_loss"], losses(ran.curve.rates), rtol=1e-12)


@pytest.mark.parametrize("form", ["json", "npy"])
def test_a_script_with_a_table_of_rates_prints_what_it_finds(form: Any, tmp_path: Path) -> None:
    """JSON lines with a step are reports; other lines, JSON too, are output and kept."""
    ran = run(Command(f"{PRINTING} --lr-table {{lr_table}}", table_format=form), tmp_path / "t")
    rates = schedule("cosine").rates(40, 0.1)
    assert ran.outcome.status is Status.COMPLETED
    np.testing.assert_allclose(ran.curve.evaluations["val_loss"], losses(rates), rtol=1e-12)
    np.testing.assert_array_equal(ran.curve.evaluations["lr"], rates[9::10])
    assert ran.outcome.metrics["seed"] == 3.0
    assert (tmp_path / "t" / "output.log").read_text().startswith('loading data\n{"epochs": 3}\n{"step": 10')


def test_a_script_with_flags_gets_those_of_its_family(tmp_path: Path) -> None:
    """What it then does with them is its own affair: the engine believes its plan's rates."""
    command = Command(PRINTING, families={"constant": "--sched const --lr {peak_lr}"})
    ran = run(command, tmp_path / "t", schedule=schedule("constant"))
    assert ran.outcome.status is Status.COMPLETED
    assert (tmp_path / "t" / "output.log").read_text().endswith("sched const\n")
    np.testing.assert_allclose(ran.curve.evaluations["val_loss"], losses([0.1] * 40), rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"updates": 30}, "the script did 30 updates, and this training has 40"),
        ({"updates": 50}, "does not train what the plan says: it reported step 50, and this training has 40 updates"),
        ({"name": "loss"}, "the script never reported val_loss"),
        ({"every": 30, "updates": 40, "name": "val_loss"}, None),
        ({"leaves_at": 20, "leaves_with": 3}, "the script ended with exit code 3"),
    ],
    ids=["too few", "too many", "another name", "uneven", "exit code"],
)
def test_what_a_script_does_wrong_is_told(settings: dict[str, Any], error: str | None, tmp_path: Path) -> None:
    """With both numbers, or the exit code; a last evaluation off the beat is right."""
    outcome = run(QUADRATIC, tmp_path / "t", extra=settings).outcome
    assert outcome.status is (Status.FAILED if error else Status.COMPLETED)
    assert (error or "None") in str(outcome.error)


def test_a_divergence_ends_the_script_at_once(tmp_path: Path) -> None:
    """Python's NaN on a line; the script would go on for an hour."""
    command = Command(a_print(said(10, "0.5"), said(20, "NaN"), "import time", "time.sleep(3600)"))
    outcome = run(command, tmp_path / "t").outcome
    assert (outcome.status, outcome.steps) == (Status.DIVERGED, 20)
    assert outcome.reason == "val_loss was nan after 20 updates"
    assert outcome.error is None


def test_the_last_words_of_a_script_are_told_and_bounded(tmp_path: Path) -> None:
    """The end of standard error, 4 kB at most."""
    command = Command(inline('import sys; sys.stderr.write("x" * 100_000 + "the end"); sys.exit(1)'))
    error = run(command, tmp_path / "t").outcome.error
    assert error is not None
    assert error.startswith("the script ended with exit code 1; it wrote:\nxxx")
    assert error.endswith("xxxthe end")
    assert len(error) < 4_200


def test_a_program_that_is_not_there_fails_with_its_name(tmp_path: Path) -> None:
    """As a shell would: exit code 127."""
    error = run(Command("no-such-program --x"), tmp_path / "t").outcome.error
    assert error is not None
    assert error.endswith("exit code 127; it wrote:\nno-such-program cannot be started: No such file or directory")


def test_a_script_beyond_its_time_is_failed(tmp_path: Path) -> None:
    """With the limit, and how far it came."""

    def limited(times: float) -> None:
        limit = 0.5 * times
        command = Command(a_print(said(10, "0.5"), "import time", "time.sleep(3600)"), time_limit=limit)
        outcome = run(command, tmp_path / f"{limit}").outcome
        assert outcome.status is Status.FAILED
        assert outcome.error == f"it took longer than time_limit, {limit:g} s, and was killed after 10 of 40 updates"

    in_time(limited)


def test_a_silent_script_is_killed_and_counted(tmp_path: Path) -> None:
    """Neither a report nor output; it may hang for a reason that passes."""
    ran = run(Command(inline("import time; time.sleep(3600)"), stall_after=0.5), tmp_path / "t")
    assert ran.cut is not None
    assert ran.cut.reason == "neither a report nor output came for 0.5 s (stall_after); killed"
    assert ran.cut.is_death


def test_the_engine_says_that_it_lives_while_a_script_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long a script may be silent is the study's affair, and not that of those who watch the engine."""
    monkeypatch.setattr(engine_module, "ALIVE_EVERY", 0.1)
    bench = Bench()
    go = tmp_path / "go"
    script = tmp_path / "silent.py"
    script.write_text(f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)")
    bench.engine.submit(a_plan(Command(f"{sys.executable} -I -S {script}"), tmp_path / "t"))
    said = [bench.said.get(timeout=PATIENCE)]
    while not (isinstance(said[-1], Record) and said[-1].outcome is not None):
        said.append(bench.said.get(timeout=PATIENCE))
        if said.count(None) >= 3:
            go.touch()
    assert go.exists()


def test_output_alone_is_a_sign_of_life(tmp_path: Path) -> None:
    """A bar of progress that never ends its line, for longer than the limit."""

    def longer_than(times: float) -> None:
        limit, prints = 2.0 * times, round(30 * times)
        bar = f'exec("for _ in range({prints}): print(1, end=str(), flush=True); time.sleep(0.1)")'
        ran = run(Command(a_print("import time", bar, said(40, "0.5")), stall_after=limit), tmp_path / f"{limit}")
        assert ran.cut is None
        assert ran.outcome.status is Status.FAILED  # the report is on the line that never ended

    in_time(longer_than)


def test_a_killed_script_is_counted_with_the_signal(tmp_path: Path) -> None:
    """It killed itself, so the signal was not ours."""
    ran = run(QUADRATIC, tmp_path / "t", extra={"leaves_at": 20, "leaves_with": -int(signal.SIGKILL)})
    assert ran.cut is not None
    assert (ran.cut.reason, ran.cut.is_death) == ("the script was killed by SIGKILL", True)
    assert ran.curve.steps == 20


def test_a_preempted_script_goes_on_and_keeps_its_curve(tmp_path: Path) -> None:
    """Exit code 75 after 25 of 40 updates: the second attempt reports from 30 on, and the curve is whole."""
    bench = Bench()
    plan = a_plan(QUADRATIC, tmp_path / "t", extra={"leaves_at": 25, "leaves_with": 75})
    first = bench.run(plan)
    assert first.cut is not None
    assert (first.cut.is_death, first.curve.steps) == (False, 20)
    again = bench.run(a_plan(QUADRATIC, tmp_path / "t", extra=plan.extra, attempt=2))
    assert again.outcome.status is Status.COMPLETED
    rates = schedule("cosine").rates(40, 0.1)
    np.testing.assert_array_equal(again.curve.rates, rates)
    np.testing.assert_allclose(again.curve.evaluations["val_loss"], losses(rates), rtol=1e-12)
    assert {record.attempt for record in again.records} == {2}


def test_a_script_that_is_asked_to_stop_saves_and_leaves(tmp_path: Path) -> None:
    """A file in its folder asks; exit code 0 before the last update is then no failure."""
    bench = Bench()
    plan = a_plan(QUADRATIC, tmp_path / "t", extra={"pause": 0.1}, horizon=400)
    bench.engine.submit(plan)
    reports = tmp_path / "t" / "reports.jsonl"
    wait_until(lambda: reports.exists() and '"step": 10' in reports.read_text(), "no report came")
    (tmp_path / "t" / "stop").touch()
    cut = None
    while cut is None:
        message = bench.said.get(timeout=PATIENCE)
        cut = message[1] if isinstance(message, tuple) else None
    assert cut.reason.startswith("it was asked to stop and left after ")
    assert not cut.is_death
    assert (tmp_path / "t" / "checkpoint" / "saved.json").exists()


def test_a_training_that_is_preempted_in_vain_waits_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It never comes further than 10 updates: 0, then 0, then 1, then 2 seconds, and 60 at most. Then it is said."""
    slept: list[float] = []
    clock = time.monotonic

    class Clock:
        def __init__(self) -> None:
            self.ahead = 0.0

        def monotonic(self) -> float:
            return clock() + self.ahead

        def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            self.ahead += seconds

    monkeypatch.setattr(engine_module, "time", Clock())
    command = Command(a_print(said(10, "0.5"), "import sys", "sys.exit(75)"))
    bench = Bench()
    waits, reasons = [], []
    for attempt in range(1, 5):
        ran = bench.run(a_plan(command, tmp_path / "t", attempt=attempt))
        assert ran.cut is not None
        waits.append(round(sum(slept)))
        slept.clear()
        reasons.append(ran.cut.reason)
    assert waits == [0, 0, 1, 2]
    assert not any("no further" in reason for reason in reasons[:3])
    assert reasons[3].endswith("; 3 times in a row it came no further than 10 updates")
    assert caplog.messages == [f"training t: {reasons[3]}"]
    assert engine_module._Preempted(10, in_vain=30).wait == 60.0


def test_a_reactive_schedule_is_refused_at_once_when_the_command_reports_too_late(tmp_path: Path) -> None:
    """The first training shows it; of the same command no other such training is started, and others are."""
    command = Command(python("quadratic.py"))
    bench = Bench()
    late = {"extra": {"every": 40}, "schedule": schedule("plateau")}
    shown = bench.run(a_plan(command, tmp_path / "first", **late)).outcome
    assert shown.status is Status.FAILED
    assert "reacts to val_loss, and the script reports none in time" in str(shown.error)
    again = bench.run(a_plan(command, tmp_path / "again", **late)).outcome
    assert (again.error, again.seconds) == (shown.error, 0.0)
    assert not (tmp_path / "again").exists()
    assert bench.run(a_plan(command, tmp_path / "cosine", extra={"every": 40})).outcome.status is Status.COMPLETED


def test_trainings_at_the_same_time_have_devices_of_their_own(tmp_path: Path) -> None:
    """Four sets of two among eight GPUs; each script is told its own, and a port that no other has."""
    script = tmp_path / "look.py"
    script.write_text(
        "import json, os, pathlib, time\n"
        "folder = pathlib.Path(os.environ['SEEN'])\n"
        "names = ('CUDA_VISIBLE_DEVICES', 'MASTER_ADDR', 'MASTER_PORT')\n"
        "(folder / str(os.getpid())).write_text(json.dumps([os.environ[name] for name in names]))\n"
        "while len(list(folder.iterdir())) < 4:\n"
        "    time.sleep(0.01)\n"
        "print(json.dumps({'step': 40, 'val_loss': 0.5}))\n"
    )
    seen = tmp_path / "seen"
    seen.mkdir()
    command = Command(f"{sys.executable} -I -S {script} {{lr_table}}", gpus_per_training=2)
    bench = Bench({**os.environ, "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7", "SEEN": str(seen)})
    ran = bench.run_all([a_plan(command, tmp_path / name, training_id=name) for name in "abcd"])
    assert all(each.outcome.status is Status.COMPLETED for each in ran.values())
    told = [json.loads(path.read_text()) for path in seen.iterdir()]
    assert sorted(devices for devices, _, _ in told) == ["0,1", "2,3", "4,5", "6,7"]
    assert {address for _, address, _ in told} == {"127.0.0.1"}
    assert len({port for _, _, port in told}) == 4
    assert {each.records[-1].device for each in ran.values()} == {"cuda:0,1", "cuda:2,3", "cuda:4,5", "cuda:6,7"}


def test_a_device_that_another_sweep_has_is_waited_for_however_long_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than an earlier attempt of the same training may take to end: it is no fault of this one."""
    monkeypatch.setattr(training, "LOCK_PATIENCE", 0.0)
    plan = a_plan(Command(a_print(said(40, "0.5")), stop_grace=0.3), tmp_path / "t")
    device, records, began = tmp_path / "host-0.lock", list[Record](), time.monotonic()
    with device.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def tick() -> bool:
            if time.monotonic() - began > 1.5:
                fcntl.flock(held, fcntl.LOCK_UN)
            return False

        place = Place(("0",), 1, (device,))
        training.train(plan, command_of(plan.workload), place, os.environ, records.append, tick, lambda: False)
    assert records[-1].outcome is not None
    assert records[-1].outcome.status is Status.COMPLETED
    assert time.monotonic() - began > 1.5


def test_a_script_says_what_it_is(tmp_path: Path) -> None:
    """Ten times around its own peak rate, and its own number of updates unless the study has one."""
    facts = describe(QUADRATIC, os.environ, tmp_path / "one")
    assert (facts.name, facts.horizon, facts.version, facts.batch_size) == ("command", 40, 1, 0)
    assert list(facts.peak_lr) == ["script"]
    assert facts.peak_lr["script"] == pytest.approx((0.01, 1.0))
    assert facts.settings == QUADRATIC.meaning()
    assert facts.script_settings is not None
    assert tuple(facts.script_settings) == ("name", "updates", "every", "value", "leaves_at", "leaves_with", "pause")
    assert describe(Command(QUADRATIC.command, steps=7), os.environ, tmp_path / "other").horizon == 7


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print(1)", r"was started to hear what it trains, and ended without calling lrsweep.attach\. A script that"),
        ("import tqdmm", r"ended with exit code 1 before it called lrsweep.attach\. Run it by hand.*No module named"),
        ("import os; os.kill(os.getpid(), 9)", r"was killed by signal 9 before it called"),
    ],
    ids=["silent", "failing", "killed"],
)
def test_a_script_that_does_not_answer_is_refused_with_its_last_words(code: str, text: str, tmp_path: Path) -> None:
    """And with what to do about it."""
    with pytest.raises(InvalidInput, match=f"(?s){text}"):
        describe(Command(inline(code)), os.environ, tmp_path / "t")


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Before anything is trained, and with where it was looked for."""
    with pytest.raises(InvalidInput, match=r"'pyton train.py' was started .* could not be\. Its program is looked for"):
        describe(Command("pyton train.py"), os.environ, tmp_path / "t")


def test_a_script_that_never_comes_to_its_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes in practice; nothing of it is left."""
    monkeypatch.setattr("lrsweep.engines.command.describing.PATIENCE", 0.3)
    with pytest.raises(InvalidInput, match=r"did not come to its call of lrsweep\.attach within"):
        describe(Command(inline("import time; time.sleep(3600)"), stall_after=0.3), os.environ, tmp_path / "t")


@pytest.mark.parametrize("stall_after", [60.0, None])
def test_a_script_that_waits_in_a_queue_has_as_long_as_it_may_be_silent(
    stall_after: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch system starts it when it likes; who waits is told meanwhile that all is well."""
    monkeypatch.setattr("lrsweep.engines.command.describing.PATIENCE", 0.1)
    queued = Command(f"sh -c 'sleep 1; exec {QUADRATIC.command}'", stall_after=stall_after)
    ticks: list[None] = []
    assert describe(queued, os.environ, tmp_path / "t", lambda: ticks.append(None)).horizon == 40
    assert len(ticks) > 3


def test_a_script_that_takes_rates_is_not_started_to_describe_it(tmp_path: Path) -> None:
    """It would train; so the study has to say how many updates it has."""
    command = Command("no-such-program {lr_table}", steps=100)
    facts = describe(command, os.environ, tmp_path / "t")
    assert (facts.horizon, facts.peak_lr) == (100, {})
    with pytest.raises(InvalidInput, match=r"how many updates a full training .* has\. Set study\.workload\.steps\."):
        describe(Command("no-such-program {lr_table}"), os.environ, tmp_path / "t")


def test_a_script_without_lrsweep_in_its_environment_still_finds_it(tmp_path: Path) -> None:
    """An interpreter that sees numpy alone beside the standard library; and not our other packages."""
    bare = tmp_path / "site"
    bare.mkdir()
    for each in Path(np.__file__).parents[1].glob("numpy*"):
        (bare / each.name).symlink_to(each)
    environ = {**os.environ, "PYTHONPATH": str(bare)}
    command = Command(f"{sys.executable} -S {SCRIPTS / 'quadratic.py'}")
    ran = Bench(environ).run(a_plan(command, tmp_path / "t"))
    assert ran.outcome.status is Status.COMPLETED, ran.outcome.error


def test_the_interpreter_named_python_is_the_one_on_the_path(tmp_path: Path) -> None:
    """As in a shell: of the environment that is active, whichever lrsweep itself runs in."""
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho \'{"step": 40, "val_loss": 0.25}\'\n')
    program.chmod(0o755)
    environ = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    outcome = Bench(environ).run(a_plan(Command("python train.py {lr_table}"), tmp_path / "t")).outcome
    assert outcome.metrics == {"val_loss": 0.25}


def test_a_training_without_a_folder_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is to be kept, the script has a folder for the attempt alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(QUADRATIC).outcome.status is Status.COMPLETED
    wait_until(lambda: not list(tmp_path.iterdir()), "a folder was left")


def test_a_folder_that_cannot_be_made_fails_the_training(tmp_path: Path) -> None:
    """With the traceback, as anything that nobody thought of."""
    (tmp_path / "t").write_text("a file")
    outcome = run(QUADRATIC, tmp_path / "t").outcome
    assert outcome.status is Status.FAILED
    assert "FileExistsError" in str(outcome.error)
