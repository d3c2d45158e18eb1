"""A preview as a PNG file: what is drawn, and what becomes of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from lrsweep.cli.picture import draw, write_png
from lrsweep.cli.preview import IN_ONE_DRAWING, Preview, make_preview
from lrsweep.errors import SettingsError
from lrsweep.schedules import family_names

PNG = b"\x89PNG\r\n\x1a\n"


def previewed(*names: str, sets: tuple[str, ...] = (), steps: int = 10, peak_lr: float = 1.0) -> Preview:
    return make_preview(names, sets, steps=steps, peak_lr=peak_lr)


def lines(axes: Axes) -> list[list[tuple[float, float]]]:
    return [[(float(x), float(y)) for x, y in np.asarray(line.get_xydata())] for line in axes.get_lines()]


def test_few_schedules_share_one_pair_of_axes() -> None:
    """Each step holds its rate until the next: two steps of linear have three corners."""
    [axes] = draw(previewed("linear", "constant", steps=2, peak_lr=0.2)).axes
    assert lines(axes) == [[(0, 0.2), (1, 0.1), (2, 0.1)], [(0, 0.2), (1, 0.2), (2, 0.2)]]
    assert [line.get_drawstyle() for line in axes.get_lines()] == ["steps-post"] * 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "learning rate")
    assert len({line.get_color() for line in axes.get_lines()}) == 2


def test_the_legend_names_each_schedule_and_what_was_changed() -> None:
    """A reactive one has a mark, and a note says what it heard."""
    figure = draw(previewed("wsd", "plateau", sets=("wsd.cooldown=0.5",)))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["wsd  cooldown=0.5", "plateau *"]
    assert any("here to an example" in text.get_text() for text in figure.texts)


def test_a_long_list_of_settings_does_not_burst_the_legend() -> None:
    """A table of a hundred rates is cut off."""
    values = [round(1 - place / 100, 2) for place in range(100)]
    figure = draw(previewed("table", sets=(f"values={values}",)))
    [label] = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(label) == 90
    assert label.startswith("table  values=[1.0, 0.99, ")
    assert label.endswith("…")


@pytest.mark.parametrize("count", [IN_ONE_DRAWING, IN_ONE_DRAWING + 1])
def test_many_schedules_have_axes_of_their_own(count: int) -> None:
    """Up to eight curves in one drawing; from nine on one each, under its name."""
    names = family_names()[:count]
    axes = [each for each in draw(previewed(*names)).axes if each.axison]
    if count <= IN_ONE_DRAWING:
        assert [len(each.get_lines()) for each in axes] == [count]
    else:
        assert [each.get_title(loc="left") for each in axes] == list(names)


def test_reactive_families_are_told_apart_in_small_drawings() -> None:
    """Another colour, a mark, and the metric that they heard as a second line; what is left out is told."""
    figure = draw(previewed())
    by_name = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.axison}
    assert len(by_name["cosine"].get_lines()) == 1
    metric, rates = by_name["plateau *"].get_lines()
    assert metric.get_linestyle() == ":"
    assert rates.get_color() != by_name["cosine"].get_lines()[0].get_color()
    assert any("not shown" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("steps", [1, 2, 5, 10_000_000])
@pytest.mark.parametrize("names", [(), ("cosine", "plateau")])
def test_a_picture_is_written_at_any_number_of_steps(tmp_path: Path, names: tuple[str, ...], steps: int) -> None:
    """It is a PNG, and light enough for a README."""
    write_png(previewed(*names, steps=steps), tmp_path / "a.PNG")
    data = (tmp_path / "a.PNG").read_bytes()
    assert data.startswith(PNG)
    assert len(data) < 200_000


def test_a_file_that_exists_is_replaced(tmp_path: Path) -> None:
    """Nothing is asked."""
    (tmp_path / "a.png").write_text("old")
    write_png(previewed("cosine"), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("name", ["a.svg", "a", "a.png.gz"])
def test_a_name_that_does_not_say_png_is_refused(tmp_path: Path, name: str) -> None:
    """The file would be PNG all the same."""
    with pytest.raises(SettingsError, match=r"it writes PNG; wanted a name that ends in \.png"):
        write_png(previewed("cosine"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder that does not exist, and a folder where the file should be."""
    for target in (tmp_path / "no" / "a.png", folder(tmp_path / "b.png")):
        with pytest.raises(SettingsError, match="cannot be written"):
            write_png(previewed("cosine"), target)


def folder(path: Path) -> Path:
    path.mkdir()
    return path
