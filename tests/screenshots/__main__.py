"""Takes the README's picture of MLflow: ``python -m tests.screenshots HOME STUDY``, after `make demo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.browser import chromium_page

FOLDER = Path(__file__).parent
SECONDS_TO_DRAW = 60


def main(home: Path, study: str) -> None:
    """Starts ``lrsweep ui`` as a person does, opens the link that it prints, and waits until the curves are drawn."""
    command = [str(Path(sys.executable).with_name("lrsweep")), "ui", study, "--port", "0"]
    environ = {"LRSWEEP_HOME": str(home), "PATH": ""}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as ui:
        try:
            assert ui.stdout is not None
            link = next(word for line in ui.stdout for word in line.split() if word.startswith("http"))
            with chromium_page(1440, 900) as page:
                page.context.add_init_script(
                    "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
                )
                page.goto(link)
                page.wait_for_function(
                    "document.querySelectorAll('.js-plotly-plot .scatterlayer path').length > 10",
                    timeout=1000 * SECONDS_TO_DRAW,
                )
                page.wait_for_timeout(2000)
                page.screenshot(path=FOLDER / "by-family.png")
        finally:
            ui.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
