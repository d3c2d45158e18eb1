"""Nights as statistics: rows of nights in, a verdict on each out. Pure; a driver asks it each night with all rows.

    judge([... nights before, tonight with its canary alone])      ──> needs_challengers, and whom
    judge([... nights before, tonight with its challengers too])   ──> the verdict

    rows           one night's evidence, as a driver stores it
    folding        night after night: what is compared with what
    canaries       tonight's canaries on their charts
    drifting       ``workload drifted``: the last nights of a chart lie beside those before them
    challenging    ``challenger better``: two nights have confirmed a suspicion, and all pairs show more than ``worth``
    saying         which verdict that gives, and its sentences
    judgement      all that is said of a night

``undecided`` is a night of too few nights before it, of changed surroundings, of a canary that left its limits or of an
open suspicion; ``holds`` is any other.

A change of device or version, of champion, baseline or rung makes values incomparable: limits and pairs start anew, the
verdict is ``undecided``, and says what has changed. Code and data are what a night is there to watch, so that a changed
commit or data hash starts nothing anew unless the ``Rules`` say so; it is named beside whatever is found. After a drift
the limits start anew too, so that one drift is one verdict; and likewise a challenger is found once: until somebody
acts, the nights after it are ``undecided`` and name it (``standing``).

Where nothing changes, the levels of 365 nights add up to 0.3 false drifts, and those of all challengers ever to 0.1.
Simulated years have 0.1 where a night's seeds are normal, and 0.2 to 0.4 where they are exponential, with nights missed
and seeds that diverge (``tests/benchmarks/nights``, which also has the nights needed to see a shift). That assumes
nights that do not depend on each other, fresh seeds (one used before is left out, and told) and at most 365 nights a
year; seeds may also vary together from night to night. It fails where nights depend on each other (a shared cache, a
machine that warms up over weeks): with an autocorrelation of 0.6 there are 2 to 3 false drifts a year. A drift that is
slower than 34 nights, or that begins within the first ten, hides for long in the nights that it is compared with; a
change of one night alone is never a verdict; and two devices that take turns never gather enough nights for limits.
"""

from lrsweep.selection.nights.challenging import Compared
from lrsweep.selection.nights.folding import judge, judgements
from lrsweep.selection.nights.judgement import Chart, Judgement, NightVerdict, Rules
from lrsweep.selection.nights.rows import Change, Night, Outcomes, Surroundings

__all__ = [
    "Change",
    "Chart",
    "Compared",
    "Judgement",
    "Night",
    "NightVerdict",
    "Outcomes",
    "Rules",
    "Surroundings",
    "judge",
    "judgements",
]
