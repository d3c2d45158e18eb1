"""``lrsweep families``: everything about a family is there, for people and for programs."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from lrsweep.cli.families import show_families
from lrsweep.errors import ScheduleError
from lrsweep.schedules import family, family_names, schedule
from lrsweep.schedules.described import families_json


def shown(*names: str, width: int = 80, encoding: str = "utf-8") -> str:
    terminal = io.TextIOWrapper(written := io.BytesIO(), encoding=encoding, write_through=True)
    show_families(Console(file=terminal, width=width), names)
    return written.getvalue().decode(encoding)


def test_the_json_has_what_schedule_takes_in_its_order() -> None:
    """The names are those of the registry: no composition, and none left out."""
    assert [one["name"] for one in families_json()] == list(family_names())


def test_the_json_is_strict_and_holds_no_python_values() -> None:
    """Any JSON reader takes it: no NaN, no tuple that comes back as something else."""
    found = families_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_json_of_a_family_says_all_about_it() -> None:
    """One family in full, its settings in the order in which they are declared, the shared ones last."""
    [found] = families_json(["rex"])
    assert {name: value for name, value in found.items() if name != "settings"} == {
        "name": "rex",
        "kind": "time-driven",
        "formula": family("rex").formula,
        "simplicity": family("rex").simplicity,
        "use": family("rex").use,
        "source": family("rex").source,
    }
    assert [one["name"] for one in found["settings"]] == [one.name for one in family("rex").settings()]


def test_the_json_of_a_setting_says_what_is_allowed_and_what_is_searched() -> None:
    """Every form of a search range, and a setting that must be given."""
    settings = {(one["name"], each["name"]): each for one in families_json() for each in one["settings"]}
    assert settings["wsd", "cooldown"] == {
        "name": "cooldown",
        "required": False,
        "default": 0.2,
        "wanted": "a number in (0, 1], or a count such as '500 steps'",
        "search": {"low": 0.05, "high": 0.6, "log": False, "whole": False},
        "meaning": next(one.meaning for one in family("wsd").settings() if one.name == "cooldown"),
        "implied": False,
    }
    assert settings["plateau", "threshold_mode"]["search"] == {"names": ["rel", "abs"]}
    assert settings["plateau", "patience"]["search"]["whole"] is True
    assert settings["plateau", "base"]["default"] == schedule("constant").to_dict()
    assert settings["wsd", "hold"] | {"meaning": ""} == {
        "name": "hold",
        "required": False,
        "default": 0.0,
        "wanted": "a number in [0, 1), or a count such as '500 steps'",
        "search": None,
        "meaning": "",
        "implied": True,
    }
    assert (settings["table", "values"]["required"], settings["table", "values"]["default"]) == (True, None)


def test_a_default_in_the_json_makes_the_schedule_that_no_setting_makes() -> None:
    """A program can build a family from what it reads here."""
    for one in families_json():
        if one["kind"] == "time-driven" and not any(setting["required"] for setting in one["settings"]):
            given = {setting["name"]: setting["default"] for setting in one["settings"]}
            assert schedule(one["name"], **given) == schedule(one["name"])


def test_reactive_families_are_told_apart() -> None:
    """The kind says whether a metric is needed."""
    reactive = {one["name"] for one in families_json() if one["kind"] == "reactive"}
    assert reactive == {"plateau", "threshold", "slope", "greedy"}


@pytest.mark.parametrize("width", [30, 40, 69, 70, 80, 120])
def test_the_tables_fit_any_width(width: int) -> None:
    """No line is longer than the terminal, and no word of a meaning is lost in it."""
    text = shown(width=width)
    assert max(map(len, text.splitlines())) <= width
    words = "".join(text.split())
    for name in family_names():
        assert name in text
        for one in family(name).settings():
            if width < 70:  # in a table the words of a meaning do not follow each other
                assert "".join(one.meaning.split()) in words


def test_a_block_shows_every_part_of_a_family() -> None:
    """Its name, kind, rank, formula, use, source, and each setting with default and range."""
    text = shown("rex")
    for part in ("rex", "time-driven", f"simplicity {family('rex').simplicity}", family("rex").formula, "Source:"):
        assert part in text
    [row] = [line for line in text.splitlines() if line.split()[:1] == ["beta"]]
    setting = family("rex").settings()[0]
    assert row.split()[1] == f"{setting.default:g}"
    assert " to " in row


def test_shared_settings_are_shown_once() -> None:
    """They are the same for all families, so they stand at the end."""
    text = shown("wsd", "cosine")
    assert text.count("warmup_shape") == 1
    assert text.index("every family also has") < text.index("warmup_shape")


def test_a_terminal_without_utf8_reads_signs_by_their_names() -> None:
    """π is pi, · is *; nothing crashes, and no letter that has a name becomes a question mark."""
    text = shown(encoding="ascii")
    assert "(1 + cos(pi u)) / 2" in text
    assert "Haegele" in text
    assert "?" not in text


def test_an_unknown_family_is_refused() -> None:
    """With what it may have meant."""
    with pytest.raises(ScheduleError, match="Did you mean 'cosine'"):
        families_json(["cosin"])
