"""``lrsweep choose`` of results that are no study's (of a study's: ``findings.choosing``), and how a choice reads.

table.py     a CSV or Parquet file as results; all that is wrong with it at once
tracked.py   an MLflow experiment as results
drawing.py   how the choice reads in a terminal
"""
