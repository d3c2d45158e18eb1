"""The time-driven families, one file each."""
