#!/usr/bin/env bash
# Sets up .venv on the first call, then runs the test suite; arguments go to pytest.
cd "$(dirname "$0")"
source ./setup.sh
install requirements-dev.txt
exec "$python" -m pytest "$@"
