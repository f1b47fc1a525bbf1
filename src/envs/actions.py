"""What an env's `step` is handed: integers that serve as NumPy's and as torch's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Action(np.int64):
    """One action: a number, with the methods by which envs turn a tensor into one."""

    def cpu(self, *_: Any, **__: Any) -> Action:
        """Return itself."""
        return self

    detach = to = long = cpu

    def numpy(self) -> np.int64:
        """Return it as NumPy's."""
        return np.int64(self)


def _cast(name: str) -> Callable[[Any], Any]:
    """Return a method that gives an array as another type."""
    return lambda self: self.astype(name)


class Actions(np.ndarray):
    """[N] int64, which an env may keep or change.

    PyMARL's episode runner hands over a tensor, its parallel runner an array of NumPy's; an env may have been written
    for either. A tensor would not do for both (`actions.astype`, or `{0: "up"}[actions[0]]`, whose key would not be
    found), and worker processes would have to import torch: 200 MB and seconds for each. So this is an array, with the
    methods by which envs turn a tensor into numbers; and torch's own functions, which only an env that has imported
    torch can call, take it as a tensor. Not so `size` and `view`, which are NumPy's.
    """

    def cpu(self, *_: Any, **__: Any) -> Actions:
        """Return itself: it is no tensor, and nowhere else."""
        return self

    detach = contiguous = cuda = cpu

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Return it as the type that is asked for, if any is; whatever the device."""
        for wanted in (*args, *kwargs.values()):
            dtype = wanted.dtype if isinstance(wanted, Actions) else _numpy_type(wanted)
            if dtype is not None:
                return self.astype(dtype)
        return self

    def type(self, wanted: Any = None) -> Any:
        """Return it as a type; without one the type's name, as torch's method does."""
        return "torch.LongTensor" if wanted is None else self.to(wanted)

    # As torch's, each returns it as that type.
    long, int, float, double, bool = (_cast(name) for name in ("int64", "int32", "float32", "float64", "bool"))

    def dim(self) -> Any:
        """Return the number of axes."""
        return self.ndim

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 1 and self.dtype == np.int64:
            return iter([Action(number) for number in self.tolist()])
        return super().__iter__()

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Action(found) if type(found) is np.int64 else found

    def clone(self) -> Actions:
        """Return a copy."""
        return self.copy()

    def numpy(self) -> NDArray[np.int64]:
        """Return it as a plain array."""
        return np.asarray(self)

    def unsqueeze(self, dim: Any) -> Any:
        """Return it with an axis of length 1 at `dim`."""
        return np.expand_dims(self, dim)

    def numel(self) -> Any:
        """Return how many there are."""
        return self.size

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()  # whoever unpickles it needs no module of ours

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch on a tensor in place of it (torch's protocol for foreign types)."""
        return function(*_tensors(args), **{key: _tensors(value) for key, value in (kwargs or {}).items()})


def _numpy_type(wanted: Any) -> Any:
    """Return NumPy's type for a type of torch's, NumPy's or Python's; None for what is no type, such as a device."""
    if isinstance(wanted, (np.dtype, type)):
        return wanted
    name = str(wanted)
    if type(wanted).__name__ == "dtype" and name.startswith("torch."):
        return np.float32 if name == "torch.bfloat16" else np.dtype(name.removeprefix("torch."))
    return None


def _tensors(value: Any) -> Any:
    if isinstance(value, Actions):
        return sys.modules["torch"].from_numpy(np.array(value))
    return type(value)(_tensors(item) for item in value) if type(value) in (list, tuple) else value


def handed_over(actions: NDArray[np.int64]) -> Actions:
    """Return a copy: the runner writes the next step's actions where these are."""
    return actions.copy().view(Actions)
