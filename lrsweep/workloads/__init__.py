"""What can be trained: one file per workload, and ``catalog``, which knows of each what a study file may write.

The catalog is all that is loaded here: a study file is checked without torch.
"""

from lrsweep.workloads.catalog import Entry, WorkloadSetting, check, complete, entry, home, workload_names

__all__ = ["Entry", "WorkloadSetting", "check", "complete", "entry", "home", "workload_names"]
