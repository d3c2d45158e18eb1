"""The stack as a person and a program meet it: the compose file's commands, HTTP from outside, SQL inside."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.containers.images import DOCKER, IMAGE, REPOSITORY, Machine
from tests.containers.telling import Failed, output_of, until

ANSWER_SECONDS = 15.0
UP_SECONDS = 900.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """by their names in small letters"""
    body: Any
    """what JSON says; a text, where it is none"""


@dataclass(frozen=True)
class Stack:
    machine: Machine
    studies: Path
    name: str = field(default_factory=lambda: f"lrsweep-try-{secrets.token_hex(3)}")
    port: int = field(default_factory=free_port)
    mlflow_port: int = field(default_factory=free_port)

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            **self.machine.environ,
            "COMPOSE": "podman-compose",
            "COMPOSE_PROJECT_NAME": self.name,
            "LRSWEEP_IMAGE": IMAGE,
            "LRSWEEP_SECRETS": str(self.secrets),
            "LRSWEEP_STUDIES": str(self.studies),
            "LRSWEEP_PORT": str(self.port),
            "LRSWEEP_MLFLOW_PORT": str(self.mlflow_port),
        }

    @property
    def secrets(self) -> Path:
        return self.machine.folder / "secrets"

    @property
    def token(self) -> str:
        return (self.secrets / "token").read_text().strip()

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def make(self, target: str, *words: str) -> str:
        """As a person types it."""
        return output_of(["make", target, *words], environ=self.environ, folder=REPOSITORY, seconds=UP_SECONDS)

    def compose(self, *words: str, seconds: float = 300) -> str:
        return output_of(["podman-compose", *words], environ=self.environ, folder=DOCKER, seconds=seconds)

    def podman(self, *words: str, given: str | None = None) -> str:
        return output_of(["podman", *words], environ=self.environ, folder=DOCKER, given=given)

    def container(self, service: str) -> str:
        return f"{self.name}_{service}_1"

    def inside(self, service: str, *command: str) -> str:
        return self.podman("exec", self.container(service), *command)

    def lrsweep(self, *words: str, service: str = "worker", options: Sequence[str] = (), seconds: float = 600) -> str:
        """A command in a container of its own."""
        return self.compose("run", "--rm", "--no-deps", "-T", *options, service, *words, seconds=seconds)

    def rows(self, sql: str) -> list[list[str]]:
        """From PostgreSQL itself, inside its container."""
        command = 'PGPASSWORD=$(cat /run/secrets/postgres_password) exec psql -h 127.0.0.1 -U lrsweep -AtqF"|" -c "$0"'
        lines = self.inside("postgres", "sh", "-c", command, sql).splitlines()
        return [line.split("|") for line in lines]

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def lines_of(self, service: str) -> str:
        """What the service wrote to both of its outputs."""
        folder = self.machine.folder / "lines"
        output_of(
            ["bash", "-c", 'podman logs "$0" > "$1" 2>&1', self.container(service), str(folder)],
            environ=self.environ,
            folder=DOCKER,
        )
        return folder.read_text(errors="replace")

    # ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def is_healthy(self, service: str) -> bool:
        """By the compose file's own check, which the timer of a machine with systemd would run."""
        self.podman("healthcheck", "run", self.container(service))
        return True

    def until_healthy(self, service: str, seconds: float = 180) -> None:
        until(lambda: self.is_healthy(service) or None, f"{service} is healthy", seconds)

    # ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def ask(self, path: str, *, body: Mapping[str, Any] | None = None, key: str | None = None) -> Answer:
        """The service, with the first token."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        return _ask(self.port, path, body, headers)

    def mlflow(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return _ask(self.mlflow_port, path, body, {}).body

    # ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def left(self) -> list[str]:
        """Containers, volumes and networks that still bear its name."""
        found = [
            *self.podman("ps", "--all", "--format", "{{.Names}}").split(),
            *self.podman("volume", "ls", "--format", "{{.Name}}").split(),
            *self.podman("network", "ls", "--format", "{{.Name}}").split(),
        ]
        return [name for name in found if name.startswith(self.name)]


def _ask(port: int, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Answer:
    """Raises Failed for what is no answer, and for one that refuses."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        text = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, text, {**kind, **headers})
        answer = connection.getresponse()
        content = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{path}: {error!r}") from None
    finally:
        connection.close()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise Failed(f"{path}: {answer.status} {content[:500]}")
    named = {name.lower(): value for name, value in answer.getheaders()}
    is_json = "json" in named.get("content-type", "")
    return Answer(answer.status, named, json.loads(content) if is_json else content)
