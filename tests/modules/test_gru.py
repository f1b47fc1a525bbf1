"""Whole sequences of a recurrent network against a plain loop over nn.GRUCell, and their own promises."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pymarl.kernels.strips import POOL, plan_strips
from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.agents.n_rnn_agent import NRNNAgent
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.modules.layers import gru
from pymarl.utils import compiled

N_AGENTS, OBS, N_ACTIONS = 3, 5, 4


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The products here are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_counts(generator: torch.Generator, episodes: int, slots: int, ragged: bool) -> list[int]:
    """Return rows per slot; with `ragged`, of episodes of random lengths and with empty slots at the end."""
    lengths = (
        torch.randint(1, slots + 1, (episodes,), generator=generator) if ragged else torch.full((episodes,), slots)
    )
    return [int((lengths > t).sum()) * N_AGENTS for t in range(slots + ragged)]


def make_inputs(generator: torch.Generator, rows: int, dtype: torch.dtype, action: bool, ident: bool) -> Inputs:
    features = torch.randn(rows, OBS, dtype=dtype, generator=generator)
    one_hots = []
    if action:
        one_hots.append(OneHot(torch.randint(-1, N_ACTIONS, (rows,), generator=generator), N_ACTIONS))
    if ident:
        one_hots.append(OneHot(torch.arange(N_AGENTS).repeat(rows // N_AGENTS), N_AGENTS))
    return Inputs(features=features, one_hots=tuple(one_hots))


def make_agent(dtype: torch.dtype, inputs: Inputs, hidden: int, layer_norm: bool = False) -> NRNNAgent:
    config = NRNNAgent.Config(rnn_hidden_dim=hidden, use_layer_norm=layer_norm, use_orthogonal=False, gain=1.0)
    spec = AgentSpec(input_shape=inputs.width, n_actions=N_ACTIONS, n_agents=N_AGENTS)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return NRNNAgent(config, spec).to(dtype)


def run(agent: Agent, unroll: object, inputs: Inputs, counts: list[int], weight: Tensor) -> list[Tensor]:
    """Return outputs and the gradients of all parameters and the features for the loss (outputs * weight).sum()."""
    agent.zero_grad(set_to_none=True)
    features = inputs.features.clone().requires_grad_()
    out = unroll(dataclasses.replace(inputs, features=features), counts)  # type: ignore[operator]
    out = out.outputs if isinstance(out, Unrolled) else out
    out.backward(weight)
    return [out.detach(), *(param.grad for param in agent.parameters()), features.grad]


def largest_error(got: list[Tensor], expected: list[Tensor]) -> float:
    assert len(got) == len(expected)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(got, expected, strict=True))


@pytest.fixture(params=["kernels", "library"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the kernels, and with torch's packed GRU."""
    if request.param == "library":
        monkeypatch.setattr(gru, "fit_kernels", lambda *_tensors: False)
    return str(request.param)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_outputs_and_gradients_equal_a_cell_loop(
    dtype: torch.dtype, tolerance: float, layer_norm: bool, way: str
) -> None:
    """From given states, whose gradients are compared as well. In float64 no kernel fits."""
    checked = 0
    for size, ragged, action, ident in itertools.product(
        [(1, 1, 3), (6, 9, 8), (150, 12, 16), (360, 6, 8)], [False, True], [False, True], [False, True]
    ):
        generator = torch.Generator().manual_seed(checked)
        episodes, slots, hidden = size
        counts = make_counts(generator, episodes, slots, ragged)
        inputs = make_inputs(generator, sum(counts), dtype, action, ident)
        agent = make_agent(dtype, inputs, hidden, layer_norm)
        weight = torch.randn(sum(counts), N_ACTIONS, dtype=dtype, generator=generator)
        start = torch.randn(counts[0], hidden, dtype=dtype, generator=generator)
        results = []
        for unroll in (Agent.unroll, NRNNAgent.unroll):
            before = start.clone().requires_grad_()
            result = run(agent, lambda i, c, u=unroll, a=agent, b=before: u(a, i, c, b), inputs, counts, weight)
            results.append([*result, before.grad])
        expected, got = results
        assert largest_error(got, expected) < tolerance, (size, ragged, action, ident)
        with torch.no_grad():
            again = agent.unroll(inputs, counts, start).outputs
        exact = way == "kernels" and dtype == torch.float32
        torch.testing.assert_close(again, got[0], **({"rtol": 0, "atol": 0} if exact else {}))  # type: ignore[arg-type]
        checked += 1
    assert checked == 32


