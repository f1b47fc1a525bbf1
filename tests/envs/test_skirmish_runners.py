"""Both runners play the same battles of skirmish."""

from __future__ import annotations

from typing import Any

import torch

from fake_mac import FakeMAC
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.runners.local_runner import LocalRunner
from pymarl.utils.layers import merge
from runner_kit import make_runner


class LastAvailable(FakeMAC):
    """Attacks whom it can, else walks west."""

    def select_actions(self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any, test_mode: bool) -> Any:
        available = batch["avail_actions"][:, t_ep][bs]  # [B, N, A]
        return (available * torch.arange(1, available.shape[-1] + 1)).argmax(-1)


def build(kind: str, rows: int, threads: int) -> LocalRunner:
    layers = merge(None, "skirmish", {"env_args": {"map_name": "2s3z", "threads": threads}})
    return make_runner(kind, "skirmish", layers.values["env_args"], LastAvailable(), rows)


def test_both_runners_play_the_same_battles() -> None:
    played: list[list[Any]] = []
    for kind, rows, threads in (("episode", 1, 1), ("parallel", 6, 1), ("parallel", 3, 2)):
        runner = build(kind, rows, threads)
        records = []
        for _ in range(6 // rows):
            batch = runner.run()
            for row, record in enumerate(runner.episodes):
                t = record.length
                shown = [batch[key][row, : t + 1].clone() for key in ("obs", "state", "reward", "actions")]
                records.append((record.seed, t, record.ret, record.info, [x.numpy().tobytes() for x in shown]))
        runner.close_env()
        played.append(sorted(records, key=lambda r: r[0]))
    assert len({record[0] for record in played[0]}) == 6
    assert len({record[2] for record in played[0]}) > 1
    assert played[0] == played[1] == played[2]
