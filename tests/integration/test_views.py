"""The saved views, as text and as a reader sees them: a real MLflow server and a real Chromium."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from playwright.sync_api import Page

from lrsweep.errors import InvalidInput
from lrsweep.schedules import family_names
from lrsweep.tracking.server import MlflowServer
from lrsweep.tracking.views import (
    BEST,
    BY_FAMILY,
    DIVERGENCES,
    FINALISTS,
    VIEWS,
    Look,
    description,
    filter_link,
    saved_views,
    view_link,
)
from tests.browser import chromium_page

PREFIX = "mlflow.sharedViewState."
HORIZON = 60
SHORT_RUNG = 20
PARENT = "sweep 1a2b"
LOOK = Look("digits", horizon=HORIZON)


def state_of(view: str, look: Look = LOOK) -> dict[str, Any]:
    envelope = json.loads(saved_views(look)[PREFIX + look.key(view)])
    state: dict[str, Any] = json.loads(envelope["state"])
    return state


def test_the_tags_are_the_same_each_time() -> None:
    """Equal arguments give equal text, so that a tracker can see whether a view has changed."""
    assert saved_views(LOOK) == saved_views(Look("digits", horizon=HORIZON))
    assert saved_views(LOOK) != saved_views(Look("digits", horizon=HORIZON + 1))


def test_there_is_one_tag_per_view_and_each_has_a_name_of_its_own() -> None:
    """Keys are MLflow's prefix and the view's key; names carry the study."""
    tags = saved_views(Look("digits"))
    assert list(tags) == [PREFIX + view for view in ("by-family", "best", "finalists", "divergences")]
    names = [json.loads(text)["name"] for text in tags.values()]
    assert names == ["digits: by family", "digits: ten best", "digits: finalists", "digits: divergences"]


def test_studies_that_share_an_experiment_have_views_of_their_own() -> None:
    """Neither overwrites the other's, and each shows its own runs alone."""
    one, other = (Look(study, is_alone=False) for study in ("digits", "mnist"))
    assert not saved_views(one).keys() & saved_views(other).keys()
    assert "tags.`lrsweep.study` = 'mnist'" in state_of(BEST, other)["searchFilter"]
    assert "viewStateShareKey=mnist-best&" in view_link("http://h:1", "7", other, BEST)


def test_tags_stay_within_the_length_that_mlflow_stores() -> None:
    """8,000 characters are the limit for a tag; a study's name has at most 100."""
    assert max(len(text) for text in saved_views(Look("d" * 100, horizon=10**9)).values()) <= 8000


def test_with_a_horizon_shorter_rungs_are_filtered_out_and_families_alone_are_groups() -> None:
    """The filter names the horizon, and a family is one group."""
    state = state_of(BY_FAMILY)
    assert state["searchFilter"] == (
        "tags.`lrsweep.study` = 'digits' and tags.`lrsweep.kind` = 'training' and attributes.status = 'FINISHED'"
        " and params.horizon = '60'"
    )
    assert [key["groupByData"] for key in state["groupBy"]["groupByKeys"]] == ["family"]


def test_without_a_horizon_no_mean_mixes_trainings_of_different_lengths() -> None:
    """Groups are families split by horizon, and no horizon is filtered out."""
    state = state_of(BY_FAMILY, Look("digits"))
    assert [key["groupByData"] for key in state["groupBy"]["groupByKeys"]] == ["family", "horizon"]
    assert "horizon" not in state["searchFilter"]


