"""What agents and critics see: dense features and one-hots that stay indices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.envs.specs import EnvInfo
from pymarl.modules.layers.plain import is_plain
from pymarl.utils.errors import UserError, closest

INPUTS_OF_STATES = ("obs", "state", "joint_obs", "last_action", "joint_last_action", "agent_id")
"""The parts of an input that say nothing of the actions now."""


@dataclass(frozen=True, slots=True)
class OneHot:
    """One-hots of R rows.

    Attributes:
        index: [R] int64 in [0, width), or -1 for a row of zeros.
        width: length of the one-hot.
    """

    index: Tensor
    width: int

    def dense(self, dtype: torch.dtype) -> Tensor:
        """Return [R, width]."""
        return (self.index[:, None] == torch.arange(self.width, device=self.index.device)).to(dtype)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of R rows, one row per agent or per joint step; a dense row is features | first one-hot | second ...

    Those that `gathered` makes copy their features together when these are first read; who can read them where they
    lie asks for their `source`.

    Attributes:
        features: [R, D] float.
        one_hots: in the order of their columns.
        agents: whose rows these are: row r belongs to agents[r % len(agents)]. None is all N in order, or no agent's.
    """

    features: Tensor
    one_hots: tuple[OneHot, ...] = ()
    agents: tuple[int, ...] | None = None

    @classmethod
    def gathered(
        cls, source: Tensor, index: Tensor, *, one_hots: tuple[OneHot, ...] = (), agents: tuple[int, ...] | None = None
    ) -> Inputs:
        """Return the inputs whose row r has the features source[index[r]]; source [X, D], index [R] int64."""
        inputs = cls(features=source, one_hots=one_hots, agents=agents)
        del inputs.__dict__["features"]
        inputs.__dict__["_source"] = (source, index)
        return inputs

    def __getattr__(self, name: str) -> Tensor:
        """Return features that were not there yet."""
        if name != "features" or "_source" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        source, index = self.__dict__["_source"]
        features: Tensor = source.index_select(0, index)
        self.__dict__["features"] = features
        return features

    def source(self) -> tuple[Tensor, Tensor | None]:
        """Return [X, D] and [R] int64, such that row r has the features source[index[r]]; or the features and None."""
        source = self.__dict__.get("_source")
        return source if source is not None and not source[0].requires_grad else (self.features, None)

    @property
    def width(self) -> int:
        """E, length of a dense row."""
        return self.source()[0].shape[1] + sum(one_hot.width for one_hot in self.one_hots)

    def dense(self) -> Tensor:
        """Return [R, E]."""
        return torch.cat([self.features, *self._dense_one_hots()], dim=1)

    def _dense_one_hots(self) -> list[Tensor]:
        return [one_hot.dense(self.features.dtype) for one_hot in self.one_hots]

    def linear(self, layer: nn.Module) -> Tensor:
        """Return [R, H] == layer(self.dense()); a plain nn.Linear is applied without ever building dense rows.

        With gradients the one-hot part is a product, whose backward is a product too and so repeats bit for bit (a
        scatter-add would not on a GPU); without, it is a look-up of the weight's columns.
        """
        if not isinstance(layer, nn.Linear) or not is_plain(layer, nn.Linear):
            return layer(self.dense())
        if self.width != layer.in_features:
            raise ValueError(f"inputs of width {self.width} for a layer of {layer.in_features}")
        width = self.features.shape[1]
        result = F.linear(self.features, layer.weight[:, :width], layer.bias)
        if not self.one_hots:
            return result
        if torch.is_grad_enabled() and layer.weight.requires_grad:
            return result.addmm_(torch.cat(self._dense_one_hots(), dim=1), layer.weight[:, width:].t())
        for one_hot in self.one_hots:
            start, width = width, width + one_hot.width
            columns = F.pad(layer.weight[:, start:width].t(), (0, 0, 1, 0))  # [1 + its width, H], zeros for -1
            result += columns.index_select(0, one_hot.index + 1)
        return result

    def rows(self, rows: slice) -> Inputs:
        """Return the inputs of these rows, as views; with `agents`, whole groups of them."""
        one_hots = tuple(OneHot(one_hot.index[rows], one_hot.width) for one_hot in self.one_hots)
        source, index = self.source()
        if index is not None:
            return Inputs.gathered(source, index[rows], one_hots=one_hots, agents=self.agents)
        return Inputs(features=source[rows], one_hots=one_hots, agents=self.agents)


def input_shape(names: Iterable[str], info: EnvInfo) -> int:
    """Return E, the length of a dense row of these parts; what they are is told in components/inputs.py."""
    n, a = info.n_agents, info.n_actions
    widths = {
        "obs": info.obs_shape, "state": info.state_shape, "joint_obs": n * info.obs_shape, "last_action": a,
        "agent_id": n, "actions": a, "joint_actions": n * a, "others_actions": n * a, "joint_last_action": n * a,
    }  # fmt: skip
    for name in names:
        if name not in widths:
            raise UserError(f"unknown input {name!r}{closest(name, widths)} (known: {', '.join(widths)})")
    return sum(widths[name] for name in names)
