"""The front page in a real browser: on a desk, on a telephone, in the dark, by the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response

from lrsweep.nightly.outcome import StudyNight
from lrsweep.schedules import schedule
from lrsweep.store import open_store
from lrsweep.store.champions import Action, Alias, ChampionRow
from lrsweep.store.queue import Queued
from tests.browser import PATIENCE_MS, chromium_page
from tests.choices import choice
from tests.served import BEGUN, SWEEP, SWEPT, Served, begin, fill, give, promote, served

pytestmark = pytest.mark.browser
TELEPHONE, DESK = 390, 1280
EVIL = '<img src=x onerror="document.title=1"><b>bold</b>'
LONG = "a-study-whose-name-is-as-long-as-a-name-may-be-" + "x" * 50
STUDIES = 30

CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (each) => {
    for (let at = each; at !== null; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = [99, ""];
  while (walker.nextNode()) {
    const each = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === "" || each.closest("title")) continue;
    const [one, other] = [light(parse(getComputedStyle(each).color)), light(behind(each))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least[0]) least = [ratio, each.outerHTML.slice(0, 80)];
  }
  return least;
}"""
"""The least contrast of a text with what is behind it, and where."""

WALKED = """() => {
  const each = document.activeElement;
  const style = getComputedStyle(each);
  const box = each.getBoundingClientRect();
  return {
    tag: each.tagName.toLowerCase(),
    name: each.getAttribute("aria-label") ?? each.textContent,
    href: each.getAttribute("href"),
    outline: parseFloat(style.outlineWidth) * (style.outlineStyle === "none" ? 0 : 1),
    isSeen: box.width > 0 && box.top >= -1 && box.bottom <= innerHeight + 1 && box.left >= 0 && box.right <= innerWidth,
    box: [box.left, box.top, box.right, box.bottom],
  };
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty studies, a bit of everything, and names that somebody has thought up."""
    home = tmp_path_factory.mktemp("landing") / "home"
    url = f"sqlite:///{home}/results.db"
    fill(url)
    store = open_store(url)
    begin(store, LONG, "sweep-long")
    promote(store, choice(name=LONG[:90], schedule=schedule("one_cycle"), horizon=10**9, peak_lr=1.2345e-7))
    promote(store, choice(name=SWEPT, schedule=schedule("wsd"), evidence={"evidence": "proven", "n": 12}))
    promote(store, choice(name=SWEPT, schedule=schedule("plateau"), evidence={}), Alias.CANDIDATE)
    store.champions.promote(ChampionRow(EVIL, Alias.CHAMPION, Action.PROMOTE, "{}", None, None, None))
    for number in range(STUDIES):
        promote(store, choice(name=f"study-{number:03}", evidence={"evidence": "undecided", "n": 1}))
    store.queue.add(Queued("asked-1", BEGUN, "ci"))
    for verdict in ("holds", "challenger better", "workload drifted", "undecided", "failed"):
        night = store.nights.begin("digits", "g", verdict.replace(" ", "-"), {})
        came_to = StudyNight("digits", "g", verdict, verdict, f"{EVIL} and so it is {verdict}", "next", 0)
        store.nights.end(night.id, {"format": 1, "night": came_to.to_json()})
    store.close()
    return home


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Served]:
    with served(home, "--mlflow-url", "http://127.0.0.1:9") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests: a start takes seconds."""
    with chromium_page() as page:
        assert page.context.browser is not None
        yield page.context.browser


@dataclass
class Seen:
    """What the browser said, and what it asked for."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Browser, address: str, width: int = DESK, *, is_dark: bool = False, scripts: bool = True
) -> Iterator[tuple[Page, Seen]]:
    """In a profile of its own; nothing is said on the console, and nothing is asked of anybody else."""
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme="dark" if is_dark else "light",
        java_script_enabled=scripts,
    )
    context.set_default_timeout(PATIENCE_MS)
    page, seen = context.new_page(), Seen()
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.goto(address)
    yield page, seen
    assert seen.said == []
    origin = "/".join(address.split("/")[:3])
    assert [url for url in seen.asked if not url.startswith((f"{origin}/", "data:"))] == []
    context.close()


def unfold(page: Page) -> None:
    """All that the page has, as somebody opens it by the keyboard."""
    folded = page.locator("details:not([open]) > summary")
    while folded.count():
        folded.first.press("Enter")