def test_every_chart_belongs_to_a_section_that_exists() -> None:
    """MLflow drops a chart whose section it cannot find."""
    for view in (BY_FAMILY, BEST):
        state = state_of(view)
        sections = {section["uuid"] for section in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
        assert [chart["metricKey"] for chart in state["compareRunCharts"]] == ["lr", "val_loss", "train_loss"]


def test_a_link_names_experiment_and_view() -> None:
    """The base may end in a slash or not."""
    wanted = "http://h:1/#/experiments/7/runs?viewStateShareKey=best&compareRunsMode=CHART"
    assert view_link("http://h:1", "7", LOOK, BEST) == view_link("http://h:1/", "7", LOOK, BEST) == wanted


def test_a_link_to_an_unknown_view_says_which_there_are() -> None:
    """The error names what was given, what there is and what was probably meant."""
    with pytest.raises(InvalidInput) as caught:
        view_link("http://h:1", "7", LOOK, "by-familly")
    assert str(caught.value) == (
        "there is no saved view 'by-familly'; wanted: by-family, best, finalists, divergences. "
        "Did you mean 'by-family'?"
    )


def test_another_metric_has_its_chart_its_column_and_the_order() -> None:
    """An accuracy: the best first means the largest first, on a linear axis; the losses keep their charts."""
    for view in (BY_FAMILY, BEST):
        state = state_of(view, replace(LOOK, metric="val_acc", sense="maximize"))
        assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val_acc`", False)
        scales = {chart["metricKey"]: chart["scaleType"] for chart in state["compareRunCharts"]}
        assert scales == {"lr": "log", "val_acc": "linear", "val_loss": "log", "train_loss": "log"}
        assert state["selectedColumns"][-1] == "metrics.`val_acc`"
    timed = state_of(BEST, replace(LOOK, metric="val_acc", value="steps_to_val_acc"))
    assert (timed["orderByKey"], timed["orderByAsc"]) == ("metrics.`steps_to_val_acc`", True)
    assert (state_of(BEST)["orderByKey"], state_of(BEST)["orderByAsc"]) == ("metrics.`val_loss`", True)


def test_finalists_are_grouped_by_trial_and_no_training_of_the_search_is_among_them() -> None:
    """The band of a group is then that of its seeds."""
    state = state_of(FINALISTS)
    assert "tags.`lrsweep.kind` = 'finalist'" in state["searchFilter"]
    keys = [(key["mode"], key["groupByData"]) for key in state["groupBy"]["groupByKeys"]]
    assert keys == [("param", "family"), ("tag", "lrsweep.trial")]


def test_divergences_show_their_rule_and_are_of_any_horizon() -> None:
    """A divergence at a rung's raised rate is one as well."""
    state = state_of(DIVERGENCES)
    assert "tags.`lrsweep.outcome` = 'diverged'" in state["searchFilter"]
    assert "horizon" not in state["searchFilter"]
    assert "tags.`lrsweep.reason`" in state["selectedColumns"]


def test_the_description_of_a_sweep_links_by_whatever_address_the_page_has() -> None:
    """A link per view, each from the # on."""
    text = description("7", LOOK)
    assert text.count("](#/experiments/7/runs?searchFilter=") == len(VIEWS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server's URL and the id of an experiment with a parent and three trainings per family, and its saved views."""
    folder = tmp_path_factory.mktemp("mlflow")
    with MlflowServer(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"), port=0) as running:
        client = MlflowClient(running.url)
        experiment = client.create_experiment("digits", tags=saved_views(LOOK))
        parent = client.create_run(experiment, run_name=PARENT).info.run_id
        client.log_batch(parent, params=[Param("horizon", str(HORIZON))], metrics=[Metric("val_loss", 0.01, 0, 0)])
        client.set_terminated(parent)
        for number, family in enumerate(family_names()):
            for horizon, loss in ((HORIZON, 0.2 + number), (HORIZON, 0.4 + number), (SHORT_RUNG, 0.3 + number)):
                log_training(client, experiment, parent, family, horizon, loss)
        for seed in range(2):
            log_training(client, experiment, parent, "wsd", HORIZON, 0.1 + seed / 100, kind="finalist")
        log_training(client, experiment, parent, "rex", HORIZON, 9.0, outcome="diverged")
        yield running.url, experiment


def log_training(
    client: MlflowClient,
    experiment: str,
    parent: str,
    family: str,
    horizon: int,
    loss: float,
    *,
    kind: str = "training",
    outcome: str = "completed",
) -> None:
    tags = {
        "mlflow.parentRunId": parent,
        "lrsweep.study": "digits",
        "lrsweep.kind": kind,
        "lrsweep.trial": "7",
        "lrsweep.outcome": outcome,
    }
    run = client.create_run(experiment, run_name=f"{family} {horizon} {loss:.1f}", tags=tags).info.run_id
    metrics = [Metric("lr", math.cos(step / horizon), step, step) for step in range(horizon)]
    metrics += [Metric("train_loss", loss + 1 / (step + 1), step, step) for step in range(horizon)]
    metrics += [Metric("val_loss", loss + 1 / step, step, step) for step in range(1, horizon + 1, 5)]
    client.log_batch(run, metrics=metrics, params=[Param("family", family), Param("horizon", str(horizon))])
    client.set_terminated(run, "KILLED" if outcome == "diverged" else "FINISHED")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """One browser for all: starting it and loading MLflow's scripts is most of the time of these tests."""
    with chromium_page() as page:
        # a first visit opens MLflow's side panel, which has nothing to do with us
        page.context.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
        yield page


@pytest.fixture(scope="module")
def by_family(server: tuple[str, str], page: Page) -> dict[str, Any]:
    """The charts of the page that the plain link opens; ``page`` stays on it."""
    return opened(page, view_link(*server, LOOK), "lr", "val_loss")


DRAWN = """() => Object.fromEntries([...document.querySelectorAll('.js-plotly-plot')].map(plot => {
    const card = plot.closest('[data-testid=experiment-view-compare-runs-card]')
    return [card.querySelector('h4').innerText, {
        size: [plot.clientWidth, plot.clientHeight],
        scale: plot.layout.yaxis.type,
        bands: plot.data.filter(trace => trace.fill).length,
        legend: [...card.querySelectorAll('span')].map(it => it.innerText).filter(text => text.includes('(')),
    }]
}))"""
"""title -> what Plotly and the page have, of every chart that is drawn; one below the window's edge is not"""


def opened(page: Page, link: str, *titles: str) -> dict[str, Any]:
    """Opens the link and describes its charts, once those with these titles are drawn."""
    page.goto(link)
    page.wait_for_function(
        f"titles => {{ const drawn = ({DRAWN})(); return titles.every(it => it in drawn) }}", arg=titles
    )
    charts: dict[str, Any] = page.evaluate(DRAWN)
    return charts


@pytest.mark.browser
def test_the_link_opens_on_large_curves_grouped_by_family(by_family: dict[str, Any]) -> None:
    """Rate and loss stand side by side, at least 500x300 pixels each, with a band and a legend entry per family."""
    families = set(family_names())
    assert by_family["lr"]["scale"] == "log"
    assert by_family["val_loss"]["scale"] == "log"
    for chart in by_family.values():
        width, height = chart["size"]
        assert width >= 500
        assert height >= 300
        assert chart["bands"] == len(families)
        assert {label.split(" (")[0] for label in chart["legend"]} == families


@pytest.mark.browser
@pytest.mark.usefixtures("by_family")
def test_the_table_lists_the_families_best_first_and_not_the_parent(page: Page) -> None:
    """One folded group per family, with its two trainings at the full horizon; no run is in no group."""
    page.locator("[data-component-id='mlflow.experiment_page.table_resizer.collapse']").click()
    page.get_by_text("Group: constant").wait_for()
    body = page.inner_text("body")
    # families were logged in this order, each worse than the one before
    assert [line for line in body.splitlines() if line.startswith("Group: ")] == [
        f"Group: {family}" for family in family_names()
    ]
    assert f"{2 * len(family_names())} matching runs" in body
    assert "Unassigned" not in body
    assert PARENT not in page.content()


@pytest.mark.browser
@pytest.mark.usefixtures("by_family")
def test_the_views_menu_offers_all_by_name(page: Page) -> None:
    """The menu of the page shows the open view's name, and the others to go on with."""
    menu = page.get_by_test_id("saved-views-trigger")
    assert menu.inner_text() == "digits: by family"
    menu.click()
    for name in ("ten best", "finalists", "divergences"):
        page.get_by_text(f"digits: {name}").wait_for()


@pytest.mark.browser
def test_the_view_of_the_best_draws_the_ten_lowest_losses(server: tuple[str, str], page: Page) -> None:
    """Ten trainings at the full horizon; neither the parent nor a shorter rung is one of them."""
    charts = opened(page.context.new_page(), view_link(*server, LOOK, BEST), "lr")
    five = enumerate(family_names()[:5])
    best = [f"{family} {HORIZON} {number + loss:.1f}" for number, family in five for loss in (0.2, 0.4)]
    assert sorted(charts["lr"]["legend"]) == sorted(f"{name} (lr)" for name in best)


@pytest.mark.browser
def test_the_view_of_finalists_draws_the_seeds_of_a_trial_as_one(server: tuple[str, str], page: Page) -> None:
    """One group of two trainings, with its band."""
    charts = opened(page.context.new_page(), view_link(*server, LOOK, FINALISTS), "lr", "val_loss")
    assert charts["val_loss"]["bands"] == 1
    assert [label for label in charts["val_loss"]["legend"] if "wsd" in label]


@pytest.mark.browser
def test_a_plain_filter_lists_what_the_view_shows(server: tuple[str, str], page: Page) -> None:
    """No view is opened: the address alone says which runs, here the one that diverged."""
    tab = page.context.new_page()
    tab.goto(filter_link(*server, LOOK, DIVERGENCES))
    tab.get_by_text("rex 60 9.0").first.wait_for()
    assert "1 matching run" in tab.inner_text("body")
    assert "wsd 60" not in tab.inner_text("body")
