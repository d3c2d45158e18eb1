"""Templates of names in MLflow: what is filled in, and what is refused with which words."""

from __future__ import annotations

import pytest

from lrsweep.study import TrackingSpec
from lrsweep.templates import OF_EXPERIMENT, OF_RUN, filled, problem_of, problems_of_tracking


def test_the_defaults_of_a_study_are_fine() -> None:
    """What no file says needs no mending."""
    spec = TrackingSpec()
    assert list(problems_of_tracking(spec.experiment, spec.run_name, spec.tags)) == []
    assert filled(spec.run_name, OF_RUN) == "0007 cosine sgd @600"


@pytest.mark.parametrize("template", ["team {study}", "{date}/{generation:.4}", "{{literal}} {workload:>20}"])
def test_a_template_with_known_names_is_taken(template: str) -> None:
    """Names, cut or filled up, and doubled braces for signs of their own."""
    assert problem_of(template, OF_EXPERIMENT) is None


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    """And with the one that was probably meant; names of a training are none of an experiment's."""
    assert problem_of("{familly}", OF_RUN) == (
        "there is no {familly} to fill in. Did you mean 'family'? There are study, workload, generation, date, sweep, "
        "family, optimizer, trial, horizon, rung, seed, purpose, commit."
    )
    assert "there is no {trial}" in str(problem_of("{trial}", OF_EXPERIMENT))


@pytest.mark.parametrize(
    "template",
    [
        "{study.__class__}",
        "{study[0]}",
        "{}",
        "{0}",
        "{trial!r}",
        "{trial:{seed}}",
        "{study:04d}",
        "{trial:999999999d}",
    ],
)
def test_nothing_else_of_the_format_language_is_taken(template: str) -> None:
    """No attribute of an object, no text of a gigabyte, no format that would fail in the middle of a sweep."""
    assert problem_of(template, OF_RUN) is not None


@pytest.mark.parametrize("template", ["", "  ", "{study", "study}", "x" * 251])
def test_what_makes_no_name_is_refused(template: str) -> None:
    """Nothing, half a brace, or more than MLflow shows."""
    assert problem_of(template, OF_RUN) is not None


def test_all_problems_are_told_with_their_keys() -> None:
    """A tag of ours would be overwritten, and some signs MLflow does not take."""
    found = dict(
        problems_of_tracking("{x}", "{y}", {"mlflow.user": "ann", "a*b": "1", "team": "{z}", "fine": "{study}"})
    )
    assert list(found) == ["experiment", "run_name", "tags.mlflow.user", "tags.a*b", "tags.team"]
    assert "take another name" in found["tags.mlflow.user"]
