"""Runs a study of this folder, or reads it where it is finished, and keeps what it found: ``results/NAME.json`` and a
picture of its finalists. From the repository's folder:

    python studies/evidence.py logistic char_lm --machine "2 CPU cores"
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import lrsweep

RESULTS = Path(__file__).parent / "results"
OF_SWEEP = ("trials", "trainings", "steps", "seconds", "rungs")
PACKAGES = ("torch", "optuna", "numpy", "scikit-learn")
INK, FAINT, BASELINE, RECOMMENDED = "#1f2328", "#8c959f", "#d1495b", "#0a66c2"


def asked(*arguments: str) -> dict[str, Any]:
    """What a command of lrsweep ends with under ``--json``; its progress goes to the terminal."""
    command = [sys.executable, "-m", "lrsweep.cli", *arguments, "--json"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 (our own command)
    if ran.returncode != 0:
        raise SystemExit(f"lrsweep {' '.join(arguments)} ended with exit code {ran.returncode}; see above")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def evidence(study: str, machine: str) -> dict[str, Any]:
    swept = asked("run", study)
    return {
        "study": study,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine,
        "versions": {"lrsweep": lrsweep.__version__} | {name: metadata.version(name) for name in PACKAGES},
        "sweep": {key: swept[key] for key in OF_SWEEP},
        "choice": asked("choose", study),
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """The finalists' means with their intervals, and the rates they were trained with, the best on top."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    choice = found["choice"]
    # a finalist without an interval has diverged every time: it has no place on the axis
    finalists = [each for each in choice["finalists"] if each["interval"] is not None]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lrsweep", "font.size": 9, "text.color": INK}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 1.3 + 0.34 * len(finalists) + 0.6))
        for place, each in enumerate(finalists):
            is_recommended = each["trial"] == choice["choice"]["trial"]
            colour = RECOMMENDED if is_recommended else BASELINE if each["is_baseline"] else FAINT
            low, high = each["interval"]
            left.plot([low, high], [place, place], color=colour, lw=2)
            left.plot([each["mean"]], [place], "o", color=colour)
            rates = lrsweep.schedule_from_json(each["schedule"]).rates(choice["horizon"], peak_lr=each["peak_lr"])
            right.plot(rates, color=colour, lw=2.2 if is_recommended else 1.3, zorder=3 if is_recommended else 2)
        names = [f"{each['family']}{' (baseline)' if each['is_baseline'] else ''}" for each in finalists]
        left.set_yticks(range(len(finalists)), names)
        left.invert_yaxis()
        left.set_xlabel(f"{choice['metric']}, mean and 95 % interval of {choice['n']} seeds")
        right.set(xlabel="step", ylabel="rate")
        for axis in (left, right):
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(colors=INK)
        # a label beside each curve would lie on its neighbours: colour alone says which two matter
        red = "; red: the baseline" if any(each["is_baseline"] for each in finalists) else ""
        figure.suptitle(f"{found['study']}: {choice['recommended']} (blue), {choice['evidence']}{red}", fontsize=10)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs studies and keeps what they found.")
    parser.add_argument("study", nargs="+", help="names of studies in this folder")
    parser.add_argument("--machine", required=True, help='in words, such as "2 CPU cores"')
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for study in arguments.study:
        found = evidence(study, arguments.machine)
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        (RESULTS / f"{study}.json").write_text(text, encoding="utf-8")
        draw(found, RESULTS / f"{study}.svg")
        print(f"{RESULTS / study}.json and .svg")


if __name__ == "__main__":
    main()
