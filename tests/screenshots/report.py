"""Takes the README's picture of a report: ``python -m tests.screenshots.report HOME STUDY``, after `make demo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser import chromium_page

FOLDER = Path(__file__).parent


def main(home: Path, study: str) -> None:
    """The page that the command writes, from its head to the end of the rates."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        command = [str(Path(sys.executable).with_name("lrsweep")), "report", study, "--out", str(file), "--no-mlflow"]
        subprocess.run(command, env={"LRSWEEP_HOME": str(home), "PATH": ""}, check=True)
        with chromium_page(1040, 900) as page:
            page.goto(file.as_uri())
            end = page.locator("[data-chart=rates]").bounding_box()
            assert end is not None
            page.screenshot(
                path=FOLDER / "report.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": 1040, "height": end["y"] + end["height"] + 8},
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
