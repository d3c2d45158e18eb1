"""The history of nights in a real browser: on a desk, on a telephone, and by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from lrsweep.nightly.telling.chart import drawn
from lrsweep.nightly.telling.nights import points
from lrsweep.nightly.telling.page import page as written
from tests.browser import PATIENCE_MS, chromium_page
from tests.nights_by_hand import quiet
from tests.nights_told import drifting, plain, run_of, told

pytestmark = pytest.mark.browser
TELEPHONE, DESK = 390, 1280
BAD = "<script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that drifts, one of a year, one that failed, and one that did not run tonight; names that are text."""
    drifts, year = told(drifting()), [*told(quiet(366), "year"), plain(366, study="year", is_unchanged=True)]
    failed = plain(366, "failed", "bad", sentence=f"bad.toml: 1 problem {BAD}", champion=BAD)
    run = run_of(drifts[-1], year[-1], failed, notes=[f"late was left out {BAD}"])
    path = tmp_path_factory.mktemp("nights") / "nights.html"
    history = {"mine": drifts[:-1], "year": year[:-1], "away": [plain(3, study="away")]}
    path.write_text(written(run, history), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests: a start takes seconds."""
    with chromium_page() as page:
        assert page.context.browser is not None
        yield page.context.browser


@contextmanager
def opened(browser: Browser, file: Path, width: int) -> Iterator[Page]:
    """A page that says nothing on its console and asks for nothing but itself."""
    context = browser.new_context(viewport={"width": width, "height": 844})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    assert said == []
    assert asked == [file.as_uri()]
    context.close()


@pytest.mark.parametrize("width", [TELEPHONE, DESK])
def test_nothing_is_wider_than_the_screen_and_text_can_be_read(browser: Browser, file: Path, width: int) -> None:
    """At least 11 pixels, in charts too; what does not fit is scrolled to inside its box."""
    with opened(browser, file, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for box in page.locator("section, .night, .scroll, figure svg:visible").all():
            place = box.bounding_box()
            assert place is not None
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= width
        sizes = page.evaluate(
            """[...document.querySelectorAll("p, td, li, svg text")].filter((each) => each.checkVisibility())
              .map((each) => {
                const svg = each.closest("svg[viewBox]");
                const ratio = svg === null ? 1 : svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
                return parseFloat(getComputedStyle(each).fontSize) * ratio;
              })"""
        )
        assert min(sizes) >= 11


@pytest.mark.parametrize(("width", "nights"), [(TELEPHONE, 60), (DESK, 65)])
def test_the_chart_has_each_night_with_its_limits_and_what_changed(
    browser: Browser, file: Path, width: int, nights: int
) -> None:
    """A telephone shows the newest 60; two drifts are diamonds, and the device stands where it changed."""
    with opened(browser, file, width) as page:
        chart = page.locator("#study-mine figure").first.locator("svg:visible")
        assert chart.count() == 1
        assert chart.locator("circle, path.out").count() == nights
        assert chart.locator("path.out").count() >= 2
        assert chart.locator("rect.limits").count() > 30
        assert chart.locator("line.restart").count() == 3
        assert "device" in chart.locator("text").all_text_contents()
        title = chart.locator("line.restart title").first.text_content()
        assert title == "2026-01-21: the device changed from cpu to cuda:0 NVIDIA H200; limits begin anew"
        name = chart.get_attribute("aria-label")
        assert name is not None
        assert name.startswith(f"Canary of champion over {nights} nights")


def test_each_study_says_its_verdict_why_and_what_comes_next(browser: Browser, file: Path) -> None:
    """Those that failed and those that did not run tonight as well."""
    with opened(browser, file, DESK) as page:
        assert page.locator("h2").all_inner_texts() == ["away", "bad", "mine", "year"]
        assert page.locator(".badge").all_inner_texts() == ["holds", "failed", "holds", "holds (unchanged)"]
        assert "Nothing is shown to have changed: the canary" in page.locator("#study-mine .night").inner_text()
        assert "Next: the canary alone" in page.locator("#study-mine .night").inner_text()
        assert "it did not run tonight" in page.locator("#study-away .night").inner_text()
        assert "the device changed from cpu to cuda:0 NVIDIA H200" in page.locator("#study-mine .changes").inner_text()
        rows = page.locator("#study-year tbody tr")
        assert rows.count() == 60
        assert rows.first.locator("td").all_inner_texts()[:2] == ["2027-01-02", "holds (unchanged)"]
        assert "307 nights before these." in page.locator("#study-year").inner_text()


def test_names_and_messages_are_text(browser: Browser, file: Path) -> None:
    """A script in them is read and not run."""
    with opened(browser, file, DESK) as page:
        assert page.title() == "2026-03-06: lrsweep nights"
        assert page.locator("script").count() == 0
        assert BAD in page.locator("#study-bad .night").inner_text()
        assert BAD in page.locator("main > .note").inner_text()


def test_the_keyboard_reaches_studies_and_what_scrolls(browser: Browser, file: Path) -> None:
    """Links first, then each table, which its keys move; what has the focus shows it."""
    with opened(browser, file, TELEPHONE) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#study-away"
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Nights of mine, newest first":
                break
        focus = page.locator(":focus")
        assert focus.get_attribute("aria-label") == "Nights of mine, newest first"
        assert focus.get_attribute("tabindex") == "0", "not every browser gives it to what scrolls"
        assert focus.evaluate("(each) => getComputedStyle(each).outlineStyle") == "solid"
        for _ in range(200):  # the page's policy lets no script of Playwright's wait in it
            page.keyboard.press("ArrowRight")
            if page.evaluate("document.activeElement.scrollLeft") > 0:
                break
            page.wait_for_timeout(50)
        assert page.evaluate("document.activeElement.scrollLeft") > 0


def test_a_year_of_nights_is_a_small_page(file: Path) -> None:
    """Light enough for a mail; four studies, one of them with a year."""
    assert file.stat().st_size < 400_000


def test_the_policy_allows_the_page_s_own_style_alone(file: Path) -> None:
    """No address, no script, nothing that a name could bring in."""
    text = file.read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    assert re.findall(r"https?://", text) == []


def test_nights_without_a_value_draw_nothing() -> None:
    """Not an empty frame."""
    assert drawn(points([plain(0), plain(1, "failed")], "champion"), "champion") == ""
