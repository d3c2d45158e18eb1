"""What a study's sweep came to, as the content of its report.

gathering.py   a sweep's rows as the report's content
curves.py      which trainings' curves are shown, and what peak rates came to
spent.py       what the sweep took, and where it diverged
origins.py     what a result depends on: versions, commit, data, seeds
ending.py      the page for MLflow, when a sweep has ended
"""
