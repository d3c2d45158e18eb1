"""Which schedules a command line asks for: families, files, settings; and everything that is wrong with it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lrsweep
from lrsweep.cli.preview import Preview, make_preview
from lrsweep.errors import SettingsError
from lrsweep.schedules import Schedule, family_names, schedule


def previewed(*names: str, sets: tuple[str, ...] = (), steps: int = 10, **options: Any) -> Preview:
    return make_preview(names, sets, steps=steps, peak_lr=options.pop("peak_lr", 1.0), **options)


def schedules(*names: str, sets: tuple[str, ...] = (), **options: Any) -> dict[str, Schedule]:
    return {curve.name: curve.schedule for curve in previewed(*names, sets=sets, **options).curves}


def problems(*names: str, sets: tuple[str, ...] = (), **options: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        previewed(*names, sets=sets, **options)
    assert refused.value.exit_code == 64
    return str(refused.value)


def written(folder: Path, text: str, name: str = "given.json") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_without_names_it_is_every_family_that_has_defaults() -> None:
    """The two that cannot be made without a setting are told, not silently missing."""
    preview = previewed()
    assert [curve.name for curve in preview.curves] == [
        name for name in family_names() if name not in ("table", "function")
    ]
    assert preview.left_out == ("table", "function")


def test_a_family_without_defaults_is_shown_once_it_is_given_what_it_needs() -> None:
    """Among all families too."""
    assert schedules(sets=("table.values=[1, 0.5]",))["table"] == schedule("table", values=[1, 0.5])


def test_a_setting_is_for_every_family_that_has_it() -> None:
    """``gamma`` is one of step and plateau, and not of cosine."""
    found = schedules("step", "cosine", "plateau", sets=("gamma=0.5",))
    assert found == {
        "step": schedule("step", gamma=0.5),
        "cosine": schedule("cosine"),
        "plateau": schedule("plateau", gamma=0.5),
    }


@pytest.mark.parametrize("sets", [("step.gamma=0.2", "gamma=0.5"), ("gamma=0.5", "step.gamma=0.2")])
def test_what_is_set_for_one_family_counts_more_than_what_is_set_for_all(sets: tuple[str, ...]) -> None:
    """In either order."""
    found = schedules("step", "multistep", sets=sets)
    assert found == {"step": schedule("step", gamma=0.2), "multistep": schedule("multistep", gamma=0.5)}


def test_values_are_read_as_json_and_else_as_text() -> None:
    """Numbers, as Python writes them too, lists, flags, objects, names, and lengths in steps."""
    sets = (
        "multistep.at=[0.3, 0.6]",
        "one_cycle.cycle_momentum=true",
        "wsd.shape=1-sqrt",
        "warmup=2 steps",
        "floor=.1",
        'plateau.base={"family": "cosine", "floor": 0.5}',
    )
    found = schedules("multistep", "one_cycle", "wsd", "plateau", sets=sets)
    assert found == {
        "multistep": schedule("multistep", at=(0.3, 0.6), warmup="2 steps", floor=0.1),
        "one_cycle": schedule("one_cycle", cycle_momentum=True, warmup="2 steps", floor=0.1),
        "wsd": schedule("wsd", shape="1-sqrt", warmup="2 steps", floor=0.1),
        "plateau": schedule("plateau", base=schedule("cosine", floor=0.5), warmup="2 steps", floor=0.1),
    }


def test_a_file_is_what_to_json_wrote(tmp_path: Path) -> None:
    """A schedule, and a composition, beside a family."""
    parts = lrsweep.sequence((schedule("linear"), 0.5), (schedule("cosine"), 0.5))
    one = written(tmp_path, schedule("wsd", cooldown=0.5).to_json(), "one.json")
    two = written(tmp_path, parts.to_json(), "two.json")
    assert schedules("rex", one, two) == {
        "rex": schedule("rex"),
        one: schedule("wsd", cooldown=0.5),
        two: parts,
    }


def test_a_file_of_groups_has_a_curve_for_each(tmp_path: Path) -> None:
    """With its own peak, which the scale of the drawing has room for."""
    groups = lrsweep.grouped({"body": (schedule("linear"), 0.5), "head": (schedule("constant"), 3.0)})
    file = written(tmp_path, groups.to_json())
    preview = previewed(file, steps=2, peak_lr=0.1)
    rates = {curve.name: curve.rates.tolist() for curve in preview.curves}
    assert rates == {
        f"{file}: body": pytest.approx([0.05, 0.025], rel=1e-15),
        f"{file}: head": pytest.approx([0.3, 0.3], rel=1e-15),
    }
    assert preview.top == pytest.approx(0.3)
    assert [curve.about[:5] for curve in preview.curves] == ["× 0.5", "× 3  "]


def test_a_function_runs_only_when_it_is_allowed(tmp_path: Path) -> None:
    """By name, among all families, and from a file."""
    path = "function.path=math:cos"
    assert "--allow-code lets it" in problems("function", sets=(path,))
    assert "--allow-code lets it" in problems(sets=(path,))
    allowed = schedules("function", sets=(path,), allow_code=True)["function"]
    file = written(tmp_path, allowed.to_json())
    assert "--allow-code" in problems(file)
    assert schedules(file, allow_code=True) == {file: allowed}


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """One line for each, in one error."""
    told = problems(
        "cosin",
        "wsd",
        "wsd",
        str(tmp_path),
        str(tmp_path / "none.json"),
        written(tmp_path, '{"family": "cosine", "flor": 1}'),
        "warmup=0.1",
        sets=("wsd.coldown=0.1", "floor=2", "hold=0.1", "hold=0.2", "warmup", "linear.floor=1", "gama=1"),
        steps=0,
        peak_lr=float("nan"),
    )
    wanted = [
        "--steps: total_steps must be a whole number of 1 or more, not 0",
        "--peak-lr: peak_lr must be a finite number above 0, not nan",
        "'wsd' is named twice",
        "there is no schedule family 'cosin'. Did you mean 'cosine'?",
        f"{tmp_path} is a folder",
        f"there is no file {tmp_path / 'none.json'}",
        "'flor' is not a setting. Did you mean 'floor'?",
        "'warmup=0.1' looks like a setting: each needs a --set of its own",
        "--set wsd.coldown: 'coldown' is not a setting. Did you mean 'cooldown'?",
        "wsd: floor must be a number in [0, 1], not 2",
        "--set hold is given more than once",
        "--set 'warmup': wanted NAME=VALUE",
        "--set linear.floor: 'linear' is none of the families that are named",
        "--set gama: no family that is named has this setting",
    ]
    assert [one for one in wanted if one not in told] == []
    assert told.splitlines()[0] == f"preview: {len(wanted)} problems"


def test_a_setting_near_a_known_one_is_suggested() -> None:
    """Among the settings of all families that are named."""
    assert "Did you mean 'cooldown'?" in problems("cosine", "wsd", sets=("coldown=0.1",))


def test_a_setting_has_no_effect_on_files_and_is_refused_where_there_are_only_files(tmp_path: Path) -> None:
    """A file is drawn as it is written; a setting for nobody is a mistake."""
    file = written(tmp_path, schedule("cosine").to_json())
    assert "--set floor: it is for families, and none is named" in problems(file, sets=("floor=0.1",))
    assert schedules(file, "linear", sets=("floor=0.1",)) == {
        file: schedule("cosine"),
        "linear": schedule("linear", floor=0.1),
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[1]", "wanted one object"),
        ('{"floor": 0.1}', "family is missing"),
        ('{"version": 2, "family": "cosine"}', "was written by a newer lrsweep"),
        ('{"family": "cosine", "floor": 0, "floor": 1}', "'floor' is given more than once"),
        ('{"family": "plateau", "base": {"family": "cosine", "floor": 3}}', "base: floor must be"),
        ('{"family": "grouped", "groups": []}', "groups must be a list"),
    ],
)
def test_a_file_that_is_no_schedule_is_told_with_its_name(tmp_path: Path, text: str, wanted: str) -> None:
    """What is wrong, and in which file."""
    told = problems(file := written(tmp_path, text))
    assert told.startswith(f"preview: {file}: ")
    assert wanted in told


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    """A checkpoint, say."""
    (tmp_path / "a.json").write_bytes(b"\x80\x81")
    assert "is not a text in UTF-8" in problems(str(tmp_path / "a.json"))


def test_an_object_with_a_mistake_is_not_taken_for_a_text() -> None:
    """``{family: cosine}`` lacks its quotes."""
    assert "--set base: '{family: cosine}' is not JSON" in problems("plateau", sets=("base={family: cosine}",))


def test_a_value_nested_too_deep_is_refused() -> None:
    """Lists in lists until Python's own stack would end."""
    deep = "[" * 900 + "]" * 900
    assert "is nested deeper than a schedule can be" in problems("knots", sets=(f"points={deep}",))


def test_a_length_that_does_not_fit_the_steps_is_refused_with_both_numbers() -> None:
    """Also where the horizon is so long that the drawing samples it."""
    assert "there are 10" in problems("wsd", sets=("cooldown=500 steps",))
    told = problems("wsd", sets=("cooldown=500000 steps",), steps=400_000)
    assert "take 500000 steps, and there are 400000" in told
