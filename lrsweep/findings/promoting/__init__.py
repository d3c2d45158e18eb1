"""``lrsweep promote``, ``demote`` and ``history``: the choice of a study comes into force, and out of it again.

    choose ──> value ──> the test set (counted, then read) ──> a row in SQL ──> the file ──> MLflow's registry

The row is what counts. A file that cannot be written is an error that comes after it, and an MLflow that is away is a
sentence: the same command does what is left, and so does `lrsweep sync` for MLflow.
"""
