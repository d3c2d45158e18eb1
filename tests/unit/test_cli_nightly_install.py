"""`lrsweep nightly install`: which file it makes of what is typed and set, and what it refuses."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
import yaml

from lrsweep import __version__
from tests.looked import Typed, typed

BIN = Path(sys.executable).parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In which nights are run: a repository with studies."""
    place = tmp_path / "my repository"
    (place / "studies").mkdir(parents=True)
    (place / "studies" / "mine.toml").touch()
    (place / ".git").mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return place


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return typed(capsys, monkeypatch, folder / "home", {})


def test_cron_gets_the_command_in_this_folder_with_this_home(run: Typed, folder: Path) -> None:
    """The program is the one beside this interpreter; studies are those of the folder."""
    ran = run("nightly", "install", "--cron", "--at", "4:05", "--deadline", "90m", "--summary", "night.json")
    assert (ran.code, ran.err) == (0, "")
    line = ran.out.splitlines()[-1]
    assert line.startswith(f"5 4 * * * cd '{folder}' && ")
    assert f"LRSWEEP_HOME='{folder}/home'" in line
    assert line.endswith(f" && exec {BIN}/lrsweep nightly run --deadline 90m --summary night.json studies")


def test_what_a_night_is_told_of_its_place_and_pace_is_kept(run: Typed) -> None:
    """What a night would refuse is refused now, for at half past two nobody reads it."""
    told = ["--always", "--device", "cuda", "--engine", "fused:16x2", "--executor", "ray:auto,gpus=0.5"]
    ran = run("nightly", "install", "--cron", *told)
    assert (ran.code, ran.err) == (0, "")
    assert f"lrsweep nightly run --deadline 6h {shlex.join(told)} studies" in ran.out
    for option, wrong in (("--device", "cuda:0,cpu"), ("--engine", "fast"), ("--executor", "slurm")):
        ran = run("nightly", "install", "--cron", option, wrong)
        assert ran.code == 64
        assert repr(wrong) in ran.err


