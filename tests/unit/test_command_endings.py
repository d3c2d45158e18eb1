"""What the end of a script means: its exit code, what it has said, and whether it was asked to stop."""

from __future__ import annotations

from typing import Any

import pytest

from lrsweep.engines.command.endings import Cut, what_it_means
from lrsweep.engines.command.process import Ended
from lrsweep.engines.command.story import Story
from lrsweep.records import Outcome, Status
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command
from lrsweep.scripts.reports import Begin, End, Line, Preempted, Report
from tests.scripted_commands import a_plan

TRAIN = Command("train")
WHOLE: list[Line] = [
    Begin(1),
    Report(20, {"val_loss": 0.5}, 20),
    Report(40, {"val_loss": 0.4, "val_acc": 0.9}, 40),
    End(40),
]


def meaning(
    *lines: Line,
    code: int | None = 0,
    command: Command = TRAIN,
    stop: bool = False,
    errors: str = "",
    **changes: Any,
) -> Outcome | Cut:
    plan = a_plan(command, **changes)
    story = Story(plan)
    for line in lines:
        story.hear(line)
    ended = Ended(code, errors=errors)
    return what_it_means(plan, command, story, ended, was_asked_to_stop=stop, seconds=1.5)


def failure(*lines: Line, **changes: Any) -> str:
    outcome = meaning(*lines, **changes)
    assert isinstance(outcome, Outcome)
    assert outcome.status is Status.FAILED
    assert outcome.error is not None
    return outcome.error


def test_a_script_that_did_all_its_updates_is_complete() -> None:
    """Its metrics are those after the last update."""
    assert meaning(*WHOLE) == Outcome(Status.COMPLETED, 40, 1.5, {"val_loss": 0.4, "val_acc": 0.9})


def test_updates_that_are_not_the_plans_fail_with_both_counts() -> None:
    """Also where nobody counted and the last step is not the last one."""
    text = failure(*WHOLE[:-1], End(160))
    assert text.startswith("the script did 160 updates, and this training has 40. Its loop has to end after")
    assert "not a micro-batch" in text
    early = failure(Begin(1), Report(30, {"val_loss": 0.5}))
    assert early.startswith("the script did 30 updates, and this training has 40")


def test_a_metric_that_never_came_fails_with_the_call_that_is_missing() -> None:
    """Another name is another metric; a script that prints has another way to say it."""
    said: list[Line] = [Begin(1), Report(40, {"loss": 0.4}, 40), End(40)]
    assert failure(*said) == (
        "the script never reported val_loss, which the study goes by; it reported loss, and one of these can be "
        "study.metric; wanted: run.report(step, val_loss=...)"
    )
    printing = failure(*said, command=Command("train {lr_table}"))
    unattached = failure(Report(40, {"valloss": 0.4}), command=Command("train {lr_table}"))
    assert unattached.startswith("the script never reported val_loss, which the study goes by; it reported valloss,")
    assert printing.endswith('wanted: a line such as {"step": 40, "val_loss": 0.5} on its standard output')


def test_a_script_that_says_nothing_at_all_has_not_attached() -> None:
    """The text offers both ways; its last words come along."""
    text = failure(errors="no module named tqdm\n")
    assert text.startswith("the script ended without a word: neither lrsweep.attach nor run.report was called.")
    assert text.endswith("; it wrote:\nno module named tqdm")


def test_a_metric_from_the_middle_of_a_schedule_is_no_result() -> None:
    """In the middle the rate is still high: a schedule is judged by where it ends."""
    text = failure(Begin(1), Report(30, {"val_loss": 0.5}, 30), End(40))
    assert text.startswith("the script reported val_loss last after 30 of 40 updates; wanted: once more after the last")


def test_a_script_that_went_on_from_its_last_checkpoint_needs_no_report() -> None:
    """It was killed between its last report and its end, and finds nothing left to do."""
    again = meaning(*WHOLE[:-1], Begin(2), End(40), attempt=2)
    assert isinstance(again, Outcome)
    assert again.status is Status.COMPLETED
    silent = meaning(*WHOLE[:-1], attempt=2)  # or says nothing, as nothing happens
    assert isinstance(silent, Outcome)
    assert silent.status is Status.COMPLETED


def test_a_reactive_schedule_that_heard_nothing_in_time_has_not_reacted() -> None:
    """It would be the same curve as its base, under another name."""
    text = failure(Begin(1), Report(40, {"val_loss": 0.5}), schedule=schedule("plateau"))
    assert text.startswith("the schedule 'plateau' reacts to val_loss, and the script reports none in time")


def test_an_exit_code_is_told_with_the_last_words() -> None:
    """Standard error, as the traceback is there."""
    assert failure(*WHOLE, code=3, errors="Traceback …\n") == (
        "the script ended with exit code 3; it wrote:\nTraceback …"
    )


@pytest.mark.parametrize("code", [-9, 137], ids=["itself", "under a shell"])
def test_a_signal_that_was_not_ours_is_a_death(code: int) -> None:
    """The machine ran out of memory, say: it may pass by, and is counted. A shell tells it as 128 + 9."""
    assert meaning(*WHOLE[:2], code=code) == Cut("the script was killed by SIGKILL", is_death=True)


def test_a_guard_that_was_killed_is_a_death() -> None:
    """Nobody knows how the script ended."""
    cut = meaning(*WHOLE, code=None)
    assert isinstance(cut, Cut)
    assert cut.is_death


def test_preempted_is_no_death() -> None:
    """Exit code 75, or an orderly end before the last update after it was asked to stop."""
    assert meaning(*WHOLE[:2], code=75) == Cut("it was preempted: the script ended with exit code 75", is_death=False)
    assert meaning(*WHOLE[:2], stop=True) == Cut("it was asked to stop and left after 20 updates", is_death=False)
    done = meaning(*WHOLE, stop=True)
    assert isinstance(done, Outcome)
    assert done.status is Status.COMPLETED


@pytest.mark.parametrize("code", [0, 1, 75, -15, None])
def test_a_script_that_says_that_it_gives_way_is_preempted_whatever_its_exit_code(code: int | None) -> None:
    """torchrun and accelerate end with 1 where a process ends with 75."""
    cut = meaning(*WHOLE[:2], Preempted(23), End(23), code=code)
    assert cut == Cut("it was preempted: the script gave way after 23 updates", is_death=False)


@pytest.mark.parametrize("code", [1, -15, 143, -9])
def test_a_script_that_was_asked_to_stop_has_not_failed(code: int) -> None:
    """Neither by its exit code, which may be a launcher's, nor because it took longer than its grace and was killed."""
    asked = Cut("it was asked to stop and left after 20 updates", is_death=False)
    assert meaning(*WHOLE[:2], code=code, stop=True) == asked
