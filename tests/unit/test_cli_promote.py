"""`lrsweep promote`, `demote` and `history` on a scripted sweep, with an MLflow that is away unless a test has one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsweep.cli.promoting import promoted as promoting
from lrsweep.errors import TryAgain
from lrsweep.records import Outcome, Status, TrainingPlan, WorkloadFacts
from lrsweep.store import open_store
from lrsweep.store.champions import ChampionRow
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.registering import Registered
from tests.commands import Ran
from tests.looked import Typed, in_a_home, typed
from tests.promoted import STUDY, noisy
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
    return in_a_home(tmp_path_factory.mktemp("swept") / "home", STUDY, noisy)


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
            in_a_home(home, study, script)
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
    """A row, a file that is the row's text, and what the test set says by the finals' own seeds."""
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
    assert choice["test"]["seeds"] == sorted({plan.seed for plan in executor.plans})


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


def test_a_sweep_that_somebody_drives_is_not_promoted(tmp_path: Path, begin: Begin) -> None:
    """Its finals decide: exit code 75."""
    run = begin()
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    store.acquire_lease("quick", "ann", seconds=60)
    store.close()
    ran = run("promote", "quick", "--no-test")
    assert (ran.code, rows(tmp_path)) == (TryAgain.exit_code, [])
    assert "is still being driven (ann)" in ran.err


def test_finals_that_have_not_ended_are_waited_for(begin: Begin, tmp_path: Path) -> None:
    """Of an interrupted sweep; the sentence says what goes on with them."""
    run = begin()
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    final = next(row for row in store.trainings("quick") if row.purpose.value == "final")
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
        (("demote", "quick"), "'quick' has no champion in force. `lrsweep promote STUDY` puts one in force."),
        (("history",), "nothing was promoted yet. `lrsweep promote STUDY`"),
    ],
)
def test_what_is_not_there_is_told(begin: Begin, words: tuple[str, ...], said: str) -> None:
    """Exit code 64, with what to do."""
    ran = begin()(*words)
    assert ran.code == 64
    assert said in ran.err


def test_a_file_that_cannot_be_written_comes_after_the_row(begin: Begin, tmp_path: Path) -> None:
    """The champion is in force; nothing half-written is left beside."""
    run = begin()
    Path("taken").write_text("a file")
    ran = run("promote", "quick", "--no-test", "--to", "taken/quick.json")
    assert ran.code == 64
    assert "the choice is promoted, but taken/quick.json cannot be written" in ran.err
    assert len(rows(tmp_path)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "taken"]


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
