"""`lrsweep promote`, `demote` and `history` on a scripted sweep, with an MLflow that is away unless a test has one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsweep.errors import InvalidInput, TryAgain
from lrsweep.findings.promoting import promoted as promoting
from lrsweep.records import Outcome, Purpose, Status, SweepStatus, TrainingPlan, WorkloadFacts
from lrsweep.store import open_store
from lrsweep.store.champions import ChampionRow, TestRead
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.beginning import driven_out
from lrsweep.sweep.registering import Registered
from lrsweep.sweep.removing import old_results
from tests.commands import Ran
from tests.looked import Typed, typed
from tests.promoted import STUDY, ended_in_a_home, noisy, set_status
from tests.scripted import Dies, End, Script, ScriptedExecutor
from tests.sweeps import FACTS

AWAY = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
"""Nothing listens there."""


def equal(plan: TrainingPlan) -> Outcome:
    """At the full horizon families differ by less than seeds."""
    outcome = noisy(plan)
    loss = 0.5 + (plan.seed % 7) / 10 if plan.horizon == STUDY.horizon else 1.0
    return replace(outcome, metrics={"val_loss": loss, "decide_loss": loss})


def on_test(plan: TrainingPlan) -> Outcome:
    return replace(noisy(plan), metrics={"val_loss": 9.0, "test_loss": 0.25 + (plan.seed % 3) / 100})


class OnTestSet(ScriptedExecutor):
    """An executor that trains for the test set; the facts are those that the study has."""

    script: Script = staticmethod(on_test)
    facts: WorkloadFacts = FACTS
    made = 0
    plans: list[TrainingPlan]

    def __init__(self, *_: object, **__: object) -> None:
        type(self).made += 1
        super().__init__(type(self).script)

    def describe(self, *_: object) -> WorkloadFacts:
        return type(self).facts

    def poll(self, seconds: float) -> list[Any]:
        found = super().poll(seconds)
        type(self).plans = [*getattr(type(self), "plans", []), *self.begun[-1:]]
        return found


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> type[OnTestSet]:
    class Mine(OnTestSet):
        pass

    monkeypatch.setattr("lrsweep.executors.local.LocalExecutor", Mine)
    return Mine


Begin = Callable[..., Typed]


class Killed(BaseException):
    """As a signal that nobody catches."""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home to copy: its sweep takes a second."""
    return ended_in_a_home(tmp_path_factory.mktemp("swept") / "home", STUDY, noisy)


@pytest.fixture
def begin(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    executor: type[OnTestSet],
    swept: Path,
) -> Begin:
    """A home with a sweep that has ended, and the command in it."""
    monkeypatch.chdir(tmp_path)

    def begun(script: Script = noisy, study: ResolvedStudy = STUDY) -> Typed:
        home = tmp_path / "home"
        if script is noisy and study is STUDY:
            shutil.copytree(swept, home)
        else:
            ended_in_a_home(home, study, script)
        return typed(capsys, monkeypatch, home, AWAY)

    return begun


def rows(tmp_path: Path) -> list[ChampionRow]:
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    try:
        return list(store.champions.rows())
    finally:
        store.close()


def reads(tmp_path: Path) -> int:
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    try:
        return len(store.champions.test_reads())
    finally:
        store.close()


