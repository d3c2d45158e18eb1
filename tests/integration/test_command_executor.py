"""Scripts in the engine's own process: many at a time, on a batch system, and none left when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lrsweep.errors import InvalidInput
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.records import Record, Status
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command
from lrsweep.scripts.plan_file import CHECKPOINT, REPORTS
from tests.scripted_commands import PATIENCE, SCRIPTS, a_plan, inline, lives, python, wait_until

QUADRATIC = Command(python("quadratic.py"))
SLEEPS = "import os, pathlib, sys, time\npathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\ntime.sleep(3600)\n"


@pytest.fixture
def started() -> Iterator[Callable[..., LocalExecutor]]:
    made: list[LocalExecutor] = []

    def start(**given: object) -> LocalExecutor:
        made.append(LocalExecutor("cpu", **given))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for executor in made:
        executor.close()


def until_idle(executor: LocalExecutor) -> list[Record | Lost]:
    give_up = time.monotonic() + PATIENCE
    messages: list[Record | Lost] = []
    while executor.in_flight:
        assert time.monotonic() < give_up, messages
        messages += executor.poll(0.05)
    return messages


def ends(messages: Sequence[Record | Lost]) -> dict[str, Status]:
    records = [each for each in messages if isinstance(each, Record)]
    assert len(records) == len(messages), messages
    return {each.training_id: each.outcome.status for each in records if each.outcome}


def test_a_script_is_described_and_trained_without_torch(started: Callable[..., LocalExecutor]) -> None:
    """The process that runs scripts need not wait for what it does not use; numpy is all that it has loaded."""
    executor = started()
    executor.start(QUADRATIC.spec())
    assert executor.describe(QUADRATIC.spec()).horizon == 40
    executor.submit(a_plan(QUADRATIC))
    assert executor.free == 0
    assert ends(until_idle(executor)) == {"t": Status.COMPLETED}
    assert executor.free == 1
    maps = Path(f"/proc/{executor.pid}/maps").read_text()
    assert "numpy" in maps
    assert "torch" not in maps


def test_it_takes_as_many_scripts_as_may_run_at_a_time(started: Callable[..., LocalExecutor]) -> None:
    """None waits in the process; with GPUs there are as many places as sets of them."""
    executor = started(environ={**os.environ, "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"})
    executor.describe(Command("train {lr_table}", steps=5, concurrency=16).spec())
    assert executor.free == 16
    executor.describe(Command("train {lr_table}", steps=5, gpus_per_training=3).spec())
    assert executor.free == 2
    with pytest.raises(InvalidInput, match=r"gpus_per_training is 9, 9 GPUs in all, and there are 8"):
        executor.describe(Command("train {lr_table}", steps=5, gpus_per_training=9).spec())


def test_a_script_that_cannot_be_described_is_wrong_input(started: Callable[..., LocalExecutor]) -> None:
    """With its last words; the process lives on for the next question."""
    executor = started()
    with pytest.raises(InvalidInput, match=r"(?s)ended with exit code 1 before it called.*no data here"):
        executor.describe(Command(inline('raise SystemExit("no data here")')).spec())
    before = executor.pid
    assert executor.describe(QUADRATIC.spec()).name == "command"
    assert executor.pid == before


def test_the_plan_of_a_script_that_is_asked_lies_where_other_machines_see_it(
    tmp_path: Path, started: Callable[..., LocalExecutor]
) -> None:
    """In the folder given; nothing is left there."""
    told = tmp_path / "told"
    code = f"import os; open({str(told)!r}, 'w').write(os.environ['LRSWEEP_PLAN'])"
    script = tmp_path / "tell.py"
    script.write_text(code)
    executor = started(scratch=tmp_path / "home" / "scratch")
    with pytest.raises(InvalidInput):
        executor.describe(Command(f"{sys.executable} -I -S {script}").spec())
    assert Path(told.read_text()).parents[1] == tmp_path / "home" / "scratch"
    assert list((tmp_path / "home" / "scratch").iterdir()) == []


def test_a_script_has_the_environment_that_the_sweep_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., LocalExecutor]
) -> None:
    """What a library sets in the driver afterwards is for the driver alone, also in a process that is started anew."""
    monkeypatch.setenv("OF_THE_USER", "1")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    executor = started()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    script = tmp_path / "look.py"
    script.write_text(
        "import json, os, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'seen.json')!r}).write_text(json.dumps([dict(os.environ), os.getcwd()]))\n"
        "print(json.dumps({'step': 40, 'val_loss': 0.5}))\n"
    )
    monkeypatch.chdir(tmp_path)
    executor.submit(a_plan(Command(f"{sys.executable} -I -S look.py {{lr_table}}"), tmp_path / "t"))
    assert ends(until_idle(executor)) == {"t": Status.COMPLETED}
    environ, folder = json.loads((tmp_path / "seen.json").read_text())
    assert environ["OF_THE_USER"] == "1"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in environ
    assert environ["LRSWEEP_PLAN"] == str(tmp_path / "t" / "plan.json")
    added = {"LRSWEEP_PLAN", "LRSWEEP_ATTEMPT", "PYTHONPATH"}
    assert {name for name in environ if name not in os.environ} <= added | {"LC_CTYPE"}  # Python's own
    assert Path(folder) == tmp_path


def test_trainings_run_beside_each_other_and_all_are_lost_with_the_engine(
    tmp_path: Path, started: Callable[..., LocalExecutor]
) -> None:
    """Three at the same time; SIGKILL to the engine: all three were running, and no process of theirs is left."""
    script = tmp_path / "sleeps.py"
    script.write_text(SLEEPS)
    text = f"{sys.executable} -I -S {script} {tmp_path}/{{name}} {{lr_table}}"
    command = Command(text, steps=40, concurrency=3, stop_grace=0.1)
    executor = started()
    executor.describe(command.spec())
    assert executor.free == 3
    for name in "abc":
        executor.submit(a_plan(command, tmp_path / f"folder-{name}", training_id=name, extra={"name": name}))
    assert executor.free == 0
    wait_until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "abc"), "not begun")
    ids = [int((tmp_path / name).read_text()) for name in "abc"]
    assert executor.pid is not None
    os.kill(executor.pid, signal.SIGKILL)
    lost = [each for each in until_idle(executor) if isinstance(each, Lost)]
    assert [(each.training_id, each.was_running) for each in lost] == [("a", True), ("b", True), ("c", True)]
    wait_until(lambda: not any(map(lives, ids)), "a script outlives its engine")
    assert all((tmp_path / f"folder-{name}" / "stop").exists() for name in "abc")


def test_a_script_that_was_lost_with_its_engine_goes_on_where_it_was(
    tmp_path: Path, started: Callable[..., LocalExecutor]
) -> None:
    """It is asked to stop and saves; the next attempt waits for that, and then reports the rest of the same curve."""
    plan = a_plan(QUADRATIC, tmp_path / "t", extra={"pause": 0.05}, horizon=400)
    executor = started()
    executor.submit(plan)
    messages: list[Record | Lost] = []

    def reports() -> bool:
        messages.extend(executor.poll(0.05))
        return any(isinstance(each, Record) and len(each.rates) for each in messages)

    wait_until(reports, "no report came")
    assert executor.pid is not None
    os.kill(executor.pid, signal.SIGKILL)
    until_idle(executor)
    executor.submit(a_plan(QUADRATIC, tmp_path / "t", extra={"pause": 0.0}, horizon=400, attempt=2))
    again = until_idle(executor)
    assert ends(again) == {"t": Status.COMPLETED}
    reported = (tmp_path / "t" / "reports.jsonl").read_text()
    assert reported.count('"step": 10,') == 1  # not begun anew
    steps = np.concatenate([each.evaluation_steps for each in again if isinstance(each, Record)])
    assert steps.tolist() == list(range(10, 401, 10))


def test_scripts_save_and_leave_when_they_are_drained(tmp_path: Path, started: Callable[..., LocalExecutor]) -> None:
    """Two of them: both have left, by themselves and with a checkpoint, when it returns, and what they said by then has
    come; the engine has ended too."""
    command = Command(QUADRATIC.command, steps=40, concurrency=2, stop_grace=PATIENCE)
    executor = started()
    for name in "ab":
        executor.submit(a_plan(command, tmp_path / name, training_id=name, extra={"pause": 0.1}, horizon=400))
    reports = [tmp_path / name / "reports.jsonl" for name in "ab"]
    wait_until(lambda: all(each.exists() and '"step": 10' in each.read_text() for each in reports), "no report came")
    ticks: list[int] = []
    said = executor.drain(lambda: ticks.append(len(executor.in_flight)))
    assert [(tmp_path / name / "checkpoint" / "saved.json").exists() for name in "ab"] == [True, True]
    assert (executor.pid, executor.in_flight) == (None, ())
    assert ticks[0] == 2
    assert ticks == sorted(ticks, reverse=True)
    left = [each for each in said if isinstance(each, Lost)]
    assert {each.training_id: each.was_running for each in left} == {"a": False, "b": False}
    assert all("asked to stop and left after" in each.reason or "preempted" in each.reason for each in left)
    assert ends(_trained_on(executor, command, tmp_path)) == dict.fromkeys("ab", Status.COMPLETED)


def _trained_on(executor: LocalExecutor, command: Command, folder: Path) -> list[Record | Lost]:
    """A new process takes the same trainings again."""
    for name in "ab":
        executor.submit(a_plan(command, folder / name, training_id=name, attempt=2, horizon=400))
    return until_idle(executor)


def test_whoever_will_not_wait_for_a_drain_ends_all(tmp_path: Path, started: Callable[..., LocalExecutor]) -> None:
    """The tick raises, as at a second signal; what is closed then is gone at once, and the scripts as always."""
    script = tmp_path / "sleeps.py"
    script.write_text(SLEEPS)
    told = tmp_path / "told"
    executor = started()
    executor.submit(a_plan(Command(f"{sys.executable} -I -S {script} {told} {{lr_table}}"), tmp_path / "t"))
    wait_until(lambda: told.exists() and told.read_text(), "the script did not begin")
    engine = executor.pid
    assert engine is not None
    with pytest.raises(KeyboardInterrupt):
        executor.drain(_impatient)
    assert lives(engine)
    executor.close()
    assert not lives(engine)
    os.kill(int(told.read_text()), signal.SIGKILL)


def _impatient() -> None:
    raise KeyboardInterrupt


def test_a_new_engine_waits_for_the_devices_of_old_scripts(
    tmp_path: Path, started: Callable[..., LocalExecutor]
) -> None:
    """The engine is killed, its script takes its time to leave, and another training is to have the same GPU."""
    script = tmp_path / "lingers.py"
    script.write_text(
        "import os, pathlib, signal, sys, time\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "(folder / 'began').write_text(str(time.monotonic()))\n"
        "while not (folder / 't' / 'stop').exists(): time.sleep(0.01)\n"
        "time.sleep(1.5)\n"
        "(folder / 'left').write_text(str(time.monotonic()))\n"
    )
    executor = started(environ={**os.environ, "CUDA_VISIBLE_DEVICES": "0"}, scratch=tmp_path / "scratch")
    old = Command(f"{sys.executable} -I -S {script} {tmp_path} {{lr_table}}", gpus_per_training=1)
    executor.submit(a_plan(old, tmp_path / "t"))
    wait_until(lambda: (executor.poll(0.05), (tmp_path / "began").exists())[1], "the script did not begin")
    assert executor.pid is not None
    os.kill(executor.pid, signal.SIGKILL)
    until_idle(executor)
    code = "import sys, time; print('{{\\\"step\\\": 40, \\\"val_loss\\\": ' + str(time.monotonic()) + '}}')"
    new = Command(f'{sys.executable} -I -S -c "{code}" {{lr_table}}', gpus_per_training=1)
    executor.submit(a_plan(new, tmp_path / "u", training_id="u"))
    (last,) = [each.outcome for each in until_idle(executor) if isinstance(each, Record) and each.outcome]
    assert last.metrics["val_loss"] > float((tmp_path / "left").read_text())


DRIVER = """
import sys
from pathlib import Path
from lrsweep.executors.local import LocalExecutor
from lrsweep.scripts.command import Command
from lrsweep.scripts.plan_file import CHECKPOINT, REPORTS
from tests.scripted_commands import a_plan

