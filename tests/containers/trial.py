"""What the stack has to hold: one function per step of the trial, each raising Failed where it does not."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from tests.containers.images import IMAGE
from tests.containers.stack import Stack
from tests.containers.telling import Failed, tell, until

TRIALS, HORIZON, FAMILIES = 60, 6000, ("constant", "linear", "cosine")
"""Some minutes of two cores: long enough for every part to be restarted while it runs."""
STUDY = f"""\
[study]
name = "tiny"
workload = "digits"
horizon = {HORIZON}

[space]
families = {json.dumps(FAMILIES)}
optimizers = ["sgd"]

[budget]
trials = {TRIALS}

[selection]
seeds = 2
"""
SWEEP_SECONDS = 1800.0
PARTS = ("postgres", "mlflow", "service", "worker")
OURS = ("mlflow", "service", "worker")
TABLES = {
    "trials": "SELECT count(*) FROM lrsweep.lrs_trial",
    "trainings": "SELECT count(*) FROM lrsweep.lrs_training",
    "curves": "SELECT count(*) FROM lrsweep.lrs_curve",
    "sweeps": "SELECT count(*) FROM lrsweep.lrs_sweep",
    "tokens": "SELECT count(*) FROM lrsweep.lrs_token",
}
OVER = ("completed", "diverged", "stopped", "failed")


def check(holds: bool, sentence: str) -> None:
    if not holds:
        raise Failed(sentence)


# ── what it is made of ───────────────────────────────────────────────────────────────────────────────────────────────
def is_hardened(stack: Stack) -> None:
    for service in ("postgres", "mlflow", "service"):
        stack.until_healthy(service)
    password = (stack.secrets / "postgres_password").read_text().strip()
    for service in PARTS:
        status = stack.inside(service, "sh", "-c", "cat /proc/1/status; id -u; touch /usr/x 2>&1 || true")
        check("CapEff:\t0000000000000000" in status, f"{service} has capabilities: {status}")
        check("NoNewPrivs:\t1" in status, f"{service} may gain privileges: {status}")
        check("Read-only file system" in status, f"{service} can write to its root file system: {status}")
        check("\n0\n" not in status, f"{service} runs as root: {status}")
        shown = stack.podman("inspect", stack.container(service)) + stack.lines_of(service)
        for secret in (password, stack.token):
            check(secret not in shown, f"{service}: a secret stands in its settings or in its lines")
    labels = json.loads(stack.podman("image", "inspect", "--format", "{{json .Labels}}", IMAGE))
    check(labels["org.opencontainers.image.title"] == "lrsweep", f"labels: {labels}")


# ── a sweep ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def ask_for_a_sweep(stack: Stack) -> str:
    """Its id."""
    stack.lrsweep("register", "tiny")
    key = secrets.token_hex(8)
    first = stack.ask("/v1/studies/tiny/sweeps", body={}, key=key)
    again = stack.ask("/v1/studies/tiny/sweeps", body={}, key=key)
    check(first.status == 202, f"a sweep that is asked for is answered with {first.status}: {first.body}")
    check(again.status == 200, f"the same key once more is answered with {again.status}: {again.body}")
    places = {answer.headers["location"] for answer in (first, again) if "location" in answer.headers}
    check(len(places) == 1, f"one key led to {places}")
    return places.pop().rpartition("/")[2]


def restart_everything(stack: Stack, sweep: str) -> None:
    """Each part in turn, whenever the sweep has come further since the one before."""
    for service in ("mlflow", "service", "postgres", "worker"):
        _until_further(stack, sweep)
        stack.compose("restart", service)
        if service != "worker":
            stack.until_healthy(service)
        tell(f"{service} restarted, {_ended(stack)} trainings ended")
    _until_further(stack, sweep)
    stack.podman("kill", "--signal", "KILL", stack.container("worker"))
    stack.podman("start", stack.container("worker"))
    tell(f"worker killed, {_ended(stack)} trainings ended")
    check(not _standing(stack, sweep)["is_over"], "the sweep was over before every part was restarted: make it longer")


def until_it_ends(stack: Stack, sweep: str) -> None:
    def over() -> Mapping[str, Any] | None:
        standing = _standing(stack, sweep)
        return standing if standing["is_over"] else None

    try:
        standing = until(over, "the sweep ends", SWEEP_SECONDS, every=2)
        check(standing["state"] == "finished", f"the sweep came to {standing}")
    finally:
        tell(f"{_ended(stack)} trainings ended")
    check(stack.number(TABLES["sweeps"]) == 1, "one sweep was asked for, and there are others")
    same = "sweep_id, trial, horizon, seed, rate_scale"
    twice = stack.rows(f"SELECT {same} FROM lrsweep.lrs_training GROUP BY {same} HAVING count(*) > 1")
    check(not twice, f"trainings that count twice: {twice}")


def looked_at(stack: Stack, sweep: str) -> Mapping[str, int]:
    """The rows by table, where all three places agree."""
    found = {name: stack.number(sql) for name, sql in TABLES.items()}
    check(found["trials"] >= TRIALS, f"rows: {found}")
    _curves_in_mlflow(stack, found["trainings"])
    schedule = stack.ask("/v1/studies/tiny/schedule").body
    check(schedule["recommended"] in FAMILIES, f"the answer: {schedule}")
    check(len(schedule["rates"]) == HORIZON, "the answer has no rate for each of its updates")
    page = stack.ask(f"/v1/sweeps/{sweep}/report").body
    check("</html>" in page, "the report is no page")
    return found


def _curves_in_mlflow(stack: Stack, trainings: int) -> None:
    found = stack.mlflow("/api/2.0/mlflow/experiments/get-by-name?experiment_name=tiny")
    experiment = found["experiment"]["experiment_id"]
    asked = {"experiment_ids": [experiment], "max_results": 1000, "filter": "tags.`lrsweep.training` != ''"}
    runs = stack.mlflow("/api/2.0/mlflow/runs/search", asked).get("runs", [])
    finished = [run for run in runs if run["info"]["status"] == "FINISHED"]
    check(len(finished) >= trainings // 2, f"{len(finished)} of {trainings} trainings are in MLflow")
    run = finished[0]["info"]["run_id"]
    for metric in ("lr", "train_loss"):
        history = stack.mlflow(f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={metric}")
        check(len(history.get("metrics", [])) > 10, f"{metric} of run {run} has no curve: {history}")
    curve = stack.mlflow(f"/get-artifact?path=curve.csv&run_uuid={run}")
    check(len(curve) > 100, f"the curve's artifact of run {run} is {curve!r}")
    tell(f"{len(finished)} runs of {trainings} trainings in MLflow")


# ── nights, and a disaster ───────────────────────────────────────────────────────────────────────────────────────────
def run_a_night(stack: Stack) -> None:
    """The study has no champion, so the night's choice is a candidate; a second start reads what is recorded."""
    nights = "SELECT count(*) FROM lrsweep.lrs_night"
    found = []
    for _ in range(2):
        stack.compose("--profile", "nightly", "run", "--rm", "--no-deps", "-T", "nightly", seconds=SWEEP_SECONDS)
        found.append((stack.number(nights), stack.number(TABLES["trainings"])))
    first, again = found
    check(first[0] == 1, f"one night ran, and {first[0]} are recorded")
    check(again == first, f"the same night once more: (nights, trainings) {first} became {again}")


