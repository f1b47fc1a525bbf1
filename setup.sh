# Sourced by run.sh and test.sh: makes .venv and installs a requirements file into it, once per content of the files.
set -euo pipefail

python=.venv/bin/python

make_venv() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "Making .venv with $("$candidate" --version)"
            "$candidate" -m venv .venv
            return
        fi
    done
    echo "error: no Python 3.11 or newer found (tried python3.11, python3.12, python3.13, python3); install one" >&2
    exit 1
}

# PyPI's torch for Linux is a CUDA build of several GB. Without a GPU the CPU build does; if its index cannot be
# reached, the next step installs PyPI's.
install_cpu_torch() {
    [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 || return 0
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --retries 0 --timeout 20 \
        --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.txt)" >/dev/null 2>&1 || true
}

# Without what it asks for: most of that (grpc, pygame, an enum of 2013) only its other parts import.
install_pysc2() {
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$(grep '^pysc2==' requirements-sc2.txt)"
}

install() {  # install REQUIREMENTS_FILE
    local stamp=".venv/.installed-$1"
    if [ -x "$python" ] && cat requirements*.txt | cmp -s - "$stamp"; then
        return
    fi
    [ -x "$python" ] || make_venv
    echo "Installing $1 (once)"
    install_cpu_torch
    "$python" -m pip install --quiet --disable-pip-version-check -r "$1"
    [ "$1" = requirements.txt ] || install_pysc2
    cat requirements*.txt > "$stamp"
}