def answer(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    found: dict[str, Any] = json.loads(ran.out)
    return found


# ── promote ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_proven_becomes_the_champion(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """A row, a file that is the row's text, and what the test set says by as many fresh seeds as the finals had."""
    run = begin()
    ran = run("promote", "quick", "--to", "schedules/quick.json")
    assert ran.code == 0, ran.err
    [row] = rows(tmp_path)
    assert (row.name, row.alias, row.study, row.sweep_id, row.mlflow_version) == (
        "quick",
        "champion",
        "quick",
        "sweep-1",
        None,
    )
    assert Path("schedules/quick.json").read_text() == row.choice
    assert "champion of quick: cosine at" in ran.out
    assert "on the test set: test_loss 0.2" in ran.out
    assert "the test set of digits was read once by now, never before this" in ran.out
    assert "written: schedules/quick.json" in ran.out
    choice = json.loads(row.choice or "")
    assert choice["test"]["read"] == 1
    assert choice["test"]["n"] == choice["evidence"]["n"] >= 3
    assert all(plan.reads_test and plan.checkpoint_url is None for plan in executor.plans)
    assert {plan.horizon for plan in executor.plans} == {90}
    assert set(choice["test"]["seeds"]) == {plan.seed for plan in executor.plans}


def test_an_mlflow_that_is_away_is_told_and_the_row_stands(begin: Begin, tmp_path: Path) -> None:
    """Exit code 0; the next promotion of the same choice adds no row, and says still that MLflow lacks it."""
    run = begin()
    ran = run("promote", "quick")
    assert ran.code == 0
    assert "MLflow's registry has not got it; `lrsweep sync` sends it." in ran.out
    assert "`--to schedules/quick.json` writes it into a file for git" in ran.out
    again = answer(run("promote", "quick", "--json"))
    assert (again["is_new"], again["mlflow_version"], len(rows(tmp_path))) == (False, None, 1)
    assert "Connection refused" in again["mlflow_outage"]


def test_the_same_choice_reads_the_test_set_once(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """Promoted again, as something else, or after a demotion; its values come along."""
    run = begin()
    first = answer(run("promote", "quick", "--json"))
    run("promote", "quick")
    assert answer(run("promote", "quick", "--as", "candidate", "--json"))["test"] == first["test"]
    run("demote", "quick")
    assert answer(run("promote", "quick", "--no-test", "--json"))["test"] == first["test"]
    assert (reads(tmp_path), executor.made) == (1, 1)


def test_the_same_choice_reads_the_test_set_once_whatever_was_pruned(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet]
) -> None:
    """The search has cost less then, and that is all: no row, no read, and the same text in the file."""
    run = begin()
    first = answer(run("promote", "quick", "--to", "first.json", "--json"))
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    [removal] = old_results(store, before=1e12, keep=("champions", "finalists"))
    assert removal.trials
    lease = store.acquire_lease("quick", "ann", seconds=60)
    store.remove_trials(lease, "sweep-1", removal.trials)
    store.release_lease(lease)
    store.close()
    again = answer(run("promote", "quick", "--to", "again.json", "--json"))
    assert (again["is_new"], again["choice"]) == (False, first["choice"])
    assert (reads(tmp_path), executor.made, len(rows(tmp_path))) == (1, 1, 1)
    assert Path("again.json").read_bytes() == Path("first.json").read_bytes()


def test_the_rate_rule_plays_no_part_on_the_test_set(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """A rule that was measured since is another row, with the test set's word of before."""
    run = begin()
    first = answer(run("promote", "quick", "--json"))
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    fit = {"exponent": 0.375, "interval": [0.25, 0.5], "trials": [1], "refused": []}
    store.update_sweep(lease, "sweep-1", settings={"fitted_exponents": {"sgd": fit}})
    store.release_lease(lease)
    store.close()
    found = answer(run("promote", "quick", "--json"))
    assert (found["is_new"], found["test"]) == (True, first["test"])
    assert (reads(tmp_path), executor.made) == (1, 1)


def test_an_undecided_choice_of_one_seed_reads_the_test_set_only_where_it_is_asked_for(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet]
) -> None:
    """Of a study without finals another choice will follow, and a read is not spent on this one."""
    run = begin(study=replace(STUDY, selection=replace(STUDY.selection, finalists=0)))
    ran = run("promote", "quick")
    assert ran.code == 0, ran.err
    assert "candidate of quick" in ran.out
    assert "the test set is not read: the choice is undecided and has one seed" in ran.err
    assert "`--test`" in ran.err
    assert (reads(tmp_path), executor.made) == (0, 0)
    assert answer(run("promote", "quick", "--test", "--json"))["test"]["read"] == 1
    assert answer(run("promote", "quick", "--json"))["test"]["read"] == 1
    assert reads(tmp_path) == 1


def test_a_promotion_without_the_test_set_reads_nothing(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet]
) -> None:
    """It can be made up for: then the row says more, and the file too."""
    run = begin()
    assert answer(run("promote", "quick", "--no-test", "--json"))["test"] is None
    assert (reads(tmp_path), executor.made) == (0, 0)
    later = answer(run("promote", "quick", "--json"))
    assert (later["is_new"], later["test"]["read"], later["was"]["test"]) == (True, 1, None)
    assert len(rows(tmp_path)) == 2


