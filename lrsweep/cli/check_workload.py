"""``lrsweep check-workload``: trains a few steps in processes of their own, and says what was seen.

A workload is looked at by ``lrsweep.engines.checking``, first in one process and then once more in another, whose
Python has another hash seed, as the process has that continues a sweep. A script is only asked what it is.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lrsweep.cli.target import Target
from lrsweep.cli.terminal import written_for
from lrsweep.engines.questions import Again, Check, Look, Looked, Repeated, Training
from lrsweep.errors import LrsweepError, SettingsError, SweepFailed
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Json, OptimizerSpec, WorkloadFacts
from lrsweep.scripts.command import Command

MOST_STEPS = 10_000
FEWEST_STEPS = 2
"""One to begin with, and one to measure."""
ERROR_TAIL = 2000
MEGABYTE = 1e6

SAME_THERE = "another process gives the same training bit for bit"
OTHER_THERE = (
    "another process gives another training: Python's hash() of a text differs from process to process, and so does "
    "the order of a set; the order of files in a folder and what a clock says may"
)
RESUMED = "a training that is left half-way and goes on from its checkpoint in another process is the same bit for bit"
NOT_RESUMED = (
    "a training that goes on from its checkpoint is another one: what it needs lies outside of the model's state_dict, "
    "the optimizer's and (seed, step), in an attribute of the workload or the model; make it a buffer or a function of "
    "these"
)
NOT_FOUND = (
    "no checkpoint was found to go on from, so a training that is killed begins anew: either none could be written, or "
    "the other process has another model; make the names in its state_dict, and their shapes, the same in every process"
)


@dataclass(frozen=True)
class WorkloadReport:
    target: Target
    optimizer: OptimizerSpec
    looked: Looked

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.looked.checks if check.passed is False]

    def to_json(self) -> dict[str, Json]:
        looked = self.looked
        passed = {check.name: check.passed for check in looked.checks}
        texts = {check.name: check.text for check in looked.checks}
        equal = passed["fused_equals_sequential"]
        return {
            "workload": looked.facts.name,
            "settings": dict(looked.facts.settings),
            "passed": not self.failed,
            "seeds_reproduce": bool(passed["seeds_reproduce"] and passed.get("processes_agree", True)),
            "fused_equals_sequential": equal,
            "fused_reason": None if equal else texts["fused_equals_sequential"],
            "steps_per_second": looked.steps_per_second,
            "fused": asdict(looked.fused) if looked.fused else None,
            "engine": "fused" if equal else "sequential",
            "device": looked.device,
            "optimizer": self.optimizer.name,
            "memory": {"process_peak_bytes": looked.process_bytes, "device_peak_bytes": looked.device_bytes},
            "checks": {check.name: {"passed": check.passed, "text": check.text} for check in looked.checks},
        }


@dataclass(frozen=True)
class ScriptReport:
    target: Target
    command: Command
    facts: WorkloadFacts

    @property
    def passed(self) -> bool | None:
        """None where it was not started, and so nothing was asked."""
        return True if self.command.follows == "attach" else None

    def to_json(self) -> dict[str, Json]:
        return {
            "command": self.command.command,
            "passed": self.passed,
            "seeds_reproduce": None,
            "fused_equals_sequential": None,
            "fused_reason": "a script trains in a process of its own",
            "steps_per_second": None,
            "fused": None,
            "engine": "command",
            "follows": self.command.follows,
            "steps": self.facts.horizon,
            "peak_lr": {name: list(limits) for name, limits in self.facts.peak_lr.items()},
            "metric": self.target.metric,
            "checks": {"answers": {"passed": self.passed, "text": _answers(self.command)}},
        }


def check_workload(
    target: Target, *, optimizer: str | None, steps: int, device: str, data: Path | None
) -> WorkloadReport:
    """Raises SettingsError for an option, InvalidInput and SweepFailed where the workload cannot be loaded."""
    if not FEWEST_STEPS <= steps <= MOST_STEPS:
        raise SettingsError(f"--steps is {steps}; wanted a number from {FEWEST_STEPS} to {MOST_STEPS}")
    chosen = target.optimizer(optimizer)
    with tempfile.TemporaryDirectory(prefix="lrsweep-check-") as folder:
        training = Training(target.workload, chosen, target.engine, steps, device, Path(folder), data)
        looked = _asked(Look(training), hash_seed=1)
        assert isinstance(looked, Looked)
        if looked.trace is not None:
            repeated = _asked(Again(training), hash_seed=2)
            assert isinstance(repeated, Repeated)
            same, resumes = repeated.whole == looked.trace, repeated.resumed == looked.trace
            unfound = repeated.resumed is None
            more = (
                Check("processes_agree", same, SAME_THERE if same else OTHER_THERE),
                Check("resumes", resumes, RESUMED if resumes else NOT_FOUND if unfound else NOT_RESUMED),
            )
            looked = replace(looked, checks=(*looked.checks, *more))
    return WorkloadReport(target, chosen, looked)


def check_script(target: Target, command: Command, *, device: str, data: Path | None) -> ScriptReport:
    """Starts the script as far as its call of ``attach``, where it has one; nothing is trained."""
    executor = LocalExecutor(device, data=data)
    try:
        return ScriptReport(target, command, executor.describe(target.workload))
    finally:
        executor.close()


def show_workload(console: Console, report: WorkloadReport) -> None:
    looked, facts = report.looked, report.looked.facts
    settings = ", ".join(f"{name}={json.dumps(value)}" for name, value in facts.settings.items())
    console.print(
        Text(f"{facts.name}{f' ({settings})' if settings else ''}: ", style="bold")
        + Text(f"on {looked.device}, {report.optimizer.name}", style="not bold"),
        soft_wrap=True,
    )
    width = max(len(check.name) for check in looked.checks)
    for check in looked.checks:
        word, colour = {True: ("ok", "green"), False: ("FAIL", "bold red"), None: ("?", "yellow")}[check.passed]
        line = Text.assemble((f"  {word:<5}", colour), f"{check.name:<{width}}  ", written_for(console, check.text))
        console.print(line, soft_wrap=True)
    speed = f"{looked.steps_per_second:,.0f} steps per second" if looked.steps_per_second else "no speed measured"
    if looked.fused:
        speed += f"; {looked.fused.steps_per_second:,.0f} with {looked.fused.slots} trainings at once, all together"
    memory = f"{looked.process_bytes / MEGABYTE:,.0f} MB at most in the process"
    if looked.device_bytes is not None:
        memory += f", {looked.device_bytes / MEGABYTE:,.0f} MB of tensors on the GPU"
    console.print(f"{speed}; {memory}", highlight=False, soft_wrap=True)
    if facts.settings.get("synthetic"):
        console.print("The data are random: the speed alone means anything.", style="bold", highlight=False)


def show_script(console: Console, report: ScriptReport) -> None:
    facts, command = report.facts, report.command
    console.print(Text(f"{command.command}: ", style="bold") + Text("a script", style="not bold"))
    for name, limits in facts.peak_lr.items():
        console.print(f"  peak rate ({name}): {limits[0]:g} to {limits[1]:g}", highlight=False)
    console.print(f"  steps of a full training: {facts.horizon:,}", highlight=False)
    console.print(f"  metric: {report.target.metric}, which it has to report", highlight=False)
    console.print(f"  {_answers(command)}", highlight=False)
    console.print(Text("Nothing was trained. `lrsweep range` trains it a little.", style="dim"))


def refuse_failed(report: WorkloadReport) -> None:
    """Raises SweepFailed with the checks that failed."""
    if report.failed:
        names = ", ".join(check.name for check in report.failed)
        raise SweepFailed(f"{report.target.name} fails {len(report.failed)} of {len(report.looked.checks)}: {names}")


def _answers(command: Command) -> str:
    return {
        "attach": "it calls lrsweep.attach, and has answered",
        "table": "it gets its rates from the file that {lr_table} names; it was not started",
        "flags": f"flags choose among its own schedules ({', '.join(command.families)}); it was not started",
    }[command.follows]


def _asked(asked: Look | Again, *, hash_seed: int) -> Looked | Repeated:
    """Runs one process until it has answered. What it prints is shown only where it dies of it: standard output belongs
    to the command."""
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(  # noqa: S603 (our own module, by our own interpreter)
            [sys.executable, "-P", "-c", f"from lrsweep.engines.checking import main; main({theirs.fileno()})"],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        )
        theirs.close()
        try:
            ours.send(asked)
            answer = ours.recv()
        except (EOFError, OSError):
            code = process.wait()
            printed.seek(0)
            tail = printed.read().decode(errors="replace").strip()[-ERROR_TAIL:]
            raise SweepFailed(f"the process that checks ended with exit code {code}; it wrote:\n{tail}") from None
        finally:
            process.kill()
            process.wait()
    if isinstance(answer, LrsweepError):
        raise answer
    return answer  # type: ignore[no-any-return]
