"""`lrsweep doctor`: what each check finds where all is well, and where it is not."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from lrsweep import doctor
from lrsweep.cli.needs import needed_by
from lrsweep.doctor.databases import check_database, check_leases
from lrsweep.doctor.environment import check_environment, known_variables
from lrsweep.doctor.findings import Finding, Level, checked
from lrsweep.doctor.machine import GIB, bytes_needed, check_devices, check_disk, check_limits
from lrsweep.doctor.remote import check_checkpoints, check_data
from lrsweep.doctor.tracking import check_tracking, findings_of
from lrsweep.doctor.versions import Wanted, check_versions
from lrsweep.engines.probing import Gpu, TorchProbed
from lrsweep.errors import SettingsError, StoreUnavailable
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import MemoryStore, open_store
from lrsweep.store.probing import probe
from lrsweep.tracking.probing import TrackingProbed, is_made, version_of_server
from lrsweep.workloads.fetching import folder_for
from tests.databases import administer
from tests.looked import a_driven_bench, typed
from tests.scripted import only_sgd

TORCH = TorchProbed(torch="2.15.0", cuda="13.2")
NFS = "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:40 / {point} rw - nfs4 server:/export rw"


def levels(findings: list[Finding]) -> list[str]:
    return [each.level.value for each in findings]


def not_well(findings: list[Finding]) -> Finding:
    [found] = [each for each in findings if each.level is not Level.OK]
    assert found.remedy
    return found


# ── versions and devices ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_installed_here_is_what_lrsweep_supports() -> None:
    """The environment of these tests: every package well, and those that matter are shown."""
    found = check_versions(TORCH)
    assert set(levels(found)) == {"ok"}
    assert {"torch", "mlflow", "optuna"} <= {each.found.split()[0] for each in found}


def test_versions_are_compared_as_numbers() -> None:
    """2.9 is older than 2.15, whatever stands behind the number; an upper limit is not reached."""
    assert Wanted("2.9").takes("2.15.0+cpu")
    assert not Wanted("3.17", "4").takes("3.9.2")
    assert not Wanted("3.17", "4").takes("4.0")


@pytest.mark.parametrize(
    ("probed", "said"),
    [
        (TorchProbed(error="OSError: libcudart.so"), "PyTorch cannot be imported: OSError: libcudart.so"),
        (TorchProbed("2.15.0", torchvision_error="RuntimeError: nms"), "torchvision cannot be imported: RuntimeError"),
    ],
)
def test_a_package_that_is_there_but_does_not_import_is_a_fault(probed: TorchProbed, said: str) -> None:
    """Its metadata alone would say that all is well."""
    found = not_well(check_versions(probed))
    assert found.level is Level.FAULT
    assert said in found.found


@pytest.mark.parametrize(
    ("probed", "driver", "said"),
    [
        (TORCH, "NVRM 580", "finds no GPU: none is visible"),
        (TorchProbed("2.15.0", "13.2", cuda_error="RuntimeError: the driver is too old"), "NVRM 470", "is too old"),
        (TorchProbed("2.15.0+cpu"), "NVRM 580", "built without CUDA"),
    ],
)
def test_a_gpu_that_pytorch_does_not_find_is_a_warning(
    probed: TorchProbed, driver: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a driver, so there should be a GPU. The driver is a double: this machine has none."""
    monkeypatch.setattr("lrsweep.doctor.machine.nvidia_driver", lambda: driver)
    assert said in not_well(check_devices(probed)).found


def test_devices_that_are_well_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU its name and memory; without any driver, the CPU is no warning."""
    monkeypatch.setattr("lrsweep.doctor.machine.nvidia_driver", lambda: None)
    gpu = TorchProbed("2.15.0", "13.2", (Gpu("H200", 140 * GIB, 100 * GIB),))
    assert "H200: 100.0 of 140.0 GiB free" in [each.found for each in check_devices(gpu)]
    assert "trains on the CPU" in check_devices(TORCH)[-1].found
    assert set(levels(check_devices(TORCH))) == {"ok"}


def test_few_open_files_are_a_warning_with_the_command_to_raise_it() -> None:
    """256 are macOS's; -1 is no limit."""
    assert "ulimit -n" in str(not_well(check_limits((256, 10240))).remedy)
    assert levels(check_limits((4096, 4096))) == levels(check_limits((-1, -1))) == ["ok"]


