"""MLflow: does it answer, and what does it let this user do?"""

from __future__ import annotations

from lrsweep.doctor.findings import Finding, fault, ok, warning
from lrsweep.tracking.probing import TrackingProbed, is_made, probe_tracking

AREA = "MLflow"
INDISPENSABLE = ("make runs", "log metrics", "tag runs")
"""Without these a sweep shows nothing there; what else is refused is skipped, with a warning."""
MANAGE = "A sweep goes on without it; for all of it, ask the server's administrator for MANAGE."
REMEDIES = {
    "make experiments": "A sweep needs one that is there: have it made by somebody who may, with the right to EDIT it "
    'for this user, or name one: experiment = "…" under [tracking] in the study file. Other rights were not tried.'
}
"""of what is no fault, where it is not MANAGE"""


def check_tracking(uri: str, *, is_ours: bool) -> list[Finding]:
    """``is_ours``: a database that lrsweep makes; a server, or a database that the user names, is only used."""
    if is_ours and not is_made(uri):
        return [ok(AREA, "its database is not there yet; the first sweep makes it")]
    return findings_of(probe_tracking(uri, try_rights=not is_ours), is_ours=is_ours)


def findings_of(probed: TrackingProbed, *, is_ours: bool) -> list[Finding]:
    version = f" (version {probed.version})" if probed.version else ""
    found = [ok(AREA, f"{probed.uri}{version} answers")]
    if not is_ours and not probed.denied:
        found.append(ok(AREA, "this user may make, tag and delete experiments and runs, and store artifacts"))
    for right, said in probed.denied.items():
        text = f"this user may not {right}: {said}"
        if right in INDISPENSABLE:
            found.append(fault(AREA, text, "Ask the server's administrator for the right to EDIT the experiment."))
        else:
            found.append(warning(AREA, text, REMEDIES.get(right, MANAGE)))
    return found
