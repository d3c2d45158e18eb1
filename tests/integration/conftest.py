"""What tests of the service share: one process for all tests of a file, and the results that it serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lrsweep.store import Store, open_store
from tests.served import Served, fill, served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """On results that have a bit of everything. A file that needs other ones has a fixture of its own."""
    home = tmp_path_factory.mktemp("served") / "home"
    fill(f"sqlite:///{home}/results.db")
    with served(home) as found:
        yield found


@pytest.fixture
def results(service: Served) -> Iterator[Store]:
    """What the service reads, opened beside it."""
    found = open_store(service.database)
    yield found
    found.close()
