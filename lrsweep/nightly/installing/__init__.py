"""Ready files for whatever starts the nights: cron, systemd or GitHub. lrsweep has no scheduler of its own.

    job       what is to run, where and when, as a value that all three are made of
    cron      two comments and a line
    systemd   a service and its timer
    github    a workflow

Pure: a job in, files by their names out. What is secret stands in none of them.
"""

from lrsweep.nightly.installing.job import Job

__all__ = ["Job"]
