"""Trains by running the user's own script: one attempt of a training is one run of a command.

    engine      which trainings run at the same time, on which devices, and what came of each
    training    one attempt: prepare, start, watch, end
      folder      the files and the environment that a script finds
      process     the guard of a script's processes, seen from here
      guard       the same guard, a program of its own
      forks       a guard in a fork, where the script's libraries are imported once for all trainings
      forking     what it is forked from, a program of its own
      becoming    how a fork becomes the script
      tail        what was appended to a file since the last look
      story       what the script has said so far, as a curve
      endings     what an end means: an outcome, or another attempt
    describing  what a script says of itself before anything is trained
    devices     which devices a training sees

Nothing here imports torch: that is the script's own affair.
"""

from lrsweep.engines.command.describing import describe
from lrsweep.engines.command.devices import concurrency
from lrsweep.engines.command.engine import CommandEngine

__all__ = ["CommandEngine", "concurrency", "describe"]
