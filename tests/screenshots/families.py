"""Makes the README's picture of all families: ``python -m tests.screenshots.families``."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
SETS = (
    "knots.points=[1.0, 0.9, 0.4, 0.25, 0.0]",
    "table.values=[1.0, 0.6, 0.9, 0.5, 0.7, 0.3, 0.4, 0.1]",
    "function.path=tests.screenshots.families:waves",
)
"""What has no default, and the one family whose default looks like another's."""


def waves(progress: float) -> float:
    """Someone's own schedule, for the picture: down along a line, in waves."""
    return (1 - progress) * (0.7 + 0.3 * math.cos(8 * math.pi * progress))


def main() -> None:
    """As a person does it: the command, and the picture that it writes."""
    command = [str(Path(sys.executable).with_name("lrsweep")), "preview", "--allow-code"]
    sets = [word for one in SETS for word in ("--set", one)]
    subprocess.run([*command, *sets, "--png", str(FOLDER / "families.png")], cwd=FOLDER.parents[1], check=True)


if __name__ == "__main__":
    main()
