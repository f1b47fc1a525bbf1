#!/usr/bin/env bash
# Measures the GPU path in one call of under eight minutes: updates, samples, acting, whole trainings; and runs its tests.
#
#     benchmarks/gpu.sh                                    makes .venv by setup.sh first, if it is not there
#     PYTHON=python3 PYMARL2=DIR OUT=DIR benchmarks/gpu.sh
#     DEVICE=cpu benchmarks/gpu.sh                         the same in small, without a GPU: does it still run?
#
# PYTHON has torch with CUDA and what requirements-dev.txt names; PYMARL2 is a checkout of it, to be measured in turns
# with our updates; OUT (results/gpu) takes what each step printed, and summary.txt; THREADS (4) is for what runs on the
# CPU. A step that fails or takes too long does not keep the others from running; the exit code is the number of those
# that did. The minutes are those after setup.sh.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
device=${DEVICE:-cuda} out=${OUT:-results/gpu} peer=${PYMARL2:-} threads=${THREADS:-4}
if [ -z "${PYTHON:-}" ]; then
    source ./setup.sh
    install requirements-dev.txt
    set +e
    PYTHON=$python
fi
shown=(peer updates samples acting acting_cpu training training_main training_gpu training_async training_cpu tests)
mkdir -p "$out" || exit 1
for name in machine steps compile summary "${shown[@]}"; do rm -f "$out/$name.txt"; done
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=$threads
failed=0 SECONDS=0 whole=460

step() { # step NAME SECONDS COMMAND...: runs it, keeps what it prints, notes how it ended
    local name=$1 most=$2 start=$SECONDS code status=ok left=$((whole - SECONDS))
    shift 2
    [ "$most" -le "$left" ] || most=$((left > 1 ? left : 1))
    echo "== $name: $*"
    timeout --kill-after=5 "$most" "$@" 2>&1 | tee "$out/$name.txt"
    code=${PIPESTATUS[0]}
    case $code in
        0) ;;
        124 | 137) status="took more than $most s" ;;
        *) status="failed with $code" ;;
    esac
    [ "$code" = 0 ] || failed=$((failed + 1))
    printf '%-12s %4d s  %s\n' "$name" $((SECONDS - start)) "$status" >> "$out/steps.txt"
}

machine() {
    git log -1 --format='commit %h of %cs' 2>/dev/null
    nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv 2>/dev/null || echo "no nvidia-smi"
    "$PYTHON" -c '
import os, platform, torch
print(f"Python {platform.python_version()}, torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN "
      f"{torch.backends.cudnn.version()}, {os.cpu_count()} cores")
print(torch.cuda.get_device_properties(0) if torch.cuda.is_available() else "torch sees no GPU")'
}

training() { # training NAME SECONDS KEY=VALUE...: env steps per second of a whole training
    step "$1" "$2" "$PYTHON" benchmarks/train.py --config=qmix --env-config=skirmish --steps "$steps" \
        --warmup "$warmup" --repeats 1 --threads "$threads" with log_interval="$log" test_interval=10000 "${small[@]}" "${@:3}"
}

if [ "$device" = cuda ]; then
    maps=3m,2s3z,MMM2 lengths=full,random updates=(--repeats 9) small=()
    acting=(--maps 3m,MMM2 --num-envs 8,256 --seconds 1.5 --rounds 3) steps=32000 warmup=16000 log=2000
    devices=cuda,cpu use_cuda=(--use-cuda)
else
    maps=3m lengths=random updates=(--repeats 1 --batch 4) small=(batch_size=8 rnn_hidden_dim=16)
    acting=(--maps 3m --num-envs 2 --seconds 0.1 --rounds 1) steps=1600 warmup=400 log=400
    devices=cpu use_cuda=()
fi
against=()
if [ -z "$peer" ]; then
    echo "PYMARL2 is not set: updates are measured without PyMARL2's" | tee "$out/peer.txt"
elif [ ! -d "$peer/src" ]; then
    echo "PYMARL2=$peer has no src folder: updates are measured without PyMARL2's" | tee "$out/peer.txt"
else
    against=(--peer "$peer")
fi

machine 2>&1 | tee "$out/machine.txt"
if [ "$device" = cuda ]; then # compile the kernels here, not in what is timed
    step compile 90 "$PYTHON" benchmarks/learner.py --maps 3m --lengths full --batch 2 --repeats 1
fi
step updates 120 "$PYTHON" benchmarks/learner.py --maps $maps --lengths $lengths --device $devices \
    --threads "$threads" "${updates[@]}" "${against[@]}"
step samples 40 "$PYTHON" benchmarks/sampling.py --maps $maps --lengths $lengths --device "$device" \
    --threads "$threads" "${updates[@]}"
step acting 60 "$PYTHON" benchmarks/rollout.py --env skirmish "${acting[@]}" "${use_cuda[@]}"
[ "$device" = cpu ] || step acting_cpu 60 "$PYTHON" benchmarks/rollout.py --env skirmish "${acting[@]}"
if [ "$device" = cpu ]; then
    training training 40 use_cuda=False
else
    training training_main 40 use_cuda=True buffer_cpu_only=True
    training training_gpu 40 use_cuda=True buffer_cpu_only=False
    training training_async 40 use_cuda=True async_collect=True
    training training_cpu 40 use_cuda=False
    step tests 90 "$PYTHON" -m pytest -m gpu -p no:cacheprovider -rs tests
fi

{
    echo "--- machine"
    cat "$out/machine.txt"
    for file in "${shown[@]}"; do
        [ -f "$out/$file.txt" ] || continue
        echo "--- $file"
        tail -n 20 "$out/$file.txt"
    done
    echo "--- steps"
    cat "$out/steps.txt"
} > "$out/summary.txt"
echo
echo "======== $out/summary.txt"
cat "$out/summary.txt"
exit $failed