# ── disks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_disk_is_judged_by_what_the_study_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 GiB are room enough, unless a study needs more; the free space is a double."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 * GIB, 90 * GIB, 10 * GIB))
    assert levels(check_disk({"the home": tmp_path})) == ["ok"]
    assert "needs about 20.0 GiB" in not_well(check_disk({"the home": tmp_path}, 20 * GIB)).found
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 * GIB, 99 * GIB, GIB))
    assert levels(check_disk({"the home": tmp_path})) == ["warning"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 * GIB, 99 * GIB, 10))
    assert levels(check_disk({"the home": tmp_path})) == ["fault"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a file system that nobody may write to")
def test_a_folder_that_cannot_be_written_is_a_fault() -> None:
    """Tried out: an administrator has the permission, and the file system refuses all the same."""
    found = check_disk({"the home": Path("/proc")})[0]
    assert found.level is Level.FAULT
    assert "/proc cannot be written" in found.found


def test_what_a_study_needs_grows_with_trainings_and_steps() -> None:
    """The demo, 86 trainings of 27,600 steps, took 13 MB."""
    assert 13e6 < bytes_needed(86, 27_600) < 20e6


# ── variables ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_misspelt_variable_is_told_by_name_and_never_by_value() -> None:
    """A value may hold a password."""
    environ = {"LRSWEEP_DATABASE_ULR": "postgresql://ann:hunter2@db/x", "LRSWEEP_PLAN": "/p", "HOME": "/root"}
    found = not_well(check_environment(environ))
    assert "LRSWEEP_DATABASE_ULR" in found.found
    assert "Did you mean 'LRSWEEP_DATABASE_URL'?" in str(found.remedy)
    assert "hunter2" not in str(check_environment(environ))


def test_no_variable_of_the_readme_is_taken_for_misspelt() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(LRSWEEP_[A-Z_]+)", text, re.MULTILINE)) - {"LRSWEEP_FAULT"}
    assert named >= {"LRSWEEP_HOME", "LRSWEEP_TOKEN", "LRSWEEP_PING"}
    found = check_environment(dict.fromkeys(named, "x"))
    assert [each.found for each in found if each.level is not Level.OK] == []


def test_a_point_of_death_left_from_a_test_is_told() -> None:
    """LRSWEEP_FAULT kills the process."""
    assert "LRSWEEP_FAULT" in not_well(check_environment({"LRSWEEP_FAULT": "after-commit"})).found
    assert "LRSWEEP_FAULT" in known_variables()


def test_settings_that_cannot_be_read_are_a_fault_and_the_rest_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of another database; what is secret in it is not shown. PyTorch is a double: it takes seconds."""
    monkeypatch.setattr(doctor, "probing_torch", lambda: nullcontext(lambda: TORCH))
    found = doctor.diagnose({"LRSWEEP_DATABASE_URL": "mysql://ann:hunter2@db/x"})
    assert "'mysql'" in not_well(found).found
    assert {each.area for each in found} >= {"versions", "devices", "limits", "settings"}
    assert "hunter2" not in str(found)


def test_checkpoints_elsewhere_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a sweep would when it begins; one that does not answer is not waited for."""
    (tmp_path / "one").mkdir()
    assert [(each.level, each.found) for each in check_checkpoints(f"file://{tmp_path}")] == [
        (Level.OK, f"the checkpoints file://{tmp_path}: reached, 1 there")
    ]
    [new] = check_checkpoints(f"file://{tmp_path}/two")
    assert new.level is Level.OK
    assert new.found.endswith("/two: not there yet, made with the first checkpoint; its parent is there")
    mistyped = not_well(check_checkpoints(f"file://{tmp_path}/tow/checkpoints"))
    assert mistyped.level is Level.WARNING
    assert mistyped.found.endswith("; its parent is not there")
    assert "typing error" in str(mistyped.remedy)
    unknown = not_well(check_checkpoints("nosuch://bucket/checkpoints"))
    assert (unknown.level, "Protocol not known" in unknown.found) == (Level.FAULT, True)
    let = threading.Event()
    monkeypatch.setattr("lrsweep.doctor.remote.ANSWER_SECONDS", 0.1)
    monkeypatch.setattr("lrsweep.doctor.remote.RemoteFolders.names", lambda _: let.wait() and [])
    assert "have not answered for" in not_well(check_checkpoints("s3://bucket/checkpoints")).found
    let.set()


def test_data_elsewhere_are_asked_for_and_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run would refuse what is not there; what this machine has its copy of is not asked for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    shelf, copies = tmp_path / "shelf", tmp_path / ".cache/lrsweep/from"
    shelf.mkdir()

    def found(url: str) -> Finding:
        given = read_settings({"LRSWEEP_DATA": url}).data
        assert given is not None
        [finding] = check_data(given)
        return finding

    there = found(f"file://{shelf}")
    assert (there.level, there.found.partition(": ")[2]) == (
        Level.OK,
        "reached, copied to this machine when it is first wanted",
    )
    assert not copies.exists()
    mistyped = found(f"file://{shelf}/tow")
    assert (mistyped.level, "nothing is there" in mistyped.found) == (Level.FAULT, True)
    unknown = found("nosuch://bucket/data")
    assert (unknown.level, "Protocol not known" in unknown.found) == (Level.FAULT, True)
    assert "LRSWEEP_DATA" in str(unknown.remedy)
    folder_for(f"file://{shelf}/tow").mkdir(parents=True)
    assert found(f"file://{shelf}/tow").found.endswith("/tow: copied to this machine")
    assert check_data(tmp_path) == []


# ── databases and leases ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_database_that_is_not_there_is_well_and_is_not_made(database_url: str, tmp_path: Path) -> None:
    """The first sweep makes it; a second look finds nothing either."""
    for _ in range(2):
        probed = probe(database_url)
        assert not probed.is_there
        assert levels(check_database(probed, "")) == ["ok"]
    assert not (tmp_path / "home").exists()


def test_a_database_of_ours_is_well(database_url: str) -> None:
    """Made by the store: current, writable, in WAL where it is a file, its clock is right."""
    open_store(database_url).close()
    probed = probe(database_url)
    assert probed.is_current
    assert probed.may_write
    assert probed.journal_mode in (None, "wal")
    assert abs(probed.seconds_ahead) < 30  # half of what a machine pauses between two looks at a clock counts
    assert levels(check_database(probed, "")) == ["ok"]


def test_a_home_with_a_hash_is_looked_at_where_it_is(tmp_path: Path) -> None:
    """In SQLite's own addresses a # ends the path: the look would make an empty file `a` beside the home."""
    homes = make_homes(read_settings({"LRSWEEP_HOME": str(tmp_path / "a#b")}))
    open_store(homes.results_url).close()
    administer(homes.mlflow_uri, "CREATE TABLE experiments (experiment_id INTEGER)")
    assert probe(homes.results_url).is_current
    assert is_made(homes.mlflow_uri)
    assert [each.name for each in tmp_path.iterdir()] == ["a#b"]


def test_another_tools_tables_and_another_schema_version_are_faults(database_url: str) -> None:
    """Optuna's and MLflow's version table; a version that this release does not have."""
    open_store(database_url).close()
    place = "lrsweep." if database_url.startswith("postgresql") else ""
    administer(database_url, f"UPDATE {place}lrs_alembic_version SET version_num = '9999'")
    assert "schema 9999" in not_well(check_database(probe(database_url), "")).found
    administer(database_url, f"CREATE TABLE {place}alembic_version (version_num TEXT)")
    assert "another tool's tables" in not_well(check_database(probe(database_url), "")).found


def test_sqlite_on_a_network_file_system_or_without_wal_is_told(sqlite_url: str, tmp_path: Path) -> None:
    """The mount table is a double; the journal mode is the file's own."""
    open_store(sqlite_url).close()
    assert "(nfs4)" in not_well(check_database(probe(sqlite_url), NFS.format(point=tmp_path))).found
    administer(sqlite_url, "PRAGMA journal_mode = DELETE")
    assert "journal mode 'delete'" in not_well(check_database(probe(sqlite_url), "")).found


def test_a_database_of_another_encoding_is_a_fault_with_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres_url: str
) -> None:
    """As `lrsweep doctor` is typed: what the database has and is to have, and how one is made."""
    name = f"{make_url(postgres_url).database}_ascii"
    made = f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    administer(postgres_url, made)
    address = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    answer = typed(capsys, monkeypatch, tmp_path / "home", {"LRSWEEP_DATABASE_URL": address})("doctor", "--json")
    [found] = [each for each in json.loads(answer.out)["findings"] if each["area"] == "databases"]
    assert found["level"] == "fault"
    assert found["found"].endswith("has the encoding SQL_ASCII, and results need UTF8")
    assert found["remedy"].startswith("Make another one, createdb -E UTF8 -T template0 NAME")
    administer(postgres_url, f"DROP DATABASE {name}")


