"""A linear layer whose weights are drawn anew, with a deviation that is learned: noisy networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.utils.devices import upload

SIGMA = 0.017
"""Deviation that learning begins with, of the paper's independent noise."""


class NoisyLinear(nn.Module):
    """y = (u_w + s_w * e_w) x + u_b + s_b * e_b with independent Gaussian e (Fortunato et al. 2018, arXiv:1706.10295).

    Noise is drawn by `resample` and stays until the next draw, the same for all rows; before the first it is 0. In
    evaluation mode the weights are their means. Parameter names are PyMARL2's; its files hold no noise.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = (3 / in_features) ** 0.5
        self.u_w = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.s_w = nn.Parameter(torch.full((out_features, in_features), SIGMA))
        self.u_b = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))
        self.s_b = nn.Parameter(torch.full((out_features,), SIGMA))
        self.e_w: Tensor
        self.e_b: Tensor
        self.register_buffer("e_w", torch.zeros(out_features, in_features), persistent=False)
        self.register_buffer("e_b", torch.zeros(out_features), persistent=False)

    def resample(self, generator: torch.Generator) -> None:
        """Draw new noise."""
        for name, mean in (("e_w", self.u_w), ("e_b", self.u_b)):
            drawn = torch.randn(mean.shape, generator=generator, device=generator.device, dtype=mean.dtype)
            setattr(self, name, upload(drawn, mean.device))

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, out] for [R, in]."""
        if not self.training:
            return F.linear(x, self.u_w, self.u_b)
        return F.linear(x, self.u_w + self.s_w * self.e_w, self.u_b + self.s_b * self.e_b)
