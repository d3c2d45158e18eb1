"""Takes the README's picture of the service's page: ``python -m tests.screenshots.landing HOME``, after `make demo`,
`lrsweep promote` and a night or two in that home."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser import chromium_page
from tests.served import served

FOLDER = Path(__file__).parent


def main(home: Path) -> None:
    """The page that the command serves, whole."""
    with served(home, "--mlflow-url", "http://127.0.0.1:5000") as service, chromium_page(1280, 600) as page:
        page.goto(service.url)
        page.screenshot(path=FOLDER / "landing.png", full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
