"""Nights: is the choice in force still the one to use? Asked every night, cheaply where nothing has changed.

running      all studies of a run within one budget of time; the gravest exit code
  finding      which studies a command means
  studying     one study's night: read, gone on with, or begun
    alone        one process at a time
    around       commit, data, versions, device: whether anything has changed
    planning     what a night compares, settled when it begins: rung, seeds, who may be better
      contenders   the champion, the baseline, challengers, with all that one trains them with
    comparing    the canary, challengers, the verdict
      training     each training committed as it ends
      evidence     rows of the store as values of ``selection.nights``, which judges
      promoting    what comes into force
    sweeping     a study without a champion: its sweep
history      nights as they were
recorded     the same key again
describing   what workloads say of themselves, asked once in a run
outcome      what a night came to: values that every output is made of
asked, workplace     what was typed; what all studies share
telling      files, notifications, a dead-man switch
showing      a run of MLflow for each night that trained
installing   files for cron, systemd and GitHub
"""
