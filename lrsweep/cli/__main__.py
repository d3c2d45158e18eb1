"""``python -m lrsweep.cli``: the same as the command ``lrsweep``."""

from lrsweep.cli.main import main

main()
