"""The report in a real browser: on a desk, on a telephone, in the dark, and without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from lrsweep.report.html import page as written
from tests.browser import PATIENCE_MS, chromium_page
from tests.reported import WITHOUT_FINALS, a_report
from tests.scripted import completed, diverged

pytestmark = pytest.mark.browser
TELEPHONE = 390


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a sweep with finals."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(written(a_report()), encoding="utf-8")
    return path


class Seen:
    """What the browser said, and what it asked for."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests: a start takes seconds."""
    with chromium_page() as page:
        assert page.context.browser is not None
        yield page.context.browser


@contextmanager
def opened(browser: Browser, file: Path, width: int = 1280, *, scripts: bool = True) -> Iterator[Page]:
    """A page in a profile of its own that says nothing on its console and asks for nothing but itself."""
    context = browser.new_context(viewport={"width": width, "height": 844}, java_script_enabled=scripts)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    seen = Seen(page)
    page.goto(file.as_uri())
    yield page
    assert seen.said == []
    assert seen.asked == [file.as_uri()]
    context.close()


def lines(page: Page, chart: str) -> int:
    return page.locator(f"[data-chart={chart}] polyline").count()


@pytest.mark.parametrize("width", [TELEPHONE, 1280])
def test_nothing_is_wider_than_the_screen_and_nothing_is_asked_of_a_network(
    browser: Browser, file: Path, width: int
) -> None:
    """On a telephone as on a desk; the console stays empty."""
    with opened(browser, file, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("section").count() == 10
        for box in page.locator("section, pre, .plot, .scroll").all():
            place = box.bounding_box()
            assert place is not None
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= width
        assert page.locator("#answer").inner_text().startswith("proven")


def test_text_on_a_telephone_is_large_enough_to_read(browser: Browser, file: Path) -> None:
    """At least 11 pixels, also in charts, which are drawn for their width and not shrunk."""
    with opened(browser, file, TELEPHONE) as page:
        sizes = page.evaluate(
            """[...document.querySelectorAll("p, td, text, button, pre")].map((each) => {
              const svg = each.closest("svg[viewBox]");
              const ratio = svg === null ? 1 : svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
              return parseFloat(getComputedStyle(each).fontSize) * ratio;
            })"""
        )
        assert min(sizes) >= 11


def test_value_interval_and_n_of_finalists_are_in_view_on_a_telephone(
    browser: Browser, tmp_path: Path, file: Path
) -> None:
    """What does not fit is scrolled to, and a shadow at the side says that there is more."""
    wide = tmp_path / "wide.html"
    text = file.read_text(encoding="utf-8").replace("constant", "exponential")
    wide.write_text(re.sub(r"<td([^>]*)>[\d.]+ to [\d.]+<", r"<td\1>0.1234 to 0.1345<", text), encoding="utf-8")
    with opened(browser, wide, TELEPHONE) as page:
        box = page.locator("#finalists > .scroll")
        for name in ("decide_loss", "95 %", "n"):
            place = box.get_by_role("columnheader", name=name, exact=True).first.bounding_box()
            assert place is not None
            assert place["x"] + place["width"] <= TELEPHONE
        assert "local, local, scroll, scroll" in box.evaluate("(each) => getComputedStyle(each).backgroundAttachment")
        assert box.evaluate("(each) => each.scrollWidth > each.clientWidth")


def test_a_log_axis_has_labels_near_its_points(browser: Browser, tmp_path: Path) -> None:
    """Three at least, though all values lie within one decade."""
    report = a_report()
    values = [point for point in report.peaks if point.value is not None]
    peaks = tuple(replace(each, value=0.13 + 0.17 * place / len(values)) for place, each in enumerate(values))
    file = tmp_path / "narrow.html"
    file.write_text(written(replace(report, peaks=peaks)), encoding="utf-8")
    for width in (TELEPHONE, 1280):
        with opened(browser, file, width) as page:
            chart = page.locator("[data-chart=peaks]")
            chart.get_by_role("button", name="log scale").click()
            labels = [float(each) for each in chart.locator("svg text[text-anchor=end]").all_text_contents()]
            assert len(labels) >= 3
            assert labels == sorted(labels)
            assert min(labels) <= 0.16


def test_a_family_is_switched_off_in_all_charts_and_on_again(browser: Browser, file: Path) -> None:
    """By its button, which says so to a screen reader too."""
    with opened(browser, file) as page:
        before = {chart: lines(page, chart) for chart in ("rates", "values")}
        button = page.locator(".legend button", has_text="cosine")
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert all(lines(page, chart) < count for chart, count in before.items())
        button.click()
        assert {chart: lines(page, chart) for chart in ("rates", "values")} == before


def test_a_view_and_the_scale_are_switched(browser: Browser, file: Path) -> None:
    """Rates as shares of the peak, then as they are, then on a log scale."""
    with opened(browser, file) as page:
        chart = page.locator("[data-chart=rates]")
        labels = [each for each in chart.locator("svg text").all_inner_texts() if each]
        chart.get_by_role("button", name="learning rate").click()
        as_trained = chart.locator("svg text").all_inner_texts()
        assert as_trained != labels
        chart.get_by_role("button", name="log scale").click()
        assert chart.locator("svg text").all_inner_texts() != as_trained
        assert chart.get_by_role("button", name="log scale").get_attribute("aria-pressed") == "true"


def test_what_is_under_the_pointer_is_read_out(browser: Browser, file: Path) -> None:
    """Family, training, step and value; and nothing once the pointer has left."""
    with opened(browser, file) as page:
        chart = page.locator("[data-chart=rates]")
        chart.scroll_into_view_if_needed()
        place = chart.locator("svg").bounding_box()
        assert place is not None
        page.mouse.move(place["x"] + 0.5 * place["width"], place["y"] + 0.45 * place["height"])
        tip = chart.locator(".tip")
        assert tip.is_visible()
        read = tip.inner_text()
        assert "trial" in read
        assert "share of the peak" in read
        page.mouse.move(5, 5)
        assert not tip.is_visible()


def test_a_stretch_is_looked_at_closer_by_dragging_and_left_again(browser: Browser, file: Path) -> None:
    """A button brings the whole range back."""
    with opened(browser, file) as page:
        chart = page.locator("[data-chart=values]")
        chart.scroll_into_view_if_needed()
        place = chart.locator("svg").bounding_box()
        assert place is not None
        whole = chart.locator("svg text").all_inner_texts()
        y = place["y"] + 0.5 * place["height"]
        page.mouse.move(place["x"] + 0.5 * place["width"], y)
        page.mouse.down()
        page.mouse.move(place["x"] + 0.9 * place["width"], y, steps=5)
        page.mouse.up()
        assert chart.locator("svg text").all_inner_texts() != whole
        chart.get_by_role("button", name="whole range").click()
        assert chart.locator("svg text").all_inner_texts() == whole


def test_it_is_dark_where_the_reader_has_asked_for_it(browser: Browser, file: Path) -> None:
    """The background is, and text on it is light."""
    with opened(browser, file) as page:
        page.emulate_media(color_scheme="dark")
        back, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert max(map(int, back[4:-1].split(","))) < 40
        assert min(map(int, ink[4:-1].split(","))) > 200


def test_without_a_script_tables_and_pictures_are_there(browser: Browser, file: Path) -> None:
    """As a mail or MLflow's viewer may show it."""
    with opened(browser, file, TELEPHONE, scripts=False) as plain:
        assert plain.locator(".plot svg").count() == 3
        for chart in plain.locator(".plot svg").all():
            place = chart.bounding_box()
            assert place is not None
            assert place["height"] > 100
        assert plain.locator("#finalists > .scroll tbody tr").count() >= 3


def test_the_policy_stops_a_script_that_somebody_adds(browser: Browser, tmp_path: Path, file: Path) -> None:
    """Neither it nor a picture from elsewhere is loaded: the policy names the page's own script by its hash."""
    added = tmp_path / "added.html"
    text = file.read_text(encoding="utf-8")
    added.write_text(
        text.replace("</body>", "<script>window.added = 1</script><img src='http://example.invalid/x.png'></body>"),
        encoding="utf-8",
    )
    page = browser.new_page()
    with closing(page.context):
        asked: list[str] = []

        def note(route: Route) -> None:
            asked.append(route.request.url)
            route.abort()

        page.route("http://**", note)
        page.goto(added.as_uri())
        assert page.evaluate("window.added") is None
        assert asked == []


@pytest.mark.parametrize("kind", ["nothing to choose", "all diverged", "of one point", "with hostile names"])
def test_odd_sweeps_have_pages_that_work(kind: str, browser: Browser, tmp_path: Path) -> None:
    """Without an error on the console, and no wider than a telephone."""
    report = a_report(WITHOUT_FINALS, diverged if kind == "all diverged" else completed)
    if kind == "nothing to choose":
        report = replace(report, choice=None, use=None, curves=(), peaks=(), families=(), rungs=(), divergences=())
    elif kind == "of one point":
        report = replace(report, curves=report.curves[:1], peaks=report.peaks[:1])
    elif kind == "with hostile names":
        name = "</script><img src=x onerror='document.title=1'>" + "x" * 80
        report = replace(
            report,
            study=name,
            workload=name,
            families=tuple(replace(each, family=name) for each in report.families),
            curves=tuple(replace(each, family=name, about=name) for each in report.curves),
            peaks=tuple(replace(each, family=name, about=name) for each in report.peaks),
        )
    file = tmp_path / "odd.html"
    file.write_text(written(report), encoding="utf-8")
    with opened(browser, file, TELEPHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == TELEPHONE
        assert page.title().endswith(": lrsweep report")
        assert page.locator("img").count() == 0
        for chart in page.locator("figure svg").all():
            chart.hover()
