"""``lrsweep token``: makes a token, shows it once, and keeps its hash; revokes one; lists them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lrsweep.champion.history import when
from lrsweep.errors import SettingsError, did_you_mean
from lrsweep.records import Json
from lrsweep.store import Store
from lrsweep.store.tokens import NAME, Scope, TokenRow, digest_of, is_a_name, new_token


def create(store: Store, name: str, scope: Scope) -> tuple[TokenRow, str]:
    """The row, and the token, which nobody can tell again."""
    if not is_a_name(name):
        raise SettingsError(
            f"{name[:100]!r} is no name of a token; wanted letters, digits, and after the first also . - _ ({NAME})."
        )
    token = new_token()
    try:
        return store.tokens.add(name, scope, digest_of(token)), token
    except ValueError:
        raise SettingsError(
            f"a token {name!r} is in force already. Take another name, or `lrsweep token revoke {name}` first."
        ) from None


def is_first(store: Store, row: TokenRow) -> bool:
    """Whether no other was ever made, revoked ones counted: before it a service on loopback asked for none."""
    return all(each.id == row.id for each in store.tokens.rows())


def revoke(store: Store, name: str) -> TokenRow:
    try:
        return store.tokens.revoke(name)
    except KeyError:
        known = [row.name for row in store.tokens.rows() if row.is_in_force]
        there = f"There are: {', '.join(known)}." if known else "There is none."
        raise SettingsError(f"no token {name[:100]!r} is in force.{did_you_mean(name, known)} {there}") from None


def to_json(row: TokenRow) -> dict[str, Json]:
    """Without the hash: it opens nothing, and is of no use."""
    return {
        "name": row.name,
        "scope": row.scope.value,
        "made": when(row.at),
        "revoked": None if row.revoked_at is None else when(row.revoked_at),
    }


def show(console: Console, rows: Sequence[TokenRow]) -> None:
    if not rows:
        console.print("There is no token. `lrsweep token create NAME` makes one.", highlight=False)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("name", "scope", "made (UTC)", "revoked (UTC)"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        found = to_json(row)
        made, revoked = (str(found[key] or "").replace("T", " ").removesuffix("+00:00") for key in ("made", "revoked"))
        table.add_row(escape(row.name), row.scope.value, made, revoked)
    console.print(table)
