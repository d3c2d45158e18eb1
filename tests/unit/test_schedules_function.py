"""The family that runs code: nothing is imported without permission, and what the code gives is checked."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrsweep
from lrsweep.errors import ScheduleError
from lrsweep.schedules import Function, schedule, schedule_from_json

NEEDS = (
    "schedule 'function': to import and call 'my_rates:half' is to run code, and nothing allows that; "
    "give allow_code=True if you trust it and where it came from"
)

CODE = """
import pathlib
pathlib.Path(__file__).with_suffix(".ran").touch()
half = lambda progress: 1 - progress / 2
number = 3
def above(progress): return 1.0 + progress
def spike(progress): return 2.0 if progress == 0.5 else 1.0
def nothing(progress): return None
def text(progress): return "0.5"
def truth(progress): return True
def not_a_number(progress): return float("nan")
def negative(progress): return -progress
def dies(progress): raise KeyError("no such progress")
def numpy_half(progress):
    import numpy
    return numpy.float32(0.5)
def kinds(progress):
    assert type(progress) is float
    return 1
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with ``my_rates.py``, on the path; the module leaves a file when it is imported."""
    (tmp_path / "my_rates.py").write_text(CODE)
    (tmp_path / "broken_rates.py").write_text("def half(progress) return 1")
    (tmp_path / "leaving_rates.py").write_text("import sys; sys.exit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def made(name: str) -> Function:
    return Function(path=name, allow_code=True)


def test_the_function_gives_the_factor(module: Path) -> None:
    """It is asked for each step's progress on the decay's own clock; floor and warm-up are as everywhere."""
    assert schedule("function", path="my_rates:half", allow_code=True).rates(4).tolist() == [1, 0.875, 0.75, 0.625]
    warm = schedule("function", path="my_rates:half", allow_code=True, floor=0.5, warmup=0.5)
    assert warm.rates(4) == pytest.approx([1 / 3, 2 / 3, 1, 0.875])
    assert warm.factor(np.array([[0.75], [9.0]])).tolist() == [[0.875], [0.75]]


def test_any_real_number_is_a_factor_and_progress_is_a_float(module: Path) -> None:
    """A NumPy number and an int are numbers; the function need not know NumPy."""
    assert made("my_rates:numpy_half").rates(3).tolist() == [0.5, 0.5, 0.5]
    assert made("my_rates:kinds").rates(3).dtype == np.float64


@pytest.mark.parametrize(
    "text",
    [
        '{"family": "function", "path": "my_rates:half"}',
        '{"family": "plateau", "base": {"family": "function", "path": "my_rates:half"}}',
    ],
)
def test_loading_json_never_runs_code(module: Path, text: str) -> None:
    """Without permission the text is refused, and the module has not been imported; with it, it is."""
    with pytest.raises(ScheduleError, match="nothing allows that; give allow_code=True"):
        schedule_from_json(text)
    assert not (module / "my_rates.ran").exists()
    assert "my_rates" not in sys.modules
    schedule_from_json(text, allow_code=True)
    assert (module / "my_rates.ran").exists()


def test_no_json_text_can_hold_the_permission(module: Path) -> None:
    """``allow_code`` is no setting: a text that has it is refused whoever loads it."""
    text = '{"family": "function", "path": "my_rates:half", "allow_code": true}'
    for allow_code in (False, True):
        with pytest.raises(ScheduleError, match="'allow_code' is not a setting"):
            schedule_from_json(text, allow_code=allow_code)
    assert not (module / "my_rates.ran").exists()


@pytest.mark.parametrize("permission", [False, None, 1, "yes"])
def test_only_true_is_a_permission(module: Path, permission: Any) -> None:
    """The name and the class ask for the same; a value that merely looks true allows nothing."""
    with pytest.raises(ScheduleError) as error:
        schedule("function", path="my_rates:half", allow_code=permission)
    assert str(error.value) == NEEDS
    with pytest.raises(ScheduleError) as error:
        Function(path="my_rates:half", allow_code=permission)
    assert str(error.value) == NEEDS
    assert not (module / "my_rates.ran").exists()


def test_the_permission_goes_with_the_value_and_not_with_its_text(module: Path) -> None:
    """It is in the pasteable text, in changed copies and in pickles; JSON leaves it to whoever loads it."""
    half = made("my_rates:half")
    assert repr(half) == "lrsweep.schedule('function', path='my_rates:half', allow_code=True)"
    assert eval(repr(half), {"lrsweep": lrsweep}) == half
    assert half.with_settings(floor=0.5).factor(1.0) == 0.75
    assert pickle.loads(pickle.dumps(half)) == half
    assert "allow_code" not in json.loads(half.to_json())
    assert half.with_settings(warmup="2 steps").on_horizon(4).warmup == 0.5


def test_a_schedule_is_its_path_and_not_the_permission(module: Path) -> None:
    """Two paths are two schedules; equal ones hash alike."""
    assert made("my_rates:half") == made("my_rates:half")
    assert hash(made("my_rates:half")) == hash(made("my_rates:half"))
    assert made("my_rates:half") != made("my_rates:kinds")


def test_a_path_is_required_and_has_a_form(module: Path) -> None:
    """A module, a colon, and a name; nothing that Python would have to evaluate. Nothing is imported to find out."""
    meaning = "the module and the name of a function of progress that gives the factor"
    wanted = "a text such as 'package.module:name'"
    with pytest.raises(ScheduleError) as error:
        schedule("function", allow_code=True)
    assert str(error.value) == f"schedule 'function': path is missing; wanted {wanted}: {meaning}"
    for path in ("my_rates.half", "my_rates:half()", "my_rates:", ":half", "my-rates:half", "a:b:c", "..os:a", 3, None):
        with pytest.raises(ScheduleError) as error:
            schedule("function", path=path, allow_code=True)
        assert str(error.value) == f"schedule 'function': path must be {wanted}, not {path!r}: {meaning}"
    assert not (module / "my_rates.ran").exists()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "no_such_rates:half",
            "importing 'no_such_rates' raised ModuleNotFoundError: No module named 'no_such_rates'; wanted ",
        ),
        ("broken_rates:half", "importing 'broken_rates' raised SyntaxError: "),
        ("leaving_rates:half", "importing 'leaving_rates' raised SystemExit: 3; wanted "),
        ("my_rates:hafl", "'my_rates' was imported, but it has no 'hafl'; wanted a function of progress"),
        ("my_rates:number", "'my_rates' was imported, but 'number' there is 3; wanted a function of progress"),
    ],
)
def test_a_path_that_leads_to_no_function_is_refused(module: Path, path: str, text: str) -> None:
    """What happened on the way, and what is wanted."""
    with pytest.raises(ScheduleError) as error:
        made(path)
    assert str(error.value).startswith(f"schedule 'function': {path!r}: {text}")


ANY_PROGRESS = "wanted a number in [0, 1] at every progress from 0 to 1"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("above", f"gave 2.0 at progress 1; {ANY_PROGRESS}: the rate as a fraction of the peak"),
        ("negative", f"gave -1.0 at progress 1; {ANY_PROGRESS}: the rate as a fraction of the peak"),
        ("nothing", f"gave None at progress 0; {ANY_PROGRESS}: the rate as a fraction of the peak"),
        ("text", f"gave '0.5' at progress 0; {ANY_PROGRESS}: the rate as a fraction of the peak"),
        ("truth", f"gave True at progress 0; {ANY_PROGRESS}: the rate as a fraction of the peak"),
        ("not_a_number", f"gave nan at progress 0; {ANY_PROGRESS}: the rate as a fraction of the peak"),
        ("dies", f"raised KeyError at progress 0: 'no such progress'; {ANY_PROGRESS}"),
    ],
)
def test_what_is_no_factor_is_refused_when_the_schedule_is_made(module: Path, name: str, text: str) -> None:
    """The path, the progress, what came, and what is wanted: at once, and not in the middle of a training."""
    with pytest.raises(ScheduleError) as error:
        made(f"my_rates:{name}")
    assert str(error.value) == f"schedule 'function': 'my_rates:{name}' {text}"


def test_a_wrong_factor_in_the_middle_is_found_before_the_first_step(module: Path) -> None:
    """Only the ends are tried when it is made; ``rates`` asks for every step before there is any."""
    spike = made("my_rates:spike")
    with pytest.raises(ScheduleError, match=r"'my_rates:spike' gave 2\.0 at progress 0\.5; wanted a number in"):
        spike.rates(4)
    assert spike.rates(3).tolist() == [1, 1, 1]
