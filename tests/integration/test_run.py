"""`lrsweep run`: which sweep it drives, what it prints, and the exit code of each way to end."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import lrsweep as package
from lrsweep.tracking.server import MlflowServer
from tests.agreement import assert_agreement
from tests.commands import LONGEST_SECONDS, lrsweep, query, start_lrsweep, wait_for, write_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, object]]:
    """A home with one finished sweep of 5 trials, its study file, and what the command answered."""
    folder = tmp_path_factory.mktemp("finished")
    study, home = write_study(folder, trials=5), folder / "home"
    ran = lrsweep("run", str(study), "--json", home=home)
    assert ran.code == 0, ran.err
    return study, home, ran.answer


def test_a_sweep_answers_with_one_line_of_json(finished: tuple[Path, Path, dict[str, object]]) -> None:
    """At least the promised keys, and a best schedule that can be read back."""
    _, home, answer = finished
    assert answer["study"] == "tiny"
    assert (answer["trials"], answer["home"], answer["not_mirrored"]) == (5, str(home), 0)
    assert answer["trainings"] == query(home, "SELECT count(*) FROM lrs_training")
    assert isinstance(answer["seconds"], float)
    assert answer["seconds"] > 0
    best = answer["best"]
    assert isinstance(best, dict)
    assert package.schedule_from_json(best["schedule"]).family == best["family"]
    smallest = query(home, "SELECT min(value) FROM lrs_trial WHERE state = 'complete'")
    assert best["value"] == pytest.approx(smallest)


def test_the_three_databases_agree(finished: tuple[Path, Path, dict[str, object]]) -> None:
    """Every training has its curve in SQL and its `lr` curve in MLflow; every trial its copy in Optuna's storage."""
    assert_agreement(finished[1], "tiny", trials=5)


def test_every_completed_training_holds_both_halves_of_validation(
    finished: tuple[Path, Path, dict[str, object]],
) -> None:
    """`val_loss` for the search, `decide_loss` for the choice, as JSON that SQL can read."""
    missing = query(
        finished[1],
        "SELECT count(*) FROM lrs_training WHERE status = 'completed' AND "
        "(json_extract(metrics, '$.val_loss') IS NULL OR json_extract(metrics, '$.decide_loss') IS NULL)",
    )
    assert missing == 0


def test_a_finished_sweep_is_printed_and_not_run_again(finished: tuple[Path, Path, dict[str, object]]) -> None:
    """The same command: the same sweep, the same best, no new training, and a hint."""
    study, home, answer = finished
    again = lrsweep("run", str(study), "--json", home=home)
    assert again.code == 0
    assert {key: again.answer[key] for key in ("sweep", "best", "trainings", "seconds")} == {
        key: answer[key] for key in ("sweep", "best", "trainings", "seconds")
    }
    assert "`--new` starts another" in again.err


def test_a_study_keeps_its_sweep_when_the_budget_grows_and_gets_another_when_the_space_changes(tmp_path: Path) -> None:
    """5 trials become 6 in the same sweep; another family is another generation and says so; `--new` is a third."""
    home = tmp_path / "home"
    first = lrsweep("run", str(write_study(tmp_path, trials=5)), "--json", home=home).answer
    larger = lrsweep("run", str(write_study(tmp_path, trials=6)), "--json", home=home).answer
    assert (larger["sweep"], larger["trials"]) == (first["sweep"], 6)

    study = write_study(tmp_path, trials=2)
    study.write_text(study.read_text().replace('"linear"', '"rex"'))
    changed = lrsweep("run", str(study), "--json", home=home)
    assert changed.answer["sweep"] != first["sweep"]
    assert changed.answer["trials"] == 2
    assert "has changed since its last sweep" in changed.err
    assert query(home, "SELECT count(*) FROM lrs_trial WHERE origin = 'search'") == 8
    assert query(home, "SELECT count(*) FROM lrs_trial WHERE origin = 'copied' AND params NOT LIKE '%linear%'") >= 1

    newer = lrsweep("run", str(study), "--new", "--json", home=home).answer
    assert newer["sweep"] not in (first["sweep"], changed.answer["sweep"])
    assert newer["trials"] == 2


def test_another_seed_is_said(finished: tuple[Path, Path, dict[str, object]], tmp_path: Path) -> None:
    """It is no part of the generation, so the finished sweep is printed; but not without a word."""
    study, home, answer = finished
    changed = tmp_path / "tiny.toml"
    changed.write_text(study.read_text().replace("horizon = 60", "horizon = 60\nseed = 5"))
    ran = lrsweep("run", str(changed), "--json", home=home)
    assert ran.answer["sweep"] == answer["sweep"]
    assert "study.seed is 5 and was 0" in ran.err


def test_looking_for_results_makes_no_folder(tmp_path: Path) -> None:
    """Exit code 64 and where a demo would be; the folder in which one looked is as it was."""
    ran = lrsweep("ui", home=tmp_path / "home")
    assert ran.code == 64
    assert "there are no results in" in ran.err
    assert not (tmp_path / "home").exists()


