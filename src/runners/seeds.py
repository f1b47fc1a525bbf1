"""Which seed an episode gets: a function of the run's seed, the phase and the episode's number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Phase = Literal["train", "test", "evaluate"]

_PHASES: dict[Phase, int] = {"train": 0, "test": 1, "evaluate": 2}


class EpisodeSeeds:
    """Deals out episode seeds. Episode k of a phase has the same seed whatever the batch size and the other phases.

    Args:
        run_seed: the run's seed, not negative.
    """

    def __init__(self, run_seed: int) -> None:
        self.run_seed = run_seed
        self._episodes: dict[Phase, int] = dict.fromkeys(_PHASES, 0)

    def draw(self, phase: Phase, count: int) -> NDArray[np.uint64]:
        """Return the seeds of the next `count` episodes of a phase, [count] uint64."""
        first = self._episodes[phase]
        self._episodes[phase] = first + count
        entropy = (self.run_seed, _PHASES[phase])
        return np.array(
            [np.random.SeedSequence([*entropy, k]).generate_state(1, np.uint64)[0] for k in range(first, first + count)]
        )

    def state_dict(self) -> dict[str, int]:
        """Return how many episodes of each phase have been dealt out."""
        return {str(phase): count for phase, count in self._episodes.items()}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after these counts."""
        self._episodes = {phase: state[phase] for phase in _PHASES}
