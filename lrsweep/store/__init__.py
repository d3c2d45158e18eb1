"""The store keeps every result in SQL; ``base.py`` is its contract, ``open_store`` the way in.

addresses.py ── which databases, which schema           rules.py ── what each change means, pure
opening.py ──── engine, checks, migrations              memory.py ─ the contract in dictionaries
faults.py ───── a database's errors in our words        sql.py ──── the contract in SQL, tables in models.py
champions.py ── who was promoted: rows, rules, contract; champions_memory.py and champions_sql.py keep it
queue.py ────── sweeps that are asked for over HTTP: the same three
answering.py ── PostgreSQL's connections: each wait has an end, by the patience.py of who asks
tokens.py ───── who may ask the service: the same three
nights.py ───── what nights compare and have found: the same three
"""

from lrsweep.store.addresses import normalised, with_schema
from lrsweep.store.base import Event, Lease, Store, TrialEnd
from lrsweep.store.memory import MemoryStore
from lrsweep.store.opening import ensure_schemas, open_store
from lrsweep.store.sql import SqlStore

__all__ = [
    "Event",
    "Lease",
    "MemoryStore",
    "SqlStore",
    "Store",
    "TrialEnd",
    "ensure_schemas",
    "normalised",
    "open_store",
    "with_schema",
]
