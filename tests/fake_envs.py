"""Small envs for the tests of what drives envs. Named "fake_envs:RandomWalk" and so on: workers import them by name."""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pymarl.envs.adapter import constructor_seeds
from pymarl.envs.multiagentenv import EnvArrays, EnvInfo, EpisodeBroken, ReplayError
from pymarl.envs.specs import Box
from pymarl.utils.errors import UserError

RAISED = {
    "raise": lambda: ZeroDivisionError("planted fault"),
    "reset_connection": lambda: ConnectionResetError("the game hung up"),
    "user": lambda: UserError("map 'x' is missing; download it"),
    "memory": lambda: MemoryError(),
    "interrupt": lambda: KeyboardInterrupt(),
    "broken": lambda: EpisodeBroken("the game is gone"),
}


def loop_in_python() -> None:
    while True:
        pass


def loop_in_c() -> None:
    sum(itertools.repeat(0))  # holds the interpreter, and looks at no signal


def wait_in_c() -> None:
    ctypes.CDLL(None).poll(None, 0, -1)  # lets others have the interpreter


def retry_for_ever() -> None:
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue


CALLED = {
    "loop": loop_in_python,
    "c_loop": loop_in_c,
    "c_wait": wait_in_c,
    "retry": retry_for_ever,
    "sleep": lambda: time.sleep(60),
    "exit": lambda: sys.exit(7),
    "gone": lambda: os._exit(9),
    "segfault": lambda: ctypes.string_at(0),
}