def test_a_telephone_shows_the_page_on_a_few_screens(browser: Browser, tmp_path: Path) -> None:
    """Of twenty studies, thirty sweeps and ten nights: what is newest is there at once, the others unfold in place."""
    url = f"sqlite:///{tmp_path}/home/results.db"
    fill(url)
    store = open_store(url)
    for number in range(17):
        for sweep in range(1 if number % 2 else 2):
            begin(store, f"study-{number:02}", f"sweep-{number:02}-{sweep}")
        promote(store, choice(name=f"study-{number:02}"))
        if number % 3 == 0:
            store.queue.add(Queued(f"asked-{number}", f"study-{number:02}", "ci"))
    for number in range(10):
        night = store.nights.begin("digits", "g", f"2026-11-{number + 10}", {})
        sentence = "the champion linear at 0.4 came to 0.0802, within its limits 0.078 to 0.083 of 12 nights"
        came_to = StudyNight("digits", "g", night.key, "holds", sentence, "next", 0)
        store.nights.end(night.id, {"format": 1, "night": came_to.to_json()})
    store.close()
    with served(tmp_path / "home") as service, opened(browser, service.url, TELEPHONE) as (page, _):
        assert page.evaluate("document.documentElement.scrollHeight") <= 4.5 * 844
        assert page.get_by_role("rowheader").count() == 6 + 5 + 5 + 5
        assert page.locator("#choices").get_by_role("rowheader").first.inner_text() == "study-16"
        unfold(page)
        assert page.get_by_role("table", name="15 more studies").get_by_role("rowheader").count() == 15
        assert page.get_by_role("rowheader").count() == 6 + 18 + 20 + 10
        assert page.evaluate("document.documentElement.scrollWidth") == TELEPHONE


@pytest.mark.parametrize("width", [320, TELEPHONE, 768, 1151, DESK])
def test_nothing_is_wider_than_the_screen_and_nothing_else_is_asked_for(
    browser: Browser, service: Served, width: int
) -> None:
    """One request makes the whole page; no cell lies over the edge, however long a name is."""
    with opened(browser, service.url, width) as (page, seen):
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        edges = page.evaluate(
            "[...document.querySelectorAll('main *')].filter((each) => each.closest('thead') === null)"
            ".map((each) => each.getBoundingClientRect().right)"
        )
        assert max(edges) <= width
        assert len([url for url in seen.asked if not url.startswith("data:")]) == 1


@pytest.mark.parametrize("width", [TELEPHONE, DESK])
@pytest.mark.parametrize("is_dark", [False, True])
def test_every_text_can_be_read(browser: Browser, service: Served, width: int, is_dark: bool) -> None:
    """At least 4.5 to 1 against what is behind it, and 12 pixels high, by day and in the dark."""
    for path in ("/", "/login", "/?cursor=!"):
        with opened(browser, service.url, width, is_dark=is_dark) as (page, seen):
            page.goto(f"{service.url}{path}")
            unfold(page)
            seen.said.clear()  # that a status is not 200 the browser says itself
            ratio, where = page.evaluate(CONTRAST)
            assert ratio >= 4.5, where
            sizes = page.evaluate(
                "[...document.querySelectorAll('p, td, th, a, h1, h2, code, caption, button, summary')].map("
                "(each) => parseFloat(getComputedStyle(each).fontSize))"
            )
            assert min(sizes) >= 12


@pytest.mark.parametrize("width", [TELEPHONE, DESK])
def test_the_keyboard_reaches_every_link_in_order_and_shows_where_it_is(
    browser: Browser, service: Served, width: int
) -> None:
    """First the way past the head; each with a line around it, on the screen, and a name of its own."""
    with opened(browser, service.url, width) as (page, _):
        wanted = page.evaluate(
            "[...document.querySelectorAll('a[href], button, summary')].filter((each) => each.checkVisibility()).map("
            "(each) => each.getAttribute('href'))"
        )
        walked = []
        for _each in wanted:
            page.keyboard.press("Tab")
            walked.append(page.evaluate(WALKED))
        assert [each["href"] for each in walked] == wanted
        assert walked[0]["name"] == "Skip to the content"
        assert [each["name"] for each in walked if each["tag"] == "summary"] == ["14 more in force", "15 more studies"]
        for each in walked:
            assert each["outline"] >= 2, each
            assert each["isSeen"], each
        places: dict[str, str] = {}
        for each in walked:
            assert places.setdefault(each["name"], each["href"]) == each["href"], "two links of one name lead elsewhere"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || document.activeElement === null") is True


def test_the_way_past_the_head_leads_to_the_content(browser: Browser, service: Served) -> None:
    """Enter on the first link, and the next one is in the content."""
    with opened(browser, service.url) as (page, _):
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null") is True


@pytest.mark.parametrize("width", [TELEPHONE, DESK])
def test_a_table_is_a_table_to_who_hears_it(browser: Browser, service: Served, width: int) -> None:
    """With its caption, its heads and its rows, also where each row is drawn as a block of its own."""
    with opened(browser, service.url, width) as (page, _):
        unfold(page)
        for caption in ("What is in force", "Where the newest sweep", "Whether the champions", "Sweeps that run"):
            table = page.get_by_role("table", name=caption)
            assert table.count() == 1
            assert table.get_by_role("columnheader").count() >= 4
            assert table.get_by_role("rowheader").count() == table.get_by_role("row").count() - 1
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.get_by_role("region").count() == page.get_by_role("heading", level=2).count() == 4
        assert page.get_by_role("img", name="wsd: its rates over the training").count() == 1
        assert page.get_by_role("img", name="plateau: its base").count() == 1


