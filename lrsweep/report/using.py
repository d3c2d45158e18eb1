"""How the recommended schedule is used: code that runs as it stands, and the commands that go with it."""

from __future__ import annotations

import json
import shlex

from lrsweep.report.content import Report, Use


def code(use: Use) -> str:
    """With the schedule as data, so that no file and no database is needed."""
    lines = [
        "import lrsweep",
        "",
        f"schedule = lrsweep.schedule_from_json({use.schedule!r})",
        f"scheduler = schedule.torch(optimizer, total_steps={use.horizon}, peak_lr={use.peak_lr!r})",
    ]
    if use.reacts:
        return "\n".join([*lines, "# it reacts: scheduler.step(metric) after each evaluation, else scheduler.step()"])
    return "\n".join([*lines, f"rates = schedule.rates({use.horizon}, peak_lr={use.peak_lr!r})  # or one per update"])


def setting(use: Use) -> str:
    """What it was trained with beside its rate, in a sentence; nothing where nothing is known."""
    optimizer = "" if use.optimizer is None else _with(use.optimizer, use.optimizer_settings)
    extra = "" if not use.extra else _with("the script's own parameters", use.extra)
    both = " and ".join(filter(None, [optimizer, extra]))
    return f"Trained with {both}, for {use.horizon:,} steps." if both else f"Trained for {use.horizon:,} steps."


def champion(report: Report) -> tuple[str, str]:
    """How it is promoted into a file, and how a training takes it from there: whether it then is the champion or, where
    the evidence is undecided, a candidate."""
    file = f"schedules/{report.study}.json"
    promote = shlex.join(["lrsweep", "promote", report.study, "--to", file])
    load = f"choice = lrsweep.load_choice({json.dumps(file)})"
    return promote, f"{load}\nscheduler = choice.torch(optimizer, {report.horizon})"


def reproduce(report: Report, use: Use) -> str | None:
    """None where no training of it is left."""
    return None if use.training is None else shlex.join(["lrsweep", "reproduce", report.study, use.training])


def _with(name: str, settings: object) -> str:
    assert isinstance(settings, dict)
    listed = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{name} ({listed})" if listed else name
