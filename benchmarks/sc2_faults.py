"""Train on StarCraft II while its games and workers fail, and look at what is left: nothing made up, nothing running.

    python benchmarks/sc2_faults.py --episodes 1000 --every 50
    python benchmarks/sc2_faults.py --episodes 100 --every 10 --runner episode

The game is the stand-in of tests/sc2_standin, the env unmodified smac on 3m. Faults, in turn: the game crashes, hangs,
cuts the connection, answers garbage, nothing, an error, or another request's answer; a game that shall replace one does
not start, as where its port is taken; and from outside: kill -9 of a game, kill -9 of a worker. Afterwards main.py
itself is killed with -9 and resumed. Checked: the run ends well; each restart is counted and logged; each episode in
the replay buffer ended as battles do, by one army's death or the clock; the episodes and env steps that were counted
are those in the buffer; no process and no temporary folder is left. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.utils.checkpoint import BUFFER_FILE, load_state, steps_in
from sc2_standin.install import make_sc2path

ROOT = Path(__file__).resolve().parents[1]
IN_GAME = ("crash", "hang", "cut", "garbage", "empty", "error", "wrong")
LIMIT, N_AGENTS, N_ENEMIES = 60, 3, 3  # of 3m
STEPS = 26  # of an episode of 3m at random, about
UNMISTAKABLE = {
    "garbage": "cannot be read", "empty": "empty response", "error": "told to fail", "wrong": "different id",
    "launch": "did not start; the game ended with code 1",
}  # fmt: skip
"""Kind of fault -> what only it makes the run say. (Beside a kill, a crash or a cut looks alike; it may hit a hang.)"""
MARK = "An episode broke and is played again; "


def fault_list(count: int, spacing: int, rows: int) -> str:
    """Return `count` faults for the stand-in, one each `spacing` steps of a game, and one when a game is replaced."""
    # A single game's count of steps starts anew with each fault.
    steps = [spacing * (1 if rows == 1 else k + 1) + k for k in range(count - 1)]
    in_game = [f"{IN_GAME[k % len(IN_GAME)]}@{at}" for k, at in enumerate(steps)]
    return ",".join([*in_game, f"launch@{rows + 2}"])


def command(options: argparse.Namespace, *words: str) -> list[str]:
    """Return a training of about so many episodes, with all of them in the replay buffer."""
    rows = 1 if options.runner == "episode" else options.num_envs
    return [
        sys.executable, str(ROOT / "src" / "main.py"), "--config=qmix", "--env-config=sc2", "with",
        f"runner={options.runner}", f"batch_size_run={rows}", f"t_max={options.episodes * STEPS}", "seed=1",
        f"env_args.game_timeout={options.timeout}", f"buffer_size={2 * options.episodes}", "batch_size=16",
        "save_model=True", f"save_model_interval={options.episodes * STEPS // 4}", "runner_log_interval=200",
        *words,
    ]  # fmt: skip


def family(process: subprocess.Popen[bytes]) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Return the worker processes and the games of a run."""
    workers, games = [], []
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    for child in children:
        try:
            words = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "SC2_x64" in words:
            games.append(child)
        elif "pymarl.envs.worker" in words:
            workers.append(child)
    return workers, games


def kill_some(process: subprocess.Popen[bytes], count: int, log: Path, every: float) -> collections.Counter[str]:
    """Kill games and workers in turn while the run goes on, and wait for its end."""
    killed: collections.Counter[str] = collections.Counter()
    while process.poll() is None and MARK not in log.read_text(errors="replace"):
        time.sleep(0.5)  # the first fault of a game's own comes when all of them play
    for k in range(count):
        if process.poll() is not None:
            break
        workers, games = family(process)
        victims = games if k % 2 == 0 else workers
        if victims:
            random.choice(victims).kill()
            killed["kill -9 of a game" if k % 2 == 0 else "kill -9 of a worker"] += 1
        time.sleep(every)
    process.wait()
    return killed


def look_at_buffer(directory: Path) -> tuple[int, int, list[str]]:
    """Return episodes and env steps in the replay buffer, and what is wrong with them."""
    buffer = load_state(directory, BUFFER_FILE)
    faults, steps = [], 0
    episodes = buffer["episodes"]
    for number, (state, ended) in enumerate(zip(episodes["state"], episodes["terminated"], strict=True)):
        length = len(ended) - 1
        steps += length
        allies = state[:, : 4 * N_AGENTS].reshape(-1, N_AGENTS, 4)[:, :, 0]
        enemies = state[:, 4 * N_AGENTS : 4 * N_AGENTS + 3 * N_ENEMIES].reshape(-1, N_ENEMIES, 3)[:, :, 0]
        over = ((allies <= 0).all(1) | (enemies <= 0).all(1)).flatten()
        if over[:length].any() or int(ended.sum()) != int(over[length]) or bool(ended[length]):
            faults.append(f"episode {number}: ended in slot {length}, armies in slots {torch.where(over)[0].tolist()}")
        elif not over[length] and length != LIMIT:
            faults.append(f"episode {number}: {length} steps, and both armies live")
        if (allies[0] <= 0).any() or (allies[0] != 1).any() or (enemies[0] != 1).any():
            faults.append(f"episode {number}: does not start with whole armies")
    return len(buffer["slots"]), steps, faults


