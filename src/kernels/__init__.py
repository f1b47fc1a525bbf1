"""Compiled CPU kernels of the learner and of acting. Without this folder all works as it does, slower."""

from pymarl.kernels.greedy import all_finite, epsilon_greedy, greedy
from pymarl.kernels.mix import Hypernetworks, mix
from pymarl.kernels.step import Step
from pymarl.kernels.unroll import Layers, unroll

__all__ = ["Hypernetworks", "Layers", "Step", "all_finite", "epsilon_greedy", "greedy", "mix", "unroll"]
