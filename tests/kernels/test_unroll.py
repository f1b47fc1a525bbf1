"""The recurrent kernels against torch in float64, with every option; strips; what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.kernels import Layers, Step, unroll
from pymarl.kernels.strips import STRIP_ROWS, plan_strips, run_tasks

N_AGENTS, OBS, N_ACTIONS = 3, 11, 5


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Case:
    """A network and packed sequences, in float32 and in float64."""

    def __init__(self, seed: int, h: int, rows: int, slots: int, norms: tuple[bool, bool], gathered: bool) -> None:
        torch.manual_seed(seed)
        lengths = torch.randint(1, slots + 1, (rows,))
        self.counts = [int((lengths > t).sum()) * N_AGENTS for t in range(slots)]
        self.counts = [count for count in self.counts if count]
        self.total = sum(self.counts)
        self.one_hots = [
            (torch.randint(-1, N_ACTIONS, (self.total,)), N_ACTIONS),
            (torch.arange(N_AGENTS).repeat(self.total // N_AGENTS), N_AGENTS),
        ]
        self.index = torch.randperm(self.total + 5)[: self.total] if gathered else None
        self.features = torch.randn(self.total + 5 if gathered else self.total, OBS)
        self.hidden = torch.randn(self.counts[0], h)
        self.net = nn.ModuleDict(
            {
                "fc1": nn.Linear(OBS + N_ACTIONS + N_AGENTS, h), "rnn": nn.GRUCell(h, h),
                "fc2": nn.Linear(h, N_ACTIONS),
                **{name: nn.LayerNorm(h) for name, there in zip(("norm_in", "norm_out"), norms, strict=True) if there},
            }
        )  # fmt: skip
        for name in ("norm_in", "norm_out"):
            if name in self.net:
                nn.init.normal_(self.net[name].weight, 1.0)  # type: ignore[arg-type]
                nn.init.normal_(self.net[name].bias)  # type: ignore[arg-type]
        self.d_outputs, self.d_states = torch.randn(self.total, N_ACTIONS), torch.randn(self.total, h)
        self.d_outputs[torch.rand_like(self.d_outputs) < 0.7] = 0.0

    def layers(self) -> Layers:
        net: Any = self.net
        norms = [
            (net[name].weight, net[name].bias, net[name].eps) if name in net else None
            for name in ("norm_in", "norm_out")
        ]
        rnn = net["rnn"]
        return Layers(
            (net["fc1"].weight, net["fc1"].bias), (rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh),
            (net["fc2"].weight, net["fc2"].bias), *norms,
        )  # fmt: skip

    def leaves(self) -> list[Tensor]:
        return [self.hidden, *([self.features] if self.index is None else []), *self.net.parameters()]

    def gradients(self, outputs: Tensor, states: Tensor) -> list[Tensor]:
        loss = (outputs * self.d_outputs).sum() + (states * self.d_states).sum()
        return [outputs.detach(), states.detach(), *torch.autograd.grad(loss, self.leaves())]

    def run(self) -> list[Tensor]:
        for leaf in self.leaves():
            leaf.requires_grad_()
        outputs, states = unroll(
            self.features, self.index, self.one_hots, self.counts, self.hidden, self.layers(), outputs=True, states=True
        )
        assert outputs is not None
        assert states is not None
        return self.gradients(outputs, states)

    def reference(self) -> list[Tensor]:
        """The same in float64, slot by slot, with torch's own layers."""
        net: Any = self.net.double()
        self.features = self.features.detach().double().requires_grad_()
        self.hidden = self.hidden.detach().double().requires_grad_()
        features = self.features if self.index is None else self.features[self.index]
        hots = [F.one_hot(index + 1, width + 1)[:, 1:].double() for index, width in self.one_hots]
        x = net["fc1"](torch.cat([features, *hots], dim=1))
        x = (net["norm_in"](x) if "norm_in" in net else x).relu()
        hidden, states, start = self.hidden, [], 0
        for count in self.counts:
            hidden = net["rnn"](x[start : start + count], hidden[:count])
            states.append(hidden)
            start += count
        after = torch.cat(states)
        return self.gradients(net["fc2"](net["norm_out"](after) if "norm_out" in net else after), after)


SIZES = [(64, 1, 1), (64, 7, 9), (50, 40, 6), (16, 150, 15), (130, 20, 5)]


