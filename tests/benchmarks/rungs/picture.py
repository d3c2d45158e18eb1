"""The correlations as one SVG file: a column of panels per share of the horizon, a row per measure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.rungs.looks import ANNEALED, CEILING, CORRECTED, CUT, FITTED, OWN_RATE

INK, FAINT = "#1f2328", "#59636e"
COLOURS = {
    CUT: "#d1495b",
    ANNEALED: "#edae49",
    OWN_RATE: "#a3b1bf",
    CORRECTED: "#0a66c2",
    FITTED: "#00798c",
    CEILING: "#59636e",
}
TITLES = {
    "families": "between families (rank correlation)",
    "points": "over all points (rank correlation)",
    "regret": "regret of the pick (less is better)",
}


def draw(result: Mapping[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    shares = ("1/3", "1/9")
    tables = result["tables"]
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "lrsweep", "font.size": 9, "text.color": INK}
    with mpl.rc_context(style):
        width = max(7.0, 1.1 * len(tables) + 2)
        figure, axes = plt.subplots(3, 2, figsize=(2 * width, 9), sharex=True, sharey="row", squeeze=False)
        for row, (measure, title) in zip(axes, TITLES.items(), strict=True):
            for axis, share in zip(row, shares, strict=True):
                _panel(axis, tables, measure, share)
                axis.set_title(f"{title} at {share} of the horizon", fontsize=10, color=INK)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=6, frameon=False)
        machine = result["machine"]
        figure.suptitle(
            "What a look at a training says of its full length; truth by other seeds, 95 % by bootstrap over points\n"
            f"{machine['cpu']} · {result['date']}",
            fontsize=10,
        )
        figure.tight_layout(rect=(0, 0.04, 1, 1))
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(axis: Any, tables: Mapping[str, Any], measure: str, share: str) -> None:
    for number, (kind, colour) in enumerate(COLOURS.items()):
        offset = (number - (len(COLOURS) - 1) / 2) * 0.12
        places, values, below, above = [], [], [], []
        for place, of_table in enumerate(tables.values()):
            if kind not in of_table[share]["looks"]:
                continue
            figures = of_table[share]["looks"][kind][measure]
            low, high = figures["interval"]
            places.append(place + offset)
            values.append(figures["value"])
            below.append(max(0.0, figures["value"] - low))
            above.append(max(0.0, high - figures["value"]))
        axis.errorbar(places, values, yerr=(below, above), fmt="o", ms=4, lw=1.2, color=colour, label=kind)
    axis.axhline(0, color=FAINT, lw=0.6)
    axis.set_xticks(range(len(tables)), [name.replace("/", ": ") for name in tables], rotation=20, ha="right")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=FAINT)
