"""The curves as one SVG file: a panel for each workload and one for all, regret over what was spent; and the paired
differences from every rival as another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.regret.figures import Curve
from tests.benchmarks.regret.replay import OURS

INK, FAINT = "#1f2328", "#59636e"
COLOURS = {
    OURS: "#0a66c2",
    "random": "#a3b1bf",
    "TPE": "#59636e",
    "ASHA, cut off": "#d1495b",
    "ASHA, cut off at 1/3": "#edae49",
    "cut + anneal": "#00798c",
    "cut + anneal at 1/3": "#7fb069",
}


def draw(result: Mapping[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    panels: dict[str, Mapping[str, Curve]] = {**result["workloads"], "all: the mean of the means": result["pooled"]}
    columns = 3
    rows = -(-len(panels) // columns)
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "lrsweep", "font.size": 9, "text.color": INK}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(rows, columns, figsize=(11, 3.1 * rows + 0.9), sharex=True, squeeze=False)
        for axis, (title, methods) in zip(axes.flat, panels.items(), strict=False):
            _panel(axis, title, methods)
        for axis in list(axes.flat)[len(panels) :]:
            axis.set_visible(False)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False)
        machine = result["machine"]
        figure.suptitle(
            f"Regret over updates spent, finals included: less is better\n{result['repeats']} replays each, median and "
            f"quartiles · {machine['cpu']} · {result['date']}",
            fontsize=10,
        )
        figure.tight_layout(rect=(0, 0.09 if rows > 1 else 0.16, 1, 1))
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(axis: Any, title: str, methods: Mapping[str, Curve]) -> None:
    for method, curve in methods.items():
        if method not in COLOURS:
            continue
        spent = [point["spent"] for point in curve]
        regrets = [max(point["regret"], 1e-3) for point in curve]
        is_ours = method == OURS
        axis.plot(spent, regrets, label=method, color=COLOURS[method], lw=2.4 if is_ours else 1.3, zorder=2 + is_ours)
        if is_ours and "low" in curve[0]:
            low, high = ([max(point[each], 1e-3) for point in curve] for each in ("low", "high"))
            axis.fill_between(spent, low, high, color=COLOURS[method], alpha=0.15, lw=0)
    axis.set(xscale="log", yscale="log", xlabel="trainings spent", ylabel="regret")
    axis.set_title(title, fontsize=10, color=INK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=FAINT)


def draw_scores(result: Mapping[str, Any], path: Path) -> None:
    """A panel for each budget and one for their mean, a line for each rival."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    rivals = result["rivals"]
    names = list(rivals)
    budgets = [each["trainings"] for each in rivals[names[0]]]
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "lrsweep", "font.size": 9, "text.color": INK}
    with mpl.rc_context(style):
        size = (2.1 * len(budgets) + 3, 0.23 * len(names) + 1.6)
        figure, axes = plt.subplots(1, len(budgets), figsize=size, sharey=True, squeeze=False)
        for place, (axis, budget) in enumerate(zip(axes[0], budgets, strict=True)):
            for row, name in enumerate(names):
                found = rivals[name][place]
                low, high = found["interval"]
                colour = {"ahead": "#0a66c2", "behind": "#d1495b"}.get(found["lrsweep_is"], FAINT)
                axis.plot([low, high], [row, row], color=colour, lw=1.4)
                axis.plot(found["difference"], row, "o", ms=4, color=colour)
            axis.axvline(0, color=INK, lw=0.6)
            axis.set_title("mean" if budget is None else f"{budget:g} trainings", fontsize=10, color=INK)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(colors=FAINT)
        axes[0, 0].set_yticks(range(len(names)), names)
        axes[0, 0].invert_yaxis()
        figure.suptitle(
            "lrsweep's regret less each rival's on the same budget: left of 0 lrsweep is better\n"
            f"{result['repeats']} repeats per workload, 95 % by bootstrap over repeats · {result['date']}",
            fontsize=10,
        )
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
