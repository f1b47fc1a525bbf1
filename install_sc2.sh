#!/usr/bin/env bash
# Installs what --env-config=sc2 and sc2v2 need: the packages smac and smacv2, StarCraft II 4.10 for Linux and the maps.
# Steps that are done are skipped; a download that broke off goes on where it was.
#
# It writes into this repository alone (.venv and 3rdparty/), unless you set SC2PATH, the folder for the game:
#     SC2PATH=/data/StarCraftII ./install_sc2.sh
# Mirrors: SC2_GAME_URL, SC2_SMAC_URL and SC2_SMACV2_URL replace the addresses of the three archives.
game=${SC2PATH:-$(cd "$(dirname "$0")" && pwd)/3rdparty/StarCraftII}
game=${game/#\~\//$HOME/}
[[ $game = /* ]] || game=$PWD/$game
game=${game%/}
cd "$(dirname "$0")" || exit
source ./setup.sh

GAME_URL=${SC2_GAME_URL:-http://blzdistsc2-a.akamaihd.net/Linux/SC2.4.10.zip}
LICENSE_URL=http://blzdistsc2-a.akamaihd.net/AI_AND_MACHINE_LEARNING_LICENSE.html
PASSWORD=iagreetotheeula  # of the game's archive: to type it means to accept the license
BUILD=Base75689           # 4.10
GAME_MB=10000             # about 4 GB to download, the same again unpacked, and some air

has_game() { compgen -G "$game/Versions/Base*" >/dev/null; }

parts=$game.parts  # downloads, until everything is installed
! has_game || parts=$PWD/3rdparty/StarCraftII.parts  # a game that is there may lie where we cannot write

fail() {
    echo "error: $*" >&2
    exit 1
}

say() { echo "install_sc2: $*"; }
size_of() { if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi; }
mb() { echo $(($(size_of "$1") / 1000000)); }

ask() {  # ask EXPRESSION ARGUMENTS: of src/envs/sc2/installation.py, which knows what is needed
    PYTHONPATH=src "$python" -c "import sys; from pymarl.envs.sc2.installation import *; print(*$1)" "${@:2}"
}

check_machine() {
    local tool
    [ -n "$game" ] || fail "SC2PATH=/ is no folder for a game; set it to a folder of yours"
    [ ! -e "$game" ] || [ -d "$game" ] || fail "$game is a file; set SC2PATH to a folder"
    for tool in curl unzip; do
        command -v "$tool" >/dev/null || fail "$tool is missing; install it (Debian, Ubuntu: sudo apt install $tool)"
    done
    has_game && return
    case "$(uname -s) $(uname -m)" in
        "Linux x86_64") ;;
        Darwin*) fail "the game that this downloads runs on Linux alone; on macOS install StarCraft II with Battle.net," \
            "then SC2PATH='/Applications/StarCraft II' ./install_sc2.sh adds maps and packages (its version is not" \
            "4.10, so results differ); or play without StarCraft II: --env-config=skirmish" ;;
        *) fail "StarCraft II 4.10 is built for Linux on x86_64, and this is $(uname -s) on $(uname -m);" \
            "play without StarCraft II: --env-config=skirmish" ;;
    esac
    [ ! -d "$game" ] || rmdir "$game" 2>/dev/null ||
        fail "$game holds other things and no game (no Versions/Base*); move it away or set SC2PATH to another folder"
}

need_mb() {  # need_mb MEGABYTES WHAT
    local free
    free=$(($(df -Pk "$parts" | awk 'NR == 2 { print $4 }') * 1024 / 1000000))
    [ "$free" -ge "$1" ] || fail "$2 needs $1 MB on the disk of $parts, where $free MB are free;" \
        "free some, or set SC2PATH to a folder on another disk"
}

why() {  # why CURLS_EXIT_CODE HTTP_STATUS
    case $1 in
        6) echo "no such host, or no network" ;;
        7) echo "connection refused" ;;
        18 | 52 | 56) echo "the connection broke off" ;;
        22) echo "the server answered $2" ;;
        23) echo "the file could not be written; is the disk full?" ;;
        28) echo "no answer, or too slow" ;;
        33) echo "the server sends whole files only; from the start again" ;;
        *) echo "curl ended with code $1" ;;
    esac
}

# A try that gets further than all before it is followed by another; after three in a row that do not, it ends.
download() {  # download URL FILE
    local part=$2.part best=0 vain=0 code status size style=(--silent)
    [ ! -t 2 ] || style=(--progress-bar)
    until [ -f "$2" ]; do
        status=$(curl "${style[@]}" --fail --location --connect-timeout 30 --speed-limit 1000 --speed-time 60 \
            --continue-at - --output "$part" --write-out '%{http_code}' "$1") && code=0 || code=$?
        if [ "$code" = 0 ] || [ "$status" = 416 ]; then  # 416: we have all there is
            mv "$part" "$2"
            return
        fi
        [ "$code" != 33 ] || rm -f "$part"
        size=$(size_of "$part")
        if [ "$size" -gt "$best" ]; then best=$size vain=0; else vain=$((vain + 1)); fi
        case $code in
            6 | 22 | 23) vain=3 ;;
        esac
        [ "$vain" -lt 3 ] || fail "$1: $(why "$code" "$status"); $(mb "$part") MB are kept," \
            "and ./install_sc2.sh goes on from there"
        say "$(why "$code" "$status"), at $(mb "$part") MB; going on"
        sleep 3
    done
}

whole() {  # whole ARCHIVE: end, without the archive, if it is broken
    unzip -tqq -P "$PASSWORD" "$1" >/dev/null 2>&1 && return
    rm -f "$1"
    fail "$(basename "$1") was broken, or no zip archive, and is removed; run ./install_sc2.sh again"
}

fetch_package() {  # fetch_package smac|smacv2: leaves its archive in $archive
    local pinned mirror=SC2_SMAC_URL
    [ "$1" = smac ] || mirror=SC2_SMACV2_URL
    pinned=$(sed -n "s/^$1 @ //p" requirements-sc2.txt)
    archive=$parts/$1-$(basename "$pinned")
    download "${!mirror:-$pinned}" "$archive"
    whole "$archive"
}

add_packages() {
    local name names wanted=()
    names=$(ask 'to_install(REPO / "requirements-sc2.txt")')
    [ -n "$names" ] || { say "the packages are there"; return; }
    for name in $names; do
        case $name in
            smac | smacv2) fetch_package "$name"; wanted+=("$archive") ;;
            *) wanted+=("$(grep "^$name==" requirements-sc2.txt)") ;;
        esac
    done
    say "installing into .venv: $names"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall \
        "${wanted[@]}" >"$parts/pip.log" 2>&1 || fail "pip could not install all of $names:" \
        "$(grep -i '^error' "$parts/pip.log" | tail -n 1) (the rest is in $parts/pip.log)"
}

add_game() {
    local archive=$parts/SC2.4.10.zip unpacked=$parts/unpacked broken
    if has_game; then
        chmod +x "$game"/Versions/Base*/SC2_x64 2>/dev/null || true
        broken=$(ask '[f"{fault.what}; {fault.remedy}"] if (fault := game_fault(Path(sys.argv[1]))) else []' "$game")
        [ -z "$broken" ] || fail "$broken"
        say "a game is there: $(cd "$game/Versions" && echo Base*) in $game"
        return
    fi
    need_mb $((GAME_MB - $(mb "$archive") - $(mb "$archive.part"))) "StarCraft II"
    say "downloading StarCraft II 4.10, about 4 GB"
    download "$GAME_URL" "$archive"
    say "checking and unpacking it"
    whole "$archive"
    rm -rf "$unpacked"
    need_mb $(($(unzip -Zt "$archive" | awk '{ print $3 }') / 1000000)) "unpacking StarCraft II"
    unzip -q -P "$PASSWORD" "$archive" -d "$unpacked" >/dev/null || fail "$archive could not be unpacked (unzip: $?)"
    [ -f "$unpacked/StarCraftII/Versions/$BUILD/SC2_x64" ] ||
        fail "$archive is not the Linux game 4.10: no StarCraftII/Versions/$BUILD/SC2_x64 in it; remove it"
    chmod +x "$unpacked/StarCraftII/Versions/$BUILD/SC2_x64"
    mv "$unpacked/StarCraftII" "$game"
}

add_maps() {  # add_maps smac|smacv2 MAPS: the names of its maps in installation.py
    local file files folder=$game/Maps/SMAC_Maps
    files=$(ask "missing_files(Path(sys.argv[1]), $2)" "$game")
    [ -n "$files" ] || { say "the maps of $1 are there"; return; }
    fetch_package "$1"
    rm -rf "$parts/maps"
    unzip -qojd "$parts/maps" "$archive" '*/SMAC_Maps/*.SC2Map' >/dev/null || fail "no maps in $archive; remove it"
    for file in $files; do
        [ -f "$parts/maps/$file" ] || fail "$file is not in $archive; remove it and run ./install_sc2.sh again"
    done
    mkdir -p "$folder" || fail "cannot write to $folder"
    for file in "$parts/maps"/*.SC2Map; do  # not mv -n, which since coreutils 9.2 may fail where a file is kept
        [ ! -s "$folder/${file##*/}" ] || continue
        { cp "$file" "$folder/.part" && mv "$folder/.part" "$folder/${file##*/}"; } 2>/dev/null ||
            { rm -f "$folder/.part"; fail "cannot write to $folder; is the disk full?"; }
    done
    say "the maps of $1 are in $folder"
}

say "by running this you accept Blizzard's AI and Machine Learning License: $LICENSE_URL"
check_machine
mkdir -p "$parts" 2>/dev/null || fail "cannot write to $(dirname "$parts"); set SC2PATH to a folder of yours"
mkdir -p 3rdparty
exec 9>3rdparty/.install_sc2.lock  # a download that outlives its installer holds it too
! command -v flock >/dev/null || flock -n 9 ||
    fail "another ./install_sc2.sh, or a download that it left behind, is at work here; wait for its end"
need_mb 200 "the installation"
install requirements.txt
add_packages
add_game
add_maps smac MAPS
add_maps smacv2 FLAT_MAPS
rm -rf "$parts"
if [ -n "${SC2PATH:-}" ]; then
    export SC2PATH=$game
    [ "$game" = "$HOME/StarCraftII" ] || [ "$game" = "$PWD/3rdparty/StarCraftII" ] ||
        say "the game is not where runs look for it by themselves: export SC2PATH=$(printf %q "$game")"
fi
"$python" src/tools/doctor.py --sc2
