#!/usr/bin/env bash
# `make up`: makes the secrets that are missing, starts the stack in the order in which its parts need each other, and
# returns when all of them answer. Repeatable: what runs is left alone, and nothing that is there is made again.
#
# COMPOSE="podman-compose" takes another program than `docker compose`. The order is kept here and not left to it:
# podman-compose on an older podman neither waits for health nor starts what depends on a part that ran once.
# WORKERS="worker-gpu" starts another worker than the one for the CPU; WORKERS= starts none.
set -euo pipefail
cd "$(dirname "$0")"

read -ra compose <<<"${COMPOSE:-docker compose}"
[[ -f .env ]] && set -a && . ./.env && set +a
export LRSWEEP_SECRETS=${LRSWEEP_SECRETS:-./secrets}
patience=${PATIENCE:-300}

fail() { echo "docker/up.sh: $*" >&2; exit 69; }

command -v "${compose[0]}" >/dev/null ||
  fail "there is no ${compose[0]} here. Install Docker's engine, or name another program: make up COMPOSE=podman-compose"

# until the command succeeds inside of the service
wait_for() {
  local service=$1 end=$((SECONDS + patience))
  shift
  until "${compose[@]}" exec -T "$service" "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "$service does not answer after $patience s. Its lines: ${compose[*]} --file docker/compose.yaml logs $service"
    sleep 1
  done
}

# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# The folder is closed to others; the files in it can be read by the containers, whose users are not this one.
(umask 077 && mkdir -p "$LRSWEEP_SECRETS")
secret() {
  [[ -s $LRSWEEP_SECRETS/$1 ]] && return
  (umask 022 && echo "$2" >"$LRSWEEP_SECRETS/$1.new") && mv "$LRSWEEP_SECRETS/$1"{.new,}
}
secret postgres_password "$(head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n')"
address="lrsweep:$(cat "$LRSWEEP_SECRETS/postgres_password")@postgres:5432/lrsweep"
secret database_url "postgresql://$address"
secret mlflow_url "postgresql+psycopg://$address?options=-csearch_path%3Dmlflow"

# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
up() { "${compose[@]}" up --detach --no-deps "$@"; }

up postgres
wait_for postgres pg_isready --quiet --host=127.0.0.1 --username=lrsweep --dbname=lrsweep
"${compose[@]}" run --rm --no-deps -T setup

# the service listens where others can reach it only with a token in force
if [[ ! -s $LRSWEEP_SECRETS/token ]]; then
  (umask 077 && "${compose[@]}" run --rm --no-deps -T service token create "first-$(date +%s)" --scope run \
    >"$LRSWEEP_SECRETS/token.new") || fail "the first token could not be made"
  mv "$LRSWEEP_SECRETS/token"{.new,}
fi

up mlflow
wait_for mlflow answers http://127.0.0.1:5000/health
read -ra workers <<<"${WORKERS-worker}"
up service "${workers[@]}"
wait_for service answers http://127.0.0.1:8000/readyz

near=${LRSWEEP_BIND:-127.0.0.1}
echo "lrsweep: http://$near:${LRSWEEP_PORT:-8000} (its token, of scope run: $(cd "$LRSWEEP_SECRETS" && pwd)/token)"
echo "MLflow:  http://$near:${LRSWEEP_MLFLOW_PORT:-5000}"
