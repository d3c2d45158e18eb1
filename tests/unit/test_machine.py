"""What a process is told of its machine and of itself."""

from __future__ import annotations

import subprocess
import sys

MIB = 2**20
STARTS = """
import subprocess, sys
held = bytearray(400 * 2**20)
code = "from lrsweep.engines.machine import peak_bytes; print(peak_bytes())"
print(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
"""


def test_the_peak_is_the_processs_own_and_not_of_who_started_it() -> None:
    """A driver holds some hundred MiB as it starts a trainer, whose memory decides how many run at a time."""
    ran = subprocess.run([sys.executable, "-c", STARTS], check=True, capture_output=True, text=True)
    assert 5 * MIB < int(ran.stdout) < 200 * MIB