class RandomWalk:
    """A PyMARL env that inherits from nothing: noise for observations, ends at random or by the clock.

    `trouble` is what goes wrong at step `at` of an episode (0: in reset, -1: in the constructor).
    """

    def __init__(self, episode_limit: int = 8, trouble: str = "", at: int = 3, seed: int = 0) -> None:
        self.episode_limit, self.n_agents, self.n_actions = episode_limit, 2, 3
        self.trouble, self.at = trouble, at
        self.constructor_seed = seed
        self.episodes = 0
        self.t = -1
        self._misbehave()

    def reset(self, seed: int | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self.t = 0
        self._look()
        self._misbehave()

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        self.t += 1
        self._look()
        self._misbehave()
        over = bool(self.rng.random() < 0.15)
        late = self.t >= self.episode_limit and self.trouble != "endless"
        info: dict[str, Any] = {"sum": int(np.sum(actions)), "won": over, "text": "not a number"}
        if late and not over:
            info["episode_limit"] = True
        self.episodes += over or late
        return float(self.rng.normal() + 0.1 * actions[0]), over or late, info

    def _look(self) -> None:
        self.obs = [self.rng.normal(size=4).astype(np.float32) for _ in range(2)]
        self.avail = self.rng.random((2, 3)) < 0.6
        self.avail[:, self.rng.integers(3)] = True

    def _misbehave(self) -> None:
        if self.t != self.at:
            return
        if self.trouble in RAISED:
            raise RAISED[self.trouble]()
        if self.trouble == "deep":
            self._misbehave()
        if self.trouble in CALLED:
            CALLED[self.trouble]()
        if self.trouble == "shape":
            self.obs = self.obs[:1]
        if self.trouble == "ragged":
            self.obs[0] = self.obs[0][:2]
        if self.trouble == "nan":
            self.obs[1][2] = np.nan
        if self.trouble == "mask":
            self.avail[1] = False

    def get_obs(self) -> Any:
        return self.obs

    def get_state(self) -> Any:
        return np.concatenate(self.obs) if len(self.obs) == 2 else np.zeros(8)

    def get_avail_actions(self) -> Any:
        return self.avail.astype(int).tolist()

    def get_env_info(self) -> dict[str, Any]:
        return {
            "n_agents": 2,
            "n_actions": 3,
            "obs_shape": 4,
            "state_shape": 8,
            "episode_limit": self.episode_limit,
            "agent_features": ["x"],
        }

    def get_stats(self) -> dict[str, float]:
        return {"episodes": self.episodes, "constructor_seed": self.constructor_seed}

    def save_replay(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        if self.trouble == "stuck_close":
            loop_in_python()


class OwnRewards(RandomWalk):
    """Each agent has a reward of its own: the team's, and a tenth of the second agent's action."""

    def step(self, actions: Any) -> Any:
        reward, over, info = super().step(actions)
        return [reward, 0.1 * actions[1]], over, info

    def get_env_info(self) -> dict[str, Any]:
        return super().get_env_info() | {"n_rewards": 2}


class Continuous(RandomWalk):
    """Says that its actions are real numbers."""

    def get_env_info(self) -> dict[str, Any]:
        return super().get_env_info() | {"box": Box(-1.0, 1.0, (3,))}


class NativeRewards:
    """A native batched env of three steps: in each, agent i earns its action times i + 1."""

    batched = True
    replay_of_episode = False

    @dataclass(frozen=True, kw_only=True)
    class Config:
        n_rewards: int

    def __init__(self, config: Config, batch_size: int) -> None:
        self.batch_size, self.steps = batch_size, np.zeros(batch_size, np.int64)
        self.info = EnvInfo(
            n_agents=2, n_actions=3, obs_shape=1, state_shape=1, episode_limit=3, n_rewards=config.n_rewards
        )
        self.arrays = EnvArrays.allocate(self.info, batch_size)
        self.arrays.avail_actions[...] = True

    def reset(self, rows: Any, seeds: Any) -> None:
        self.steps[rows] = 0
        self.arrays.truncated[rows] = False

    def step(self, actions: Any, rows: Any) -> None:
        self.steps[rows] += 1
        self.arrays.reward[rows] = actions[rows] * [1.0, 2.0]
        self.arrays.truncated[rows] = self.steps[rows] == 3

    def episode_info(self, row: int) -> dict[str, Any]:
        return {"won": True}

    def close(self) -> None:
        pass


class WithReplays(RandomWalk):
    """Writes a file where it is told to."""

    def save_replay(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.constructor_seed}.txt"
        path.write_text("replay")
        return path


class FiveValues(RandomWalk):
    """The same env with EPyMARL's five values; `both` reports the end and the clock at once."""

    def __init__(self, both: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.both = both

    def step(self, actions: Any) -> Any:
        reward, over, info = super().step(actions)
        late = info.pop("episode_limit", False)
        return self.obs, reward, over and not late, late or (over and self.both), info


class BadReplay(WithReplays):
    """The env of one seed cannot save its replay."""

    def __init__(self, bad_seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bad = self.constructor_seed == bad_seed

    def save_replay(self, directory: Path) -> Path:
        if self.bad:
            raise ReplayError("no room for the replay")
        return super().save_replay(directory)


class Slow(RandomWalk):
    """Steps slowly where the constructor's seed is the first that runs with seed 1 deal out."""

    def step(self, actions: Any) -> Any:
        if self.constructor_seed == constructor_seeds(1, 1)[0]:
            time.sleep(1.5)
        return super().step(actions)


class Promising(RandomWalk):
    """Says how long a reset or a step may take. Its start and a step take `seconds`; the one of bad_seed hangs."""

    answer_seconds = 1.5

    def __init__(self, seconds: float = 0.0, bad_seed: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = 60.0 if self.constructor_seed == bad_seed else seconds
        time.sleep(seconds)

    def step(self, actions: Any) -> Any:
        time.sleep(self.seconds)
        return super().step(actions)


class OneBadRow(RandomWalk):
    """Has its trouble only where the constructor's seed is `bad_seed`."""

    def __init__(self, bad_seed: int, trouble: str, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(trouble=trouble if seed == bad_seed else "", seed=seed, **kwargs)


class OwnProcess(RandomWalk):
    """Must not run in the process of the run."""

    own_process = True


class Fragile(WithReplays):
    """After `whole` episodes, its game is gone at step `at` (0: in reset), `breaks` times."""

    def __init__(self, breaks: int, whole: int = 0, **kwargs: Any) -> None:
        super().__init__(trouble="broken", **kwargs)
        self.breaks, self.whole = breaks, whole

    def _misbehave(self) -> None:
        if self.t == self.at and self.breaks > 0 and self.episodes >= self.whole:
            self.breaks -= 1
            super()._misbehave()


class Late(RandomWalk):
    """Has its trouble only after `whole` episodes."""

    def __init__(self, whole: int, **kwargs: Any) -> None:
        self.whole = whole
        super().__init__(**kwargs)

    def _misbehave(self) -> None:
        if self.episodes >= self.whole:
            super()._misbehave()


class DiesAtStart(RandomWalk):
    """Its process ends in the constructor as long as there are files in the folder `curses`; each time one goes.

    With `polite` it says that something is missing, instead.
    """

    def __init__(self, curses: str, polite: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for curse in Path(curses).iterdir():
            curse.unlink()
            if polite:
                raise UserError("the map is not there")
            os._exit(7)


class HangsAtRestart(RandomWalk):
    """Promises to answer soon; the second constructor of a process hangs: the first leaves a file in `folder`."""

    answer_seconds = 5.0

    def __init__(self, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        first = Path(folder, str(self.constructor_seed))
        if first.parent.is_dir() and any(first.parent.iterdir()):
            time.sleep(60)
        first.touch()


class SeededOnce(RandomWalk):
    """`reset` takes no seed: all randomness comes from the constructor's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._only = np.random.default_rng(self.constructor_seed)

    def reset(self) -> None:  # type: ignore[override]
        super().reset(int(self._only.integers(2**32)))


class Unseeded(RandomWalk):
    """Takes no seed anywhere."""

    def __init__(self) -> None:
        super().__init__()

    def reset(self) -> None:  # type: ignore[override]
        super().reset(None)


class WithGame(RandomWalk):
    """Starts a process of its own, as StarCraft II does, and ends it in close(), which may raise then."""

    def __init__(self, pid_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.game = subprocess.Popen(["sleep", "600"])
        Path(f"{pid_file}.{self.game.pid}").write_text(str(os.getpid()))

    def close(self) -> None:
        self.game.kill()
        self.game.wait()
        if self.trouble == "close":
            raise OSError("planted fault in close")


class Habits:
    """What envs written for PyMARL do: `habit` says which. Two agents and steps, reward 2, over after the second."""

    def __init__(self, habit: str = "pymarl", seed: int = 0) -> None:
        self.habit = habit
        self.reward: Any = 2.0

    def reset(self) -> None:
        self.t = 0

    def step(self, actions: Any) -> Any:
        self.t += 1
        if self.habit in ("pymarl", "tensors", "tensor"):
            return self.reward, self.t == 2, None
        import torch  # a worker that does not need it is spared it

        one = {
            "array": lambda x: np.array([x]),
            "array_0d": lambda x: np.array(x),
            "array_2d": lambda x: np.array([[x]]),
            "numpy": lambda x: np.float32(x),
            "list": lambda x: [x],
            "tensor_1d": lambda x: torch.tensor([x]),
            "tensor_0d": lambda x: torch.tensor(x),
            "bfloat16": lambda x: torch.tensor([[x]], dtype=torch.bfloat16),
            "gradient": lambda x: torch.tensor(float(x), requires_grad=True),
        }[self.habit]
        return one(self.reward), one(self.t == 2), {"number": one(self.reward)}

    def get_obs(self) -> Any:
        rows = [[float(self.t), 1.0]] * 2
        if not self.habit.startswith("tensor"):
            return rows
        import torch

        tensors = [torch.tensor(row, requires_grad=True) for row in rows]
        return tensors if self.habit == "tensors" else torch.stack(tensors).bfloat16()

    def get_state(self) -> Any:
        return [float(self.t)]

    def get_avail_actions(self) -> Any:
        return [[1, 1, 1]] * 2

    def get_env_info(self) -> Any:
        return {"n_agents": 2, "n_actions": 3, "obs_shape": 2, "state_shape": 1, "episode_limit": 2}

    def get_stats(self) -> Any:
        raise NotImplementedError

    def close(self) -> Any:
        raise NotImplementedError


class NoState(Habits):
    """A method is missing."""

    get_state = None  # type: ignore[assignment]


class KeepsActions(Habits):
    """Its state is the first agent's action in the step before, and it writes into what it was handed."""

    def reset(self) -> None:
        super().reset()
        self.kept, self.shown = None, 0

    def step(self, actions: Any) -> Any:
        self.shown = int(actions[0]) if self.kept is None else int(self.kept[0])
        actions[1] = 7
        self.kept, self.t = actions, 0
        return super().step(actions)

    def get_state(self) -> Any:
        return [float(self.shown)]


class Promptly(RandomWalk):
    """Each step takes `seconds`; makes no promise about it."""

    def __init__(self, seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds

    def step(self, actions: Any) -> Any:
        time.sleep(self.seconds)
        return super().step(actions)
