"""A schedule as a text of Python that needs no lrsweep: the user's own, to paste into a repository.

>>> import lrsweep
>>> text = lrsweep.schedule("linear", warmup=0.2).to_code("python", total_steps=5, peak_lr=0.4)
>>> own = {}
>>> exec(text, own)
>>> [own["rate"](step) for step in range(7)]
[0.2, 0.4, 0.30000000000000004, 0.2, 0.1, 0.0, 0.0]

Every text begins with the same ``rate(step)``. ``factors.py`` writes what all schedules share, ``decays.py`` has one
formula per family, ``parts.py`` what is made of other schedules, ``momenta.py`` the cycled momentum, ``targets.py``
what joins the rate to each library, and ``grouped.py`` the same for parameter groups. A family without a formula gets a
literal table, one number per step.
"""

from lrsweep.schedules.code.emitter import to_code
from lrsweep.schedules.code.grouped import GROUPED_TARGETS, grouped_to_code
from lrsweep.schedules.code.targets import TARGETS

__all__ = ["GROUPED_TARGETS", "TARGETS", "grouped_to_code", "to_code"]
