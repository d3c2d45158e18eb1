"""``lrsweep choose``: which schedule the results of trainings speak for, whoever trained them.

asked.py     a target that is asked for, and which trainings may be compared
table.py     a CSV or Parquet file as results; all that is wrong with it at once
studied.py   a study's finals as results
tracked.py   an MLflow experiment as results
drawing.py   how the choice reads in a terminal
"""
