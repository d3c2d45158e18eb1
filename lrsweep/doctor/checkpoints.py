"""Checkpoints that lie elsewhere than in the home: at a URL."""

from __future__ import annotations

import threading

from lrsweep.doctor.findings import Finding, fault, ok
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
            count = len(RemoteFolders(url).names())
        except LrsweepError as error:
            said.append(fault(AREA, str(error).partition(". ")[0], "Mend LRSWEEP_CHECKPOINTS, or unset it."))
        else:
            said.append(ok(AREA, f"the checkpoints {shown}: reached, {count} there"))

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
