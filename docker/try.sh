#!/usr/bin/env bash
# Builds the images, starts the stack, sweeps through the API, restarts every part, loses and restores everything, and
# leaves nothing. As root, on Debian or Ubuntu, with 15 GB free; --help says what it takes. What it does stands in
# tests/containers/, and needs no installation: python3 alone.
cd "$(dirname "$0")/.." && exec "${PYTHON:-python3}" -m tests.containers "$@"
