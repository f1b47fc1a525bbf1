"""QMIX's mixer as a kernel against the mixers' own torch code in float64."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from learner_kit import build_part, flat_config
from pymarl import kernels
from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers import REGISTRY
from pymarl.modules.mixers.mixer import MixerInputs

KEYS = {"mixing_embed_dim": 32, "hypernet_embed": 64, "hypernet_layers": 2}
CASES = [("nmix", 3, 48, 9), ("qmix", 3, 48, 1000), ("nmix", 10, 322, 500), ("nmix", 2, 3, 5000)]


def make(name: str, n: int, s: int, **keys: Any) -> Any:
    torch.manual_seed(1)
    info = EnvInfo(n_agents=n, n_actions=5, obs_shape=7, state_shape=s, episode_limit=8)
    return build_part(REGISTRY[name], flat_config("qmix", **KEYS | keys), info)


def run(mixer: Any, q: Tensor, state: Tensor, grad: Tensor) -> list[Tensor]:
    mixer.zero_grad()
    q = q.clone().requires_grad_()
    value = mixer(MixerInputs(q, None, torch.zeros(q.shape, dtype=torch.int64), state)).value
    value.backward(grad)
    return [value.detach(), q.grad, *(parameter.grad.clone() for parameter in mixer.parameters())]


def away_from_kinks(mixer: Any, state: Tensor) -> Tensor:
    """Return the rows where no weight and no hidden unit is so near zero that rounding decides on its sign."""
    name = "hyper_w1" if hasattr(mixer, "hyper_w1") else "hyper_w_1"
    networks = [getattr(mixer, name), mixer.hyper_w2 if name == "hyper_w1" else mixer.hyper_w_final]
    networks.append(mixer.hyper_b2 if name == "hyper_w1" else mixer.V)
    near = torch.zeros(len(state), dtype=torch.bool)
    for network in networks:
        hidden = network[0](state)
        for values in (hidden, network[2](hidden.relu())):
            near |= (values.abs() < 1e-5).any(-1)
    return ~near


@pytest.mark.parametrize(("name", "n", "s", "rows"), CASES)
@pytest.mark.parametrize("widths", [(32, 64), (10, 20), (7, 64)])
def test_equals_torch_in_float64(name: str, n: int, s: int, rows: int, widths: tuple[int, int]) -> None:
    mixer = make(name, n, s, mixing_embed_dim=widths[0], hypernet_embed=widths[1])
    q, state, grad = torch.randn(rows, n), torch.randn(rows, s), torch.randn(rows, 1)
    kept = away_from_kinks(mixer, state)
    q, state, grad = q[kept], state[kept], grad[kept]
    assert len(q) > rows // 3
    got = run(mixer, q, state, grad)
    with torch.no_grad():
        assert torch.equal(mixer(MixerInputs(q, None, torch.zeros(q.shape, dtype=torch.int64), state)).value, got[0])
    expected = run(copy.deepcopy(mixer).double(), q.double(), state.double(), grad.double())
    errors = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(got, expected, strict=True)]
    assert max(errors) < 1e-5, errors


def test_repeats_bit_for_bit_on_any_number_of_threads() -> None:
    mixer = make("nmix", 5, 30)
    args = torch.randn(5000, 5), torch.randn(5000, 30), torch.randn(5000, 1)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(run(mixer, *args))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("keys", [{"qmix_pos_func": "softplus"}, {"qmix_pos_func": "quadratic"}])
def test_other_positive_functions_are_the_mixers_own(keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymarl.kernels.mix", None)
    mixer = make("nmix", 3, 9, **keys)
    run(mixer, torch.randn(4, 3), torch.randn(4, 9), torch.randn(4, 1))


def test_a_layer_that_is_not_torchs_own_is_called() -> None:
    mixer = make("nmix", 3, 9)
    q, state = torch.randn(4, 3), torch.randn(4, 9)
    plain = mixer(MixerInputs(q, None, torch.zeros(4, 3, dtype=torch.int64), state)).value
    mixer.hyper_b2[2].register_forward_hook(lambda _module, _args, out: out + 1)
    changed = mixer(MixerInputs(q, None, torch.zeros(4, 3, dtype=torch.int64), state)).value
    torch.testing.assert_close(changed, plain + 1)


def test_a_state_with_gradient_gets_one() -> None:
    mixer = make("nmix", 3, 9)
    state = torch.randn(4, 9, requires_grad=True)
    mixer(MixerInputs(torch.randn(4, 3), None, torch.zeros(4, 3, dtype=torch.int64), state)).value.sum().backward()
    assert state.grad is not None


def test_other_numbers_of_agents_and_types_are_refused() -> None:
    mixer = make("nmix", 3, 12)
    networks = [
        tuple(tensor for layer in module if hasattr(layer, "weight") for tensor in (layer.weight, layer.bias))
        for module in (mixer.hyper_w1, mixer.hyper_b1, mixer.hyper_w2, mixer.hyper_b2)
    ]
    given = kernels.Hypernetworks(*networks)
    assert kernels.mix(torch.zeros(5, 3), torch.zeros(5, 12), given).shape == (5, 1)
    for q, state in ((9, torch.zeros(5, 12)), (2, torch.zeros(5, 12)), (3, torch.zeros(5, 11)),
                     (3, torch.zeros(5, 12, dtype=torch.float64))):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            kernels.mix(torch.zeros(5, q), state, given)