def lose_and_restore(stack: Stack, sweep: str) -> None:
    inside, outside = "/var/lib/lrsweep/backup.zip", stack.machine.folder / "backup.zip"
    stack.inside("worker", "lrsweep", "db", "backup", inside)
    stack.podman("cp", f"{stack.container('worker')}:{inside}", str(outside))
    before = {name: stack.number(sql) for name, sql in TABLES.items()}
    stack.compose("down", "--volumes")
    check(not stack.left(), f"left over: {stack.left()}")

    stack.compose("up", "--detach", "--no-deps", "postgres")
    stack.until_healthy("postgres")
    outside.chmod(0o644)
    stack.lrsweep("db", "restore", "/backup.zip", options=["--volume", f"{outside}:/backup.zip:ro"])
    stack.make("up")  # the first token is in the backup
    after = {name: stack.number(sql) for name, sql in TABLES.items()}
    check(after == before, f"before: {before}; after: {after}")
    _send_again(stack)
    looked_at(stack, sweep)
    stack.inside("worker", "lrsweep", "db", "check")


def _send_again(stack: Stack) -> None:
    """An MLflow without runs gets all of them; where none was sent, who holds the study may say why. One that has just
    started on a busy machine may not answer in time: exit code 75, and the same command once more."""
    told = until(lambda: json.loads(stack.lrsweep("sync", "--json")), "`lrsweep sync` reaches MLflow", 180, every=5)
    tell(f"MLflow: {told['sent']} runs sent, {told['left']} left")
    if not told["sent"] or told["left"]:
        left = "expires_at - extract(epoch FROM now())"
        leases = stack.rows(f"SELECT study, owner, token IS NULL, {left} FROM lrsweep.lrs_lease")
        raise Failed(f"`lrsweep sync` into an empty MLflow: {told}; leases: {leases}")


# ── where it stands ──────────────────────────────────────────────────────────────────────────────────────────────────
def _standing(stack: Stack, sweep: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = stack.ask(f"/v1/sweeps/{sweep}").body
    return found


def _ended(stack: Stack) -> int:
    return stack.number(f"SELECT count(*) FROM lrsweep.lrs_training WHERE status IN {OVER}")


def _until_further(stack: Stack, sweep: str) -> None:
    """The services may be away for a moment, having been restarted."""
    before = until(lambda: _ended(stack), "PostgreSQL answers", 60)
    until(lambda: _ended(stack) > before or None, "the sweep goes on", 240)
    standing = until(lambda: _standing(stack, sweep), "the service answers", 60)
    check(not standing["is_over"], f"the sweep is too short, or failed: {standing}")