@pytest.mark.parametrize("by", ["--executor", "LRSWEEP_EXECUTOR"])
def test_a_device_that_does_not_go_with_the_executor_is_refused(
    run: Typed, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the option or the variable says which that is; an option for this machine outdoes the variable."""
    words = ["--executor", "ray"] if by == "--executor" else []
    if not words:
        monkeypatch.setenv(by, "ray")
    ran = run("nightly", "install", "--cron", "--device", "cuda:1", *words)
    assert (ran.code, ran.out) == (64, "")
    assert "--device is 'cuda:1', but on a Ray cluster each station gets its GPU from Ray" in ran.err
    assert run("nightly", "install", "--cron", "--device", "cuda", *words).code == 0
    assert run("nightly", "install", "--cron", "--device", "cuda:1", "--executor", "local").code == 0


@pytest.mark.parametrize("kind", ["--cron", "--systemd"])
def test_nights_on_a_cluster_are_on_the_same_one(run: Typed, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each night would start a cluster of its own; what trains here needs to know of none."""
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "RAY_" not in run("nightly", "install", kind).out
    for words in (["--executor", "ray"], []):
        out = run("nightly", "install", kind, *words).out
        assert "RAY_ADDRESS=10.0.0.1:6379" in out
        assert "RAY_AUTH_MODE=token" in out
        monkeypatch.setenv("LRSWEEP_EXECUTOR", "ray,gpus=0.5")
    assert "RAY_" not in run("nightly", "install", kind, "--executor", "local").out


def test_github_s_machine_is_told_what_is_set_here_by_options(run: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Ray's part of lrsweep; which cluster it is the machine itself knows."""
    for name, value in {
        "RAY_ADDRESS": "10.0.0.1:6379",
        "LRSWEEP_ENGINE": "fused:8",
        "LRSWEEP_EXECUTOR": "ray",
    }.items():
        monkeypatch.setenv(name, value)
    ran = run("nightly", "install", "--github")
    assert " nightly run --deadline 5h --engine fused:8 --executor ray --summary " in ran.out
    assert f"python -m pip install --quiet 'lrsweep[nightly,ray]=={__version__}'\n" in ran.out
    assert "Where this release is not: '.[nightly,ray]' if" in ran.out
    assert "RAY_ADDRESS" not in ran.out
    assert ran.err.splitlines() == [
        "RAY_ADDRESS is set here and not in the workflow: set it on the machine that runs the job, which has to be "
        "part of the cluster."
    ]
    ran = run("nightly", "install", "--github", "--engine", "sequential", "--executor", "local")
    assert " nightly run --deadline 5h --engine sequential --executor local --summary " in ran.out
    assert (f"'lrsweep[nightly]=={__version__}'" in ran.out, ran.err) == (True, "")
    monkeypatch.setenv("LRSWEEP_EXECUTOR", "")
    assert "--executor" not in run("nightly", "install", "--github").out
    assert "LRSWEEP_ENGINE=fused:8" in run("nightly", "install", "--cron").out


def test_two_units_are_printed_with_their_names(run: Typed, folder: Path) -> None:
    """Or written, where a folder is given; once more is no harm, and another text is refused."""
    ran = run("nightly", "install", "--systemd", "studies/mine.toml")
    assert ran.code == 0
    assert [line for line in ran.out.splitlines() if line.startswith("# ── ")] == [
        "# ── lrsweep-nightly.service ──",
        "# ── lrsweep-nightly.timer ──",
    ]
    assert f"ExecStart=:{BIN}/lrsweep nightly run --deadline 6h studies/mine.toml\n" in ran.out
    out = folder / "units"
    ran = run("nightly", "install", "--systemd", "--out", str(out))
    assert ran.code == 64
    assert f"--out {out} is no folder that is there; make it" in ran.err
    out.mkdir()
    for _ in range(2):
        ran = run("nightly", "install", "--systemd", "--out", str(out))
        assert (ran.code, ran.out) == (0, "")
        assert ran.err.splitlines() == [f"written: {out}/lrsweep-nightly.{kind}" for kind in ("service", "timer")]
    ran = run("nightly", "install", "--systemd", "--out", str(out), "--at", "03:00")
    assert ran.code == 64
    assert f"{out}/lrsweep-nightly.timer is there and says something else; remove it" in ran.err


def test_github_runs_in_the_folder_of_the_repository(run: Typed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With studies as they are named there, a deadline below GitHub's own, and its results kept."""
    (folder / "deep").mkdir()
    (folder / "deep" / "a.toml").touch()
    monkeypatch.chdir(folder / "deep")
    ran = run("nightly", "install", "--github", str(folder / "deep" / "a.toml"), str(folder / "studies"))
    assert (ran.code, ran.err) == (0, "")
    assert 'working-directory: "deep"' in ran.out
    written = "--summary night.json --report nights.html"
    assert f"lrsweep nightly run --deadline 5h {written} a.toml ../studies\n" in ran.out
    assert "timeout-minutes: 330\n" in ran.out
    assert "            deep/night.json\n            deep/nights.html\n" in ran.out
    assert str(folder) not in ran.out


def test_github_installs_what_is_said(run: Typed) -> None:
    """By default this release, with a remark for where it is not published; else a checkout or git."""
    ran = run("nightly", "install", "--github")
    assert f"python -m pip install --quiet 'lrsweep[nightly]=={__version__}'\n" in ran.out
    assert "Where this release is not: '.[nightly]' if this repository is\n" in ran.out
    for package in (".[nightly]", "lrsweep[nightly] @ git+https://host.example/o/lrsweep@abc#egg=x"):
        ran = run("nightly", "install", "--github", "--package", package)
        assert (ran.code, ran.err) == (0, "")
        steps = yaml.safe_load(ran.out)["jobs"]["nights"]["steps"]
        [install] = [step["run"] for step in steps if step.get("name") == "Install lrsweep"]
        assert shlex.split(install) == ["python", "-m", "pip", "install", "--quiet", package]


def test_github_gets_no_study_from_outside_the_repository(run: Typed, tmp_path: Path) -> None:
    """A checkout does not have it."""
    (tmp_path / "other.toml").touch()
    ran = run("nightly", "install", "--github", "../other.toml")
    assert ran.code == 64
    assert "../other.toml is not in the repository" in ran.err


def test_a_job_that_github_would_cut_off_is_told(run: Typed) -> None:
    """Its own machines end it after 360 minutes; another machine may not."""
    ran = run("nightly", "install", "--github", "--deadline", "6h")
    assert ran.code == 0
    assert "the job may take 390 minutes, and GitHub's own machines end it after 360" in ran.err


@pytest.mark.parametrize("kind", ["--cron", "--systemd", "--github"])
def test_what_is_secret_is_in_no_file_and_is_named(
    run: Typed, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With where to put it; what is no secret comes along, as far as the other machine has it."""
    for name, value in {
        "LRSWEEP_DATABASE_URL": "postgresql://ann:hunter22@db/lrsweep",
        "LRSWEEP_PING": "https://hc-ping.com/hunter22",
        "LRSWEEP_NOTIFY": "mailto://ann:hunter22@example.org",
        "MLFLOW_TRACKING_URI": "https://ann:hunter22@mlflow",
        "LRSWEEP_DATA": "data sets",
    }.items():
        monkeypatch.setenv(name, value)
    ran = run("nightly", "install", kind)
    assert ran.code == 0
    assert "hunter22" not in ran.out + ran.err
    names = ("LRSWEEP_DATABASE_URL", "LRSWEEP_NOTIFY", "LRSWEEP_PING", "MLFLOW_TRACKING_URI")
    place = "a secret of the repository" if kind == "--github" else str(tmp_path / "config/lrsweep/nightly.env")
    assert ran.err.splitlines() == [
        f"{name} is set here and stands in no file, for it is a secret: put it into {place}." for name in names
    ]
    assert ("my repository/data sets" in ran.out) == (kind != "--github")


@pytest.mark.parametrize("kind", ["--cron", "--systemd"])
def test_data_and_checkpoints_come_along_as_folders_and_as_urls(
    run: Typed, folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder becomes absolute, and a URL stays as it is; one that names who logs in is a secret."""
    monkeypatch.setenv("LRSWEEP_DATA", "s3://bucket/data")
    monkeypatch.setenv("LRSWEEP_CHECKPOINTS", "kept")
    ran = run("nightly", "install", kind)
    assert "LRSWEEP_DATA=s3://bucket/data" in ran.out
    assert f"{folder}/kept" in ran.out
    [told] = ran.err.splitlines()
    assert told.startswith("LRSWEEP_DATA is a URL: what its library needs to log in there (variables such as AWS_")
    assert f"put it into {folder.parent}/config/lrsweep/nightly.env, unless" in told
    assert run("nightly", "install", "--github").err == "", "it does not come along there"
    monkeypatch.setenv("LRSWEEP_DATA", "file:///data")
    assert run("nightly", "install", kind).err == ""
    monkeypatch.setenv("LRSWEEP_CHECKPOINTS", "gs://bucket/checkpoints")
    assert "LRSWEEP_CHECKPOINTS=gs://bucket/checkpoints" in run("nightly", "install", kind).out
    monkeypatch.setenv("LRSWEEP_CHECKPOINTS", "ftp://ann:hunter22@host/checkpoints")
    ran = run("nightly", "install", kind)
    assert "hunter22" not in ran.out + ran.err
    assert "LRSWEEP_CHECKPOINTS" not in ran.out


def test_an_address_without_a_secret_comes_along(run: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A team's MLflow server, say."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert "MLFLOW_TRACKING_URI=http://mlflow:5000" in run("nightly", "install", "--cron").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "none of --cron, --systemd and --github is given; name one"),
        (["--cron", "--github"], "--cron and --github are given; name one"),
        (["--cron", "studies/none.toml"], "there is no studies/none.toml in "),
        (["--cron", "--at", "25:00"], "--at is '25:00'; wanted is a time of the day"),
        (["--cron", "--deadline", "1d"], "--deadline is '1d'; a night comes every 24 hours"),
        (["--cron", "--summary", "studies"], "--summary studies is a folder; wanted a file."),
        (["--cron", "--prometheus", "n.txt"], "--prometheus is 'n.txt'; wanted a name that ends in .prom"),
        (["--cron", "--package", "."], "--package is '.', and --cron names the lrsweep that is installed here"),
        (["--github", "--package", "git+https://me:s3cretTok3n@host/x"], "without what looks like a secret"),
        (["--github", "--package", "a\nb"], "has a backslash, a line break or a sign like them"),
        (["--systemd", "--report", "a\\b.html"], "has a backslash, a line break or a sign like them"),
        (["--github", "--report", "a\u2028b.html"], "has a backslash, a line break or a sign like them"),
        (["--github", "--report", "a\x85b.html"], "has a backslash, a line break or a sign like them"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Typed, words: list[str], told: str) -> None:
    """With what was given and what is wanted; nothing is printed."""
    ran = run("nightly", "install", *words)
    assert (ran.code, ran.out) == (64, "")
    assert told in ran.err


def test_without_studies_their_folder_is_wanted(run: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `lrsweep nightly run` would want it; the name of a study is one of a file in it."""
    monkeypatch.chdir(tmp_path)
    ran = run("nightly", "install", "--cron")
    assert ran.code == 64
    assert "no study is named, and there is no folder studies in" in ran.err
    refused = run("nightly", "install", "--cron", "digits")
    assert (refused.code, refused.out) == (64, "")
    assert "there is no digits in" in refused.err
    assert "no study of that name in its folder studies" in refused.err
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "digits.toml").touch()
    assert run("nightly", "install", "--cron", "digits").out.endswith("--deadline 6h digits\n")
