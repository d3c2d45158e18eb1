"""Processes that begin the same thing at the same moment."""

from __future__ import annotations

import subprocess
import sys


def raced(script: str, url: str, count: int = 3) -> list[str]:
    """What each has written after its ``ready``, once all are there and have heard the word; every one has to end well.

    The script gets the address and its own name, prints ``ready``, and waits for a line.
    """
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, url, f"racer-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    written = [racer.communicate(timeout=300)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * count
    return written
