"""Checkpoints that lie elsewhere than in the home: at a URL."""

from __future__ import annotations

import threading

from lrsweep.doctor.findings import Finding, fault, ok, warning
from lrsweep.errors import LrsweepError
from lrsweep.redaction import public_link
from lrsweep.sweep.remote_checkpoints import RemoteFolders

AREA = "disk"
ANSWER_SECONDS = 20.0


def check_remote(url: str) -> list[Finding]:
    """Whether it answers, as when a sweep begins; whether one may write there shows with the first checkpoint."""
    shown = public_link(url) or "a URL"
    said: list[Finding] = []

    def ask() -> None:
        try:
            folders = RemoteFolders(url)
            count = len(folders.names())
            is_there = count > 0 or folders.is_there()
            has_parent = is_there or folders.has_parent()
        except LrsweepError as error:
            said.append(fault(AREA, str(error).partition(". ")[0], "Mend LRSWEEP_CHECKPOINTS, or unset it."))
        else:
            said.append(_reached(shown, count) if is_there else _missing(shown, has_parent))

    asking = threading.Thread(target=ask, daemon=True)  # libraries for such URLs try for minutes
    asking.start()
    asking.join(ANSWER_SECONDS)
    return said or [
        fault(
            AREA,
            f"the checkpoints {shown} have not answered for {ANSWER_SECONDS:.0f} s",
            "Mend LRSWEEP_CHECKPOINTS, or unset it: a sweep would wait for it, too.",
        )
    ]


def _reached(shown: str, count: int) -> Finding:
    return ok(AREA, f"the checkpoints {shown}: reached, {count} there")


def _missing(shown: str, has_parent: bool) -> Finding:
    """The same for a place that is new and for one that is mistyped."""
    found = f"the checkpoints {shown}: not there yet, made with the first checkpoint; its parent "
    if has_parent:
        return ok(AREA, f"{found}is there")
    return warning(AREA, f"{found}is not there", "Look at LRSWEEP_CHECKPOINTS for a typing error, or make the parent.")
