"""A real Chromium for tests; where the machine has none, the test is skipped and says what to install."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

PATIENCE_MS = 180_000
"""For a start, a page and whatever is looked for on it; a machine that tests in parallel may be slow."""
FLAGS = [
    "--no-sandbox",  # in a container there is no other way; the pages are our own
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextmanager
def chromium_page(width: int = 1440, height: int = 900) -> Iterator[Page]:
    """A page in a fresh profile of the distribution's Chromium: Playwright's own would be a download."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS, timeout=PATIENCE_MS)
        try:
            # a context of its own, so that a test can open a second tab
            context = browser.new_context(viewport={"width": width, "height": height})
            context.set_default_timeout(PATIENCE_MS)
            yield context.new_page()
        finally:
            browser.close()
