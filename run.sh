#!/usr/bin/env bash
# Sets up .venv on the first call, then runs `python src/main.py` with the arguments given.
# Without arguments: QMIX on the skirmish map 3m, a few minutes on two cores; then its learning curve and a replay.
# With --fast: the same tour with PQN-VDN, on 120,000 env steps instead of 400,000.
cd "$(dirname "$0")"
source ./setup.sh
install requirements.txt

newest() { ls -1dt "$@" | sed -n 1p; }

# tour CONFIG KEYS...: train on 3m, draw the learning curve, play a battle with what was learned.
tour() {
    local training=("--config=$1" --env-config=skirmish with "${@:2}" save_model=True save_buffer=False)
    echo "python src/main.py ${training[*]}"
    "$python" src/main.py "${training[@]}"
    local models run
    models=$(newest results/models/*/)
    run=$(newest results/sacred/3m/*/[0-9]*)
    "$python" src/tools/curve.py "$run" --out "$run/curve.png" >/dev/null
    local evaluation=(src/evaluate.py "${models%/}" save_replay=True)
    echo "python ${evaluation[*]}"
    "$python" "${evaluation[@]}"
    "$python" src/tools/replay.py --out results/replays/battles.html >/dev/null
    echo
    echo "Every number:   $run/info.json"
    echo "Learning curve: $run/curve.png"
    echo "Battles:        results/replays/battles.html (open it in a browser)"
    echo "The policy:     ${models%/}"
}

if [ $# -eq 0 ]; then
    tour qmix t_max=400000
elif [ "$*" = --fast ]; then
    tour pqn_vdn t_max=120000 test_interval=5000 epsilon_anneal_time=40000 batch_size_run=32 batch_size=32 minibatches=8
else
    exec "$python" src/main.py "$@"
fi
