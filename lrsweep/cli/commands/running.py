"""The commands that train a study: ``run`` and ``demo``."""

from __future__ import annotations

import shlex
from importlib import resources
from typing import TYPE_CHECKING, Annotated

import typer

from lrsweep.cli.options import DeadlineOption, DeviceOption, EngineOption, ExecutorOption, JsonOption, SyntheticOption

if TYPE_CHECKING:
    from lrsweep.sweep.homes import When


def run(
    study: Annotated[str, typer.Argument(help="A study file, or NAME for studies/NAME.toml.")],
    new: Annotated[bool, typer.Option("--new", help="Start another sweep although one exists.")] = False,
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    executor: ExecutorOption = None,
    deadline: DeadlineOption = None,
    synthetic: SyntheticOption = False,
    as_json: JsonOption = False,
) -> None:
    """Runs a study's sweep.

    Continues an unfinished sweep of the same generation, prints the result of a finished one, and starts a new one
    where there is none or where the study's meaning or space has changed. What failed in a sweep that failures stopped
    is tried again.
    """
    from lrsweep.study import load_study

    another: When = "always" if new else "never"
    asked = load_study(study)
    command = f"run {shlex.quote(study)}"
    if synthetic:
        asked, command = asked.on_random_data(), f"{command} --synthetic"
    from lrsweep.cli.sweeping import sweep

    sweep(asked, another, device, engine, executor, deadline, as_json=as_json, command=command, is_synthetic=synthetic)


def demo(
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    executor: ExecutorOption = None,
    deadline: DeadlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Runs a real sweep of 60 trials: a small network on handwritten digits, all eight families, two optimizers.

    A demo that was stopped is continued; where one is finished, another sweep of it starts.
    """
    from lrsweep.study import parse_study

    text = resources.files("lrsweep.cli").joinpath("demo.toml").read_text(encoding="utf-8")
    study = parse_study(text, "demo.toml")
    from lrsweep.cli.sweeping import sweep

    sweep(study, "when over", device, engine, executor, deadline, as_json=as_json, command="demo")
