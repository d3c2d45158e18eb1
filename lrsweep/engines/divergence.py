"""When a training has diverged. These are all the rules, each a sentence with its numbers and its step:

1. A training loss is NaN or infinite. The curve ends with it.
2. The validation loss is NaN or infinite.
3. The validation loss is above 4 times the loss at the start, at 3 evaluations in a row. That does not come back in
   time. A loss of 0 or less at the start has no multiple, and then there is no such rule.

The loss at the start is the first training loss. A training that begins with a checkpoint (``init``) is validated
before its first update too, and the greater of both losses counts: a model may know its training data by heart.

They go by ``val_loss`` whatever the search goes by. Steps are counted as the curve counts them: the loss at step i is
the one before update i, from 0 on; an evaluation at step i follows i updates. A change here changes what trainings
mean: see ``TRAINING_RULES``. Needs neither torch nor numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

EXPLODED_FACTOR = 4.0
EXPLODED_EVALUATIONS = 3


def of_training_loss(loss: float, step: int) -> str | None:
    """The reason to stop at this loss; None: it goes on."""
    return None if math.isfinite(loss) else f"the training loss was {loss} at step {step}"


def of_validation_losses(losses: Sequence[float], start: float, step: int) -> str | None:
    """The reason to stop after these evaluations, the last of them at ``step``; None: it goes on.

    ``start`` is the loss at the start.
    """
    if not math.isfinite(losses[-1]):
        return f"the validation loss was {losses[-1]} at step {step}"
    recent = losses[-EXPLODED_EVALUATIONS:]
    limit = EXPLODED_FACTOR * start
    if start > 0 and len(recent) == EXPLODED_EVALUATIONS and min(recent) > limit:
        told = ", ".join(f"{loss:.4g}" for loss in recent)
        return (
            f"the validation loss was above {limit:.4g}, {EXPLODED_FACTOR:g} times the loss at the start, at "
            f"{EXPLODED_EVALUATIONS} evaluations in a row, the last at step {step}: {told}"
        )
    return None
