"""The views for people with SQL, and that no query of the store reads a whole table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from lrsweep.records import (
    Curve,
    Origin,
    Outcome,
    Purpose,
    Status,
    StudyRow,
    SweepRow,
    TrainingRow,
    TrialRow,
    TrialState,
)
from lrsweep.store import Lease, SqlStore, Store, TrialEnd, open_store, with_schema

STUDY = StudyRow("digits", "m1", "g1", {"metric": "val_acc", "direction": "maximize", "objective": {"kind": "last"}})
TRAINING = TrainingRow("", "digits", trial=0, sweep_id="s1", rung=0, horizon=200, seed=7, rate_scale=1.5)
CURVE = Curve(np.ones(3), np.ones(3), np.array([3]), {"val_acc": np.array([0.5])})


@pytest.fixture
def opened(database_url: str) -> Iterator[tuple[Store, Lease, str]]:
    store = open_store(database_url)
    lease = store.acquire_lease("digits", "ann", seconds=600)
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SweepRow("s1", "digits", "g1"))
    yield store, lease, with_schema(database_url, "lrsweep")
    store.close()


def asked(url: str, query: str) -> list[dict[str, Any]]:
    """Rows as a person with SQL sees them; SQLite gives JSON as text."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.text(query)).mappings()]
    engine.dispose()
    return [
        {key: json.loads(value) if isinstance(value, str) and value[:1] == "{" else value for key, value in row.items()}
        for row in rows
    ]


def train(store: Store, lease: Lease, row: TrainingRow, outcome: Outcome, tell: TrialEnd | None = None) -> None:
    store.start_training(lease, row.training_id, device="cuda:0")
    store.end_training(lease, row.training_id, 1, outcome, CURVE, tell=tell)


def add(store: Store, lease: Lease, number: int, family: str, rungs: list[tuple[int, Outcome]], end: TrialEnd) -> None:
    """A trial that ended after these trainings, at these horizons."""
    params = {"family": family, "optimizer": "sgd", f"{family}.sgd.peak_lr": 0.1 * (number + 1), "warmup": 0.05}
    rows = [
        replace(TRAINING, training_id=f"t{number}-{horizon}", trial=number, horizon=horizon, rung=rung)
        for rung, (horizon, _) in enumerate(rungs)
    ]
    store.add_trial(lease, TrialRow("digits", number, "s1", params, {}), rows)
    for row, (_, outcome) in zip(rows, rungs, strict=True):
        train(store, lease, row, outcome, end if row is rows[-1] else None)


def done(value: float, steps: int) -> Outcome:
    return Outcome(Status.COMPLETED, steps, 0.5, {"val_acc": value})


