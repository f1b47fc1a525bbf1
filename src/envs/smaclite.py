"""SMAClite (Michalski et al. 2023, arXiv:2305.05566): SMAC's battles in NumPy, as EPyMARL has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from pymarl.envs.gymma import GymmaEnv
from pymarl.envs.keys import import_for
from pymarl.utils.config import PositiveInt
from pymarl.utils.errors import UserError, closest
from pymarl.utils.values import shown


class SMACliteEnv(GymmaEnv):
    """A battle of SMAClite; the state is SMAClite's: units' features and everybody's last action.

    SMAClite and EPyMARL carry the last actions of one episode into the first state of the next; here an episode is what
    its seed says. They do not tell who won either: `battle_won` is that no enemy is left.

    Args:
        config: see config/envs/smaclite.yaml.
        seed: of the first episode that `reset` starts without a seed of its own.

    Raises:
        UserError: the package is missing, or has no such map.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        map_name: str
        time_limit: PositiveInt
        use_cpp_rvo2: bool

    def __init__(self, config: Config, seed: int) -> None:
        super().__init__(
            GymmaEnv.Config(
                key=gym_key(config.map_name), time_limit=config.time_limit, pretrained_wrapper=None,
                common_reward=True, reward_scalarisation="sum", env_kwargs={"use_cpp_rvo2": config.use_cpp_rvo2},
            ),
            seed,
        )  # fmt: skip
        self._battle: Any = self._env.unwrapped

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        super().reset(seed)
        self._battle.last_actions = np.zeros_like(self._battle.last_actions)

    def step(self, actions: Any) -> tuple[float | NDArray[np.float64], bool, dict[str, Any]]:
        """Take one step; see `MultiAgentEnv.step`."""
        reward, over, info = super().step(actions)
        return reward, over, {**info, "battle_won": not self._battle.enemies}

    def get_state(self) -> NDArray[np.float32]:
        """Return [S], SMAClite's state."""
        return np.asarray(self._battle.get_state(), np.float32)

    def get_state_size(self) -> int:
        """Return S."""
        return int(self._battle.state_size)


def gym_key(map_name: str) -> str:
    """Return the key that makes a map in gymma. UserError if SMAClite is missing or has no such map."""
    key = f"smaclite:smaclite/{map_name}-v0"
    import_for(key, "smaclite")
    maps = [name[len("smaclite/") : -len("-v0")] for name in gym.registry if name.startswith("smaclite/")]
    maps.remove("custom")  # which asks for a file of its own
    if map_name not in maps:
        known = f"(known: {', '.join(sorted(maps))})"
        raise UserError(
            f"env_args.map_name={shown(map_name)}: SMAClite has no such map{closest(map_name, maps)} {known}"
        )
    return key
