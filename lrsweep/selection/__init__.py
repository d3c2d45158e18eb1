"""Selection: rows in, a ranking out. Pure; it neither trains nor stores."""

from lrsweep.selection.ranking import FamilyStanding, best_trial, by_family, cost

__all__ = ["FamilyStanding", "best_trial", "by_family", "cost"]
