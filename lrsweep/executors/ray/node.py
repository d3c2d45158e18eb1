"""What the stations of one node share: a folder there, with what was measured."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path

NODES = Path("~/.cache/lrsweep/nodes")
"""Each node has its own folder in it: homes are often on a disk that many nodes mount."""


def folder_of_node() -> Path:
    """It is there, and may be written."""
    name = platform.node() or "this-machine"
    for parent in (NODES.expanduser(), Path(tempfile.gettempdir()) / "lrsweep-nodes"):
        folder = parent / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="lrsweep-node-"))
