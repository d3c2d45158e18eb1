"""What can be trained: one file per workload, and ``catalog``, which knows of each what a study file may write.

The catalog is all that is loaded here: a study file is checked without torch.
"""

from lrsweep.workloads.catalog import Entry, check, complete, entry, home, is_own, workload_names
from lrsweep.workloads.setting import WorkloadSetting

__all__ = ["Entry", "WorkloadSetting", "check", "complete", "entry", "home", "is_own", "workload_names"]