def test_a_row_per_trial_and_a_row_per_family(opened: tuple[Store, Lease, str]) -> None:
    """What it was, how far it came, what it cost, and why it ended; the best by the study's own direction."""
    store, lease, url = opened
    nan = Outcome(Status.DIVERGED, 131, 0.25, {}, reason="the training loss was nan at step 131")
    broken = Outcome(Status.FAILED, 1, 0.25, {}, error="Traceback")
    add(store, lease, 0, "cosine", [(200, done(0.7, 200)), (600, done(0.9, 600))], TrialEnd(TrialState.COMPLETE, 0.9))
    add(store, lease, 1, "cosine", [(200, done(0.5, 200))], TrialEnd(TrialState.PRUNED, 0.5))
    add(store, lease, 2, "cosine", [(200, done(0.6, 200)), (600, nan)], TrialEnd(TrialState.PRUNED, None))
    add(store, lease, 3, "wsd", [(200, broken)], TrialEnd(TrialState.FAILED, None))
    add(store, lease, 4, "cosine", [(600, done(0.8, 600))], TrialEnd(TrialState.COMPLETE, 0.8))
    final = replace(TRAINING, training_id="f", trial=0, horizon=600, rung=1, seed=9, purpose=Purpose.FINAL)
    store.queue_trainings(lease, [final])
    train(store, lease, final, done(0.95, 600))
    copied = TrialRow("digits", 5, "s1", {"family": "cosine"}, {}, TrialState.COMPLETE, 0.99, "trial 0", Origin.COPIED)
    store.add_trial(lease, copied, [])

    best, halted, diverged, failed, *_ = asked(url, "SELECT * FROM lrs_trials ORDER BY number")

    assert (best["study"], best["generation"], best["meaning"], best["origin"]) == ("digits", "g1", "m1", "search")
    assert (best["family"], best["optimizer"], best["peak_lr"]) == ("cosine", "sgd", 0.1)
    assert (best["settings"], best["metrics"], best["device"]) == ({"warmup": 0.05}, {"val_acc": 0.9}, "cuda:0")
    assert (best["state"], best["value"], best["metric"], best["direction"]) == ("complete", 0.9, "val_acc", "maximize")
    assert best["value_of"] == "val_acc"
    assert (best["horizon"], best["trainings"], best["steps"], best["seconds"]) == (600, 3, 1400, 1.5)
    assert (halted["state"], halted["value"], halted["horizon"], halted["reason"]) == ("halted", 0.5, 200, None)
    assert (diverged["state"], diverged["horizon"], diverged["metrics"]) == ("diverged", 200, {"val_acc": 0.6})
    assert diverged["reason"] == "the training loss was nan at step 131"
    assert (failed["state"], failed["horizon"], failed["error"], failed["steps"]) == ("failed", None, "Traceback", 1)

    cosine, wsd = asked(url, "SELECT * FROM lrs_families ORDER BY family")
    counts = ("trials", "complete", "halted", "diverged", "failed")
    assert [cosine[name] for name in counts] == [4, 2, 1, 1, 0], "the copied one was no work of this sweep"
    assert (cosine["best_value"], cosine["best_trial"]) == (0.9, 0)
    assert (cosine["steps"], cosine["seconds"]) == (1400 + 200 + 331 + 600, 1.5 + 0.5 + 0.75 + 0.5)
    assert [wsd[name] for name in counts] == [1, 0, 0, 0, 1]
    assert (wsd["best_value"], wsd["best_trial"]) == (None, None)


def test_settings_are_those_that_were_trained(opened: tuple[Store, Lease, str]) -> None:
    """To the last bit, at any size that a setting may have; whole numbers, words and truths stay what they are."""
    store, lease, url = opened
    drawn = np.random.default_rng(7)
    reals = {f"r{i}": float(drawn.normal() * 10.0 ** drawn.integers(-30, 30)) for i in range(1_000)}
    edges = {"a": 0.1 + 0.2, "b": 5e-324, "c": 1.2345678901234567e100, "d": -0.0, "e": 1e22, "f": 2.0}
    others = {"n": 3, "large": 2**53 + 1, "word": "0.1 %", "yes": True, "none": None, "list": [0.1 + 0.2, {"x": 1}]}
    settings = {**reals, **edges, **others}
    store.add_trial(lease, TrialRow("digits", 0, "s1", {"family": "cosine", "peak_lr": 0.1, **settings}, {}), [])
    [row] = asked(url, "SELECT settings FROM lrs_trials")
    assert row["settings"] == settings
    assert {name: type(value) for name, value in row["settings"].items()} == {
        name: type(value) for name, value in settings.items()
    }


def test_a_target_is_reached_in_the_fewest_steps(opened: tuple[Store, Lease, str]) -> None:
    """Whichever way its metric goes; a baseline outside the space has its peak rate under its own name."""
    store, lease, url = opened
    store.register_study(lease, replace(STUDY, spec={**STUDY.spec, "objective": {"kind": "target", "target": 0.9}}))
    for number, value in enumerate((500.0, 300.0)):
        params = {"family": "cosine", "optimizer": "sgd", "peak_lr": 0.25, "schedule": "{}", "flags": [1, 2]}
        store.add_trial(lease, TrialRow("digits", number, "s1", params, {}, origin=Origin.BASELINE), [])
        row = replace(TRAINING, training_id=f"t{number}", trial=number)
        store.queue_trainings(lease, [row])
        train(store, lease, row, done(0.9, 200), TrialEnd(TrialState.COMPLETE, value))
    assert [
        (row["direction"], row["value_of"], row["peak_lr"], row["settings"]["flags"])
        for row in asked(url, "SELECT * FROM lrs_trials")
    ] == [("minimize", "steps_to_val_acc", 0.25, [1, 2])] * 2
    [family] = asked(url, "SELECT * FROM lrs_families")
    assert family["value_of"] == "steps_to_val_acc", "300 are updates"
    assert (family["best_value"], family["best_trial"]) == (300.0, 1)


