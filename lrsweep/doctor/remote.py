"""Checkpoints and data sets that lie elsewhere than on this machine: at a URL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from lrsweep.doctor.findings import Finding, fault, ok, warning
from lrsweep.errors import LrsweepError
from lrsweep.redaction import public_link
from lrsweep.sweep.remote_checkpoints import RemoteFolders
from lrsweep.workloads.fetching import is_anything_at, source_of

AREA = "disk"
ANSWER_SECONDS = 20.0


def check_checkpoints(url: str) -> list[Finding]:
    """Whether it answers, as when a sweep begins; whether one may write there shows with the first checkpoint."""
    shown = f"the checkpoints {_shown(url)}"

    def ask() -> Finding:
        folders = RemoteFolders(url)
        count = len(folders.names())
        if count or folders.is_there():
            return ok(AREA, f"{shown}: reached, {count} there")
        # the same for a place that is new and for one that is mistyped
        found = f"{shown}: not there yet, made with the first checkpoint; its parent "
        if folders.has_parent():
            return ok(AREA, f"{found}is there")
        return warning(
            AREA, f"{found}is not there", "Look at LRSWEEP_CHECKPOINTS for a typing error, or make the parent."
        )

    return [_answer("LRSWEEP_CHECKPOINTS", shown, ask)]


def check_data(folder: Path) -> list[Finding]:
    """Of a folder that a URL is copied to; nothing is copied for it, and nothing is said of any other."""
    url = source_of(folder)
    if url is None:
        return []
    shown = f"the data {_shown(url)}"
    if folder.exists():
        return [ok(AREA, f"{shown}: copied to this machine")]

    def ask() -> Finding:
        if is_anything_at(url):
            return ok(AREA, f"{shown}: reached, copied to this machine when it is first wanted")
        remedy = "Look at LRSWEEP_DATA for a typing error. Workloads with data of their own need none."
        return fault(AREA, f"{shown}: nothing is there", remedy)

    return [_answer("LRSWEEP_DATA", shown, ask)]


def _shown(url: str) -> str:
    return public_link(url) or "at a URL"


def _answer(variable: str, shown: str, ask: Callable[[], Finding]) -> Finding:
    said: list[Finding] = []

    def listen() -> None:
        try:
            said.append(ask())
        except LrsweepError as error:
            said.append(fault(AREA, str(error).partition(". ")[0], f"Mend {variable}, or unset it."))

    asking = threading.Thread(target=listen, daemon=True)  # libraries for such URLs try for minutes
    asking.start()
    asking.join(ANSWER_SECONDS)
    if said:
        return said[0]
    unanswered = f"{shown} have not answered for {ANSWER_SECONDS:.0f} s"
    return fault(AREA, unanswered, f"Mend {variable}, or unset it: a sweep would wait for it, too.")
