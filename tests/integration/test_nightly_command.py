"""``lrsweep nightly`` as one types it: real trainings, a real MLflow, real processes."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from tests.agreement import mlflow_client, results, runs_of
from tests.commands import LONGEST_SECONDS, lrsweep, query, start_lrsweep, wait_for
from tests.drivers import STUDY
from tests.night_drivers import TRAINED, promote
from tests.receivers import receiver

WRONG = '[study]\nname = "wrong"\nworkload = "digits"\n[budget]\ntrials = 4\n[nightly]\nmax_age = "soon"\n'
LONG = """\
[study]
name = "tiny"
workload = "digits"
horizon = 4000
[search]
fidelity = "full"
[budget]
trials = 4
[baseline]
family = "cosine"
peak_lr = 0.2
[nightly]
seeds = 2
"""
OWN = """\
[study]
name = "tiny"
workload = "mine.py:MyWorkload"
horizon = 30
[search]
fidelity = "full"
[space]
optimizers = ["sgd"]
[budget]
trials = 4
[nightly]
seeds = 2
"""
LONG_NIGHT = ("nightly", "run", "tiny.toml", "--key", "k")


def test_nights_of_a_folder_from_the_first_sweep_to_a_canary_that_holds(tmp_path: Path) -> None:
    """No champion: the sweep runs, and its choice is the candidate. It is promoted; then a canary of real trainings, a
    night of which nothing has changed, and the same key again. A wrong file fails beside it each time, and is told.
    MLflow is away on the night of the canary, which `lrsweep sync` sends."""
    home, studies = tmp_path / "home", tmp_path / "studies"
    studies.mkdir()
    (studies / "tiny.toml").write_text(STUDY.format(trials=4))
    (studies / "wrong.toml").write_text(WRONG)

    first = lrsweep("nightly", "run", "--key", "n1", "--json", home=home)
    assert first.code == 64, first.err  # the wrong one's
    assert first.answer["verdicts"] == {"tiny": "undecided", "wrong": "failed"}
    tiny, wrong = first.answer["studies"]
    assert (tiny["exit_code"], tiny["champion"], tiny["is_unchanged"]) == (0, None, False)
    assert tiny["trainings"] >= 4
    assert "line 7, nightly.max_age: 'soon' is not a time above 0" in wrong["sentence"]
    assert f"{home / 'results.db'}: this night begins them" in first.err

    promoted = lrsweep("nightly", "promote", "tiny", "--anyway", "--note", "for the nights", home=home)
    assert promoted.code == 0, promoted.err
    with mlflow_client(f"sqlite:///{home / 'mlflow.db'}") as client:
        assert client.get_model_version_by_alias("tiny", "champion").version

    summary, page, gauges, table = (tmp_path / name for name in ("s.json", "r.html", "n.prom", "t.md"))
    outputs = ("--summary", summary, "--report", page, "--prometheus", gauges, "--markdown", table)
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    second = lrsweep("nightly", "run", "tiny", "--key", "n2", *map(str, outputs), home=home, environ=away)
    assert second.code == 0, second.err
    assert "MLflow has not got the night; the next one that trains sends it, or `lrsweep sync`." in second.err
    synced = lrsweep("sync", "--json", home=home)
    assert synced.code == 0, synced.err
    assert synced.answer["nights"] == {"sent": 1, "outage": None}
    with mlflow_client(f"sqlite:///{home / 'mlflow.db'}") as client:
        [run] = [run for run in runs_of(client, "tiny") if run.data.tags["lrsweep.kind"] == "night"]
        assert (run.info.run_name, run.data.tags["lrsweep.verdict"]) == ("night n2", "undecided")
    assert "there were no results" not in second.err
    written = json.loads(summary.read_text())
    assert (written["key"], written["exit_code"], written["verdicts"]) == ("n2", 0, {"tiny": "undecided"})
    [night] = written["studies"]
    assert night["trainings"] == 6
    champion, lead = night["judgement"]["charts"]
    assert (champion["seeds"], lead["seeds"]) == (3, 3)
    assert 0.05 < champion["tonight"] < 2.5
    with results(home) as store:
        trainings = store.nights.trainings(store.nights.rows("tiny")[-1].id)
    assert {row.steps for row in trainings} == {90}
    assert {row.device for row in trainings} == {"cpu"}
    assert len({row.value for row in trainings}) == 6
    assert "tiny" in page.read_text()
    assert "lrsweep_night_" in gauges.read_text()
    assert "undecided" in table.read_text()

    unchanged = lrsweep("nightly", "run", "tiny", "--key", "n3", "--json", home=home)
    assert unchanged.code == 0
    assert unchanged.answer["studies"][0]["is_unchanged"]
    again = lrsweep("nightly", "run", "tiny", "--key", "n2", "--json", home=home)
    assert again.answer["studies"] == [{**night, "is_recorded": True}]

    told = lrsweep("nightly", "history", "tiny", home=home)
    assert [line.split()[0] for line in told.out.splitlines()[2:]] == ["n1", "n2", "n3"]
    assert "holds (unchanged)" in told.out
    known = json.loads(lrsweep("nightly", "history", "--json", home=home).out)
    assert [each["key"] for each in known["tiny"]] == ["n1", "n2", "n3"]
    assert [each["verdict"] for each in known["wrong"]] == ["failed"]
    shown = lrsweep("nightly", "show", "tiny", "n2", home=home)
    assert "champion less baseline" in shown.out
    assert f"{champion['tonight']:.4g}" in shown.out
    assert json.loads(lrsweep("nightly", "show", "tiny", "n2", "--json", home=home).out) == night


def test_data_of_ones_own_that_change_under_a_key_are_another_night(tmp_path: Path) -> None:
    """A workload that reads a file which nobody but it knows of: as long as that says the same the night is read again,
    with the same exit code; then the same key trains, and says why."""
    template = resources.files("lrsweep.workloads").joinpath("template.py.txt").read_text(encoding="utf-8")
    made, read = "inputs.cpu().numpy().tobytes()", 'Path("data.txt").read_bytes()'
    assert made in template
    (tmp_path / "mine.py").write_text(template.replace(made, read))
    (tmp_path / "data.txt").write_text("monday")
    (tmp_path / "tiny.toml").write_text(OWN)
    home = tmp_path / "home"
    promote(home, horizon=30)
    first, again = (lrsweep("nightly", "run", "tiny.toml", "--key", "k", "--json", home=home) for _ in range(2))
    assert (first.code, again.code) == (0, 0), first.err + again.err
    [night] = first.answer["studies"]
    assert night["trainings"] == 2
    assert again.answer["studies"] == [{**night, "is_recorded": True}]
    (tmp_path / "data.txt").write_text("tuesday")
    other = lrsweep("nightly", "run", "tiny.toml", "--key", "k", "--json", home=home)
    assert other.code == 0, other.err
    [changed] = other.answer["studies"]
    assert (changed["is_recorded"], changed["trainings"]) == (False, 2)
    assert changed["generation"] != night["generation"]
    assert "another generation of the study: its data have changed since" in changed["sentence"]
    assert "tiny: night k had begun before" in other.err


def test_what_is_typed_wrong_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Exit code 64, what was given and what is wanted; no home is left behind."""
    home = tmp_path / "home"
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(STUDY.format(trials=4))
    for words, told in {
        ("--key", "a b"): "--key is 'a b'; wanted up to 100 letters",
        ("--deadline", "soon"): "--deadline is 'soon'; wanted a time above 0",
        ("--engine", "fast"): "--engine is 'fast'",
        ("--summary", str(tmp_path / "none" / "s.json")): "there is no folder",
        ("nothing/",): "there is no folder 'nothing'",
    }.items():
        ran = lrsweep("nightly", "run", *words, home=home)
        assert (ran.code, ran.out) == (64, "")
        assert told in ran.err
    assert not home.exists()


