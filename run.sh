#!/usr/bin/env bash
# Sets up .venv on the first call, then runs `python src/main.py` with the arguments given.
# Without arguments: QMIX on Level-Based Foraging, a few minutes on two cores.
cd "$(dirname "$0")"
source ./setup.sh
install requirements.txt
if [ $# -eq 0 ]; then
    set -- --config=qmix_lbf --env-config=gymma
    echo "python src/main.py $*"
fi
exec "$python" src/main.py "$@"
