"""A small client of the service (``lrsweep serve``): numpy and the standard library alone.

    client = Client("http://127.0.0.1:8000", token="lrs_…")
    found = client.schedule("digits")              # found.recommended, found.evidence_level, found.rates
    found.choice.torch(optimizer, total_steps)     # the same choice that lrsweep.load_choice gives

    sweep = client.start("digits", key="2026-11-20")["sweep"]    # a worker drives it
    for event in client.events(sweep): ...                       # as it happens, to its end
    client.wait(sweep)["state"]                                  # or just wait

An answer that was asked for before is asked for again by its ETag, and costs a few bytes where it still holds.

client.py     a method for each route, and what it answers as values
wire.py       questions over HTTP, answers that are whole, and refusals as errors
following.py  events over as many connections as it takes
given.py      what is checked before anything is asked: the address, the token, a key
"""

from lrsweep.client.client import Client, Scheduled
from lrsweep.client.given import TOKEN

__all__ = ["TOKEN", "Client", "Scheduled"]
