"""``lrsweep register`` and ``lrsweep worker``: which studies may be started over HTTP, and who drives those that were.

registering.py  checks a study as ``plan`` does, and remembers it
worker.py       claims what waits, one after the other, until a signal ends it
claiming.py     one claim: renewed in a thread, which hears of wishes and of its loss
driving.py      the claimed sweep, by the driver of ``lrsweep run``, and what its end means for the queue
"""
