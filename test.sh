#!/usr/bin/env bash
# Sets up .venv on the first call, then runs the test suite; arguments go to pytest (-n 0: in one process).
cd "$(dirname "$0")"
source ./setup.sh
install requirements-dev.txt
# One process more than there are cores: many tests wait for others' processes.
processes=$("$python" -c 'import os; print((os.cpu_count() or 1) + 1)')
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec "$python" -m pytest -n "$processes" --dist worksteal "$@"