executor = LocalExecutor("cpu")
command = Command(f"{sys.executable} -I -S {sys.argv[1]}/sleeps.py {sys.argv[1]}/script {{lr_table}}", stop_grace=0.1)
executor.submit(a_plan(command, Path(sys.argv[1]) / "t"))
print(executor.pid, flush=True)
executor.poll(600)
while True:
    executor.poll(600)
"""


def test_a_driver_that_is_killed_leaves_neither_engine_nor_script(tmp_path: Path) -> None:
    """SIGKILL to the driver alone: each pipe that closes ends the next one."""
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    repository = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen([sys.executable, "-c", DRIVER, tmp_path], stdout=subprocess.PIPE, env=environ) as driver:
        assert driver.stdout is not None
        engine = int(driver.stdout.readline())
        told = tmp_path / "script"
        wait_until(lambda: told.exists() and told.read_text(), "the script did not begin")
        script = int(told.read_text())
        assert lives(engine)
        assert lives(script)
        driver.kill()
    wait_until(lambda: not lives(engine) and not lives(script), "something outlives the driver")


def test_sixteen_jobs_of_a_batch_system_report_by_file(tmp_path: Path, started: Callable[..., LocalExecutor]) -> None:
    """``sbatch --wait`` is silent and the job runs elsewhere: it has the plan from the environment that sbatch exports.

    A job whose sweep ends lives on, as nobody cancels it; it leaves when it sees that it should stop, and what it says
    until then is not the next attempt's.
    """
    spool = tmp_path / "spool"
    spool.mkdir()
    environ = {**os.environ, "SPOOL": str(spool)}
    sbatch = python("sbatch.py", "--wait")
    slurm = subprocess.Popen([sys.executable, str(SCRIPTS / "sbatch.py"), "--daemon"], env=environ)
    try:
        executor = started(environ=environ)
        command = Command(f"{sbatch} {QUADRATIC.command}", concurrency=16)
        assert executor.describe(command.spec()).horizon == 40
        assert executor.free == 16
        for name in "abcd":
            executor.submit(a_plan(command, tmp_path / name, training_id=name, seed=ord(name)))
        assert executor.free == 12
        assert ends(until_idle(executor)) == dict.fromkeys("abcd", Status.COMPLETED)
        slow = Command(f"{sbatch} {QUADRATIC.command}", time_limit=120.0)
        folder = tmp_path / "slow"
        executor.submit(a_plan(slow, folder, training_id="slow", extra={"pause": 0.5}))
        reports = folder / REPORTS
        wait_until(lambda: reports.exists() and '"by"' in reports.read_text(), "the job did not attach")
        executor.close()
        executor = started(environ=environ)
        executor.submit(a_plan(slow, folder, training_id="slow", attempt=2))
        messages = until_idle(executor)
        assert ends(messages) == {"slow": Status.COMPLETED}
        assert {each.attempt for each in messages if isinstance(each, Record)} == {2}
        wait_until(lambda: len([*spool.glob("*.done")]) == 7, "the job of the first attempt did not leave")
        assert (folder / CHECKPOINT / "saved.json").exists()  # before its end, as it was to stop
    finally:
        slurm.kill()
        slurm.wait()


def test_a_curve_that_reacts_crosses_the_pipe(started: Callable[..., LocalExecutor]) -> None:
    """The plan's schedule goes down and the rates come back, through the plan file of the script."""
    executor = started()
    reacts = schedule("plateau", mode="max", patience=0, gamma=0.5)
    executor.submit(a_plan(QUADRATIC, schedule=reacts))
    messages = until_idle(executor)
    assert ends(messages) == {"t": Status.COMPLETED}
    rates = np.concatenate([each.rates for each in messages if isinstance(each, Record)])
    assert rates[9::10].tolist() == [0.1, 0.1, 0.05, 0.025]
