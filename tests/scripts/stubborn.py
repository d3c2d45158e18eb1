"""Processes that do not want to end: each takes no notice of SIGTERM and writes its id into a file of the folder given.

The script itself, a child, and a grandchild in a session of its own whose parent has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def stay(folder: Path, name: str) -> None:
    draft = folder / f"{name}.draft"
    draft.write_text(str(os.getpid()))
    draft.rename(folder / f"{name}.pid")
    while True:
        time.sleep(60)


def main() -> None:
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.fork() == 0:
        stay(folder, "child")
    if (between := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            stay(folder, "grandchild")
        os._exit(0)
    os.waitpid(between, 0)
    stay(folder, "script")


if __name__ == "__main__":
    main()