# ── plans ────────────────────────────────────────────────────────────────────────────────────────────────────────────
SWEEPS, TRIALS = 20, 1_000


def fill(engine: sa.Engine) -> None:
    """20 sweeps of a thousand trials with a training each, mirrored but for ten of the last sweep."""
    counting = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
    number = f"(w.i * {TRIALS} + t.i)"
    text = "CAST({} AS VARCHAR)" if engine.dialect.name == "postgresql" else "{}"
    both = (
        f"WITH RECURSIVE w(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM w WHERE i < {SWEEPS - 1}), "
        f"t(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM t WHERE i < {TRIALS - 1}) "
    )
    sweep, of_sweep = text.format("n.i"), text.format("w.i")
    with engine.begin() as connection:
        for statement in (
            f"INSERT INTO lrs_sweep (sweep_id, study, generation, status, created_at, seconds) "
            f"{counting.format(last=SWEEPS - 1)} SELECT 's' || {sweep} || '-', 'digits', 'g1', 'finished', 1, 1 FROM n",
            f"INSERT INTO lrs_trial (study, number, sweep_id, params, distributions, state) {both} "
            f"SELECT 'digits', {number}, 's' || {of_sweep} || '-', '{{}}', '{{}}', 'complete' FROM w, t",
            "INSERT INTO lrs_training (training_id, study, trial, sweep_id, rung, horizon, seed, rate_scale, attempt, "
            "status, metrics, steps, seconds, mirrored_attempt, mirrored_steps, mirrored_status) "
            "SELECT 't' || number, study, number, sweep_id, 0, 1, 1, 1, 1, 'completed', '{}', 1, 1, 1, 1, "
            f"CASE WHEN number >= {SWEEPS * TRIALS - 10} THEN NULL ELSE 'completed' END FROM lrs_trial",
            "INSERT INTO lrs_event (at, study, kind, token, data) "
            "SELECT 1, 'study' || CAST(number / 1000 AS VARCHAR), 'k', 't', '{}' FROM lrs_trial",
            "ANALYZE",
        ):
            connection.exec_driver_sql(statement)


def test_no_query_reads_a_whole_table(opened: tuple[Store, Lease, str]) -> None:
    """At 20,000 trials in 20 sweeps every look at one of them goes by an index, as the database itself plans it."""
    store, _, _ = opened
    assert isinstance(store, SqlStore)
    fill(store._engine)
    plans: dict[str, str] = {}
    asking = ""

    @sa.event.listens_for(store._engine, "before_cursor_execute")
    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT lrs_") or "FROM lrs_t" in statement:
            word = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
            cursor.execute(word + statement, parameters)
            plans[asking] = "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())

    looks: dict[str, Callable[[], object]] = {
        "unmirrored": lambda: store.unmirrored("s19-"),
        "trials of a sweep": lambda: store.trials("digits", sweep_id="s7-"),
        "one trial": lambda: store.trial("digits", 77),
        "trainings of a sweep": lambda: store.trainings("digits", sweep_id="s7-"),
        "trainings of a trial": lambda: store.trainings("digits", trial=77),
        "one training": lambda: store.training("t77"),
        "next number": lambda: store.next_trial_number("digits"),
        "events": lambda: store.events("study7"),
        "curves of a sweep": lambda: store.curve_bytes("s7-"),
        "losses of examples": lambda: store.example_losses("s7-"),
    }
    for asking, look in looks.items():  # noqa: B007 (the listener reads it)
        look()
    assert plans.keys() == looks.keys()
    for name, plan in plans.items():
        for table in ("lrs_training", "lrs_trial", "lrs_event"):
            assert f"SCAN {table}" not in plan, f"{name}: {plan}"
            assert f"Seq Scan on {table}" not in plan, f"{name}: {plan}"
    assert "ix_lrs_training_unmirrored" in plans["unmirrored"]
    assert len(store.unmirrored("s19-")) == 10
