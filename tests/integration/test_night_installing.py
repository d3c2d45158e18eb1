"""Files for cron, systemd and GitHub: each read by what reads it, and what they start really started.

In a folder and with studies whose names have all that somebody may read as a sign of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from crontab import CronTab

from lrsweep.errors import SettingsError
from lrsweep.nightly.installing import Job, cron, github, systemd
from lrsweep.nightly.installing.job import NAME, arguments_of, at_of, deadline_of

PACKAGE = "lrsweep[nightly]==0.1.0"
ODD = "a b%c'd\"e$f#g;h"
RECORDER = """\
#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done > "$RECORD"
{ pwd; printf '%s\\n' "$LRSWEEP_HOME" "$LRSWEEP_PING"; } >> "$RECORD"
"""
"""In the place of `lrsweep`: what it was called with, and where."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Of a program that records what it is called with."""
    folder = tmp_path / ODD
    folder.mkdir()
    program = folder / "lrs weep%"
    program.write_text(RECORDER, encoding="utf-8")
    program.chmod(0o755)
    secrets = folder / "nightly.env"
    secrets.write_text("LRSWEEP_PING='https://hc/a?b=1&c=%20'\n", encoding="utf-8")
    return Job(
        program=(str(program),),
        arguments=arguments_of([f"{ODD}.toml", "-x"], "6h", {"--summary": Path("night 1.json")}),
        folder=folder,
        path="/usr/bin:/bin",
        environment={"LRSWEEP_HOME": f"{tmp_path}/{ODD}"},
        secrets=(),
        secrets_file=secrets,
        user="daemon",
        hour=2,
        minute=30,
        deadline=21_600.0,
    )


WORDS = ["nightly", "run", "--deadline", "6h", "--summary", "night 1.json", "--", f"{ODD}.toml", "-x"]


def started(shell: list[str], command: str, job: Job, environ: Mapping[str, str]) -> list[str]:
    """What the program was called with, its folder, its home and its secret."""
    record = job.folder.parent / "record"
    subprocess.run([*shell, command], env={"RECORD": str(record), **environ}, cwd="/", check=True, timeout=60)
    return record.read_text(encoding="utf-8").splitlines()


# ── cron ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def read_by_cron(text: str) -> tuple[str, str]:
    """When, and the command that a shell gets. POSIX: a bare % ends it, and one behind a backslash is a %."""
    (line,) = CronTab(tab=text)
    assert line.is_valid()
    raw = text.splitlines()[-1].removeprefix(f"{line.slices} ")
    assert re.search(r"(?<!\\)%", raw) is None
    assert line.command == raw.replace(r"\%", "%")
    return str(line.slices), str(line.command)


def test_cron_reads_one_job_and_starts_it_in_its_folder(job: Job) -> None:
    """Every day at the hour; all words, the home and the secrets arrive as they are."""
    when, command = read_by_cron(cron.files(job)[f"{NAME}.cron"])
    assert when == "30 2 * * *"
    found = started(["/bin/sh", "-c"], command, job, {})
    assert found == [*WORDS, str(job.folder), job.environment["LRSWEEP_HOME"], "https://hc/a?b=1&c=%20"]


def test_cron_starts_a_night_without_a_file_of_secrets(job: Job) -> None:
    """It may be missing."""
    job.secrets_file.unlink()
    _, command = read_by_cron(cron.files(job)[f"{NAME}.cron"])
    assert started(["/bin/sh", "-c"], command, job, {})[-1] == ""


def test_a_line_that_cron_would_cut_is_refused(job: Job) -> None:
    """A command may have 998 signs at most."""
    with pytest.raises(SettingsError, match=r"the line for cron has \d{4} signs, and cron takes 990; name a folder"):
        cron.files(_with(job, arguments=("nightly", "run", *(f"studies/{place:040}.toml" for place in range(20)))))


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def units(job: Job) -> list[Path]:
    made = []
    for name, text in systemd.files(job).items():
        (job.folder / name).write_text(text, encoding="utf-8")
        made.append(job.folder / name)
    return made


