"""The network that both of QMIX's mixers are, as one kernel: elu(q . |w1| + b1) . |w2| + b2."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from pymarl.modules.layers.plain import linear_layers
from pymarl.modules.mixers.mixer import MixerInputs
from pymarl.utils.compiled import fit_kernels, kernels


def mix_in_kernel(inputs: MixerInputs, w1: nn.Module, b1: nn.Module, w2: nn.Module, b2: nn.Module) -> Tensor | None:
    """Return [P, 1], or None where there is no kernel for these layers: the mixer then computes it itself.

    Args:
        inputs: of the mixer.
        w1: two layers with a relu between them, which write the first weights [N * E].
        b1: one layer, the first bias [E].
        w2, b2: two layers each, the second weights [E] and bias [1].
    """
    layers = [linear_layers(module) for module in (w1, b1, w2, b2)]
    if any(each is None for each in layers) or [len(each) for each in layers if each] != [2, 1, 2, 2]:
        return None
    tensors = [weight for each in layers for layer in cast(Any, each) for weight in (layer.weight, layer.bias)]
    same_width = tensors[0].shape[0] == tensors[6].shape[0] and tensors[10].shape[0] == tensors[4].shape[0]
    if inputs.state.requires_grad or not same_width or not fit_kernels(inputs.q, inputs.state, *tensors):
        return None
    networks = kernels.Hypernetworks(
        tuple(tensors[:4]),
        tuple(tensors[4:6]),
        tuple(tensors[6:10]),
        tuple(tensors[10:]),
    )
    return kernels.mix(inputs.q, inputs.state, networks)