def test_a_server_that_does_not_answer_is_a_fault_without_its_password() -> None:
    """Nothing listens on port 1."""
    url = "postgresql://ann:hunter2secret@127.0.0.1:1/x"
    with pytest.raises(StoreUnavailable):
        probe(url)
    [found] = checked("databases", lambda: [*check_database(probe(url))])
    assert found.level is Level.FAULT
    assert "hunter2secret" not in str(found)
    assert found.remedy is not None


def test_a_lease_that_hangs_is_told() -> None:
    """Its process has died; or it lives, and nothing has happened for an hour and nothing trains."""
    bench = a_driven_bench(only_sgd(trials=2))
    assert levels(check_leases(bench.store, None, is_dead=lambda _: False)) == ["ok"]
    assert "has died" in not_well(check_leases(bench.store, "quick", is_dead=lambda _: True)).found
    assert check_leases(bench.store, "another", is_dead=lambda _: True)[0].found == "nobody drives a sweep"
    silent = a_driven_bench(only_sgd(trials=2), store=MemoryStore(clock=lambda: time.time() - 7200))
    assert "for 2.0 h nothing happened" in not_well(check_leases(silent.store, None, is_dead=lambda _: False)).found


def test_an_error_of_ours_is_a_finding_whose_remedy_is_its_own() -> None:
    """The first sentence is what was found, the rest what to do."""

    def fails() -> list[Finding]:
        raise SettingsError("the folder is a file. Name another one. Then go on.")

    [found] = checked("disk", fails)
    assert (found.found, found.remedy) == ("the folder is a file", "Name another one. Then go on.")


