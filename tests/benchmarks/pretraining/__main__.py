"""What a comparison cut off early would have said of language models' pre-training: ``python -m
tests.benchmarks.pretraining``.

Nothing is trained: the curves of others lie in ``tests/fixtures/pretraining``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.benchmarks.pretraining.curves import read
from tests.benchmarks.pretraining.figures import report
from tests.benchmarks.pretraining.picture import draw

RESULTS = Path(__file__).parents[1] / "results"


def written(result: dict[str, Any]) -> str:
    """As the file has it."""
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"


def table(result: dict[str, Any]) -> str:
    lines = []
    for title in ("shapes", "two_stages"):
        lines.append(f"{title:12}{'cut off at':>12}{'Spearman':>10}{'pairs right':>13}  {'picks':30}{'regret':>8}")
        for size, looks in result[title].items():
            for look in looks:
                spearman = "–" if look["spearman"] is None else f"{look['spearman']:.2f}"
                pairs = f"{look['pairs_right']:g} of {look['pairs']}"
                picks = "all of them" if len(look["picks"]) == len(look["final"]) else ", ".join(look["picks"])
                lines.append(
                    f"{size + 'M':12}{look['step']:12,}{spearman:>10}{pairs:>13}  {picks:30}{look['regret']:8.4f}"
                )
        lines.append("")
    for each in result["sizes"]:
        sizes = f"{each['millions']}M of {each['of_millions']}M"
        lines.append(f"{sizes}: Spearman {each['spearman']:.2f}, regret {each['regret']:.4f}")
    for size, gap in result["cosine_below_constant"].items():
        lines.append(
            f"{size}M: of cosine's lead at 72,000, {gap['share_seen_cut_off']:.0%} is seen cut off at a third, "
            f"{gap['share_seen_whole']:.0%} on whole schedules of a third"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pretraining", description="Early looks.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of pretraining.json and pretraining.svg")
    folder: Path = parser.parse_args().out
    curves = read()
    result = report(curves)
    print(table(result))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pretraining.json").write_text(written(result), encoding="utf-8")
    draw(curves, folder / "pretraining.svg")
    print(f"{folder / 'pretraining.json'} and pretraining.svg beside it")


if __name__ == "__main__":
    main()