def test_a_read_is_counted_before_it_happens(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """The process that trains dies at once: nothing is promoted, and the read is counted all the same."""

    def dies(plan: TrainingPlan) -> End:
        return Dies()

    executor.script = staticmethod(dies)
    run = begin()
    ran = run("promote", "quick")
    assert ran.code == TryAgain.exit_code
    assert (reads(tmp_path), rows(tmp_path)) == (1, [])
    executor.script = staticmethod(on_test)
    ran = run("promote", "quick")
    assert "the test set of digits was read 2 times by now, 1 before this" in ran.out


def test_a_test_set_that_cannot_be_read_is_told(begin: Begin, tmp_path: Path, executor: type[OnTestSet]) -> None:
    """Other data than the study's are not read at all; a workload that gives no test value is."""
    executor.facts = replace(FACTS, data_hash="other")
    run = begin()
    ran = run("promote", "quick")
    assert ran.code == 0
    assert "the test set is not read: the workload's data (by their hash) were d and now other" in ran.err
    assert reads(tmp_path) == 0
    executor.facts = FACTS
    executor.script = staticmethod(noisy)
    ran = run("promote", "quick")
    assert "no training of the choice came to a value on the test set: none gives test_loss" in ran.err
    assert reads(tmp_path) == 1
    executor.script = staticmethod(lambda _: Outcome(Status.FAILED, 1, 0.1, {}, "Traceback …\nKeyError: 'test'"))
    assert "KeyError: 'test'" in run("promote", "quick").err


def test_a_device_that_is_not_there_is_refused(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asked for a champion without a test; other problems of loading are told, and it is promoted."""
    text = "--device is 'gpu7', but PyTorch cannot use it (no such device). There is: cpu."

    def describe(*_: object) -> WorkloadFacts:
        raise InvalidInput(text)

    monkeypatch.setattr(executor, "describe", describe)
    run = begin()
    ran = run("promote", "quick", "--device", "gpu7")
    assert ran.code == InvalidInput.exit_code
    assert text in ran.err
    assert rows(tmp_path) == []
    text = "its data are not there"
    assert "the test set is not read: its workload cannot be loaded here: its data" in run("promote", "quick").err


def test_a_choice_that_is_worse_than_the_champion_becomes_a_candidate(begin: Begin, tmp_path: Path) -> None:
    """A later sweep may find less; somebody's word makes it the champion all the same."""
    run = begin()
    present = answer(run("promote", "quick", "--no-test", "--json"))["choice"]
    present["peak_lr"] *= 2
    present["evidence"]["choice"]["mean"] -= 10
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    store.champions.promote(replace(rows(tmp_path)[0], id=0, choice=json.dumps(present), mlflow_version=None))
    store.close()
    ran = run("promote", "quick", "--no-test")
    assert ran.code == 0, ran.err
    assert "a candidate, and not the champion: the one in force, cosine at" in ran.out
    assert "came to a better" in ran.out
    assert answer(run("promote", "quick", "--no-test", "--as", "champion", "--json"))["alias"] == "champion"


def test_what_is_undecided_becomes_a_candidate_unless_told_otherwise(begin: Begin, tmp_path: Path) -> None:
    """It says why and what would raise the evidence; once it is the champion by somebody's word, it stays that."""
    run = begin(equal)
    ran = run("promote", "quick", "--no-test")
    assert ran.code == 0, ran.err
    assert "candidate of quick:" in ran.out
    assert "a candidate, and not the champion: that it leads may be chance. To know more: " in ran.out
    assert "`--as champion` makes it the champion" in ran.out
    assert answer(run("promote", "quick", "--no-test", "--as", "champion", "--json"))["alias"] == "champion"
    again = answer(run("promote", "quick", "--no-test", "--json"))
    assert (again["alias"], again["is_new"]) == ("champion", False)
    assert [row.alias.value for row in rows(tmp_path)] == ["candidate", "champion"]


def test_a_sweep_that_was_left_before_its_end_is_not_promoted(begin: Begin, tmp_path: Path) -> None:
    """Its finals have not begun: exit code 75, no read, and what to do. Only a sweep of which all but MLflow's copy is
    done, as where MLflow is away, is over."""
    run = begin()
    home = tmp_path / "home"
    set_status(home, "quick", SweepStatus.RUNNING)
    ran = run("promote", "quick")
    assert (ran.code, rows(tmp_path), reads(tmp_path)) == (TryAgain.exit_code, [], 0)
    assert "study 'quick' has not come to its end, and nobody drives it" in ran.err
    assert "`lrsweep run` with the study's file goes on" in ran.err
    assert "`lrsweep cancel` ends the sweep as it is" in ran.err
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    store.update_sweep(lease, "sweep-1", settings=driven_out(store.studies("quick")[0].spec))
    store.release_lease(lease)
    store.close()
    assert run("promote", "quick", "--no-test").code == 0


def test_what_was_cancelled_is_promoted_as_it_is(begin: Begin, tmp_path: Path) -> None:
    """Nobody goes on with it."""
    run = begin()
    set_status(tmp_path / "home", "quick", SweepStatus.RUNNING)
    set_status(tmp_path / "home", "quick", SweepStatus.CANCELLED)
    assert run("promote", "quick", "--no-test").code == 0


def test_a_sweep_that_somebody_drives_is_not_promoted(tmp_path: Path, begin: Begin) -> None:
    """Its finals decide: exit code 75."""
    run = begin()
    set_status(tmp_path / "home", "quick", SweepStatus.RUNNING)
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    store.acquire_lease("quick", "ann", seconds=60)
    store.close()
    ran = run("promote", "quick", "--no-test")
    assert (ran.code, rows(tmp_path)) == (TryAgain.exit_code, [])
    assert "is still being driven (ann)" in ran.err


def test_finals_that_have_not_ended_are_waited_for(begin: Begin, tmp_path: Path) -> None:
    """Of an interrupted sweep; the sentence says what goes on with them."""
    run = begin()
    set_status(tmp_path / "home", "quick", SweepStatus.RUNNING)
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    final = next(row for row in store.trainings("quick") if row.purpose is Purpose.FINAL)
    store.queue_trainings(lease, [replace(final, training_id="f", seed=99, status=Status.QUEUED, attempt=0)])
    store.release_lease(lease)
    store.close()
    ran = run("promote", "quick", "--no-test")
    assert (ran.code, rows(tmp_path)) == (TryAgain.exit_code, [])
    assert "1 of the " in ran.err
    assert "finals of study 'quick' have not ended" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "quik"), "Did you mean 'quick'?"),
        (("demote", "quick"), "nothing was promoted yet. `lrsweep promote STUDY` puts a study's choice in force."),
        (("history",), "nothing was promoted yet. `lrsweep promote STUDY`"),
    ],
)
def test_what_is_not_there_is_told(begin: Begin, words: tuple[str, ...], said: str) -> None:
    """Exit code 64, with what to do."""
    ran = begin()(*words)
    assert ran.code == 64
    assert said in ran.err


