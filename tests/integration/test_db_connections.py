"""How a team's PostgreSQL is reached: passwords in a file of their own, TLS asked for in the address; by all tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lrsweep.errors import StoreUnavailable, TrackingUnavailable
from lrsweep.settings import Settings, make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.store.probing import probe
from lrsweep.sweep.optuna_copy import copied_numbers, open_copy
from lrsweep.tracking import Tracker, schema
from tests.databases import administer
from tests.guarded_postgres import PASSWORD, USER, Guarded, a_guarded_server, self_signed, tls_in_front_of
from tests.sweeps import a_study

WRONG = "n0t-the-one"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with a_guarded_server() as server:
        yield server


@pytest.fixture(scope="module")
def database(guarded: Guarded) -> str:
    """One of Ann's for all tests: MLflow takes seconds to make its tables."""
    administer(guarded.administrator, f"CREATE DATABASE results OWNER {USER}")
    return "results"


@pytest.fixture
def passwords(guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that PGPASSFILE names: Ann's password at that server, whatever the port."""
    file = tmp_path / "passwords"
    file.write_text(f"127.0.0.1:*:*:{USER}:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    return file


@pytest.fixture
def certified(guarded: Guarded, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a server with TLS, and its certificate."""
    certificate, key = self_signed(tmp_path)
    with tls_in_front_of(guarded.port, certificate, key) as port:
        yield port, certificate


def settings_of(address: str, tmp_path: Path) -> Settings:
    """The address stands in a file, as a team keeps it."""
    file = tmp_path / "address"
    file.write_text(f"{address}\n")
    return read_settings({"LRSWEEP_DATABASE_URL_FILE": str(file), "LRSWEEP_HOME": str(tmp_path / "home")})


def use_all_three(settings: Settings) -> None:
    """Our store, Optuna's copy and MLflow's tables are opened, or made, each by its own tool."""
    homes = make_homes(settings)
    open_store(homes.results_url).close()
    copy = open_copy(homes.optuna_url, a_study())
    assert copied_numbers(copy) == set()
    storage: Any = copy._storage
    storage._backend.remove_session()
    storage._backend.engine.dispose()
    tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root)
    assert tracker.denied == {}
    version, newest = schema.versions(homes.mlflow_uri) or ("none", "")
    assert version == newest


def refused(address: str) -> str:
    """What is said, by the look at a database and by its opening alike."""
    with pytest.raises(StoreUnavailable) as looked:
        probe(address)
    with pytest.raises(StoreUnavailable) as opened:
        open_store(address)
    assert str(looked.value) == str(opened.value)
    return str(opened.value)


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_password_in_pgpassfile_opens_the_store_and_both_copies(
    guarded: Guarded, database: str, passwords: Path, tmp_path: Path
) -> None:
    """The address has none; three schemas of one database."""
    use_all_three(settings_of(guarded.address(database), tmp_path))


def test_a_wrong_password_is_refused_without_showing_it(guarded: Guarded, database: str, passwords: Path) -> None:
    """From the file, where the text names PGPASSFILE, and from the address."""
    passwords.write_text(f"127.0.0.1:*:*:{USER}:{WRONG}\n")
    for address in (guarded.address(database), guarded.address(database, password=WRONG)):
        said = refused(address)
        assert f'password authentication failed for user "{USER}"' in said
        assert "Check user and password, in the address or in the file that PGPASSFILE names." in said
        assert WRONG not in said


def test_mlflow_refuses_a_wrong_password_without_showing_it(
    guarded: Guarded, database: str, passwords: Path, tmp_path: Path
) -> None:
    """An MLflow database of a team's own, which only MLflow's side opens."""
    passwords.write_text(f"127.0.0.1:*:*:{USER}:{WRONG}\n")
    with pytest.raises(TrackingUnavailable, match="password authentication failed") as caught:
        Tracker.connect(guarded.address(database), artifact_root=tmp_path)
    assert WRONG not in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o644], ids=["another host's", "open to others"])
def test_a_password_that_libpq_does_not_use_is_as_good_as_none(
    guarded: Guarded, database: str, passwords: Path, mode: int
) -> None:
    """A file that others may read is passed over, and the error does not say so: the advice says what it needs."""
    if mode == 0o600:
        passwords.write_text(f"db.example:*:*:{USER}:{PASSWORD}\n")
    passwords.chmod(mode)
    said = refused(guarded.address(database))
    assert "no password supplied" in said
    assert "Put the password into the file that PGPASSFILE names, readable by you alone (chmod 600)" in said


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("mode", ["disable", "prefer"])
def test_a_server_without_tls_is_used_where_the_address_does_not_insist(
    guarded: Guarded, database: str, passwords: Path, mode: str
) -> None:
    """`prefer` asks for it and goes on without."""
    open_store(guarded.address(database, sslmode=mode)).close()


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_a_server_without_tls_is_refused_where_the_address_insists(
    guarded: Guarded, database: str, passwords: Path, tmp_path: Path, mode: str
) -> None:
    """The text names the setting, and who can change the server; nothing was sent in the clear before."""
    certificate, _ = self_signed(tmp_path)
    said = refused(guarded.address(database, sslmode=mode, sslrootcert=str(certificate)))
    assert "server does not support SSL" in said
    assert "Let the server's administrator turn SSL on, or leave sslmode out of the address." in said


def test_sslmode_and_sslrootcert_of_the_address_reach_all_three_tools(
    guarded: Guarded, database: str, passwords: Path, certified: tuple[int, Path], tmp_path: Path
) -> None:
    """Behind that port nobody gets in without TLS, and this certificate is known to this address alone."""
    port, certificate = certified
    address = guarded.address(database, port=port, sslmode="verify-full", sslrootcert=str(certificate))
    use_all_three(settings_of(address, tmp_path))


def test_require_takes_any_certificate_and_no_connection_in_the_clear(
    guarded: Guarded, database: str, passwords: Path, certified: tuple[int, Path]
) -> None:
    """`disable` is refused at the same port, so it was TLS."""
    port, _ = certified
    open_store(guarded.address(database, port=port, sslmode="require")).close()
    assert "server closed the connection" in refused(guarded.address(database, port=port, sslmode="disable"))


def test_a_certificate_that_does_not_hold_is_refused_with_the_setting_to_look_at(
    guarded: Guarded, database: str, passwords: Path, certified: tuple[int, Path], tmp_path: Path
) -> None:
    """Another authority's, a file that is not there, and one of another host."""
    port, _ = certified
    other, key = self_signed(tmp_path, name="db.example")

    def said(port: int, file: Path) -> str:
        return refused(guarded.address(database, port=port, sslmode="verify-full", sslrootcert=str(file)))

    advice = "Name the server's authority in the address: sslrootcert=FILE."
    assert advice in said(port, other)
    assert advice in said(port, tmp_path / "none.crt")
    with tls_in_front_of(guarded.port, other, key) as elsewhere:
        assert "Name the server in the address as its certificate does, or say sslmode=verify-ca" in said(
            elsewhere, other
        )
