"""Tokens of the service, kept alike in memory, SQLite and PostgreSQL."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from lrsweep.store import Store, open_store
from lrsweep.store.backups import back_up, restore
from lrsweep.store.tokens import BEGIN, Scope, TokenRow, digest_of, found, new_token
from tests.racers import raced

ADDS = """
import sys
from lrsweep.store import open_store
from lrsweep.store.tokens import Scope, digest_of

store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    store.tokens.add("ci", Scope.READ, digest_of(sys.argv[2]))
    print("added")
except ValueError:
    print("refused")
store.close()
"""


def test_a_token_is_kept_by_its_hash_and_found_by_itself(store: Store) -> None:
    """The row has 64 hex digits and not the token; one sign changed, and nothing is found."""
    token = new_token()
    row = store.tokens.add("ci", Scope.RUN, digest_of(token))

    assert row == store.tokens.rows()[0]
    assert (row.name, row.scope, row.is_in_force, row.id) == ("ci", Scope.RUN, True, 1)
    assert row.at > 1e9
    assert token.startswith(BEGIN)
    assert token.removeprefix(BEGIN) not in repr(row)
    assert len(row.digest) == 64
    assert found(store.tokens.rows(), token) == row
    assert found(store.tokens.rows(), token[:-1] + ("a" if token[-1] != "a" else "b")) is None
    assert found(store.tokens.rows(), row.digest) is None


def test_a_revoked_token_stays_listed_and_opens_nothing(store: Store) -> None:
    """Its name may be given to another one; what was revoked is not revoked again."""
    old, new = new_token(), new_token()
    store.tokens.add("ci", Scope.ADMIN, digest_of(old))
    revoked = store.tokens.revoke("ci")

    assert not revoked.is_in_force
    assert found(store.tokens.rows(), old) is None
    with pytest.raises(KeyError, match="no token 'ci' is in force"):
        store.tokens.revoke("ci")

    store.tokens.add("ci", Scope.READ, digest_of(new))
    assert [row.is_in_force for row in store.tokens.rows()] == [False, True]
    assert found(store.tokens.rows(), new) == store.tokens.rows()[1]
    store.tokens.revoke("ci")
    assert [row.is_in_force for row in store.tokens.rows()] == [False, False]


def test_two_tokens_in_force_do_not_share_a_name(store: Store) -> None:
    """Else nobody could say which of them to revoke."""
    store.tokens.add("ci", Scope.READ, digest_of(new_token()))
    with pytest.raises(ValueError, match="a token 'ci' is in force"):
        store.tokens.add("ci", Scope.RUN, digest_of(new_token()))
    assert len(store.tokens.rows()) == 1


def test_of_processes_that_give_one_name_at_once_one_does(database_url: str) -> None:
    """The others are refused, and one row is there."""
    open_store(database_url).close()
    assert sorted(raced(ADDS, database_url)) == ["added\n", "refused\n", "refused\n"]
    store = open_store(database_url)
    assert len(store.tokens.rows()) == 1
    store.close()


def test_tokens_are_in_a_backup_and_come_back(database_url: str, tmp_path: Path) -> None:
    """With what was revoked: a backup that forgot it would open a door again."""
    store = open_store(f"sqlite:///{tmp_path}/from/results.db")
    kept, gone = new_token(), new_token()
    store.tokens.add("ci", Scope.READ, digest_of(kept))
    store.tokens.add("old", Scope.ADMIN, digest_of(gone))
    store.tokens.revoke("old")
    before: list[TokenRow] = list(store.tokens.rows())
    store.close()

    back_up(f"sqlite:///{tmp_path}/from/results.db", tmp_path / "saved.zip")
    restore(database_url, tmp_path / "saved.zip")

    again = open_store(database_url)
    assert list(again.tokens.rows()) == before
    with zipfile.ZipFile(tmp_path / "saved.zip") as archive:
        saved = archive.read("lrs_token.jsonl").decode()
    assert digest_of(kept) in saved
    assert kept.removeprefix(BEGIN) not in saved
    again.tokens.add("next", Scope.READ, digest_of(new_token()))
    again.close()


@pytest.mark.parametrize(
    ("has", "allowed"),
    [("read", {"read"}), ("run", {"read", "run"}), ("admin", {"read", "run", "admin"})],
)
def test_a_scope_allows_what_those_before_it_do(has: str, allowed: set[str]) -> None:
    """Read, then run, then admin."""
    assert {wanted.value for wanted in Scope if Scope(has).allows(wanted)} == allowed
