"""A workflow for GitHub. Results outlive a run in a cache, or in the database that a secret names."""

from __future__ import annotations

import json
import math
from pathlib import Path
from shlex import quote

from lrsweep.errors import SettingsError
from lrsweep.nightly.installing.job import MARGIN, NAME, SECRETS, TRACKING_URI, Job, check_signs
from lrsweep.redaction import masked

LONGEST = 360
"""minutes after which GitHub's own machines end a job"""
REPORT = "nights.html"
SUMMARY = "night.json"
KEY = f"{NAME}-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}"
"""Of the cache: one for each run, as a cache is never written twice."""


def files(job: Job, *, package: str, extras: str = "nightly", within: str = ".") -> dict[str, str]:
    """``package``: what pip installs; ``extras``: what such a night needs of lrsweep's; ``within``: the folder of the
    repository in which it runs. Times are in UTC. Raises SettingsError."""
    check_signs([package])
    if masked(package) != package:
        raise SettingsError(
            f"--package is {masked(package)!r}, without what looks like a secret: no file is to hold one. Leave it "
            "out, and have a step of yours before it tell git or pip."
        )
    secrets = "\n".join(f"      {name}: ${{{{ secrets.{name} }}}}" for name in (*SECRETS, TRACKING_URI))
    lines = " ".join(map(quote, ("lrsweep", *job.arguments)))
    folder = "" if within == "." else f"\n        working-directory: {json.dumps(within)}"
    below = "" if within == "." else f"{within}/"
    kept = "\n".join(f"            {_below(below, file)}" for file in _written(job.arguments))
    text = f"""\
# lrsweep's nights: .github/workflows/{NAME}.yml on the default branch. The time is UTC, and GitHub may start late.
# What is secret is taken from the repository's secrets; those that you do not use may be missing.
name: lrsweep nights

on:
  schedule:
    - cron: "{job.minute} {job.hour} * * *"
  workflow_dispatch:

permissions:
  contents: read

concurrency:
  group: {NAME}
  cancel-in-progress: false

jobs:
  nights:
    runs-on: ubuntu-latest # for a GPU a machine of your own: [self-hosted, gpu]
    timeout-minutes: {minutes(job)}
    env:
      LRSWEEP_HOME: ${{{{ github.workspace }}}}/.lrsweep
{secrets}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      # What is named has to be where pip looks. Where this release is not: '.[{extras}]' if this repository is
      # lrsweep's own, else 'lrsweep[{extras}] @ git+https://HOST/OWNER/lrsweep@COMMIT'. `lrsweep nightly install
      # --github` writes it with --package.
      - name: Install lrsweep
        run: |
          python -m pip install --quiet {quote(package)}
      # The newest results; a cache that nothing reads for 7 days is gone, and a database is not.
      - uses: actions/cache/restore@v4
        with:
          path: |
            .lrsweep
            ~/.cache/lrsweep/data
          key: {KEY}
          restore-keys: {NAME}-
      # Exit code 4 (a champion that changed or drifted) fails the job, so that somebody looks; with --ok-when-changed
      # it does not. The table of the night is the job's summary.
      - name: Run the night{folder}
        run: |
          {lines}
      - uses: actions/cache/save@v4
        if: always()
        with:
          path: |
            .lrsweep
            ~/.cache/lrsweep/data
          key: {KEY}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: {NAME}
          if-no-files-found: ignore
          path: |
{kept}
"""
    return {f"{NAME}.yml": text}


def minutes(job: Job) -> int:
    return math.ceil((job.deadline + MARGIN) / 60)


def _written(arguments: tuple[str, ...]) -> list[str]:
    """What options of `nightly run` have it write."""
    options = ("--summary", "--markdown", "--report", "--prometheus")
    return [arguments[place + 1] for place, word in enumerate(arguments) if word in options]


def _below(folder: str, file: str) -> str:
    return file if Path(file).is_absolute() else f"{folder}{file}"
