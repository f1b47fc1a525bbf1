"""An env as forks of PyMARL have it: it knows nothing of this package."""

import numpy as np


class Meeting:
    """An env: two agents meet on a line. Its options come as keywords, its step returns three things."""

    def __init__(self, **kwargs):
        self.length, self.n_agents, self.episode_limit = kwargs["length"], 2, 6
        self.rng = np.random.RandomState(kwargs["seed"])

    def reset(self):
        self.places, self.steps = self.rng.randint(0, self.length, 2), 0
        return self.get_obs(), self.get_state()

    def step(self, actions):
        self.places = (self.places + [int(a) - 1 for a in actions]).clip(0, self.length - 1)
        self.steps += 1
        met, late = self.places[0] == self.places[1], self.steps >= self.episode_limit
        return float(met), bool(met or late), {"episode_limit": bool(late and not met)}

    def get_obs(self):
        return [self.get_obs_agent(i) for i in range(2)]

    def get_obs_agent(self, agent_id):
        return [self.places[agent_id] / self.length]

    def get_obs_size(self):
        return 1

    def get_state(self):
        return self.places / self.length

    def get_state_size(self):
        return 2

    def get_avail_actions(self):
        return [[1, 1, 1]] * 2

    def get_total_actions(self):
        return 3

    def get_env_info(self):
        return {"state_shape": 2, "obs_shape": 1, "n_actions": 3, "n_agents": 2, "episode_limit": self.episode_limit}

    def close(self):
        pass
