"""Variables that change what lrsweep does: known, misspelt, or left from a test."""

from __future__ import annotations

from collections.abc import Mapping

from lrsweep import settings
from lrsweep.doctor.findings import Finding, ok, warning
from lrsweep.errors import did_you_mean

AREA = "settings"
OF_SCRIPTS = ("LRSWEEP_PLAN", "LRSWEEP_ATTEMPT")
"""What a sweep sets for the scripts that it runs."""
OF_OTHERS = ("LRSWEEP_NOTIFY", "LRSWEEP_NOTIFY_FILE", "LRSWEEP_PING", "LRSWEEP_TOKEN")
"""What nights and programs that ask a service read."""


def known_variables() -> list[str]:
    """What ``settings.py`` reads."""
    values = [value for value in vars(settings).values() if isinstance(value, str)]
    return sorted({value for value in values if value.startswith("LRSWEEP_")})


def check_environment(environ: Mapping[str, str]) -> list[Finding]:
    """Names alone are shown: a value may be a secret."""
    known = sorted({*known_variables(), *OF_OTHERS})
    found = []
    for name in sorted(environ):
        if not name.startswith("LRSWEEP_") or name in OF_SCRIPTS:
            continue
        if name not in known:
            remedy = f"Unset it.{did_you_mean(name, known)} There are: {', '.join(known)}."
            found.append(warning(AREA, f"{name} is set, but lrsweep reads no such variable", remedy))
        elif name == settings.FAULT and environ[name]:
            found.append(warning(AREA, f"{name} is set: it kills the process at a named point, for tests", "Unset it."))
    used = [name for name in (*known, settings.TRACKING_URI) if environ.get(name)]
    return [ok(AREA, f"set: {', '.join(used)}" if used else "no variable is set: everything as by default"), *found]
