"""Selection: rows in, a ranking or a choice out; numbers in, intervals out. Pure; it neither trains nor stores."""

from lrsweep.selection.ranking import (
    Ends,
    FamilyStanding,
    best_per_family,
    best_trial,
    by_family,
    cost,
    in_order,
    ranked,
)

__all__ = ["Ends", "FamilyStanding", "best_per_family", "best_trial", "by_family", "cost", "in_order", "ranked"]
