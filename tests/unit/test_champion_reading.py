"""A choice as JSON: the same text for equal values, and nothing but data read back."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lrsweep.champion.reading import LARGEST_TEXT, MOST_PROBLEMS, from_json, to_json, written
from lrsweep.champion.value import RateRule
from lrsweep.errors import InvalidInput
from lrsweep.records import OptimizerSpec
from lrsweep.schedules import schedule, sequence
from tests.choices import choice


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    """The text of a choice after somebody edited it."""
    found = json.loads(written(choice()))
    change(found)
    return json.dumps(found)


def told(text: str | bytes) -> str:
    with pytest.raises(InvalidInput) as refused:
        from_json(text, "FILE.json")
    return str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        choice(),
        choice(peak_lr=0.1 + 0.2, rate_rule=RateRule(0.15, None), batch_size=None),
        choice(schedule=sequence((schedule("constant", warmup="500 steps"), 0.8), (schedule("linear"), 0.2))),
        choice(schedule=schedule("plateau", base=schedule("cosine"))),
        choice(schedule=schedule("table", values=[1.0, 0.1 + 0.2, 1e-300])),
        choice(optimizer=OptimizerSpec("script"), extra={"width": 64, "act": "relu"}),
        choice(test={"acc": 0.97, "read": 2}, provenance={"data": "Größe", "who": None}),
    ],
    ids=lambda value: value.schedule.family,
)
def test_what_is_written_is_read_back_exactly(value: Any) -> None:
    """Every number to its last bit, inner schedules and lengths in steps too; and its text is the same again."""
    text = written(value)
    assert from_json(text, "text") == value
    assert from_json(text.encode(), "bytes") == value
    assert from_json(to_json(value), "object") == value
    assert written(from_json(text, "text")) == text


def test_equal_values_have_the_same_text() -> None:
    """Neither the order of keys nor tuples for lists nor 1 for 1.0 changes a byte; it ends with a line break."""
    one = choice(peak_lr=1, extra={"a": 1, "b": [1, 2]}, optimizer=OptimizerSpec("sgd", {"momentum": 0, "x": 1}))
    other = choice(
        peak_lr=1.0, extra={"b": (1, 2), "a": 1}, optimizer=OptimizerSpec("sgd", {"x": 1.0, "momentum": 0.0})
    )
    assert written(one) == written(other)
    assert written(one).endswith("}\n")
    assert '\n  "peak_lr": 1.0,\n' in written(one)


def test_every_problem_of_a_text_is_told_with_its_key() -> None:
    """One answer for one edit: unknown and missing keys, wrong kinds, ranges, and what is wrong inside the schedule."""

    def edit(found: dict[str, Any]) -> None:
        found["horizn"] = found.pop("horizon")
        found["peak_lr"] = 0
        found["batch_size"] = 6.5
        found["schedule"] = {"family": "cosine", "floor": 2, "warm": 1}
        found["optimizer"] = {"name": "sgd", "settings": {"momentum": "0.9"}, "lr": 1}
        found["rate_rule"] = {"exponent": True, "interval": [0.6, 0.4]}
        found["evidence"] = []
        found["name"] = "../x"

    text = told(changed(edit))
    assert text.startswith("FILE.json: 12 problems")
    for line in (
        "horizn: is not a key of a choice. Did you mean 'horizon'?",
        "horizon: is missing",
        "peak_lr: must be a finite number above 0, not 0",
        "batch_size: must be null or a whole number of 1 or more, not 6.5",
        "schedule: floor must be a number in [0, 1], not 2",
        "schedule: 'warm' is not a setting.",
        "optimizer.lr: is not a key of a choice.",
        "optimizer.settings.momentum: must be a finite number, not '0.9'",
        "rate_rule.exponent: must be a number in [-2, 2], not True",
        "rate_rule.interval: must be null or a list of two finite numbers, the smaller first, not [0.6, 0.4]",
        "evidence: must be an object, not []",
        "name: must be a text of letters, digits, - and _ (up to 100), not '../x'",
    ):
        assert line in text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "true", '"0.1"', "null", "[0.1]"])
@pytest.mark.parametrize("key", ["peak_lr", "rate_rule.exponent", "optimizer.settings.momentum", "horizon"])
def test_what_is_no_finite_number_is_refused(key: str, number: str) -> None:
    """JSON readers let NaN and infinities pass; a rate must not."""

    def edit(found: dict[str, Any]) -> None:
        *inner, last = key.split(".")
        for part in inner:
            found = found[part]
        found[last] = "HERE"

    assert f"{key}: must be " in told(changed(edit).replace('"HERE"', number))


@pytest.mark.parametrize("key", ["evidence", "provenance", "extra", "test"])
def test_nan_is_refused_wherever_it_stands(key: str) -> None:
    """What is only kept is held to strict JSON too: other programs read the file."""
    text = changed(lambda found: found.update({key: {"means": [1.0, "HERE"]}})).replace('"HERE"', "NaN")
    assert told(text) == f"FILE.json: {key}.means[1]: must be a finite number or null, not nan"


@pytest.mark.parametrize("key", ["evidence", "test"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_whole_number_beyond_all_others_is_refused(key: str, sign: str) -> None:
    """JSON has such numbers, and who prints or compares them finds an error far from the file."""
    text = changed(lambda found: found.update({key: {"mean": "HERE"}})).replace('"HERE"', sign + "9" * 400)
    assert told(text) == f"FILE.json: {key}.mean: must be a number between -1.8e308 and 1.8e308"


def test_a_newer_format_is_refused_with_what_to_do() -> None:
    """Nothing else of such a text is judged: it may be right in its own version."""
    text = told(changed(lambda found: found.update(format=2, surprise=1)))
    assert "format 2 was written by a newer lrsweep; this one reads format 1. Upgrade lrsweep" in text
    assert "surprise" not in text
    assert "format: is missing" in told(changed(lambda found: found.pop("format")))
    assert "format: must be 1, not '1'" in told(changed(lambda found: found.update(format="1")))


def test_a_schedule_alone_is_told_from_a_choice() -> None:
    """Both are JSON files of lrsweep; the error names what reads the other."""
    assert "a schedule alone" in told(schedule("cosine").to_json())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "wanted one object"),
        ('"digits"', "wanted one object"),
        ("{" * 100_000, "not JSON"),
        ("[" * 100_000, "not JSON (it is nested too deep)"),
        ('{"a":' * 100_000, "not JSON (it is nested too deep)"),
        ('{"horizon": ' + "9" * 5000 + "}", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (" " * (LARGEST_TEXT + 1), "characters, and a choice 16,777,216 at most"),
        ('{"format": 1, "format": 1}', "'format' is given more than once"),
        ("__import__('os').system('true')", "not JSON"),
    ],
)
def test_a_hostile_text_is_refused_in_a_sentence(text: str | bytes, said: str) -> None:
    """No size, depth or oddity of it ends in a traceback of another kind."""
    assert said in told(text)


def test_what_lies_deep_or_is_wrong_a_thousand_times_is_told_briefly() -> None:
    """An error is read by a person: 20 problems at most, and how many more."""
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert "is nested deeper than 20 levels" in told(changed(lambda found: found.update(evidence={"a": deep})))
    many = told(changed(lambda found: found.update(evidence={"a": ["HERE"] * 50_000})).replace('"HERE"', "NaN"))
    assert many.count("\n") == 21
    assert many.endswith(f"… and {MOST_PROBLEMS - 20:,} more")


def test_a_text_without_utf8_form_is_refused() -> None:
    """Half of a surrogate pair could be read and never be written to a file or a terminal."""
    assert "evidence.a: must be a text that UTF-8 has" in told(
        changed(lambda found: found.update(evidence={"a": "\ud800"}))
    )


def test_no_text_loads_code() -> None:
    """The family that calls a function is refused, at any depth, and its module is not imported."""
    function = {"family": "function", "path": "antigravity:geohash"}
    for hostile in (function, {"family": "plateau", "base": function}):
        assert "allow_code" in told(changed(lambda found, hostile=hostile: found.update(schedule=hostile)))  # type: ignore[misc]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (choice(evidence={"mean": math.nan}), "evidence.mean: must be a finite number or null, not nan"),
        (choice(peak_lr=math.inf), "peak_lr: must be a finite number above 0, not inf"),
        (choice(provenance={"when": object()}), "provenance.when: must be a number, a text, a list or an object"),
        (choice(name="a b"), "name: must be a text of letters"),
        (choice(horizon=0), "horizon: must be a whole number of 1 or more"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(value: Any, said: str) -> None:
    """A row or a file that no reader takes would be found out when it is needed."""
    with pytest.raises(InvalidInput, match="cannot be written") as refused:
        written(value)
    assert said in str(refused.value)


def test_reading_needs_numpy_alone() -> None:
    """A training machine has no database, MLflow or plotting; PyTorch is not loaded for data either."""
    code = (
        "import sys, lrsweep.champion.reading;"
        "print({'torch', 'mlflow', 'sqlalchemy', 'optuna', 'pydantic', 'rich', 'typer'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "set()\n"