@pytest.mark.parametrize("file", [".", "home", "taken/quick.json", "../no/such/quick.json"])
def test_a_file_that_cannot_be_written_is_refused_before_the_test_set_is_read(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet], file: str
) -> None:
    """A read cannot be taken back, and nothing is promoted."""
    run = begin()
    Path("taken").write_text("a file")
    ran = run("promote", "quick", "--to", file)
    assert ran.code == 64
    assert f"--to {file}" in ran.err
    assert (rows(tmp_path), reads(tmp_path), executor.made) == ([], 0, 0)


def test_a_file_that_turns_out_unwritable_comes_after_the_row(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion is in force, and the error says so; nothing half-written is left beside."""
    run = begin()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        ran = run("promote", "quick", "--no-test", "--to", "quick.json")
    assert ran.code == 64
    assert "the choice is promoted, but --to quick.json: cannot be written (No space left on device)" in ran.err
    assert len(rows(tmp_path)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert run("promote", "quick", "--no-test", "--to", "quick.json").code == 0
    assert Path("quick.json").read_text() == rows(tmp_path)[0].choice


def test_a_file_that_says_the_same_is_left_alone(begin: Begin) -> None:
    """Byte for byte, and not even touched, so that git sees no change."""
    run = begin()
    file = Path("quick.json")
    assert run("promote", "quick", "--no-test", "--to", str(file)).code == 0
    before = (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino)
    assert run("promote", "quick", "--no-test", "--to", str(file)).code == 0
    assert (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_kill_between_row_and_registry_is_healed_by_the_next(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is there and waits; the same command finds it, and asks MLflow for all that waits."""
    run = begin()

    def killed(*_: object, **__: object) -> Registered:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(promoting, "register", killed)
        with pytest.raises(Killed):
            run("promote", "quick", "--no-test")
    assert [row.mlflow_version for row in rows(tmp_path)] == [None]
    asked: list[str | None] = []

    def registered(_homes: object, store: Any, name: str | None, **__: object) -> Registered:
        asked.append(name)
        store.champions.mark_registered(1, "1")
        return Registered({1: "1"})

    monkeypatch.setattr(promoting, "register", registered)
    found = answer(run("promote", "quick", "--no-test", "--json"))
    assert (asked, found["is_new"], found["mlflow_version"]) == (["quick"], False, "1")


def test_the_rate_rule_is_the_one_that_was_measured(begin: Begin, tmp_path: Path) -> None:
    """By the sweep's own narrow fit with its interval; else what the sweep went by, without one."""
    run = begin()
    assert answer(run("promote", "quick", "--no-test", "--json"))["choice"]["rate_rule"] == {
        "exponent": 0.5,
        "interval": None,
    }
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    fit = {"exponent": 0.375, "interval": [0.25, 0.5], "trials": [1], "refused": []}
    store.update_sweep(lease, "sweep-1", settings={"fitted_exponents": {"sgd": fit}})
    store.release_lease(lease)
    store.close()
    assert answer(run("promote", "quick", "--no-test", "--json"))["choice"]["rate_rule"] == {
        "exponent": 0.375,
        "interval": [0.25, 0.5],
    }


# ── demote and history ───────────────────────────────────────────────────────────────────────────────────────────────
def test_a_demotion_says_what_is_in_force_then(begin: Begin, tmp_path: Path) -> None:
    """The one before, or nothing; a candidate is named where there is no champion."""
    run = begin()
    run("promote", "quick", "--no-test")
    run("promote", "quick", "--as", "candidate", "--note", "to try")
    ran = run("demote", "quick", "--note", "worse in use")
    assert "champion of quick: nothing" in ran.out
    assert "was: cosine at" in ran.out
    ran = run("demote", "quick")
    assert ran.code == 64
    assert "'quick' has no champion in force, but a candidate: `lrsweep demote quick --as candidate`" in ran.err
    found = answer(run("demote", "quick", "--as", "candidate", "--json"))
    assert (found["choice"], found["was"]["schedule"]["family"]) == (None, "cosine")
    assert [row.note for row in rows(tmp_path)] == [None, "to try", "worse in use", None]


def test_a_name_that_nobody_promoted_is_told_with_those_there_are(begin: Begin) -> None:
    """`demote`, `history` and `diff` alike."""
    run = begin()
    run("promote", "quick", "--no-test")
    for words in (("demote", "quik"), ("history", "quik"), ("diff", "quick", "quik")):
        ran = run(*words)
        assert ran.code == 64
        assert "nothing was promoted under the name 'quik'. Did you mean 'quick'? There are: quick." in ran.err


def test_a_demotion_after_a_test_set_was_made_up_for_leaves_another_training_or_none(begin: Begin) -> None:
    """Not the same one, promoted before it was tested."""
    run = begin()
    run("promote", "quick", "--no-test")
    said = run("promote", "quick").out
    assert "it takes the place of what was in force, the same training: cosine at" in said
    assert "goes back to it" not in said
    assert "champion of quick: nothing" in run("demote", "quick").out


def test_what_a_demotion_took_away_is_told_whoever_was_faster(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process promotes between the look and the demotion: what went is what that one had put on top."""
    run = begin()
    run("promote", "quick", "--no-test")
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    top = store.champions.rows()[0]
    faster = json.loads(top.choice or "") | {"peak_lr": 0.125}
    original = type(store.champions).demote

    def late(self: Any, *given: Any, **more: Any) -> ChampionRow:
        store.champions.promote(replace(top, choice=json.dumps(faster), note="faster"))
        return original(self, *given, **more)

    monkeypatch.setattr(type(store.champions), "demote", late)
    found = answer(run("demote", "quick", "--json"))
    store.close()
    assert found["was"]["peak_lr"] == 0.125
    assert found["choice"] == json.loads(top.choice or "")


def test_a_history_tells_rows_what_is_in_force_and_the_reads(begin: Begin) -> None:
    """As a table, and as one object."""
    run = begin()
    run("promote", "quick", "--note", "first")
    run("promote", "quick", "--as", "candidate")
    run("demote", "quick")
    table = run("history", "quick").out
    assert "promote candidate *" in table
    assert "demote champion" in table
    assert "first" in table
    assert "the test set of digits was read once by now" in table
    found = answer(run("history", "--json"))
    assert [(row["action"], row["alias"], row["in_force"]) for row in found["rows"]] == [
        ("promote", "champion", False),
        ("promote", "candidate", True),
        ("demote", "champion", False),
    ]
    assert found["in_force"]["quick"]["candidate"]["schedule"]["family"] == "cosine"
    assert [read["study"] for read in found["test_reads"]] == ["quick"]
    ran = run("history", "quik")
    assert ran.code == 64
    assert "Did you mean 'quick'? There are: quick." in ran.err


def test_a_read_without_a_promotion_is_in_the_history(begin: Begin, executor: type[OnTestSet]) -> None:
    """Of a promotion that was killed while it read."""
    executor.script = staticmethod(lambda _: Dies())
    run = begin()
    assert run("promote", "quick").code == TryAgain.exit_code
    for words in (("history",), ("history", "quick")):
        ran = run(*words)
        assert ran.code == 0, ran.err
        assert "nothing was promoted yet" in ran.out
        assert "the test set of digits was read once by now" in ran.out
    assert answer(run("history", "quick", "--json"))["test_reads"][0]["study"] == "quick"


def test_others_reads_of_the_data_are_in_the_history_of_one_that_has_read_none(begin: Begin, tmp_path: Path) -> None:
    """By the data that the promoted study was trained on; reads of other data are not its own."""
    run = begin()
    run("promote", "quick", "--no-test")
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    store.champions.read_test(TestRead("digits@d", "theirs", "s", (1,), 3))
    store.champions.read_test(TestRead("mnist@e", "others", "s", (1,), 3))
    store.close()
    ran = run("history", "quick")
    assert "the test set of digits was read once by now" in ran.out
    assert "mnist" not in ran.out
    assert "mnist" in run("history").out


def test_a_name_is_kept_only_where_the_study_asks_for_names(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``tracking.user`` is off by default."""
    monkeypatch.setattr("lrsweep.tracking.surroundings._user", lambda: "ann")
    run = begin(study=replace(STUDY, tracking=replace(STUDY.tracking, user=True)))
    run("promote", "quick", "--no-test")
    [row] = rows(tmp_path)
    assert row.who == "ann"
    assert '"ann"' not in (row.choice or "")
    run("demote", "quick")
    assert [row.who for row in rows(tmp_path)] == ["ann", "ann"]


def test_a_demotion_keeps_no_name_where_nobody_asks_for_names(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where the study is gone."""
    monkeypatch.setattr("lrsweep.tracking.surroundings._user", lambda: "ann")
    run = begin()
    run("promote", "quick", "--no-test")
    run("demote", "quick")
    assert [row.who for row in rows(tmp_path)] == [None, None]
