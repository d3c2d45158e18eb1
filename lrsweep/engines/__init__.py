"""How one device trains a list of trainings. ``sequential`` is the meaning; faster engines must give the same curves.

An engine turns plans into records and writes nothing else: it knows neither SQL, MLflow nor Optuna.
"""
