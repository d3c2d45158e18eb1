"""docker/: what can be said of its files without running a container. ``docker/try.sh`` runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from lrsweep.cli.main import app
from lrsweep.study.durations import seconds_of

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
COMPOSE_TEXT = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
LONG_RUNNING = sorted(set(SERVICES) - {"setup", "nightly"})
OURS = sorted(set(SERVICES) - {"postgres"})
SCRIPTS = sorted(DOCKER.glob("*.sh"))
MANIFESTS = sorted((DOCKER / "kubernetes").glob("*.yaml"))
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.31", "1.37"
"""podFailurePolicy is stable since the first."""
EXIT_CODE_ROW = re.compile(r"^\| ([\d, ]+) \| ", re.M)


def understood(words: list[str]) -> bool:
    """Whether the command line reads it, with the values of its options; nothing is run."""
    command: Any = get_command(app)
    while isinstance(command, TyperGroup):
        command, words = command.commands[words[0]], words[1:]
    try:
        command.make_context("lrsweep", list(words))
    except Exception as error:  # Typer brings a click of its own
        if type(error).__name__ not in ("NoSuchOption", "BadParameter", "UsageError"):
            raise
        return False
    return True


# ── the compose file ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_compose_file_is_what_its_specification_asks_for() -> None:
    """It holds against the schema of the compose specification, which refuses keys that it does not know."""
    schema = json.loads(
        resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
    )
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError, match="read_onyl"):
        jsonschema.validate({"services": {"a": {"image": "a", "read_onyl": True}}}, schema)


@pytest.mark.parametrize("name", SERVICES)
def test_every_part_is_hardened_and_limited(name: str) -> None:
    """Read-only, without capabilities or new privileges, with a share of the machine, logs that end, and a restart."""
    part = SERVICES[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert not part.get("privileged")
    assert {"cpus", "memory"} <= part["deploy"]["resources"]["limits"].keys()
    assert "max-size" in part["logging"]["options"]
    assert "restart" in part


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_parts_that_stay_start_again_by_themselves(name: str) -> None:
    """After a crash or a start of the machine, but not where somebody stopped them."""
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_parts_wait_for_what_they_need() -> None:
    """Who waits for health waits for a part that has a check, and nobody begins without the tables."""
    for name, part in SERVICES.items():
        for needed, how in part.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"], f"{name} waits for {needed} in vain"
    assert SERVICES["setup"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    begun = {"condition": "service_completed_successfully"}
    assert all(SERVICES[name]["depends_on"]["setup"] == begun for name in OURS if name != "setup")


def test_no_image_is_taken_by_a_tag_that_moves() -> None:
    """PostgreSQL's has a release; ours is built here."""
    assert re.fullmatch(r"docker\.io/library/postgres:\d+\.\d+-\w+", SERVICES["postgres"]["image"])
    assert {SERVICES[name]["image"] for name in OURS} == {"${LRSWEEP_IMAGE:-lrsweep:local}"}


def test_secrets_are_files_alone() -> None:
    """No password stands in the compose file or in a variable of a container; only the database is told one."""
    assert all(list(secret) == ["file"] for secret in COMPOSE["secrets"].values())
    variables = {key: value for part in SERVICES.values() for key, value in part.get("environment", {}).items()}
    secretive = {key: value for key, value in variables.items() if re.search("PASSWORD|TOKEN|URL|URI", key)}
    assert secretive == {
        "POSTGRES_PASSWORD_FILE": "/run/secrets/postgres_password",
        "LRSWEEP_DATABASE_URL_FILE": "/run/secrets/database_url",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    }


def test_only_service_and_mlflow_are_published_and_to_this_machine_alone() -> None:
    """The database has no port outside; MLflow, which asks for no token, is no one else's unless somebody says so."""
    ports = {name: part["ports"] for name, part in SERVICES.items() if "ports" in part}
    assert ports == {
        "mlflow": ["${LRSWEEP_BIND:-127.0.0.1}:${LRSWEEP_MLFLOW_PORT:-5000}:5000"],
        "service": ["${LRSWEEP_BIND:-127.0.0.1}:${LRSWEEP_PORT:-8000}:8000"],
    }