def analysed(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    return subprocess.run(
        ["systemd-analyze", *words], env={**os.environ, **environ}, capture_output=True, text=True, timeout=120
    )


def test_systemd_finds_nothing_wrong_with_the_units(units: list[Path]) -> None:
    """Neither an unknown setting nor a value that it passes over."""
    found = analysed("verify", "--man=no", *map(str, units), SYSTEMD_COLORS="0")
    ours = [line for line in found.stderr.splitlines() if NAME in line]  # a machine's own units may have faults
    assert (found.returncode, ours) == (0, [])


def test_systemd_starts_the_program_with_all_words_as_they_are(job: Job, units: list[Path]) -> None:
    """Its own reading of the service, in the words of a shell, is run: folder, home and file of secrets as well."""
    found = analysed("verify", "--man=no", str(units[0]), SYSTEMD_LOG_LEVEL="debug").stdout

    def read(name: str) -> list[str]:
        return re.findall(rf"^\s+{name}: (.*)$", found, re.MULTILINE)

    assert read("WorkingDirectory") == [str(job.folder)]
    assert read("Environment") == ["PATH=/usr/bin:/bin", f"LRSWEEP_HOME={job.environment['LRSWEEP_HOME']}"]
    assert read("EnvironmentFile") == [f"-{job.secrets_file}"]
    assert read("TimeoutStartSec") == ["6h 30min"]
    (command,) = read("Command Line")
    assert started(["bash", "-c"], command, job, {})[: len(WORDS)] == WORDS


def test_systemd_starts_a_program_without_quotes_in_its_path_itself(job: Job, tmp_path: Path) -> None:
    """No shell stands between; where the program is gone, systemd names the very path."""
    program = tmp_path / "a $b;c%d" / "lrs weep"
    unit = tmp_path / systemd.SERVICE
    unit.write_text(systemd.files(_with(job, program=(str(program),)))[systemd.SERVICE], encoding="utf-8")
    found = analysed("verify", "--man=no", str(unit), SYSTEMD_COLORS="0")
    assert found.returncode != 0
    assert f"Command {program} is not executable: No such file or directory" in found.stderr
    program.parent.mkdir()
    program.write_text(RECORDER, encoding="utf-8")
    program.chmod(0o755)
    assert analysed("verify", "--man=no", str(unit)).returncode == 0


def test_the_service_ends_by_the_deadline_and_takes_4_for_a_success(job: Job) -> None:
    """By hand: six hours and half an hour more; a path in /usr is kept writable; the timer catches up."""
    service, timer = systemd.files(job).values()
    lines = service.splitlines()
    assert any(line.startswith("ExecStart=:") for line in lines), "the colon: no $ in a word names a variable"
    assert "TimeoutStartSec=23400" in lines
    assert "SuccessExitStatus=4" in lines
    assert "WorkingDirectory=" + str(job.folder).replace("%", "%%") in lines
    assert "EnvironmentFile=-" + str(job.secrets_file).replace("%", "%%") in lines
    assert "ReadWritePaths" not in service
    assert {"OnCalendar=*-*-* 02:30:00", "Persistent=true"} < set(timer.splitlines())
    inside = systemd.files(_with(job, folder=Path("/usr/local/my studies")))[systemd.SERVICE]
    assert 'ReadWritePaths="-/usr/local/my studies"' in inside.splitlines()


def test_the_timer_s_moment_is_one_that_systemd_knows(job: Job) -> None:
    """The next one is at the hour and minute that were asked for."""
    (moment,) = re.findall(r"^OnCalendar=(.*)$", systemd.files(job)[systemd.TIMER], re.MULTILINE)
    found = analysed("calendar", moment, TZ="UTC")
    assert found.returncode == 0
    assert re.search(r"Next elapse: .* 02:30:00", found.stdout)


# ── GitHub ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def workflow(job: Job, within: str = ".") -> dict[str, Any]:
    (text,) = github.files(job, package=PACKAGE, within=within).values()
    found: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)  # all scalars as text: `on` is no truth
    return found


