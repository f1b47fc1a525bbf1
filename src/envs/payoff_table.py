"""What games have in common whose reward is an entry of a table, chosen by all agents' actions together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays, EnvInfo, NoRecords


class PayoffTable(NoRecords):
    """Base of these games. A subclass writes `reset` and `step`; every action is always available.

    Args:
        payoff: [A, ..., A] by the actions of agents 0, 1, ..., N-1.
        info: of the env.
        batch_size: B, number of envs.
    """

    def __init__(self, payoff: NDArray[np.float64], info: EnvInfo, batch_size: int) -> None:
        self.payoff, self.info, self.batch_size = payoff, info, batch_size
        self.arrays = EnvArrays.allocate(info, batch_size)
        self.arrays.avail_actions[:] = True

    def paid(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return [len(rows)], the payoffs of `actions[rows]`, actions being [B, N].

        Raises:
            ValueError: an action is not one of 0 .. A - 1.
        """
        chosen, count = actions[rows], len(self.payoff)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= count):
            known = f"{', '.join(map(str, range(count - 1)))} or {count - 1}"
            raise ValueError(f"{type(self).__name__}: actions {chosen.tolist()}, expected {known}")
        entries: NDArray[np.float64] = self.payoff[tuple(chosen.T)]
        return entries
