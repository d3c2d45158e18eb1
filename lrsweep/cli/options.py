"""What several commands take, and the exit codes that all of them have."""

from __future__ import annotations

from typing import Annotated

import typer

EXIT_CODES = """\
Exit codes: 0 done · 4 a night found a change · 64 bad study or setting · 69 database or tracking unreachable at the
start · 70 failures stopped the sweep, every training failed, or a check did · 75 try again · 99 held by another driver
· 124 the deadline passed first · 130, 143 a signal."""

JsonOption = Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="'cpu', 'cuda' (all GPUs), 'cuda:1' or 'cuda:0,cuda:2'; by default GPUs if any."),
]
SyntheticOption = Annotated[
    bool,
    typer.Option(
        "--synthetic", help="Random tensors of the true shapes in place of the workload's data: for speed alone."
    ),
]
ObjectOption = Annotated[bool, typer.Option("--json", help="One JSON object alone on standard output.")]
GivenArgument = Annotated[
    str,
    typer.Argument(metavar="WORKLOAD|STUDY", help="A workload, file.py:Name, module:Name, or a study file."),
]
WorkloadSetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting of the workload, as in --set model=cnn. May be repeated."
    ),
]
OptimizerOption = Annotated[
    str | None, typer.Option("--optimizer", help="By default the study's first, or sgd. A script has its own.")
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="How trainings run side by side: 'auto' measures it where that pays; 'sequential', 'sequential:2' (in two "
        "processes), 'fused', 'fused:16' (so many at once) or 'fused:16x2' (in each of two processes).",
    ),
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="EXECUTOR",
        help="Where trainings run: 'local' on this machine, 'ray' on a Ray cluster (by RAY_ADDRESS, else the one that "
        "runs here, else one of its own); 'ray:HOST:PORT' and 'ray:auto' never start one, 'ray:local' always does. "
        "Behind it: 'ray,gpus=0.5,cpus=1,stations=8', the share of each station and how many at most.",
    ),
]
DeadlineOption = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        help="Stop in order after this time, as in '90s', '10m' or '6h' (exit code 124; the same command continues).",
    ),
]
