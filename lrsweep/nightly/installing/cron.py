"""A crontab's line. All that it needs stands in the line itself: how cron reads variables differs from cron to cron."""

from __future__ import annotations

from shlex import quote

from lrsweep.errors import SettingsError
from lrsweep.nightly.installing.job import NAME, Job

LONGEST = 990
"""signs of a command that every cron takes; Debian's and Red Hat's end it at 998"""


def files(job: Job) -> dict[str, str]:
    """Raises SettingsError where cron would cut the line."""
    command = _command(job)
    if len(command) > LONGEST:
        raise SettingsError(
            f"the line for cron has {len(command)} signs, and cron takes {LONGEST}; name a folder of studies in place "
            "of each, or use --systemd."
        )
    text = f"""\
# lrsweep's nights: put these lines into `crontab -e`. The time is this machine's.
# Secrets stand in {job.secrets_file}
# which you alone can read (chmod 600), each as a line LRSWEEP_PING='https://…'; it may be missing.
# A start while a night is still under way does no harm: each study's night has a lease, which the second one respects.
{job.minute} {job.hour} * * * {command}
"""
    return {f"{NAME}.cron": text}


def _command(job: Job) -> str:
    """For /bin/sh. A bare % would end the command."""
    secrets = quote(str(job.secrets_file))
    variables = {"PATH": job.path, **job.environment}
    exported = " ".join(f"{name}={quote(value)}" for name, value in variables.items())
    words = " ".join(map(quote, job.words))
    line = (
        f"cd {quote(str(job.folder))} && {{ [ ! -r {secrets} ] || {{ set -a; . {secrets}; set +a; }}; }} "
        f"&& export {exported} && exec {words}"
    )
    return line.replace("%", r"\%")