def test_a_name_with_markup_in_it_is_shown_as_it_is_written(browser: Browser, service: Served) -> None:
    """Nothing of it is an element, and nothing of it ran."""
    with opened(browser, service.url) as (page, _):
        assert page.get_by_text(EVIL).count() >= 1
        assert page.locator("img, main b").count() == 0
        assert page.title() == "lrsweep"


def test_the_page_is_whole_without_scripts(browser: Browser, service: Served) -> None:
    """It has none."""
    with opened(browser, service.url, scripts=False) as (page, _):
        assert page.locator("script").count() == 0
        assert page.locator("table:visible").count() == 4
        assert page.locator("svg polyline:visible").count() == 5
        for folded in page.locator("summary").all():
            folded.click()
        assert page.locator("table:visible").count() == 6
        assert page.locator("svg polyline").count() >= 3


def test_all_studies_are_reached_page_by_page(browser: Browser, service: Served) -> None:
    """By the link at the end of the table, and back to the first."""
    with opened(browser, service.url) as (page, _):
        names = []
        while True:
            unfold(page)
            names += page.locator("#studies").get_by_role("rowheader").all_inner_texts()
            following = page.get_by_role("link", name="Next studies")
            if following.count() == 0:
                break
            following.click()
            page.get_by_role("link", name="First page").wait_for()
        assert len(names) == len(set(names)) == STUDIES + 6
        page.get_by_role("link", name="First page").click()
        page.get_by_role("table", name="Whether the champions").wait_for()


def test_links_lead_to_the_report_and_to_the_schedule(browser: Browser, service: Served) -> None:
    """Each answers 200."""
    with opened(browser, service.url) as (page, seen):
        unfold(page)
        page.get_by_role("link", name=f"report of {SWEPT}").click()
        page.get_by_role("heading", name=SWEPT, level=1).wait_for()
        assert page.url.endswith(f"/v1/sweeps/{SWEEP}/report")
        page.go_back()
        unfold(page)
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 (Playwright looks into functions)
        page.get_by_role("link", name=f"{SWEPT} as JSON").click()
        page.wait_for_url("**/schedule")
        assert answers[0].status == 200
        seen.said.clear()  # how the browser shows JSON is its own


# ── signing in ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("width", [TELEPHONE, DESK])
def test_one_signs_in_and_out_by_the_keyboard_alone(browser: Browser, tmp_path: Path, width: int) -> None:
    """A wrong token is told beside the field; a right one leads to the page, its reports and its data; then it ends."""
    home = tmp_path / "home"
    url = f"sqlite:///{home}/results.db"
    fill(url)
    token = give(url, "reader")
    with served(home) as service, opened(browser, service.url, width) as (page, seen):
        assert page.url == f"{service.url}/login"
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.activeElement.id") == "token"
        page.keyboard.type("lrs_wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        assert "not in force" in page.get_by_role("alert").inner_text()
        assert page.get_by_label("Token").get_attribute("aria-invalid") == "true"
        seen.said.clear()  # that the status was 401 the browser says itself
        assert page.evaluate("document.activeElement.id") == "token"
        page.keyboard.type(token)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Which schedule to use").wait_for()
        assert page.evaluate("document.cookie") == ""
        assert token not in "".join(seen.asked)

        page.get_by_role("link", name=f"report of {SWEPT}").press("Enter")
        page.get_by_role("heading", name=SWEPT, level=1).wait_for()
        page.go_back()
        page.get_by_role("button", name="Sign out").press("Enter")
        page.get_by_role("heading", name="Sign in to lrsweep").wait_for()
        seen.said.clear()  # that its store was cleared it says too
        assert page.context.cookies() == []
        page.goto(f"{service.url}/")
        assert page.url == f"{service.url}/login"


def test_a_link_from_another_site_shows_nothing_until_one_comes_oneself(browser: Browser, tmp_path: Path) -> None:
    """The cookie is not sent with what another site begins: neither with its link, nor with its form."""
    home = tmp_path / "home"
    token = give(f"sqlite:///{home}/results.db", "reader")
    with served(home) as service, served(tmp_path / "other") as other, opened(browser, service.url) as (page, seen):
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Which schedule to use").wait_for()
        foreign = f"http://localhost:{other.address[1]}/login"
        elsewhere = page.context.new_page()
        elsewhere.goto(foreign)
        elsewhere.set_content(
            f'<a href="{service.url}/">there</a><form method="post" action="{service.url}/logout"><button>end</button>'
        )
        elsewhere.get_by_role("link", name="there").click()
        elsewhere.wait_for_url(f"{service.url}/login")
        page.reload()
        page.get_by_role("heading", name="Which schedule to use").wait_for()
        seen.said.clear()