def test_an_unknown_study_fails_and_is_told_what_there_is(tmp_path: Path) -> None:
    """Exit code 64, in the summary too; the home has no night of it."""
    home = tmp_path / "home"
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(STUDY.format(trials=4))
    ran = lrsweep("nightly", "run", "tiiny", "--json", home=home)
    assert ran.code == 64
    assert "there is no such file. Did you mean 'tiny'? 'studies' has tiny" in ran.answer["studies"][0]["sentence"]
    shown = lrsweep("nightly", "show", "tiny", home=home)
    assert shown.code == 64
    assert "no night of a study 'tiny' has ended" in shown.err


def test_a_database_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    """The message says what to use, with its exit code; nothing is written into it. Whoever waits to hear of the night
    hears of that: the summary, the gauges, the dead-man switch, and a message, for nothing knows of an earlier one."""
    home = tmp_path / "home"
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(STUDY.format(trials=4))
    with results(home):
        pass
    with closing(sqlite3.connect(home / "results.db")) as database:
        database.execute("UPDATE lrs_alembic_version SET version_num = '9999'")
        database.commit()
    summary, gauges = tmp_path / "s.json", tmp_path / "n.prom"
    gauges.write_text("lrsweep_night_last_success_timestamp_seconds 1700000000.0\n")
    with receiver() as received:
        told = {
            "LRSWEEP_PING": f"{received.url}/ping",
            "LRSWEEP_NOTIFY": f"json://127.0.0.1:{received.port}/hook",
            "no_proxy": "127.0.0.1",
        }
        files = ("--summary", str(summary), "--prometheus", str(gauges))
        ran = lrsweep("nightly", "run", "--key", "k", *files, home=home, environ=told)
    assert ran.code == 69
    assert "newer lrsweep" in ran.err
    assert received.paths == ["/ping/start", "/hook", "/ping/69"]
    message = json.loads(received.asked[1].body)
    assert message["title"] == "lrsweep: no night k"
    assert "no study had its night: " in message["message"]
    written = json.loads(summary.read_text())
    assert (written["key"], written["exit_code"], written["verdicts"]) == ("k", 69, {})
    assert "newer lrsweep" in written["notes"][0]
    assert "lrsweep_night_exit_code 69.0" in gauges.read_text()
    assert "lrsweep_night_last_success_timestamp_seconds 1700000000.0" in gauges.read_text()


