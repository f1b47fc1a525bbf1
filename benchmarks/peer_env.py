"""Step another simulator of SMAC's battles, with random available actions. Runs in the Python that has it installed:

    PYTHON benchmarks/peer_env.py smaclite '{"map": "2s3z", "num_envs": 1, "threads": 1, "limit": 120}'
    PYTHON benchmarks/peer_env.py smax '{"map": "3m", "num_envs": 512, "threads": 2, "limit": 60}'

Each line on stdin is a number of seconds to step for; the answer is `rollout STEPS SECONDS`. The seconds of SMAClite
are those of reset, step, state and masks (one env: it has no batches); those of SMAX (JaxMARL's HeuristicEnemySMAX) are
all of a compiled loop, random actions included.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np

SCAN = 32  # env steps in a call of SMAX's loop


class SMAClite:
    """One env of the package smaclite."""

    def __init__(self, spec: dict[str, Any]) -> None:
        from smaclite.env import SMACliteEnv
        from smaclite.env.maps.map import MapPreset

        maps = {preset.value.name: preset.value for preset in MapPreset}
        if spec["map"] not in maps:
            raise SystemExit(f"smaclite has no map {spec['map']}; it has {', '.join(maps)}")
        self._env = SMACliteEnv(map_info=maps[spec["map"]], seed=1)
        self._rng = np.random.default_rng(1)
        self._limit, self._steps = spec["limit"], spec["limit"]

    def play(self) -> tuple[int, float]:
        """Make a step, and a reset before it where one is due; return 1 and the env's own seconds."""
        begin = time.perf_counter()
        if self._steps >= self._limit:
            self._env.reset()
            self._env.get_state()
            self._avail = np.asarray(self._env.get_avail_actions())
            self._steps = 0
        seconds = time.perf_counter() - begin
        actions = (self._rng.random(self._avail.shape) * self._avail).argmax(-1).tolist()
        begin = time.perf_counter()
        _, _, terminated, _, _ = self._env.step(actions)
        self._env.get_state()
        self._avail = np.asarray(self._env.get_avail_actions())
        seconds += time.perf_counter() - begin
        self._steps = self._limit if terminated else self._steps + 1
        return 1, seconds


class SMAX:
    """A batch of JaxMARL's HeuristicEnemySMAX. It resets ended episodes itself."""

    def __init__(self, spec: dict[str, Any]) -> None:
        import jax
        from jaxmarl import make
        from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

        if spec["map"] not in MAP_NAME_TO_SCENARIO:
            raise SystemExit(f"smax has no map {spec['map']}; it has {', '.join(MAP_NAME_TO_SCENARIO)}")
        env = make("HeuristicEnemySMAX", scenario=MAP_NAME_TO_SCENARIO[spec["map"]])
        self._num_envs = spec["num_envs"]

        def sample(key: Any, mask: Any) -> Any:
            return jax.random.categorical(key, jax.numpy.where(mask, 0.0, -1e9))

        def one(key: Any, state: Any) -> Any:
            act_key, step_key = jax.random.split(key)
            avail = env.get_avail_actions(state)
            keys = jax.random.split(act_key, len(env.agents))
            actions = {agent: sample(k, avail[agent]) for agent, k in zip(env.agents, keys, strict=True)}
            return env.step(step_key, state, actions)

        def step(carry: Any, _: None) -> Any:
            key, state, _ = carry
            key, now = jax.random.split(key)
            obs, state, reward, _, _ = jax.vmap(one)(jax.random.split(now, self._num_envs), state)
            return (key, state, (obs, reward)), None  # in the carry: what is carried has to be computed

        def first(key: Any) -> Any:
            state = jax.vmap(env.reset)(jax.random.split(key, self._num_envs))[1]
            return step((key, state, None), None)[0]

        self._advance = jax.jit(lambda carry: jax.lax.scan(step, carry, None, SCAN)[0])
        self._ready = jax.block_until_ready
        self._carry = jax.jit(first)(jax.random.PRNGKey(1))

    def play(self) -> tuple[int, float]:
        """Make some steps of every env; return how many env steps that were, and seconds."""
        begin = time.perf_counter()
        self._carry = self._ready(self._advance(self._carry))
        return SCAN * self._num_envs, time.perf_counter() - begin


def main() -> None:
    name, spec = sys.argv[1], json.loads(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):  # JAX asks how many cores it may use, and has no option of its own
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-spec["threads"] :])
    elif name == "smax":
        print(f"smax: threads={spec['threads']} cannot be held on this system; it takes all cores", file=sys.stderr)
    simulator = {"smaclite": SMAClite, "smax": SMAX}[name](spec)
    simulator.play()  # compile and warm up
    print("rollout ready", flush=True)
    for line in sys.stdin:
        steps, seconds, begin = 0, 0.0, time.perf_counter()
        while time.perf_counter() - begin < float(line):
            more, spent = simulator.play()
            steps, seconds = steps + more, seconds + spent
        print(f"rollout {steps} {seconds:.6f}", flush=True)


if __name__ == "__main__":
    main()
