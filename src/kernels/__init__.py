"""Compiled CPU kernels of the learner and of acting. Without this folder all works as it does, slower."""

from pymarl.kernels.choices import all_finite, epsilon_greedy, greedy
from pymarl.kernels.compiling import prepare
from pymarl.kernels.looking import aim, pool
from pymarl.kernels.mixer import Hypernetworks, mix
from pymarl.kernels.network import Layers
from pymarl.kernels.padding import pad
from pymarl.kernels.scan import accumulate
from pymarl.kernels.step import Step
from pymarl.kernels.unrolling import unroll

__all__ = [
    "Hypernetworks", "Layers", "Step", "accumulate", "aim", "all_finite", "epsilon_greedy", "greedy", "mix", "pad",
    "pool", "prepare", "unroll",
]  # fmt: skip
