#!/usr/bin/env bash
# Sets up .venv on the first call, then runs the test suite, a process on each core; arguments go to pytest (-n 0: one).
cd "$(dirname "$0")"
source ./setup.sh
install requirements-dev.txt
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec "$python" -m pytest -n logical --dist worksteal "$@"
