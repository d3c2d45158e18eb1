# `make demo` and `make test` are all that a fresh machine with git, make and Python >= 3.11 needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# Its name holds the version, so that another PYTHON builds .venv again.
STAMP := $(VENV)/.installed-with-python-$(PYTHON_VERSION)
PEERS := $(VENV)/.installed-peers

# Each demo gets a home of its own, unless the user names one; all but the newest three are removed.
DEMOS := .lrsweep/demos
NEWEST_DEMO = $(lastword $(sort $(wildcard $(DEMOS)/*)))

# One file, or one folder with a __main__.py, each; `make bench BENCHMARKS=import_time` runs one.
BENCHMARKS ?= $(sort $(patsubst tests/benchmarks/%.py,%,$(wildcard tests/benchmarks/[a-z]*.py)) \
	$(patsubst tests/benchmarks/%/__main__.py,%,$(wildcard tests/benchmarks/*/__main__.py)))

# Of the monkey in tests/chaos/monkey, on each executor.
CHAOS_MINUTES ?= 10

# The program that reads docker/compose.yaml; `make up COMPOSE=podman-compose` takes another one.
COMPOSE ?= docker compose

# Where it is set, each of the hundreds of processes that the tests start compiles lrsweep anew, 0.2 s of processor.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo ui up down images test chaos check format licences bench constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         a real sweep of 60 trials, in a fresh home (LRSWEEP_HOME, if set)"
	@echo "make ui           MLflow on that home, else on the newest demo"
	@echo "make up           database, MLflow, service and worker in containers; make images builds them anew, make down ends them"
	@echo "make test         every check and every test"
	@echo "make chaos        every fault there is a test of, 30 sweeps killed at random, and sweeps under all faults at once for"
	@echo "                  10 minutes on each executor (CHAOS_SEED=7 replays them; CHAOS_MINUTES=60)"
	@echo "make check        the static part: format, lint, types, imports"
	@echo "make format       formats the code and mends what the linter can"
	@echo "make licences     the licence of each dependency"
	@echo "make bench        the benchmarks; BENCHMARKS=import_time runs one"
	@echo "make install      sets up .venv (PYTHON=python3.12 chooses the interpreter); all others do it first"
	@echo "make constraints  the newest exact versions"
	@echo "make clean        removes caches and builds; keeps .venv and results"

install: $(STAMP)
	@echo "lrsweep is installed: $(BIN)/lrsweep --help"

# One step for users and developers: what only developers need adds 20 seconds to three minutes, most of them PyTorch.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "lrsweep needs Python >= 3.11; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." >&2; \
		echo "Name another one: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(PYTHON_VERSION)")' 2>/dev/null || { \
		echo "Making $(VENV) with Python $(PYTHON_VERSION)"; $(PYTHON) -m venv --clear $(VENV); } || { \
		echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV): about 7 GB and 3 minutes the first time; progress is in $(VENV)/install.log"
	@$(BIN)/python -m pip install -qq --progress-bar off --log $(VENV)/install.log --constraint constraints.txt --editable '.[dev,nightly,ray,service]'
	@rm -f $(VENV)/.installed-with-*
	@touch $@

# The libraries that tests/crosscheck compares ours with, and the trainers that tests/trainers use; nobody else needs them.
$(PEERS): $(STAMP)
	@echo "Installing the libraries that tests compare with and train with: about 0.6 GB and 1 minute"
	@$(BIN)/python -m pip install -qq --progress-bar off --log $(VENV)/install.log --constraint constraints.txt --editable '.[peers]'
	@touch $@

demo: $(STAMP)
	@ls -d $(DEMOS)/* 2>/dev/null | sort -r | tail -n +3 | xargs rm -rf
	@LRSWEEP_HOME="$${LRSWEEP_HOME:-$(DEMOS)/$$(date +%Y-%m-%d-%H%M%S)}" $(BIN)/lrsweep demo

ui: $(STAMP)
	@LRSWEEP_HOME="$${LRSWEEP_HOME:-$(or $(NEWEST_DEMO),.lrsweep)}" $(BIN)/lrsweep ui

# Containers need nothing of the above: docker/ has all they are made of.
up:
	@COMPOSE="$(COMPOSE)" docker/up.sh

down:
	@cd docker && $(COMPOSE) --profile gpu --profile nightly down

images:
	@cd docker && $(COMPOSE) build

# Whole files beside each other, three on two cores: half of a sweep's time is start-up and waiting. In their own order,
# by which those of seconds are last: by default the files with the fewest tests are, which take minutes.
test: check $(PEERS)
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# One after the other: a machine that is too busy would make the moments of the kills alike.
chaos: $(STAMP)
	$(BIN)/pytest tests/chaos tests/unit/test_nightly_year.py -m "chaos or not chaos"
	$(BIN)/python -m tests.chaos.random_kills
	$(BIN)/python -m tests.chaos.monkey --minutes $(CHAOS_MINUTES)
	@$(BIN)/python -c 'import ray' 2>/dev/null || { echo "no Ray here: its part is left out"; exit 0; } && \
		$(BIN)/python -m tests.chaos.monkey --minutes $(CHAOS_MINUTES) --executor ray

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP)
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

licences: $(STAMP)
	@$(BIN)/python -m tests.checks.licences

bench: $(STAMP)
	@for benchmark in $(BENCHMARKS); do \
		echo "── $$benchmark"; $(BIN)/python -m tests.benchmarks.$$benchmark || exit 1; done

constraints: $(STAMP)
	@$(BIN)/python -m pip install -qq --dry-run --ignore-installed --report $(VENV)/resolved.json '.[dev,nightly,peers,ray,service]'
	@$(BIN)/python -m tests.checks.pins $(VENV)/resolved.json constraints.txt
	@echo "constraints.txt is written; run: make test"

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find lrsweep tests -name __pycache__ -type d -prune -exec rm -rf {} +