def test_mlflow_serves_artifacts_to_the_names_that_the_stack_uses() -> None:
    """Without its allowed hosts MLflow refuses the name by which the worker reaches it."""
    told = SERVICES["mlflow"]
    hosts = told["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].partition("$")[0].split(",")
    tracking = SERVICES["worker"]["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://")
    assert tracking in hosts
    assert "--artifacts-destination /var/lib/mlflow/" in told["command"][0]
    assert any(volume.endswith(":/var/lib/mlflow") for volume in told["volumes"])


@pytest.mark.parametrize("name", [name for name in OURS if "entrypoint" not in SERVICES[name]])
def test_the_commands_of_the_parts_exist(name: str) -> None:
    """What the compose file types is a command of this release, with options that it has."""
    assert understood(SERVICES[name]["command"])
    assert not understood([*SERVICES[name]["command"], "--no-such-option"])


def test_the_example_of_settings_has_every_variable_of_the_compose_file() -> None:
    """What ``${…}`` reads stands in .env.example with its default, and nothing else does."""
    used = dict(re.findall(r"\$\{(\w+)(?::-([^}]*))?", COMPOSE_TEXT))
    told = dict(re.findall(r"^#?(\w+)=(.*)$", (DOCKER / ".env.example").read_text(encoding="utf-8"), re.M))
    assert told == used


# ── the image ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_image_ends_as_another_user_than_root_with_a_health_check() -> None:
    """The last stage names user, health check, labels, volume, and the command line as what is run."""
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "\nUSER lrsweep\n" in last
    assert "useradd --uid 10001 " in last
    assert "\nHEALTHCHECK " in last
    assert '\nENTRYPOINT ["tini", "--", "lrsweep"]\n' in last
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in last


def test_what_the_image_installs_is_pinned() -> None:
    """Every installation takes its versions from constraints.txt, and the base is one release of Debian."""
    installed = re.findall(r"pip install (.*?)(?=&&|\n[A-Z])", DOCKERFILE, re.S)
    assert len(installed) == 2
    assert all("--constraint constraints.txt" in words for words in installed)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) == ["docker.io/library/debian:bookworm-slim", "base", "base"]


def test_the_builder_gets_what_it_copies_and_nothing_else() -> None:
    """.dockerignore lets through what the Dockerfiles copy: no results, no secrets, no .git."""
    text = "".join(path.read_text(encoding="utf-8") for path in DOCKER.glob("*Dockerfile"))
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M)
        for word in shlex.split(line)[:-1]
        if not word.startswith("--")
    }
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert all((REPOSITORY / name).exists() for name in copied)


def test_the_health_check_hears_whether_something_answers(tmp_path: Path) -> None:
    """0 where the address answers well; 1 where it refuses, and where nothing listens."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/well" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    def code(path: str, port: int) -> int:
        command = ["python3", "-IS", str(DOCKER / "answers.py"), f"http://127.0.0.1:{port}{path}"]
        return subprocess.run(command, capture_output=True, timeout=60).returncode

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        assert [code(path, server.server_port) for path in ("/well", "/ill")] == [0, 1]
        server.shutdown()
    assert code("/well", server.server_port) == 1


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_can_be_run(script: Path) -> None:
    """It is executable, and its shell can read it whole."""
    assert os.access(script, os.X_OK)
    shell = "sh" if script.read_text(encoding="utf-8").startswith("#!/bin/sh") else "bash"
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_make_up_without_a_container_engine_says_what_is_missing(tmp_path: Path) -> None:
    """The program is named, and what to do; no secret is made before that."""
    secrets = tmp_path / "secrets"
    command = ["make", "--silent", "up", "COMPOSE=no-such-program compose"]
    environ = {**os.environ, "LRSWEEP_SECRETS": str(secrets)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "there is no no-such-program here. Install Docker's engine, or name another program" in done.stderr
    assert not secrets.exists()


# ── Kubernetes ───────────────────────────────────────────────────────────────────────────────────────────────────────
def job_of(manifest: Path) -> dict[str, Any]:
    """The job's spec, also of one that a timer makes."""
    found = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    spec: dict[str, Any] = found["spec"]["jobTemplate"]["spec"] if found["kind"] == "CronJob" else found["spec"]
    return spec


