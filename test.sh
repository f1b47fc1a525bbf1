#!/usr/bin/env bash
# Sets up .venv on the first call, then runs the test suite; arguments go to pytest (-n 0: in one process).
cd "$(dirname "$0")"
source ./setup.sh
install requirements-dev.txt
# One process more than there are cores: a fifth of the time the tests of whole runs wait for another process.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec "$python" -m pytest -n $(($(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal "$@"
