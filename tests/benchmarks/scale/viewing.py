"""MLflow's page on 2,000 runs through a saved view, in a real Chromium: seconds until its rows and curves are drawn.

The runs are a replayed sweep's, sent by lrsweep's own mirror; the page is what ``lrsweep ui`` links to, on the server
that it starts. It is reported and not judged: what draws is MLflow's.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.scale.driven import a_study_file
from tests.benchmarks.scale.figures import Home, a_home, child
from tests.benchmarks.sweep.figures import spread
from tests.browser import chromium_page

LONGEST_MS = 180_000
AFTER_MS = 3_000
"""For what is drawn beside the first of the two."""
WATCH = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
window.drawn = {};
const looks = {rows: '.ag-center-cols-container .ag-row, [role=row] [role=gridcell]', curves: '.js-plotly-plot path'};
setInterval(() => {
    for (const [name, look] of Object.entries(looks)) {
        if (!(name in window.drawn) && document.querySelectorAll(look).length > 5) {
            window.drawn[name] = performance.now() / 1000;
        }
    }
}, 50);
"""
"""Notes when, since the navigation began, more than five of each were there."""


def measure(runs: int, rounds: int) -> dict[str, Any]:
    with a_home("SQLite") as home:
        driven = child("driving", str(a_study_file(home, trainings=runs)), "64", home=home)
        with _served(home) as links:
            return {"runs": driven["trainings"], "views": {view: _drawn(link, rounds) for view, link in links.items()}}


@contextlib.contextmanager
def _served(home: Home) -> Iterator[dict[str, str]]:
    """By view, the link that ``lrsweep ui`` prints."""
    command = [sys.executable, "-m", "lrsweep.cli", "ui", "--port", "0"]
    with subprocess.Popen(command, env=home.environ, stdout=subprocess.PIPE, text=True) as ui:
        try:
            assert ui.stdout is not None
            links: dict[str, str] = {}
            for line in ui.stdout:
                if found := re.search(r"^(?:study .*|\s+(.*)): (http\S+)", line):
                    links[found[1] or "by family"] = found[2]
                if "Ctrl-C" in line:
                    break
            yield links
        finally:
            ui.terminate()


def _drawn(link: str, rounds: int) -> dict[str, Any]:
    """A fresh browser each time: nothing is in its cache."""
    seconds: dict[str, list[float]] = {"rows": [], "curves": []}
    for _ in range(rounds):
        with chromium_page() as page:
            page.context.add_init_script(WATCH)
            page.goto(link)
            page.wait_for_function("Object.keys(window.drawn).length > 0", timeout=LONGEST_MS)
            page.wait_for_timeout(AFTER_MS)
            for name, each in page.evaluate("window.drawn").items():
                seconds[name].append(each)
    return {name: spread(each) if each else "not in this view" for name, each in seconds.items()}


def told(found: dict[str, Any]) -> str:
    lines = [f"{found['runs']:,} runs in MLflow"]
    for view, each in found["views"].items():
        parts = [f"{name} {of}" if isinstance(of, str) else f"{name} {of['median']:.1f} s" for name, of in each.items()]
        lines.append(f"{view:14} {', '.join(parts)}")
    return "\n".join(lines)
