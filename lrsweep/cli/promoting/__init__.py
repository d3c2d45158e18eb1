"""How ``lrsweep promote``, ``demote`` and ``history`` read in a terminal."""