def test_a_second_driver_says_who_holds_the_study_and_leaves(tmp_path: Path) -> None:
    """Exit code 99 and the first one's process id; the first one is not disturbed. A stopped one leaves in order."""
    study, home = write_study(tmp_path, trials=500, horizon=600), tmp_path / "home"
    first = start_lrsweep("run", str(study), home=home)
    wait_for(lambda: query(home, "SELECT count(*) FROM lrs_training") > 0)

    second = lrsweep("run", str(study), home=home)
    assert second.code == 99
    assert f"process {first.pid} on" in second.err

    wait_for(lambda: query(home, "SELECT count(*) FROM lrs_training WHERE status = 'completed'") > 0)
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=LONGEST_SECONDS)
    assert first.returncode == 143
    assert "the same command continues" in err
    assert query(home, "SELECT count(*) FROM lrs_training WHERE status = 'running'") == 0


def test_a_signal_to_all_its_processes_saves_what_trains(tmp_path: Path) -> None:
    """As ``timeout``, Slurm and others send it: to the engines too, and to the driver twice."""
    study, home = write_study(tmp_path, trials=1, horizon=200_000), tmp_path / "home"
    driver = start_lrsweep("run", str(study), home=home, in_own_group=True)
    wait_for(lambda: query(home, "SELECT max(mirrored_steps) FROM lrs_training") or driver.poll() is not None)
    os.killpg(driver.pid, signal.SIGTERM)
    driver.send_signal(signal.SIGTERM)
    _, err = driver.communicate(timeout=LONGEST_SECONDS)
    assert driver.returncode == 143, err
    assert "the same command continues" in err
    assert [*home.glob("checkpoints/*/step-*.ckpt")]


def test_the_deadline_ends_a_sweep_in_order(tmp_path: Path) -> None:
    """Exit code 124 with hundreds of trials to go; the same command continues the same sweep."""
    home = tmp_path / "home"
    first = lrsweep("run", str(write_study(tmp_path, trials=1, horizon=600)), "--json", home=home).answer
    # A start that may take twice as long, and several trials, by this machine's own measure.
    deadline = f"{2 * first['startup_seconds'] + 5 * first['seconds']:.1f}s"
    study, told = str(write_study(tmp_path, trials=2000, horizon=600)), 1
    for _ in range(5):  # it may be slower now than it was; the same command goes on with what the one before has left
        ran = lrsweep("run", study, "--deadline", deadline, home=home)
        assert ran.code == 124, ran.err
        assert "the deadline passed" in ran.err
        told = query(home, "SELECT count(*) FROM lrs_trial WHERE state <> 'running'")
        if told > 1:
            break
    assert 1 < told < 2000
    again = lrsweep("run", str(write_study(tmp_path, trials=told, horizon=600)), "--json", home=home)
    assert again.code == 0, again.err
    assert "this sweep goes on: " in again.err
    assert (again.answer["sweep"], again.answer["status"]) == (first["sweep"], "finished")


def test_a_bad_study_is_refused_with_all_its_problems(tmp_path: Path) -> None:
    """Exit code 64, each problem with its line."""
    study = tmp_path / "bad.toml"
    study.write_text('[study]\nname = "x y"\nworkload = "digit"\n[budget]\ntrials = 0\n')
    ran = lrsweep("run", str(study), home=tmp_path / "home")
    assert ran.code == 64
    assert "3 problems" in ran.err
    assert "line 3, study.workload" in ran.err
    assert "Did you mean 'digits'?" in ran.err


@pytest.mark.parametrize("arguments", [["run"], ["run", "--nope"], ["rnu"], ["ui", "--port", "x"]])
def test_a_wrong_command_or_option_is_an_input_like_others(tmp_path: Path, arguments: list[str]) -> None:
    """Exit code 64, with the command that says what there is; help alone is no error."""
    ran = lrsweep(*arguments, home=tmp_path / "home")
    assert ran.code == 64
    assert "--help` says what there is." in ran.err
    assert lrsweep(home=tmp_path / "home").code == 0


