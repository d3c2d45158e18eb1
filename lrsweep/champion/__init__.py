"""The choice in force: kept as a row in SQL, a version in MLflow's registry, and a JSON file that fits in git."""
