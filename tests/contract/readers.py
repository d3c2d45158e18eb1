"""A store as its readers see it."""

from __future__ import annotations

from typing import Any

from lrsweep.store import Store


def everything(store: Store) -> Any:
    """All that a reader can see, for "nothing has changed"."""
    trainings = store.trainings("digits")
    curves = [store.curve(row.training_id) for row in trainings]
    return (
        store.studies(),
        store.sweeps("digits"),
        store.trials("digits"),
        trainings,
        [None if curve is None else curve.to_bytes() for curve in curves],
        store.events("digits"),
    )
