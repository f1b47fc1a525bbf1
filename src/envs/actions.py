"""What an env's `step` is handed: integers that serve as NumPy's and as torch's."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Actions(np.ndarray):
    """[N] int64, which an env may keep or change.

    PyMARL's episode runner hands over a tensor, its parallel runner an array of NumPy's; an env may have been written
    for either. A tensor would not do for both (`actions.astype`, or `{0: "up"}[actions[0]]`, whose key would not be
    found), and worker processes would have to import torch: 200 MB and seconds for each. So this is an array, with the
    methods by which envs turn a tensor into numbers; and torch's own functions, which only an env that has imported
    torch can call, take it as a tensor. Not so `size` and `view`, which are NumPy's.
    """

    def cpu(self) -> Actions:
        """Return itself: it is no tensor, and nowhere else."""
        return self

    detach = long = cpu

    def to(self, *_: Any, **__: Any) -> Actions:
        """Return itself, whatever the device or type."""
        return self

    def clone(self) -> Actions:
        """Return a copy."""
        return self.copy()

    def numpy(self) -> NDArray[np.int64]:
        """Return it as a plain array."""
        return np.asarray(self)

    def unsqueeze(self, dim: int) -> Any:
        """Return it with an axis of length 1 at `dim`."""
        return np.expand_dims(self, dim)

    def numel(self) -> int:
        """Return how many there are."""
        return self.size

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()  # whoever unpickles it needs no module of ours

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch on a tensor in place of it (torch's protocol for foreign types)."""
        return function(*_tensors(args), **{key: _tensors(value) for key, value in (kwargs or {}).items()})


def _tensors(value: Any) -> Any:
    if isinstance(value, Actions):
        return sys.modules["torch"].from_numpy(np.array(value))
    return type(value)(_tensors(item) for item in value) if type(value) in (list, tuple) else value


def handed_over(actions: NDArray[np.int64]) -> Actions:
    """Return a copy: the runner writes the next step's actions where these are."""
    return actions.copy().view(Actions)
