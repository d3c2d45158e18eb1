"""Where engines live. An executor takes plans, gives records, and says which trainings were lost with a process."""
