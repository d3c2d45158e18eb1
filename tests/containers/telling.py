"""How a trial of the containers tells what it does: a line per step, with the time that it took; and the commands."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

NOISE = ("unable to get systemd connection", "condition check due to podman", "failed to connect to syslog")
"""Health checks on a timer are systemd's, which a machine without it cannot have: they are run by hand here."""


class Failed(Exception):
    """A step did not come to what it should; the text is for a person."""


class Unable(Failed):
    """This machine cannot, or should not, whatever the containers are like."""


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"  {name} …", flush=True)
    try:
        yield
    except BaseException:
        print(f"✗ {name}: failed after {time.monotonic() - began:.0f} s", flush=True)
        raise
    print(f"✓ {name} ({time.monotonic() - began:.0f} s)", flush=True)


def tell(text: str) -> None:
    print(f"    {text}", flush=True)


def output_of(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    folder: Path,
    seconds: float = 600,
    log: Path | None = None,
    given: str | None = None,
) -> str:
    """What the command writes to standard output. Raises Failed where it leaves with another code than 0.

    With a ``log`` everything is written there instead, which a build of thousands of lines needs.
    """
    line = shlex.join(str(word) for word in command)
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=dict(environ),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            input=given or "",
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{line}\n{_tail(error.stderr)}\nhas not ended after {seconds:.0f} s") from None
    if log is not None:
        log.write_text(f"{done.stdout}\n{done.stderr}")
    if done.returncode != 0:
        raise Failed(f"{line}\n{_tail(done.stdout)}\n{_tail(done.stderr)}\nleft with {done.returncode}")
    return done.stdout


T = TypeVar("T")


def until(found: Callable[[], T | None], what: str, seconds: float, every: float = 0.5) -> T:
    """What it finds, as soon as it does. Raises Failed where the time is over, with the last error that it met."""
    end, last = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            if (value := found()) is not None:
                return value
        except Failed as error:
            last = str(error)
        time.sleep(every)
    raise Failed(f"{what}: not within {seconds:.0f} s. {last}")


def _tail(text: str | bytes | None) -> str:
    text = text.decode(errors="replace") if isinstance(text, bytes) else text or ""
    return "\n".join([line for line in text.splitlines() if not any(each in line for each in NOISE)][-25:])


def complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
