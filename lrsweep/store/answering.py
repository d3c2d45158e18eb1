"""Connections to PostgreSQL whose waiting has an end: a server may accept, be asked, and never answer.

A stopped or overloaded server keeps its sockets, so neither ``connect_timeout`` nor TCP notices. While a statement
waits, psycopg asks ten times a second whether something has come; here the ``Patience`` of who asks is asked too. Any
byte of an answer begins the silence anew, so a long result is not cut off. A connection that was given up is closed:
whatever its transaction had done is undone by the server, once that looks.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen
from sqlalchemy.engine import Engine

from lrsweep.errors import StoreUnavailable
from lrsweep.store.addresses import shown
from lrsweep.store.patience import Patience

ENCODING, UNREADABLE = "UTF8", "SQL_ASCII"


class AnsweringConnection(psycopg.Connection[Any]):
    patience: Patience

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        return super().wait(self._while_patient(gen), *args, **kwargs)

    def _while_patient(self, gen: PQGen[Any]) -> PQGen[Any]:
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    heard_at = now
                elif not self.patience(now - heard_at):
                    self.pgconn.finish()
                    raise silent(now - heard_at)
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def silent(seconds: float) -> psycopg.OperationalError:
    """Without a time where another one's silence was too long already."""
    since = f" for {seconds:.0f} s" if seconds >= 0.5 else ""
    return psycopg.OperationalError(f"the server has not answered{since}")


def bound(engine: Engine, patience: Patience, *, is_saving: bool = False) -> None:
    """All connections that the engine will make. They raise StoreUnavailable where the database's encoding is none for
    results. With ``is_saving`` what another one holds may be read, to be brought into one that is; but of SQL_ASCII
    psycopg gives bytes for text, already where SQLAlchemy asks for the server's version."""

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: Any, options: Any) -> AnsweringConnection:
        if not patience(0.0):
            raise silent(0.0)
        connection = AnsweringConnection.connect(*arguments, **options)
        found = connection.info.parameter_status("server_encoding")
        is_fit = found in (ENCODING, None)  # None: a pooler between does not tell
        if not is_fit and (found == UNREADABLE or not is_saving):
            connection.close()
            saved = (
                " `lrsweep db backup FILE` reads this one all the same, and `lrsweep db restore FILE` brings it there."
            )
            raise StoreUnavailable(
                f"the database {shown(engine.url)} has the encoding {found}, and results need {ENCODING}. Make another "
                f"one, createdb -E {ENCODING} -T template0 NAME, and name it in the place of this one."
                f"{'' if found == UNREADABLE else saved}"
            )
        connection.patience = patience
        return connection
