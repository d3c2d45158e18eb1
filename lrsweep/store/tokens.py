"""Tokens in the store: who may ask the service, and for what. Rows, rules, one contract.

A token is ``lrs_`` and 256 random bits. It is shown when it is made and kept as its SHA-256 alone: so many random bits
cannot be guessed, so the hash needs no salt and no work factor. A row is never deleted: what was revoked stays listed,
and its name may be given to another token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

BEGIN = "lrs_"
"""Of every token, so that people and scanners of repositories see what it is."""
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
LONGEST = 200
"""Characters that are looked at: what is longer is no token."""


class Scope(StrEnum):
    """What a token allows; each allows what those before it do."""

    READ = "read"
    """studies, schedules, sweeps and their reports"""
    RUN = "run"
    """to start and cancel sweeps"""
    ADMIN = "admin"
    """everything"""

    def allows(self, wanted: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(wanted)


@dataclass(frozen=True)
class TokenRow:
    name: str
    scope: Scope
    digest: str
    """SHA-256 of the token, in hex"""
    revoked_at: float | None = None
    """None: it is in force"""
    id: int = 0
    """given by the store"""
    at: float = 0.0
    """when it was made, seconds since 1970 by the store's clock"""

    @property
    def is_in_force(self) -> bool:
        return self.revoked_at is None


class Tokens(Protocol):
    """Every method is one transaction. Raises ``TryAgain`` and ``StoreUnavailable`` as the rest of the store does."""

    def rows(self) -> Sequence[TokenRow]:
        """Oldest first, revoked ones too."""

    def add(self, name: str, scope: Scope, digest: str) -> TokenRow:
        """Raises ValueError where one of that name is in force."""

    def revoke(self, name: str) -> TokenRow:
        """Raises KeyError where none of that name is in force."""


# ── the rules ────────────────────────────────────────────────────────────────────────────────────────────────────────
def new_token() -> str:
    return f"{BEGIN}{secrets.token_urlsafe(32)}"


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def found(rows: Iterable[TokenRow], token: str) -> TokenRow | None:
    """The row of a token that is in force. Every row is compared, and each in constant time: how long it takes says
    nothing of a digest."""
    return found_by_digest(rows, digest_of(token[:LONGEST]))


def found_by_digest(rows: Iterable[TokenRow], given: str) -> TokenRow | None:
    """The same, of who has shown the token before."""
    match = None
    for row in rows:
        if hmac.compare_digest(row.digest, given) and row.is_in_force:
            match = row
    return match


def is_a_name(given: str) -> bool:
    """
    >>> is_a_name("ci.nightly-2"), is_a_name("-x"), is_a_name("a b")
    (True, False, False)
    """
    return re.fullmatch(NAME, given) is not None


def in_force(rows: Iterable[TokenRow], name: str) -> TokenRow | None:
    return next((row for row in rows if row.name == name and row.is_in_force), None)


def refuse_second(rows: Iterable[TokenRow], name: str) -> None:
    if in_force(rows, name) is not None:
        raise ValueError(f"a token {name!r} is in force")


def to_revoke(rows: Iterable[TokenRow], name: str) -> TokenRow:
    row = in_force(rows, name)
    if row is None:
        raise KeyError(f"no token {name!r} is in force")
    return row