@pytest.mark.parametrize(("h", "rows", "slots"), SIZES)
@pytest.mark.parametrize("gathered", [False, True])
def test_equals_torch_in_float64(h: int, rows: int, slots: int, gathered: bool) -> None:
    """Outputs, states and every gradient, with and without layer norms; the same bits on any number of threads."""
    for seed, norms in enumerate(itertools.product([False, True], [False, True])):
        case = Case(seed, h, rows, slots, norms, gathered)
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(case.run())
        for other in results[1:]:
            assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
        expected = case.reference()
        errors = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(results[0], expected, strict=True)]
        assert max(errors) < 1e-5, (norms, errors)


def test_the_sizes_above_make_one_strip_and_several() -> None:
    assert len(plan_strips([21] * 9)) == 1
    assert len(plan_strips([450] * 15)) == 8


@pytest.mark.parametrize("rows", [1, 24, 2 * STRIP_ROWS + 5, 700])
def test_a_step_is_an_unroll_of_one_slot(rows: int) -> None:
    case = Case(0, 50, 1, 1, (True, True), gathered=False)
    features, hidden = torch.randn(rows, OBS), torch.randn(rows, 50)
    hots = [(torch.randint(-1, N_ACTIONS, (rows,)), N_ACTIONS), (torch.arange(rows) % N_AGENTS, N_AGENTS)]
    step = Step(case.layers(), OBS, [width for _, width in hots], rows)
    for _ in range(2):
        with torch.no_grad():
            expected = unroll(features, None, hots, [rows], hidden, case.layers(), outputs=True, states=True)
        got = step(features, [index for index, _ in hots], hidden)
        assert torch.equal(got[0], expected[0])  # type: ignore[arg-type]
        assert torch.equal(got[1], expected[1])  # type: ignore[arg-type]
        features, hidden = torch.randn(rows, OBS), got[1]


@pytest.mark.parametrize("what", ["index", "one_hot"])
@pytest.mark.parametrize("value", [-2, 10**6])
def test_an_index_out_of_range_is_refused(what: str, value: int) -> None:
    case = Case(0, 16, 4, 4, (False, False), gathered=True)
    assert case.index is not None
    (case.index if what == "index" else case.one_hots[0][0])[0] = value
    with pytest.raises(ValueError, match=f"an index from .*{value}"):
        case.run()


@pytest.mark.parametrize("what", ["features", "hidden"])
def test_other_numbers_of_rows_are_refused(what: str) -> None:
    case = Case(0, 16, 4, 4, (False, False), gathered=False)
    setattr(case, what, getattr(case, what)[1:])
    with pytest.raises(ValueError, match="rows of inputs"):
        case.run()


@pytest.mark.parametrize("change", ["counts", "width"])
def test_what_a_kernel_would_read_beyond_is_refused(change: str) -> None:
    case = Case(0, 16, 4, 4, (False, False), gathered=False)
    if change == "counts":
        case.counts, case.hidden = [3, case.total - 3], case.hidden[:3]
    else:
        case.one_hots = case.one_hots[:1]
    with pytest.raises(ValueError, match="more rows than the one before" if change == "counts" else "inputs of width"):
        case.run()


def changed(case: Case, what: str) -> None:
    """Hand in something that a kernel would take for something else."""
    assert case.index is not None
    if what == "int32 places":
        case.index = case.index.int()
    elif what == "int32 one-hot":
        case.one_hots[0] = (case.one_hots[0][0].int(), N_ACTIONS)
    elif what == "gradient of gathered features":
        case.features.requires_grad_()
    elif what == "narrow states":
        case.hidden = case.hidden[:, :9]
    elif what == "wide states":
        case.hidden = torch.zeros(len(case.hidden), 17)
    elif what == "no rows":
        case.counts = [0]
    elif what == "float64 features":
        case.features = case.features.double()
    else:
        case.net["fc2"].double()


@pytest.mark.parametrize(
    "what",
    ["int32 places", "int32 one-hot", "gradient of gathered features", "narrow states", "wide states", "no rows",
     "float64 features", "float64 weights"],
)  # fmt: skip
def test_what_a_kernel_would_take_for_something_else_is_refused(what: str) -> None:
    case = Case(0, 16, 4, 4, (False, False), gathered=True)
    changed(case, what)
    with pytest.raises(ValueError, match=r"int64|float32|gradient|hidden states|no rows"):
        unroll(case.features, case.index, case.one_hots, case.counts, case.hidden, case.layers(), outputs=True,
               states=True)  # fmt: skip