@pytest.mark.parametrize("within", [".", "deep/er \"x'"])
def test_github_s_own_schema_takes_the_workflow(job: Job, within: str) -> None:
    """As editors and linters check it; a key that is none there would be found."""
    schema = json.loads(
        (resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "github-workflows.json").read_text(
            "utf-8"
        )
    )
    (text,) = github.files(job, package=PACKAGE, within=within).values()
    found = {("on" if key is True else key): value for key, value in yaml.safe_load(text).items()}
    jsonschema.validate(found, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**found, "concurency": {}}, schema)


def test_the_workflow_runs_the_night_in_its_folder_and_keeps_what_it_wrote(job: Job) -> None:
    """The step's own text, run by the shell that GitHub runs it with."""
    found = workflow(job, within="deep/er")
    nights = found["jobs"]["nights"]
    steps = {step.get("name") or step.get("uses") or step["run"]: step for step in nights["steps"]}
    step = steps["Run the night"]
    assert step["working-directory"] == "deep/er"
    program = job.folder / "lrsweep"
    Path(job.program[0]).rename(program)
    environ = {"PATH": f"{job.folder}:/usr/bin:/bin"}
    assert started(["bash", "-e", "-c"], step["run"], job, environ)[: len(WORDS)] == WORDS
    assert steps["actions/upload-artifact@v4"]["with"]["path"].split("\n") == ["deep/er/night 1.json", ""]
    assert nights["timeout-minutes"] == "390"
    assert found["on"]["schedule"] == [{"cron": "30 2 * * *"}]
    assert found["concurrency"] == {"group": "lrsweep-nightly", "cancel-in-progress": "false"}


def test_the_workflow_saves_the_results_also_where_the_night_failed(job: Job) -> None:
    """And finds them on the next night by the beginning of the key; secrets come from GitHub's alone."""
    nights = workflow(job)["jobs"]["nights"]
    restore, save = (step for step in nights["steps"] if "cache" in step.get("uses", ""))
    assert save["if"] == "always()"
    assert save["with"]["key"] == restore["with"]["key"]
    assert restore["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert restore["with"]["path"] == save["with"]["path"]
    assert ".lrsweep" in save["with"]["path"].split()
    assert nights["env"]["LRSWEEP_HOME"] == "${{ github.workspace }}/.lrsweep"
    for name in ("LRSWEEP_DATABASE_URL", "LRSWEEP_NOTIFY", "LRSWEEP_PING", "MLFLOW_TRACKING_URI"):
        assert nights["env"][name] == f"${{{{ secrets.{name} }}}}"


# ── all three ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("bad", ["a\\b", "a\nb", "a\x07b", "${{ secrets.X }}"])
def test_signs_that_cannot_be_written_safely_are_refused(job: Job, bad: str) -> None:
    """What cron, systemd and GitHub each read in their own way."""
    with pytest.raises(SettingsError, match="Rename it, or reach it by a link"):
        _with(job, arguments=("nightly", "run", bad))
    with pytest.raises(SettingsError, match="Rename it, or reach it by a link"):
        _with(job, folder=Path("/x") / bad)


@pytest.mark.parametrize("given", ["2", "24:00", "12:60", "02:3", "2:30pm", "", "-1:00"])
def test_a_time_that_is_none_is_refused(given: str) -> None:
    """With one that is."""
    with pytest.raises(SettingsError, match="wanted is a time of the day such as '02:30'"):
        at_of(given)


def test_a_deadline_is_shorter_than_a_day() -> None:
    """The next night comes then."""
    assert deadline_of("90m") == 5400
    with pytest.raises(SettingsError, match="a night comes every 24 hours, so wanted is less"):
        deadline_of("24h")
    with pytest.raises(SettingsError, match="wanted a time above 0"):
        deadline_of("soon")


def _with(job: Job, **changed: object) -> Job:
    return replace(job, **changed)  # type: ignore[arg-type]
