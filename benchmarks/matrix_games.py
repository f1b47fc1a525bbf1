"""Which equilibrium of a matrix game each method ends in, where looking for the best one alone is punished.

    python benchmarks/matrix_games.py [--seeds 10] [--algs qmix,epymarl/pac_ns,...] [--games hard,climbing,...]
        [--steps N] [with KEY=VALUE ...]

Games are those of one_step_matrix_game (hard, qtran, qplex) and, one round of each at a time, EPyMARL's (climbing,
climbing-3p, penalty-0 to penalty-100). Any shipped algorithm plays, by its name. Those of METHODS, which learn values,
explore at random throughout (epsilon 1, as QPLEX's authors do) and learn one-step targets from batches of 32 of all
that was played (Adam, lr 0.003), 16,000 env steps. All others, which learn policies, have the values of their files,
and 40,000 env steps. One thread. Words behind `with` are added to every run's. A team's reward is the agents' mean,
that is the table's payoff; with env_args.reward_scalarisation=sum, which is EPyMARL's own, it is N times that.

Prints a line for each game and method: how many of the seeds end with a best joint action as the greedy one, how often
which payoff is the greedy joint action's, and the mean of these. Numbers are those of the last test, by the table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "src")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pymarl import main as command  # noqa: E402
from pymarl.envs.matrix_games import PAYOFFS  # noqa: E402
from pymarl.utils.layers import shipped_files  # noqa: E402
from run_kit import read, run_folders  # noqa: E402

STEPS = {"values": 16000, "policies": 40000}
OPTIMA = {"hard": 12.0, "qtran": 8.0, "qplex": 8.0, "climbing": 11.0, "climbing-3p": 11.0,
          **{f"penalty-{k}": 10.0 for k in (0, 25, 50, 75, 100)}}  # fmt: skip
ONE_STEP = {"hard", "qtran", "qplex"}  # the others' one round ends an episode, too
DIDACTIC = ("num_kernel=10", "adv_hypernet_layers=3", "agent_own_state_size=1")  # QPLEX's authors, for such games
METHODS = {
    "iql": (), "vdn": (), "qmix": (), "qatten": ("agent_own_state_size=1",), "qplex": DIDACTIC,
    "qplex_qatten": DIDACTIC, "qtran": (), "qtran_alt": (), "cw_qmix": (), "ow_qmix": (),
}  # fmt: skip
OF_VALUES = (
    "runner=parallel", "batch_size_run=8", "epsilon_start=1.0", "epsilon_finish=1.0", "optimizer=adam",
    "lr=0.003", "batch_size=32", "buffer_size=5000", "td_lambda=0.0",
)  # fmt: skip
COMMON = (
    "test_greedy=True", "log_interval=100000", "runner_log_interval=100000",
    "learner_log_interval=100000", "save_final=False", "use_cuda=False",
)  # fmt: skip


def env_words(game: str) -> list[str]:
    """Return what names a game on the command line."""
    if game in ONE_STEP:
        return [f"env_args.map_name=one_step_matrix_game_{game}"]
    return [f"env_args.map_name={game}-nostate-v0", "env_args.ep_length=1", "env_args.reward_scalarisation=mean"]


def payoff(reward: float, env_args: dict[str, Any]) -> float:
    """Return what the table pays to each agent in a round, of an episode's reward to the team."""
    if env_args["map_name"] not in PAYOFFS:  # a one_step_matrix_game
        return reward
    n_agents = PAYOFFS[env_args["map_name"]].ndim
    rounds: int = env_args["ep_length"]
    return reward / rounds / (n_agents if env_args["reward_scalarisation"] == "sum" else 1)


def final_reward(alg: str, game: str, seed: int, steps: int | None, more: list[str]) -> float:
    """Train once; return the payoff of the greedy joint action at the end."""
    env = "one_step_matrix_game" if game in ONE_STEP else "matrix_games"
    steps = steps or STEPS["values" if alg in METHODS else "policies"]
    words = [f"--config={alg}", f"--env-config={env}", "with", *(OF_VALUES if alg in METHODS else ())]
    words += [*COMMON, *METHODS.get(alg, ()), *env_words(game), f"seed={seed}", f"t_max={steps}"]
    words += [f"test_interval={steps // 4}", *more]
    output = io.StringIO()
    with tempfile.TemporaryDirectory() as scratch:
        words.append(f"local_results_path={scratch}")
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = command.main(words)
        if code:
            raise SystemExit(f"{' '.join(words)}: exit code {code}: {output.getvalue()[-500:]}")
        folder = run_folders(Path(scratch))[-1]
        reward = read(folder, "info.json")["test_return_mean"][-1]
        return payoff(reward, read(folder, "config.json")["env_args"])


def main() -> None:
    """Print a line for each game and method that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="0, 1, ... (default: 10)")
    parser.add_argument("--steps", type=int, help="env steps of a run (default: see above)")
    parser.add_argument("--algs", default=",".join(METHODS), help="names of files of src/config/algs")
    parser.add_argument("--games", default="hard,qtran,qplex", help=f"of {', '.join(OPTIMA)}")
    options, more = parser.parse_known_args()
    for given, known in ((options.algs, shipped_files("algs")), (options.games, OPTIMA)):
        if unknown := set(given.split(",")) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    if more and more.pop(0) != "with":
        parser.error("unknown words; keys of a run come behind `with`")
    for game in options.games.split(","):
        for alg in options.algs.split(","):
            rewards = [final_reward(alg, game, seed, options.steps, more) for seed in range(options.seeds)]
            found = sum(reward == OPTIMA[game] for reward in rewards)
            ends = ", ".join(f"{payoff:g} x{count}" for payoff, count in sorted(Counter(rewards).items(), reverse=True))
            mean = statistics.mean(rewards)
            print(f"{game:11} {alg:18} {found} of {len(rewards)} best ({ends}), mean {mean:.1f}", flush=True)


if __name__ == "__main__":
    main()
