"""Pieces of episodes: every row plays on for a fixed number of steps, and what it played is cut where episodes end.

A piece is a short episode: it has a length of its own, knows what it began with (`start_hidden`, `start_action`), and
ends truncated unless the env terminated, so that learners bootstrap there without knowing of pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.envs.multiagentenv import BatchedEnv
from pymarl.runners.player import ActingMAC, EpisodeRecord, Player, Tell

BEGINNINGS = ("start_hidden", "start_action")
"""Fields of what a piece began with, which no whole episode has."""


@dataclass
class _Episode:
    """An episode under way in a row: its seed, its actions until the last call, [k, N] of each, and its first slot."""

    seed: int
    actions: list[NDArray[np.int64]] = field(default_factory=list)
    start: int = 0

    def steps(self, t: int) -> int:
        """Return how many it has taken before slot t of this call."""
        return sum(map(len, self.actions)) + t - self.start


@dataclass
class _Piece:
    """Slots `start` .. `stop` of a row, of which the last holds the observation that followed; `last` overrules it."""

    row: int
    start: int
    hidden: Tensor  # [N, H]
    action: NDArray[np.int64]  # [N], -1 where none was taken
    stop: int = 0
    last: dict[str, NDArray[Any]] | None = None


class PiecePlayer(Player):
    """Plays `steps` steps in each row of an env, on from where it stood.

    An episode that breaks is played once more from its start; of its pieces those that were handed out stay.

    Args:
        env, scheme, groups, preprocess, mac, max_restarts, tell: as for Player; scheme has what a piece begins with.
        steps: env steps of each row in one call.
        draw: returns the seeds of so many new episodes.
        replayable: `load_state_dict` plays episodes again with the actions that they had; else they start anew.
    """

    def __init__(
        self, env: BatchedEnv, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, mac: ActingMAC,
        max_restarts: int, tell: Tell, steps: int, draw: Callable[[int], NDArray[np.uint64]], *, replayable: bool,
    ) -> None:  # fmt: skip
        super().__init__(env, scheme, groups, preprocess, steps + 1, mac, max_restarts, tell)
        self.steps, self._draw, self._replayable = steps, draw, replayable
        self._scheme, self._groups, self._preprocess = scheme, groups, preprocess
        self._episodes: list[_Episode] = []  # of each row; none before the first call
        self._returns = np.zeros((self.batch_size, env.info.n_rewards))  # of each row's episode so far
        self._hidden: Tensor | None = None  # [B, N, H], carried from call to call
        self._broke = np.zeros(self.batch_size, np.int64)
        self._rounds = 0
        self._lost = np.zeros(0, np.int64)  # rows whose episode has to begin anew after `load_state_dict`

    @torch.no_grad()
    def play(self, t_env: int) -> tuple[EpisodeBatch, list[EpisodeRecord]]:
        """Play on.

        Returns:
            A new batch, a row for each piece, row by row of the env and in the order of time; and records of the
            episodes that ended.
        """
        before, returns = list(self._episodes), self._returns.copy()
        try:
            return self._play(t_env)
        except BaseException:  # nothing of this call is kept
            self._episodes, self._returns = before, returns
            raise

    def _play(self, t_env: int) -> tuple[EpisodeBatch, list[EpisodeRecord]]:
        open_pieces = self._begin()
        done: list[_Piece] = []
        records: list[EpisodeRecord] = []
        rows = np.arange(self.batch_size)
        actions = np.zeros((self.batch_size, self.env.info.n_agents), np.int64)
        self.batch.set_lengths(np.full(self.batch_size, self.steps))
        for t in range(self.steps):
            self.record_observations(slice(None), t)
            actions[:] = self.act(slice(None), t, t_env, False)
            self.env.step(actions, rows)
            self._note_step(t)
            ended = self.env.arrays.terminated | self.env.arrays.truncated | self.env.arrays.broken
            for row in np.flatnonzero(ended).tolist():
                if not self.env.arrays.broken[row]:
                    done.append(self._close(open_pieces[row], t + 1, own_last=True))
                    records.append(self._end(row, t + 1))
            if ended.any():
                for piece in self._start_anew(np.flatnonzero(ended), t + 1):
                    open_pieces[piece.row] = piece
        self.record_observations(slice(None), self.steps)
        done += [self._close(piece, self.steps) for piece in open_pieces if piece.start < self.steps]
        self._hidden = self.mac.hidden_states
        self._keep_actions()
        pieces = self._cut(sorted(done, key=lambda piece: (piece.row, piece.start)))
        self.note_time(pieces, t_env)
        return pieces, records

    def _keep_actions(self) -> None:
        """Add this call's actions to those of the episodes under way, which go on at slot 0 of the next."""
        taken = self.views["actions"][..., 0]
        self._episodes = [
            _Episode(episode.seed, [*episode.actions, taken[row, episode.start : self.steps].astype(np.int64)])
            for row, episode in enumerate(self._episodes)
        ]

    def _begin(self) -> list[_Piece]:
        """Go on with the episodes under way, or start the first ones; returns each row's open piece."""
        self.mac.init_hidden(self.batch_size)
        self._fresh = self.mac.hidden_states[0].clone()  # [N, H], of an episode's start
        if not self._episodes:
            self._episodes = [_Episode(0) for _ in range(self.batch_size)]
            return self._start_anew(np.arange(self.batch_size), 0)
        if self._hidden is not None:
            self.mac.hidden_states = self._hidden.to(self._fresh.device)
        lost, self._lost = self._lost, np.zeros(0, np.int64)
        anew = {piece.row: piece for piece in self._start_anew(lost, 0)} if len(lost) else {}
        pieces = [anew.get(row) or self._open(row, 0) for row in range(self.batch_size)]
        for piece in pieces:
            self.views["start_action"][piece.row, :, 0] = piece.action
        return pieces

    def _open(self, row: int, t: int) -> _Piece:
        """Return the piece that starts in a row at slot t."""
        played = next((taken for taken in reversed(self._episodes[row].actions) if len(taken)), None)
        action = np.full(self.env.info.n_agents, -1) if played is None else played[-1]
        return _Piece(row, t, self.mac.hidden_states[row].clone(), action)

    def _start_anew(self, rows: NDArray[np.int64], t: int) -> list[_Piece]:
        """Start episodes in these rows: new ones, or the same where they broke; until each has begun."""
        broken = self.env.arrays.broken.copy()
        new = rows[~broken[rows]]
        for row, seed in zip(new.tolist(), self._draw(len(new)).tolist(), strict=True):
            self._episodes[row] = _Episode(seed, start=t)
            self._broke[row] = 0
        again = rows[broken[rows]]
        for row in again.tolist():
            self._episodes[row] = _Episode(self._episodes[row].seed, start=t)
        self._returns[rows] = 0.0
        self._tell_broken(again)
        waiting = rows
        while len(waiting):
            seeds = np.array([self._episodes[row].seed for row in waiting.tolist()], np.uint64)
            self.env.reset(waiting, seeds)
            waiting = waiting[self.env.arrays.broken[waiting]]
            self._tell_broken(waiting)
        self.mac.restart(rows)
        self.views["start_action"][rows] = -1
        return [_Piece(row, t, self._fresh, np.full(self.env.info.n_agents, -1)) for row in rows.tolist()]

    def _tell_broken(self, rows: NDArray[np.int64]) -> None:
        self._rounds = self._rounds + 1 if len(rows) else 0
        if len(rows):
            self._broke[rows] += 1
            self.note_broken(rows, self._broke, self._rounds)

    def _note_step(self, t: int) -> None:
        """Record rewards and ends of a step in all rows."""
        self.views["reward"][:, t] = self.env.arrays.reward
        self.views["terminated"][:, t, 0] = self.env.arrays.terminated
        self._returns += self.env.arrays.reward

    def _close(self, piece: _Piece, stop: int, *, own_last: bool = False) -> _Piece:
        """End a piece before slot `stop`; `own_last` keeps what the row sees now, before a new episode begins in it."""
        piece.stop = stop
        if own_last:
            piece.last = {key: vars(self.env.arrays)[key][piece.row].copy() for key in self.observations}
        return piece

    def _end(self, row: int, t: int) -> EpisodeRecord:
        """Return the record of an episode that has ended before slot t."""
        episode = self._episodes[row]
        self._broke[row] = 0
        return self.record(row, episode.seed, self._returns[row], episode.steps(t))

    def _cut(self, pieces: list[_Piece]) -> EpisodeBatch:
        """Return a batch of these pieces."""
        lengths = np.array([piece.stop - piece.start for piece in pieces], np.int64)
        slots = int(lengths.max(initial=0)) + 1
        batch = EpisodeBatch(self._scheme, self._groups, len(pieces), slots, self._preprocess)
        steps, afterwards = self._places(pieces, lengths, slots)
        own = [index for index, piece in enumerate(pieces) if piece.last is not None]
        into_own = torch.from_numpy(np.array(own, np.int64) * slots + lengths[own])
        for key, fields in batch.fields.items():
            if fields.const:
                continue
            into, tape = batch.data[key].flatten(0, 1), self.batch.data[key].flatten(0, 1)
            for to, place in (steps, afterwards) if key in self.observations else (steps,):
                into.index_copy_(0, to, tape.index_select(0, place))
            if key in self.observations and own:
                last = np.stack([pieces[index].last[key] for index in own])  # type: ignore[index]
                into.index_copy_(0, into_own, torch.from_numpy(last).view(len(own), *into.shape[1:]).to(into.dtype))
        if pieces:  # none if the only row's episode broke in the last step
            batch.data["start_hidden"].copy_(torch.stack([piece.hidden for piece in pieces]))
            batch.data["start_action"].copy_(torch.from_numpy(np.stack([piece.action for piece in pieces])[..., None]))
        batch.set_lengths(lengths)
        return batch

    def _places(
        self, pieces: list[_Piece], lengths: NDArray[np.int64], slots: int
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return where in a batch the pieces' steps go and where they lie on the tape, both as places in rows of slots;
        and the same of the observation behind each piece, of those that have not kept their own.
        """
        rows, starts, number = (np.array(of_each, np.int64) for of_each in (
            [piece.row for piece in pieces], [piece.start for piece in pieces], range(len(pieces))
        ))  # fmt: skip
        within = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
        tape = self.steps + 1
        steps = np.repeat(number * slots, lengths) + within, np.repeat(rows * tape + starts, lengths) + within
        open_ones = np.array([piece.last is None for piece in pieces], bool)
        behind = (number * slots + lengths)[open_ones], (rows * tape + starts + lengths)[open_ones]
        to_steps, on_tape, to_behind, behind_tape = map(torch.from_numpy, (*steps, *behind))
        return (to_steps, on_tape), (to_behind, behind_tape)

    def state_dict(self) -> dict[str, Any]:
        """Return the episodes under way: seeds, actions, rewards so far, and the hidden states they have led to."""
        none = np.zeros((0, self.env.info.n_agents), np.int64)
        return {
            "seeds": [episode.seed for episode in self._episodes],
            "returns": [torch.from_numpy(returns) for returns in self._returns.copy()],
            "actions": [torch.from_numpy(np.concatenate([none, *episode.actions])) for episode in self._episodes],
            "hidden": [] if self._hidden is None else [self._hidden.cpu().clone()],
            "seen": [torch.from_numpy(self._sight(row)) for row in range(len(self._episodes))],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: the episodes are played again, up to where they stood."""
        self._episodes, self._hidden = [], None
        if not state.get("seeds"):
            return
        if not self._replayable:
            self.tell("this env cannot play an episode again: those under way begin anew")
            return
        self._episodes = [
            _Episode(seed, [actions.numpy().copy()])
            for seed, actions in zip(state["seeds"], state["actions"], strict=True)
        ]
        if len(self._episodes) != self.batch_size:
            raise ValueError(f"pieces: {len(self._episodes)} episodes under way, expected {self.batch_size}")
        self._returns = torch.stack(state["returns"]).numpy().copy()
        self._hidden = state["hidden"][0].clone() if state["hidden"] else None
        self._replay(state["seen"])

    def _sight(self, row: int) -> NDArray[np.float32]:
        """Return what a row sees now, as one vector."""
        return np.concatenate(
            [np.ravel(vars(self.env.arrays)[key][row]).astype(np.float32) for key in self.observations]
        )

    def _replay(self, seen: list[Tensor]) -> None:
        """Start the episodes under way and take their actions again; those that come out otherwise begin anew."""
        arrays, actions = self.env.arrays, np.zeros((self.batch_size, self.env.info.n_agents), np.int64)
        self.env.reset(np.arange(self.batch_size), np.array([e.seed for e in self._episodes], np.uint64))
        same = ~arrays.broken
        taken = [episode.actions[0] for episode in self._episodes]
        for t in range(max(map(len, taken))):
            rows = np.flatnonzero(same & [len(of_row) > t for of_row in taken])
            for row in rows.tolist():
                actions[row] = taken[row][t]
            allowed = np.take_along_axis(arrays.avail_actions[rows], actions[rows][..., None], -1).all((1, 2))
            same[rows[~allowed]] = False
            self.env.step(actions, rows[allowed])
            same[rows] &= ~(arrays.terminated | arrays.truncated | arrays.broken)[rows]
        for row in np.flatnonzero(same).tolist():
            same[row] = np.array_equal(self._sight(row), seen[row].numpy())
        self._lost = np.flatnonzero(~same)
        if len(self._lost):
            self.tell(f"rows {self._lost.tolist()}: the episode under way came out otherwise, and begins anew")