def named_exit_codes() -> set[int]:
    """Those of the README's table."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = EXIT_CODE_ROW.findall(readme[readme.index("| exit code | meaning |") :].partition("\n\n")[0])
    return {int(code) for row in rows for code in row.split(",")}


def test_there_is_a_job_for_nights_and_one_for_a_gpu() -> None:
    """The two manifests, by their kinds."""
    kinds = {path.name: yaml.safe_load(path.read_text(encoding="utf-8"))["kind"] for path in MANIFESTS}
    assert kinds == {"nightly.yaml": "CronJob", "gpu-job.yaml": "Job"}


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_is_what_kubernetes_asks_for(manifest: Path, version: str) -> None:
    """It holds against the schema, which knows every key of these kinds and no other."""
    found = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    kubernetes_validate.validate(found, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**found, "spec": {**found["spec"], "no_such_key": 1}}, version, strict=True)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_failed_pods_are_treated_by_our_exit_codes(manifest: Path) -> None:
    """A disruption never counts; what would end the same ends the job; what passes is tried again a few times."""
    job = job_of(manifest)
    (container,) = job["template"]["spec"]["containers"]
    rules = job["podFailurePolicy"]["rules"]
    assert rules[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    treated = {code: rule["action"] for rule in rules[1:] for code in rule["onExitCodes"]["values"]}
    assert all(rule["onExitCodes"]["containerName"] == container["name"] for rule in rules[1:])
    has_deadline = any(word.startswith("--deadline") for word in container["args"])
    assert treated == {
        **dict.fromkeys((64, 70, *((124,) if has_deadline else ())), "FailJob"),
        **dict.fromkeys((69, 75, 99), "Count"),
    }
    # 0 is success, 4 is asked not to be, 130 and 143 come with a disruption or count, as a signal from elsewhere does
    assert named_exit_codes() | {124} <= treated.keys() | {0, 4, 124, 130, 143}
    assert "--ok-when-changed" in container["args"] or "nightly" not in container["args"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["backoffLimit"] >= 1


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_pods_are_hardened(manifest: Path) -> None:
    """As the restricted profile asks: no root, no capabilities, a read-only root, and what is written is mounted."""
    pod = job_of(manifest)["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"--uid {pod['securityContext']['runAsUser']} " in DOCKERFILE
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert {"/tmp", "/var/lib/lrsweep"} <= written
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert not any(re.search("PASSWORD|TOKEN|DATABASE_URL$", each["name"]) for each in container["env"])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_the_commands_of_the_pods_exist(manifest: Path) -> None:
    """What a manifest types is a command of this release, with options that it has."""
    args = job_of(manifest)["template"]["spec"]["containers"][0]["args"]
    assert understood(args)
    assert not understood([*args, "--no-such-option"])


def test_a_night_on_kubernetes_ends_before_its_pod_does_and_on_the_same_day() -> None:
    """The night drains at its own deadline; its key is the date, so that its last pod begins on the first one's day."""
    cron = yaml.safe_load((DOCKER / "kubernetes" / "nightly.yaml").read_text(encoding="utf-8"))["spec"]
    job = cron["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    (deadline,) = [word.partition("=")[2] for word in container["args"] if word.startswith("--deadline=")]
    minute, hour, *rest = cron["schedule"].split()
    assert rest == ["*", "*", "*"]
    start = int(hour) * 3600 + int(minute) * 60
    assert (seconds_of(deadline) or 0) + 600 <= job["activeDeadlineSeconds"]
    assert start + cron["startingDeadlineSeconds"] + job["activeDeadlineSeconds"] < 24 * 3600
    assert cron["timeZone"] == "Etc/UTC"
    assert cron["concurrencyPolicy"] == "Forbid"
