"""What a database complains of, in words that help: no error of SQLAlchemy leaves the store bare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from lrsweep.errors import StoreUnavailable, TryAgain
from lrsweep.redaction import without_secrets
from lrsweep.store.addresses import as_text, shown

# What the database says, and what to do about it; the first that fits is used.
_ADVICE = (
    ("file is not a database", "That file is something else: name another one, it is created when it is missing."),
    ("database disk image is malformed", "The file is damaged: bring back a copy, or name another one."),
    ("readonly database", "Make the file and its folder writable for this user, or name another file."),
    ("unable to open database file", "Check that this is a file, not a folder, and that this user may write there."),
    ("database or disk is full", "Make room on that disk."),
    ("No space left on device", "Make room on that disk."),
    ("disk I/O error", "Check the disk, and that the file does not lie on a network drive."),
    ("database is locked", "Another program has been writing to that file for 20 s: let it finish or stop it."),
    ("lock timeout", "Another program has held a table's lock for 20 s: let it finish or stop it."),
    (
        "password authentication failed",
        "Check user and password, in the address or in the file that PGPASSFILE names.",
    ),
    (
        "no password supplied",
        "Put the password into the file that PGPASSFILE names, readable by you alone (chmod 600), or into the address: "
        "postgresql://USER:PASSWORD@HOST/DATABASE.",
    ),
    ("does not support SSL", "Let the server's administrator turn SSL on, or leave sslmode out of the address."),
    ("certificate verify failed", "Name the server's authority in the address: sslrootcert=FILE."),
    ("root certificate file", "Name the server's authority in the address: sslrootcert=FILE."),
    ("does not match host name", "Name the server in the address as its certificate does, or say sslmode=verify-ca."),
    ("no pg_hba.conf entry", "The server does not let this user in from this machine: ask its administrator."),
    ("Connection refused", "Check that the server runs, and host and port in the address."),
    ("failed to resolve host", "Check the host in the address."),
    ("could not translate host name", "Check the host in the address."),
    (
        "timeout expired",
        "The host does not answer, or the server hangs: check host and port in the address, any firewall between, and "
        "the server.",
    ),
    ("No such file or directory", "No server listens there: start it, or check the host in the address."),
    ("unsupported startup parameter", "A pooler refuses `options`: connect to the server itself, past the pooler."),
    ("too many clients", "The server has no free connection: close some, or raise its max_connections."),
    ("remaining connection slots", "The server has no free connection: close some, or raise its max_connections."),
    ("read-only transaction", "The server is read-only, perhaps a standby: name the one that takes writes."),
    ("permission denied", "Let the server's administrator grant this user the right to read and write there."),
    ("does not exist", "Create it first: createdb DATABASE, or CREATE ROLE for a user."),
    (
        "the server has not answered",
        "It hangs, has too much to do, or a stopped process holds a lock there: look at the server.",
    ),
    ("server closed the connection", "The server was restarted or stopped."),
    ("terminating connection", "The server was restarted or stopped."),
)
_NOT_A_VALUE = ("Error binding parameter", "cannot adapt type")


@contextmanager
def while_opening(address: URL) -> Iterator[None]:
    """Whatever goes wrong with the database is StoreUnavailable, with what to check."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(
            f"the results database {shown(address)} cannot be used: {_told(error, address)}"
        ) from error


@contextmanager
def while_open(address: URL) -> Iterator[None]:
    """A row that the database refuses is a ValueError; anything that may pass is TryAgain."""
    try:
        yield
    except OverflowError as error:  # sqlite3 lets it through as it is
        raise ValueError(f"the row contradicts what is stored: {error}") from error
    except SQLAlchemyError as error:
        reason = _told(error, address)
        if isinstance(error, IntegrityError | DataError) or any(mark in reason for mark in _NOT_A_VALUE):
            raise ValueError(f"the row contradicts what is stored: {reason}") from error
        if isinstance(error, ProgrammingError):  # a missing table or right does not pass by itself
            raise StoreUnavailable(f"the results database {shown(address)} is not as it was: {reason}") from error
        raise TryAgain(
            f"the results database {shown(address)} failed: {reason} What was committed is safe; "
            "the same command continues."
        ) from error


def _told(error: Exception, address: URL) -> str:
    """The database's own words on one line, then the advice for them."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    words = without_secrets(" ".join(str(cause).split()), as_text(address)).rstrip(".")
    return " ".join([f"{words}.", *[advice for mark, advice in _ADVICE if mark in words][:1]])
