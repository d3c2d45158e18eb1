"""One execution of a study, from the first ask to the last mirrored row.

``driver`` owns the search and the order of things; ``search`` is Optuna in memory, rebuilt from the store; ``halting``
says which trials go on; ``mirror`` copies what is committed to MLflow and to Optuna's own storage; ``owner`` tells a
driver that died from one that lives.
"""