# ── MLflow ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_mlflow_database_that_is_not_there_is_well_and_is_not_made(tmp_path: Path) -> None:
    """The first sweep makes it."""
    assert levels(check_tracking(f"sqlite:///{tmp_path}/mlflow.db", is_ours=True)) == ["ok"]
    assert not list(tmp_path.iterdir())


def test_what_a_server_forbids_is_a_fault_where_a_sweep_cannot_do_without_it() -> None:
    """Making runs; deleting them is skipped."""
    probed = TrackingProbed("http://host", "3.17.2", {"make runs": "403", "delete runs": "403"})
    found = findings_of(probed, is_ours=False)
    assert levels(found) == ["ok", "fault", "warning"]
    assert "(version 3.17.2) answers" in found[0].found


def test_a_server_that_lets_nobody_make_experiments_wants_one_that_is_there() -> None:
    """A sweep does not go on without it, as with other rights; it does where its experiment was made before."""
    found = not_well(findings_of(TrackingProbed("http://host", None, {"make experiments": "403"}), is_ours=False))
    assert found.level is Level.WARNING
    assert "A sweep goes on without it" not in str(found.remedy)
    assert 'experiment = "…" under [tracking]' in str(found.remedy)


def test_a_server_says_its_version_under_mlflows_credentials() -> None:
    """A double over HTTP that answers /version to the right token alone; a page that is no version is none."""
    heard: list[str | None] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            is_right = self.path == "/mlflow/version" and heard[-1] == "Bearer t0ken"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"3.17.2" if is_right else b"<html>log in</html>")

        def log_message(self, *_: object) -> None:
            """Nothing: it would stand among the tests' output."""

    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/mlflow/"
    assert version_of_server(url, {}) is None
    assert version_of_server(url, {"MLFLOW_TRACKING_TOKEN": "t0ken"}) == "3.17.2"
    version_of_server(url, {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "x"})
    version_of_server(url.replace("127", "ann:%78@127"), {"MLFLOW_TRACKING_TOKEN": "t0ken"})
    server.shutdown()
    server.server_close()
    assert heard == [None, "Bearer t0ken", "Basic YW5uOng=", "Basic YW5uOng="]
    assert version_of_server(url, {}) is None  # nobody answers


def test_a_password_in_a_uri_without_a_port_is_not_taken_for_one() -> None:
    """urllib raises "nonnumeric port: 'hunter2@…'" of its own kind; nobody listens there, which is no error."""
    assert version_of_server("http://ann:hunter2@127.0.0.2", {}) is None
    assert version_of_server("http://a host", {}) is None


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_draws_what_was_found_and_leaves_with_70_at_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """The same findings in words and in JSON. Doubles: PyTorch, which takes seconds, and this machine."""
    (tmp_path / "home").mkdir()
    for of_this_machine in ("check_devices", "check_limits", "check_disk"):
        monkeypatch.setattr(doctor, of_this_machine, lambda *_: [])
    run = typed(capsys, monkeypatch, tmp_path / "home", {"LRSWEEP_HMOE": "x"})
    monkeypatch.setattr(doctor, "probing_torch", lambda: nullcontext(lambda: TORCH))
    well = run("doctor")
    assert well.code == 0
    assert "LRSWEEP_HMOE is set" in well.out
    gone = TorchProbed(error="OSError: gone")
    monkeypatch.setattr(doctor, "probing_torch", lambda: nullcontext(lambda: gone))
    ill = run("doctor", "--json")
    answer = json.loads(ill.out)
    assert (ill.code, answer["fault"], answer["warning"]) == (70, 1, 1)
    assert any("OSError: gone" in each["found"] for each in answer["findings"])
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("stands", [Path.mkdir, Path.touch])
def test_what_happens_to_be_called_like_a_study_is_no_study_file(
    stands: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study file is named by its ending, by its folder, or stands in `studies`; `lrsweep run` reads names so too."""
    monkeypatch.chdir(tmp_path)
    stands(Path("quick"))
    assert needed_by("quick") == ("quick", None)
