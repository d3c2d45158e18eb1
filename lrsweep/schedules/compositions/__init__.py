"""What is made of other schedules, one file each: a sequence, a longer horizon, a cool-down branched off."""
