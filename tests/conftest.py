"""What tests share: databases, an SQLite file and a real PostgreSQL from a wheel where that can run, stores in them;
and forks that scripts are started in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import make_url

from lrsweep.engines.command.forks import Forks
from lrsweep.store import Lease, MemoryStore, Store, open_store
from tests.databases import a_postgres_server, administer
from tests.forked_commands import ENVIRON

# A law is about values: how long an example takes says only how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that does not exist yet, in a folder that does not exist either."""
    return f"sqlite:///{tmp_path}/home/results.db"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server of this test run's own; the user is its administrator."""
    with a_postgres_server() as server:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        administer(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # speed; no test cuts the power
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh, empty database."""
    name = f"test_{uuid4().hex}"
    administer(postgres_server, f"CREATE DATABASE {name}")
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    opened = open_store(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
    yield opened
    opened.close()


@pytest.fixture
def lease(store: Store) -> Lease:
    """A long lease on the study ``digits``."""
    return store.acquire_lease("digits", "ann", seconds=600)


@pytest.fixture
def forks() -> Iterator[Forks]:
    """Starts scripts in forks; what it has started ends with the test."""
    made = Forks(ENVIRON)
    yield made
    made.close()
