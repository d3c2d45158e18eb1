"""Engines on a Ray cluster: the only place that knows Ray (its core: actors and shares, nothing of Ray Tune).

    RayExecutor (in the driver) ──> Post, one for each actor ══ Ray ══> Station (the actor, on a node)
      places plans                   what it was given,                   └── LocalExecutor ──> engines' processes
      counts what was lost           and whether it lives

A station holds the executor that a machine has for itself: engines, slots, watchdogs, suspects and measuring are the
same code there. The station only passes on what crosses the network: plans and stops one way, chunks of records the
other, as answers to one question at a time, which is the next one's leave to speak.
"""