def test_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = [6, 6, 3]
    inputs = make_inputs(generator, 15, torch.float64, True, True)
    agent = make_agent(torch.float64, inputs, 4)
    names = [name for name, _ in agent.named_parameters()]

    def function(features: Tensor, hidden: Tensor, *params: Tensor) -> Tensor:
        """Everything that may have a gradient: an encoder's features, the states before, the weights."""
        twin_inputs = dataclasses.replace(inputs, features=features)
        twin = copy.deepcopy(agent)
        for name, param in zip(names, params, strict=True):
            module, leaf = name.split(".")
            layer = getattr(twin, module)
            del layer._parameters[leaf]
            setattr(layer, leaf, param)
        return twin.network().unroll(twin_inputs, counts, hidden, states=False)[0]

    params = [param.detach().clone().requires_grad_() for param in agent.parameters()]
    hidden = torch.randn(6, 4, dtype=torch.float64, generator=generator).requires_grad_()
    leaves = (inputs.features.clone().requires_grad_(), hidden, *params)
    assert torch.autograd.gradcheck(function, leaves, fast_mode=False)


def big_case() -> tuple[NRNNAgent, Inputs, list[int], Tensor]:
    generator = torch.Generator().manual_seed(2)
    counts = make_counts(generator, 200, 20, ragged=True)
    assert len(plan_strips(counts)) > 2
    inputs = make_inputs(generator, sum(counts), torch.float32, True, True)
    return (
        make_agent(torch.float32, inputs, 64),
        inputs,
        counts,
        torch.randn(sum(counts), N_ACTIONS, generator=generator),
    )


def test_repeats_bit_for_bit_on_any_number_of_threads() -> None:
    agent, inputs, counts, weight = big_case()
    results = []
    for n in (1, 2, 3, 1, 2):
        torch.set_num_threads(n)
        results.append(run(agent, agent.unroll, inputs, counts, weight))
        assert torch.get_num_threads() == n
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_two_unrolls_may_wait_for_their_backward_pass() -> None:
    agent, inputs, counts, weight = big_case()
    first = run(agent, agent.unroll, inputs, counts, weight)
    agent.zero_grad(set_to_none=True)
    one, two = agent.unroll(inputs, counts).outputs, agent.unroll(inputs, counts).outputs
    with torch.no_grad():
        agent.unroll(inputs, counts)
    two.sum().backward()
    agent.zero_grad(set_to_none=True)
    one.backward(weight)
    again = [one.detach(), *(param.grad for param in agent.parameters())]
    assert all(torch.equal(a, b) for a, b in zip(first[:-1], again, strict=True))  # type: ignore[arg-type]


def test_a_retained_graph_can_be_differentiated_again() -> None:
    agent, inputs, counts, weight = big_case()
    out = agent.unroll(inputs, counts).outputs
    params = list(agent.parameters())
    first = torch.autograd.grad(out, params, weight, retain_graph=True)
    agent.unroll(inputs, counts).outputs.sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(first, torch.autograd.grad(out, params, weight), strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        out.backward(weight)


def test_inference_mode() -> None:
    agent, inputs, counts, weight = big_case()
    POOL._free.clear()
    with torch.inference_mode():
        inferred = agent.unroll(inputs, counts).outputs
    assert torch.equal(inferred, run(agent, agent.unroll, inputs, counts, weight)[0])


def test_memory_is_used_again() -> None:
    agent, inputs, counts, weight = big_case()
    for _ in range(3):
        run(agent, agent.unroll, inputs, counts, weight)
    before = {memory.data_ptr() for memory in POOL._free}
    run(agent, agent.unroll, inputs, counts, weight)
    assert {memory.data_ptr() for memory in POOL._free} == before


def test_a_weight_changed_before_backward_is_noticed() -> None:
    agent, inputs, counts, weight = big_case()
    out = agent.unroll(inputs, counts).outputs
    with torch.no_grad():
        agent.rnn.weight_hh.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward(weight)


def test_rows_that_do_not_fit() -> None:
    agent, inputs, counts, _ = big_case()
    with pytest.raises(ValueError, match=f"expected {sum(counts)} rows of inputs"):
        agent.unroll(inputs.rows(slice(0, 9)), counts)


def test_features_are_read_where_they_are_stored() -> None:
    """Gathered inputs are the copied ones, gradients of the features included."""
    agent, inputs, counts, weight = big_case()
    index = torch.randperm(sum(counts) + 7, generator=torch.Generator().manual_seed(4))[: sum(counts)]
    stored = torch.zeros(sum(counts) + 7, OBS).index_copy(0, index, inputs.features)
    apart = Inputs.gathered(stored, index, one_hots=inputs.one_hots)
    expected = run(agent, agent.unroll, inputs, counts, weight)
    agent.zero_grad(set_to_none=True)
    agent.unroll(apart, counts).outputs.backward(weight)
    assert "features" not in apart.__dict__
    assert all(torch.equal(a, p.grad) for a, p in zip(expected[1:-1], agent.parameters(), strict=True))
    agent.zero_grad(set_to_none=True)
    stored.requires_grad_()
    agent.unroll(Inputs.gathered(stored, index, one_hots=inputs.one_hots), counts).outputs.backward(weight)
    assert torch.equal(stored.grad.index_select(0, index), expected[-1])  # type: ignore[union-attr]


def test_kernels_are_what_runs_here() -> None:
    assert compiled.kernels is not None
    assert gru.fit_kernels(torch.zeros(1))
    assert not gru.fit_kernels(torch.zeros(1, dtype=torch.float64))
