"""The command ``lrsweep``. Each command is a thin door: it reads settings, calls one function and shows its result."""

from lrsweep.cli.main import main

__all__ = ["main"]
