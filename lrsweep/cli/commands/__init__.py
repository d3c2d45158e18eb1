"""What one types: a function per command, whose parameters are its options. ``main.py`` lists them all.

Every module here is imported by ``lrsweep --help`` too, so a function imports what it calls when it is called: torch,
MLflow, Optuna, SQLAlchemy, and whatever imports them, stay outside until a command needs them.
"""
