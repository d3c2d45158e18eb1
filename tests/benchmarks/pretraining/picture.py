"""The curves as one SVG file: a panel per size, each schedule's loss less that of a constant rate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.pretraining.curves import Curves
from tests.benchmarks.pretraining.figures import SHAPES, below_constant

INK, FAINT = "#1f2328", "#59636e"
COLOURS = {
    "constant_24000": "#59636e",
    "cosine_24000": "#d1495b",
    "wsd_20000_24000": "#0a66c2",
    "wsdld_20000_24000": "#00798c",
}


def draw(by_size: Mapping[int, Curves], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "lrsweep", "font.size": 9, "text.color": INK}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(1, len(by_size), figsize=(11, 3.9), sharey=True)
        for axis, (size, curves) in zip(axes, by_size.items(), strict=True):
            for name, title in SHAPES.names.items():
                steps, below = below_constant(curves[name], curves["constant_24000"])
                axis.plot(steps, below, label=title, color=COLOURS[name], lw=1.7)
            for share in SHAPES.shares:
                axis.axvline(share * SHAPES.horizon, color=FAINT, lw=0.8, ls=":")
            axis.set_title(f"{size}M parameters", fontsize=10)
            axis.set_xlabel("step")
            axis.set_xticks([0, 8_000, 16_000, 24_000], ["0", "8,000", "16,000", "24,000"])
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(colors=FAINT)
        axes[0].set_ylabel("loss, less that of a constant rate")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
        figure.suptitle(
            "Pre-training of language models: whoever is compared at a third or two thirds (dotted) takes the cosine, "
            "which ends third of four",
            fontsize=10,
        )
        figure.tight_layout(rect=(0, 0.07, 1, 1))
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