def test_an_unreachable_tracking_server_is_said_at_the_start(tmp_path: Path) -> None:
    """Exit code 69 within seconds, with what to check; no sweep is begun."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        ran = lrsweep("run", str(write_study(tmp_path)), home=tmp_path / "home", environ={"MLFLOW_TRACKING_URI": uri})
    assert ran.code == 69
    assert uri in ran.err
    assert query(tmp_path / "home", "SELECT count(*) FROM lrs_sweep") == 0


def test_an_unreachable_database_is_said_at_the_start(tmp_path: Path) -> None:
    """Exit code 69, and the password is not shown."""
    ran = lrsweep(
        "run",
        str(write_study(tmp_path)),
        home=tmp_path / "home",
        environ={"LRSWEEP_DATABASE_URL": "postgresql://ann:hush@127.0.0.1:1/none"},
    )
    assert ran.code == 69
    assert "hush" not in ran.err + ran.out


def test_one_postgresql_database_holds_it_all(tmp_path: Path, postgres_url: str) -> None:
    """A schema each for results, Optuna and MLflow; the three agree, and the home has no database file."""
    environ = {"LRSWEEP_DATABASE_URL": postgres_url}
    ran = lrsweep("run", str(write_study(tmp_path)), "--json", home=tmp_path / "home", environ=environ)
    assert ran.code == 0, ran.err
    assert_agreement(tmp_path / "home", "tiny", trials=4, environ=environ)
    assert not list((tmp_path / "home").glob("*.db"))


def test_a_database_that_goes_away_is_said_and_the_same_command_continues(tmp_path: Path, postgres_url: str) -> None:
    """Exit code 75 with the remedy when PostgreSQL drops the driver midway; later the same command ends the sweep."""
    environ = {"LRSWEEP_DATABASE_URL": postgres_url}
    study, home = write_study(tmp_path, trials=2000), tmp_path / "home"
    driver = start_lrsweep("run", str(study), home=home, environ=environ)
    with administrator(postgres_url) as (execute, database):
        wait_for(lambda: "lrs_trial" in tables(postgres_url) and count_of_told_trials(postgres_url) >= 2)
        execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
        _, err = driver.communicate(timeout=LONGEST_SECONDS)
        execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    assert driver.returncode == 75, err
    assert "the same command" in err

    told = count_of_told_trials(postgres_url)
    study = write_study(tmp_path, trials=told + 1)
    again = lrsweep("run", str(study), "--json", home=home, environ=environ)
    assert again.code == 0, again.err
    assert again.answer["status"] == "finished"
    assert_agreement(home, "tiny", trials=again.answer["trials"], environ=environ)


@contextmanager
def administrator(url: str) -> Iterator[tuple[Callable[[str], object], str]]:
    """Runs statements on the server from outside of the test's own database, whose name comes with it."""
    address = make_url(url)
    engine = sa.create_engine(address.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda statement: connection.execute(sa.text(statement)), str(address.database)
    engine.dispose()


def tables(url: str) -> set[str]:
    return {name for (name,) in rows(url, "SELECT table_name FROM information_schema.tables")}


def count_of_told_trials(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM lrsweep.lrs_trial WHERE state <> 'running'")[0][0])


def rows(url: str, statement: str) -> list[Any]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return list(connection.execute(sa.text(statement)))


def test_runs_go_to_a_tracking_server_over_http(tmp_path: Path) -> None:
    """MLflow's own server, with its own store and artifacts: the same agreement, and no MLflow database in the home."""
    with MlflowServer(f"sqlite:///{tmp_path / 'server.db'}", str(tmp_path / "served"), port=0) as server:
        environ = {"MLFLOW_TRACKING_URI": server.url}
        ran = lrsweep("run", str(write_study(tmp_path)), "--json", home=tmp_path / "home", environ=environ)
        assert ran.code == 0, ran.err
        assert_agreement(tmp_path / "home", "tiny", trials=4, environ=environ)
    assert not (tmp_path / "home" / "mlflow.db").exists()
    assert len(list((tmp_path / "served").rglob("curve.csv"))) == ran.answer["trainings"]


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Exit code 64, in one sentence without a traceback, before any sweep is begun."""
    ran = lrsweep("run", str(write_study(tmp_path)), "--device", "cuda:77", home=tmp_path / "home")
    assert ran.code == 64
    assert "--device is 'cuda:77', but PyTorch cannot use it" in ran.err
    assert "There is: 'cpu'" in ran.err
    assert "Traceback" not in ran.err
    assert query(tmp_path / "home", "SELECT count(*) FROM lrs_sweep") == 0


def test_random_data_stand_in_for_a_workloads_own_where_only_speed_counts(tmp_path: Path) -> None:
    """No file of MNIST is there or is fetched; what was trained says so. A workload that has none is refused."""
    study = tmp_path / "speed.toml"
    study.write_text(
        '[study]\nname = "speed"\nworkload = {name = "mnist", model = "mlp"}\nhorizon = 6\n'
        '[space]\nfamilies = ["constant"]\noptimizers = ["sgd"]\n[budget]\ntrials = 1\n'
    )
    data = {"LRSWEEP_DATA": str(tmp_path / "none")}
    ran = lrsweep("run", str(study), "--synthetic", "--json", home=tmp_path / "home", environ=data)
    assert (ran.code, ran.answer["trainings"]) == (0, 1), ran.err
    assert "random tensors of the true shapes, so only speed means anything" in ran.err
    spec = json.loads(query(tmp_path / "home", "SELECT spec FROM lrs_study"))
    assert (spec["workload"]["settings"]["synthetic"], spec["workload"]["data_hash"]) == (True, "synthetic")
    assert not (tmp_path / "none").exists()

    refused = lrsweep("run", str(write_study(tmp_path)), "--synthetic", home=tmp_path / "home")
    assert refused.code == 64
    assert "the workload 'digits' has no random data" in refused.err
