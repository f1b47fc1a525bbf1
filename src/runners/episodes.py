"""Whole episodes: one in each row, all from their start to their end."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.envs.batched import env_name
from pymarl.envs.faults import EnvUserError
from pymarl.envs.multiagentenv import BatchedEnv
from pymarl.runners.player import ActingMAC, EpisodeRecord, Player, Tell


class EpisodePlayer(Player):
    """Plays one episode in each row of an env. Arguments as for Player; T is the env's episode_limit + 1."""

    def __init__(
        self, env: BatchedEnv, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, mac: ActingMAC,
        max_restarts: int, tell: Tell,
    ) -> None:  # fmt: skip
        super().__init__(env, scheme, groups, preprocess, env.info.episode_limit + 1, mac, max_restarts, tell)
        self._used_slots = np.zeros(self.batch_size, np.int64)

    def play(self, seeds: NDArray[np.uint64], t_env: int, test_mode: bool) -> tuple[EpisodeBatch, list[EpisodeRecord]]:
        """Play the episodes of these seeds [B], one that breaks once more from its start.

        Returns:
            The player's own batch, valid until the next call, and a record of each row.
        """
        self.batch.set_lengths(np.full(self.batch_size, -1))
        lengths = np.zeros(self.batch_size, np.int64)
        returns = np.zeros((self.batch_size, self.env.info.n_rewards))
        stale, self._used_slots = self._used_slots, np.full(self.batch_size, self.batch.max_seq_length)
        rows = np.arange(self.batch_size)
        broke, rounds = np.zeros(self.batch_size, np.int64), 0  # times in a row; rounds in which any did
        while len(rows):
            self.mac.init_hidden(self.batch_size)
            with torch.no_grad():
                self._play(rows, seeds, lengths, returns, t_env, test_mode)
            rows = np.flatnonzero(self.env.arrays.broken)
            broke[~self.env.arrays.broken] = 0  # a row that was done may still lose its episode with its worker
            broke[rows] += 1
            stale[rows] = self.batch.max_seq_length  # a broken episode has left its steps in the batch
            lengths[rows], returns[rows] = 0, 0.0
            if len(rows):
                rounds += 1
                self.note_broken(rows, broke, rounds)
        self._used_slots = stale  # unless this failed half-way
        self._clear_padding(lengths)
        self.batch.set_lengths(lengths)
        self.note_time(self.batch, t_env)
        ended = zip(seeds.tolist(), returns, lengths.tolist(), strict=True)
        return self.batch, [self.record(row, *episode) for row, episode in enumerate(ended)]

    def _clear_padding(self, lengths: NDArray[np.int64]) -> None:
        """Zero what earlier episodes left behind the ends of these. Each slot before them was written anew."""
        for key, view in self.views.items():
            if self.batch.fields[key].const:
                continue
            used = lengths + (key in self.observations)
            for row in np.flatnonzero(used < self._used_slots):
                view[row, used[row] : self._used_slots[row]] = 0
        self._used_slots = lengths + 1

    def _play(
        self, rows: NDArray[np.int64], seeds: NDArray[np.uint64], lengths: NDArray[np.int64],
        returns: NDArray[np.float64], t_env: int, test_mode: bool,
    ) -> None:  # fmt: skip
        """Step these rows to the end of their episodes, or until they break; fills the batch, `lengths`, `returns`."""
        env, arrays, views = self.env, self.env.arrays, self.views
        rewards, ends = views["reward"], views["terminated"]
        actions = np.zeros((self.batch_size, env.info.n_agents), np.int64)
        env.reset(rows, seeds[rows])
        rows = rows[~arrays.broken[rows]]
        # As long as all rows run a slice does, which copies faster than an array of rows.
        index: Any = slice(None) if len(rows) == self.batch_size else rows
        for t in range(env.info.episode_limit if len(rows) else 0):
            self.record_observations(index, t)
            actions[index] = self.act(index, t, t_env, test_mode)
            env.step(actions, rows)
            reward = arrays.reward[index]
            returns[index] += reward
            rewards[index, t] = reward
            ends[index, t, 0] = arrays.terminated[index]
            ended = arrays.terminated[index] | arrays.truncated[index]
            gone = ended | arrays.broken[index]
            if gone.any():
                lengths[rows[ended]] = t + 1
                self.record_observations(rows[ended], t + 1)
                rows = rows[~gone]
                index = rows
                if not len(rows):
                    return
        if not len(rows):
            return
        raise EnvUserError(
            f"env {env_name(env)!r}: an episode goes on after episode_limit={env.info.episode_limit} steps; "
            "let step end it, with info['episode_limit'] = True"
        )
