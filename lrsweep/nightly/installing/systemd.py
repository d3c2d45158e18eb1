"""A service that runs one night, and a timer that starts it; for the system's systemd, under the user's name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lrsweep.nightly.installing.job import MARGIN, NAME, Job

SERVICE, TIMER = f"{NAME}.service", f"{NAME}.timer"


def files(job: Job) -> dict[str, str]:
    return {SERVICE: _service(job), TIMER: _timer(job)}


def _service(job: Job) -> str:
    environment = "\n".join(
        f"Environment={_word(f'{name}={value}')}" for name, value in {"PATH": job.path, **job.environment}.items()
    )
    writable = "".join(f"\nReadWritePaths={_word(f'-{folder}')}" for folder in _in_the_system(job))
    return f"""\
# lrsweep's nights; {TIMER} starts it. Install both as root:
#   lrsweep nightly install --systemd --out /etc/systemd/system …
#   systemctl daemon-reload && systemctl enable --now {TIMER}
# What a night says is in: journalctl -u {NAME}
[Unit]
Description=lrsweep nights: is the schedule in force still the one to use?
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={_raw(job.user)}
WorkingDirectory={_raw(str(job.folder))}
{environment}
# Secrets: lines such as LRSWEEP_PING='https://…' in a file that its user alone can read (chmod 600); it may be missing.
EnvironmentFile=-{_raw(str(job.secrets_file))}
# The colon: no word of it is a variable.
ExecStart=:{" ".join(map(_word, _started(job.words)))}
# A champion that changed or drifted is no failure of the service.
SuccessExitStatus=4
# The deadline drains what trains by itself; this is for a night that does not hear it. A stop lets trainings be kept.
TimeoutStartSec={job.deadline + MARGIN:.0f}
TimeoutStopSec={MARGIN}
KillMode=mixed
Nice=10

# A GPU's devices stay in reach. Where nobody makes its device files at boot, start nvidia-persistenced then: what is
# started here gains no rights.
NoNewPrivileges=true
ProtectSystem=full{writable}
ProtectControlGroups=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectHostname=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
SystemCallArchitectures=native
"""


def _timer(job: Job) -> str:
    return f"""\
# The time is this machine's. A night that the machine slept through is run when it wakes.
[Unit]
Description=Starts lrsweep's nights

[Timer]
OnCalendar=*-*-* {job.hour:02}:{job.minute:02}:00
Persistent=true
AccuracySec=1min

[Install]
WantedBy=timers.target
"""


def _started(words: Sequence[str]) -> Sequence[str]:
    """systemd takes no program whose path has a quote in it, and a shell does."""
    return words if re.search("['\"]", words[0]) is None else ("/bin/sh", "-c", 'exec "$0" "$@"', *words)


def _in_the_system(job: Job) -> list[str]:
    """Folders of the job that ProtectSystem would take from it."""
    folders = dict.fromkeys([str(job.folder), job.environment["LRSWEEP_HOME"]])
    return [folder for folder in folders if folder.startswith(("/usr/", "/boot/", "/etc/", "/efi/"))]


def _word(text: str) -> str:
    """One word of a list.

    >>> print(_word('a "b" 100%'), _word("--deadline"))
    "a \\"b\\" 100%%" --deadline
    """
    if re.fullmatch(r"[\w@+=:,./%-]+", text, re.ASCII):
        return _raw(text)
    quoted = text.replace('"', r"\"")
    return f'"{_raw(quoted)}"'


def _raw(text: str) -> str:
    """Where a line is one value as it stands: % alone means something."""
    return text.replace("%", "%%")