def left_behind(temporary: Path, sc2path: Path) -> list[str]:
    """Return processes and temporary files that outlived the run."""
    left = [f"temporary {path.name}" for path in temporary.iterdir() if not path.name.startswith("torchinductor")]
    for process in psutil.process_iter():
        try:
            if process.environ().get("SC2PATH") == str(sc2path) and process.pid != os.getpid():
                left.append(f"process {process.pid}: {' '.join(process.cmdline())[:100]}")
        except psutil.Error:
            continue
    return left


def soak(options: argparse.Namespace, folder: Path) -> list[str]:
    """Train through the faults, print the table, return what is wrong."""
    count = options.episodes // options.every
    killed_from_outside = count // 4
    sc2path, temporary = make_sc2path(folder / "SC2"), folder / "tmp"
    temporary.mkdir()
    rows = 1 if options.runner == "episode" else options.num_envs
    spacing = max(8, options.episodes * STEPS // rows // (2 * count))
    environment = os.environ | {
        "SC2PATH": str(sc2path), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1",
        "SC2_STANDIN_FAULTS": fault_list(count - killed_from_outside, spacing, rows),
    }  # fmt: skip
    log, begin = folder / "log.txt", time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(command(options), cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        killed = kill_some(process, killed_from_outside, log, options.pause)
    seconds = time.perf_counter() - begin
    text = log.read_text(errors="replace")
    broken = [line.split(MARK)[1] for line in text.splitlines() if MARK in line]
    if process.returncode:
        return [f"exit code {process.returncode}: {text[-2000:]}", *left_behind(temporary, sc2path)]
    info = json.loads(next(folder.glob("results/sacred/*/*/[0-9]*/info.json")).read_text())
    (models,) = (folder / "results" / "models").iterdir()
    last = models / str(steps_in(models)[-1])
    episodes, steps, wrong = look_at_buffer(last)
    fired = collections.Counter(path.name.split("@")[0] for path in (sc2path / "faults").glob("*@*")) + killed
    print(f"{episodes} episodes, {steps} env steps, {seconds:.0f} s, runner {options.runner}")
    for kind, times in sorted(fired.items()):
        print(f"  {times:3d} x {kind}")
    print(f"  {len(broken)} episodes broke; env_restarts says {info['env_restarts'][-1]:.0f}")
    for reason, times in collections.Counter(" ".join(reason.split()[2:]) for reason in broken).most_common(40):
        print(f"    {times:3d} x {reason[:150]}")
    for kind, words in UNMISTAKABLE.items():
        told = sum(words in reason for reason in broken)
        if told != fired[kind]:
            wrong.append(f"{fired[kind]} x {kind}, told {told} times")
    counters = load_state(last)["runner"]
    # A kill may hit a game that hangs already.
    if counters["restarts"] != len(broken) or len(broken) < sum((fired - killed).values()):
        wrong.append(f"{counters['restarts']} restarts counted, {len(broken)} logged, {sum(fired.values())} faults")
    if sum(fired.values()) < count:
        wrong.append(f"only {sum(fired.values())} of {count} faults came about")
    if (counters["t_env"], counters["episodes"]["train"]) != (steps, episodes):
        wrong.append(f"the run counts {counters['t_env']} env steps of {counters['episodes']['train']} episodes")
    return wrong + left_behind(temporary, sc2path)


def kill_main(options: argparse.Namespace, folder: Path) -> list[str]:
    """Kill main.py in the midst of a training, look at what is left, and resume it."""
    sc2path, temporary = make_sc2path(folder / "SC2"), folder / "tmp"
    temporary.mkdir()
    environment = os.environ | {"SC2PATH": str(sc2path), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    options = argparse.Namespace(**{**vars(options), "episodes": 240})
    process = subprocess.Popen(command(options), cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(folder.glob("results/models/*/[0-9]*/run.pt")):
        time.sleep(0.1)
    time.sleep(1)
    workers, games = family(process)
    process.kill()
    process.wait()
    begin = time.perf_counter()
    while (left := left_behind(temporary, sc2path)) and time.perf_counter() - begin < 10:
        time.sleep(0.1)
    print(
        f"kill -9 of main.py: {len(workers)} workers and {len(games)} games gone in {time.perf_counter() - begin:.1f} s"
    )
    (models,) = (folder / "results" / "models").iterdir()
    resumed = subprocess.run(
        command(options, f"resume={models}"), cwd=folder, env=environment, stderr=subprocess.PIPE, check=False
    )
    wrong = left + left_behind(temporary, sc2path)
    if resumed.returncode:
        return [*wrong, f"resumed: {resumed.stderr.decode()[-2000:]}"]
    if not workers or not games:
        wrong.append(f"main.py had {len(workers)} workers and {len(games)} games")
    episodes, steps, faults = look_at_buffer(models / str(steps_in(models)[-1]))
    print(f"resumed to {episodes} episodes, {steps} env steps")
    return wrong + faults


def main(argv: list[str]) -> int:
    """Run both; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--every", type=int, default=50, help="episodes from fault to fault")
    parser.add_argument("--runner", choices=("parallel", "episode"), default="parallel")
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument("--pause", type=float, default=15.0, help="seconds from kill to kill")
    parser.add_argument("--timeout", type=int, default=20, help="env_args.game_timeout, seconds")
    options = parser.parse_args(argv)
    random.seed(1)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        wrong = soak(options, Path(first)) + kill_main(options, Path(second))
    print("\n".join(wrong) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