def test_indices_need_not_be_contiguous() -> None:
    case = Case(0, 16, 9, 5, (False, False), gathered=True)
    assert case.index is not None
    expected = case.run()
    case.index = torch.stack([case.index, case.index * 0], 1)[:, 0]
    case.one_hots = [(torch.stack([hot, hot * 0], 1)[:, 0], width) for hot, width in case.one_hots]
    assert all(torch.equal(a, b) for a, b in zip(case.run(), expected, strict=True))


def test_a_step_refuses_what_it_was_not_made_for() -> None:
    case = Case(0, 16, 1, 1, (False, False), gathered=False)
    step = Step(case.layers(), OBS, [N_ACTIONS, N_AGENTS], 6)
    x, h, hots = torch.zeros(6, OBS), torch.zeros(6, 16), [torch.zeros(6, dtype=torch.int64)] * 2
    step(x, hots, h)
    for given in (
        (x, hots, h[:5]), (x, hots, h.double()), (x.double(), hots, h), (x[:, 1:], hots, h), (x, hots[:1], h),
        (x, hots, h[:, :9]), (x, hots, torch.zeros(6, 30)), (x, [hots[0].int(), hots[1]], h), (x, [hots[0][:5]] * 2, h),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            step(*given)
    with pytest.raises(ValueError, match="inputs of width"):
        Step(case.layers(), OBS, [N_ACTIONS], 6)


@pytest.mark.parametrize("norms", list(itertools.product([False, True], [False, True])))
def test_nan_is_not_lost(norms: tuple[bool, bool]) -> None:
    """One NaN in an observation shows in that row's outputs, and in those of the same sequence from then on."""
    case = Case(3, 16, 1, 6, norms, gathered=False)
    case.counts, case.total = [3] * 6, 18
    case.one_hots = [(torch.zeros(18, dtype=torch.int64), N_ACTIONS), (torch.zeros(18, dtype=torch.int64), N_AGENTS)]
    case.features, case.hidden = torch.randn(18, OBS), torch.randn(3, 16)
    case.features[7, 2] = float("nan")  # slot 2, sequence 1
    with torch.no_grad():
        outputs, _ = unroll(case.features, None, case.one_hots, case.counts, case.hidden, case.layers(), outputs=True,
                            states=True)  # fmt: skip
    assert outputs is not None
    assert outputs.isnan().any(1).nonzero().flatten().tolist() == [7, 10, 13, 16]
    step = Step(case.layers(), OBS, [N_ACTIONS, N_AGENTS], 3)
    hots = [torch.zeros(3, dtype=torch.int64)] * 2
    assert step(case.features[6:9], hots, case.hidden)[0].isnan().any(1).tolist() == [False, True, False]


def test_gates_that_are_shut_tight() -> None:
    """Two sigmoids share a division, which must not overflow."""
    case = Case(4, 16, 5, 4, (False, False), gathered=False)
    with torch.no_grad():
        case.net["rnn"].bias_ih[:16] = -8.5  # type: ignore[index, operator]
        case.net["rnn"].bias_ih[16:32] = -90.0  # type: ignore[index, operator]
    got, expected = case.run(), case.reference()
    for a, b in zip(got[:2], expected[:2], strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)


def test_strips_cover_every_row_once() -> None:
    torch.manual_seed(0)
    for rows, slots in [(1, 1), (5, 3), (300, 40), (2000, 4)]:
        lengths = torch.randint(1, slots + 1, (rows,))
        counts = [int((lengths > t).sum()) for t in range(slots) if (lengths > t).any()]
        strips = plan_strips(counts)
        covered = [first + k for s in strips for first, size in zip(s.first, s.sizes, strict=True) for k in range(size)]
        assert sorted(covered) == list(range(sum(counts)))
        assert max(int(strip.sizes[0]) for strip in strips) <= STRIP_ROWS


def test_a_failing_task_is_heard_of_and_stops_the_others() -> None:
    done: list[int] = []

    def task(number: int) -> None:
        if number == 0:
            raise MemoryError("no")
        done.append(number)

    with pytest.raises(MemoryError):
        run_tasks(task, 1000, 1)
    assert done == []
    with pytest.raises(MemoryError):
        run_tasks(task, 1000, 2)
