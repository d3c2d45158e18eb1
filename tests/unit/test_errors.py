"""The tree of errors: exit codes, and what the ones with parts of their own say."""

from __future__ import annotations

import signal

import pytest

from lrsweep import errors
from lrsweep.errors import Interrupted, LeaseHeld, LrsweepError, Problem, StudyError, did_you_mean


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("LrsweepError", 1),
        ("InvalidInput", 64),
        ("ScheduleError", 64),
        ("StudyError", 64),
        ("SettingsError", 64),
        ("Unavailable", 69),
        ("StoreUnavailable", 69),
        ("TrackingUnavailable", 69),
        ("SweepFailed", 70),
        ("TryAgain", 75),
        ("LeaseHeld", 99),
        ("LeaseLost", 99),
        ("DeadlinePassed", 124),
    ],
)
def test_every_kind_of_error_has_its_exit_code(name: str, code: int) -> None:
    """The codes are an interface: nightly jobs tell by them what to do next."""
    kind: type[LrsweepError] = getattr(errors, name)
    assert kind.exit_code == code


def test_every_error_is_drawn_in_the_tree() -> None:
    """The docstring of the module names each exception that it defines."""
    kinds = [name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)]
    assert errors.__doc__ is not None
    assert [name for name in kinds if name not in errors.__doc__] == []


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_gives_its_own_exit_code(signum: int, code: int) -> None:
    """128 and the signal's number, as shells have it."""
    assert Interrupted(signum, "left early").exit_code == code


def test_wrong_input_is_a_value_error_too() -> None:
    """A caller who knows only Python's own errors catches it."""
    assert issubclass(errors.InvalidInput, ValueError)


def test_a_study_error_lists_all_problems_with_their_places() -> None:
    """One line each, with the number of the line where it is known."""
    error = StudyError("a.toml", [Problem("study.name", "missing.", 3), Problem("budget", "missing.")])
    assert str(error) == "a.toml: 2 problems\n  line 3, study.name: missing.\n  budget: missing."
    assert str(StudyError("a.toml", [Problem("budget", "missing.")])).startswith("a.toml: 1 problem\n")


def test_a_held_lease_says_who_holds_it_and_for_how_long() -> None:
    """Whole seconds are enough."""
    text = str(LeaseHeld("demo", "process 7 on box", 12.4))
    assert text.startswith("study 'demo' is driven by process 7 on box, whose lease runs for another 12 s.")


@pytest.mark.parametrize(
    ("given", "answer"), [("cosin", " Did you mean 'cosine'?"), ("zebra", ""), ("wsd", " Did you mean 'wsd'?")]
)
def test_a_near_name_is_offered_and_a_far_one_is_not(given: str, answer: str) -> None:
    """The text begins with a blank, so that it can stand after any sentence."""
    assert did_you_mean(given, ["cosine", "wsd", "linear"]) == answer