@pytest.mark.parametrize("is_remote", [False, True])
def test_a_training_that_is_drained_goes_on_from_its_checkpoint(tmp_path: Path, is_remote: bool) -> None:
    """SIGTERM in the middle of a long training: a checkpoint stays, and the night comes to the values of one that was
    left alone, to the last bit; then nothing of it stays. So too where checkpoints lie behind a URL."""
    ended, alone = (a_long_night(tmp_path / name) for name in ("ended", "alone"))
    kept = tmp_path / "bucket" / "nights" if is_remote else ended / "nights"
    there = {"LRSWEEP_CHECKPOINTS": f"file://{tmp_path}/bucket"} if is_remote else {}
    drain(ended, kept, there)
    values = []
    for home in (ended, alone):
        ran = lrsweep(*LONG_NIGHT, home=home, environ=there if home is ended else {})
        assert ran.code == 0, ran.err
        assert list(home.glob("nights/*")) == list(kept.glob("*")) == []
        with results(home) as store:
            values.append({row.key: row.value for row in store.nights.trainings(1)})
    assert values[0] == values[1]
    assert len(values[0]) == 4


def a_long_night(folder: Path) -> Path:
    """A home whose champion trains for a second or two."""
    home = folder / "home"
    home.mkdir(parents=True)
    (folder / "tiny.toml").write_text(LONG)
    promote(home, horizon=4000)
    return home


def drain(home: Path, kept: Path, environ: Mapping[str, str]) -> None:
    """A night that is asked to end while its second training is under way; ``kept`` holds its checkpoints."""
    night = start_lrsweep(*LONG_NIGHT, home=home, environ=environ)
    wait_for(lambda: query(home, TRAINED) >= 1 or night.poll() is not None)
    night.send_signal(signal.SIGTERM)
    _, err = night.communicate(timeout=LONGEST_SECONDS)
    assert night.returncode == 143, err
    assert [path for path in kept.glob("*") if path.is_dir()]


def test_a_server_of_databases_that_is_away_is_told_as_well(tmp_path: Path) -> None:
    """Before the schemas could be looked for: nothing listens there."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(STUDY.format(trials=4))
    summary = tmp_path / "s.json"
    with receiver() as received:
        environ = {
            "LRSWEEP_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "LRSWEEP_PING": f"{received.url}/ping",
            "no_proxy": "127.0.0.1",
        }
        ran = lrsweep(
            "nightly", "run", "--key", "k", "--summary", str(summary), home=tmp_path / "home", environ=environ
        )
    assert ran.code == 69, ran.err
    assert received.paths == ["/ping/start", "/ping/69"]
    assert json.loads(summary.read_text())["exit_code"] == 69
