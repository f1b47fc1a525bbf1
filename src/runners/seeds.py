"""Which seed an episode gets: a function of the run's seed, the phase and the episode's number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymarl.utils.seeding import child_seed

Phase = Literal["train", "test", "evaluate", "last", "best"]

_PHASES: dict[Phase, int] = {"train": 0, "test": 1, "evaluate": 2, "last": 2, "best": 2}
"""Phases of one number have the same episodes: at a run's end its last and its best networks play those that an
evaluation of either would begin with.
"""
_OF_TRAINING = frozenset({"train", "test", "evaluate"})


class Share(NamedTuple):
    """What one of several runners plays of a run's episodes: those with the numbers `first`, `first + of`, ..."""

    first: int
    of: int

    def rows(self, batch_size: int) -> int:
        """Return its rows of a whole batch's."""
        return batch_size // self.of

    def seed(self, run_seed: int) -> int:
        """Return a seed that no other runner has; the run's own if it plays all."""
        return run_seed if self.of == 1 else child_seed(run_seed, f"runner {self.first} of {self.of}")


WHOLE = Share(0, 1)


class EpisodeSeeds:
    """Deals out episode seeds. Episode k of a phase has the same seed whatever the batch size and the other phases.

    Args:
        run_seed: the run's seed, not negative.
        share: the episodes that are dealt out here.
    """

    def __init__(self, run_seed: int, share: Share = WHOLE) -> None:
        self.run_seed, self.share = run_seed, share
        self._episodes: dict[Phase, int] = dict.fromkeys(_PHASES, 0)

    def draw(self, phase: Phase, count: int) -> NDArray[np.uint64]:
        """Return the seeds of the next `count` episodes of a phase, [count] uint64."""
        first = self._episodes[phase]
        self._episodes[phase] = first + count
        numbers = range(self.share.first + first * self.share.of, self.share.first + (first + count) * self.share.of,
                        self.share.of)  # fmt: skip
        entropy = (self.run_seed, _PHASES[phase])
        return np.array([np.random.SeedSequence([*entropy, k]).generate_state(1, np.uint64)[0] for k in numbers])

    def state_dict(self) -> dict[str, int]:
        """Return how many episodes of each phase have been dealt out here; of what follows training, if any were."""
        return {str(phase): count for phase, count in self._episodes.items() if count or phase in _OF_TRAINING}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after these counts."""
        self._episodes = {phase: state[phase] if phase in _OF_TRAINING else state.get(phase, 0) for phase in _PHASES}
