"""Tree backups of DOP: by hand over each kind of end, as a sum, and where they are another method's targets."""

from __future__ import annotations

import math

import pytest
import torch

from pymarl.components.returns import n_step_targets, q_lambda_targets, tree_backup_targets

NAN = math.nan
# Of three episodes: one that ends, one that a time limit cuts off earlier, one that ends after a step.
REWARD = [[1.0, 2.0, 3.0], [1.0, 1.0, NAN], [7.0, NAN, NAN]]
TAKEN = [[0.5, 1.0, 2.0], [2.0, 3.0, NAN], [1.0, NAN, NAN]]
NEXT = [[4.0, 5.0, 99.0], [10.0, 20.0, NAN], [50.0, NAN, NAN]]
SHARE = [[0.1, 0.5, 0.25], [0.9, 0.5, NAN], [0.3, NAN, NAN]]
TERMINATED = [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]  # in the padding it says nothing
FILLED = [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def columns(*rows: list[list[float]]) -> list[torch.Tensor]:
    return [torch.tensor(row).unsqueeze(-1) for row in rows]


@pytest.mark.parametrize(
    ("n_steps", "expected"),
    [
        (1, [[4.6, 6.5, 3.0], [10.0, 19.0, 0.0], [7.0, 0.0, 0.0]]),
        # 0.9 * 0.5 * 0.5 of the next step's error, which is 5.5 and 16; 0.9 * 0.5 * 0.25 of the last one's, 1
        (2, [[4.6 + 0.225 * 5.5, 6.5 + 0.1125, 3.0], [10.0 + 0.225 * 16, 19.0, 0.0], [7.0, 0.0, 0.0]]),
        (3, [[4.6 + 0.225 * (5.5 + 0.1125), 6.6125, 3.0], [13.6, 19.0, 0.0], [7.0, 0.0, 0.0]]),
        (9, [[4.6 + 0.225 * (5.5 + 0.1125), 6.6125, 3.0], [13.6, 19.0, 0.0], [7.0, 0.0, 0.0]]),
    ],
)
def test_by_hand(n_steps: int, expected: list[list[float]]) -> None:
    targets = tree_backup_targets(
        *columns(REWARD, TERMINATED, FILLED, TAKEN, NEXT, SHARE), gamma=0.9, tb_lambda=0.5, n_steps=n_steps
    )
    torch.testing.assert_close(targets.squeeze(-1), torch.tensor(expected))


def random_steps(seed: int) -> tuple[list[torch.Tensor], list[int], list[bool]]:
    """Return reward, terminated, filled, taken, next and share of random episodes, their lengths, and which end."""
    g = torch.Generator().manual_seed(seed)
    lengths, ends = [6, 1, 4, 6, 3], [True, False, False, False, True]
    reward, taken, following, share = (torch.rand(5, 6, 1, generator=g) for _ in range(4))
    filled = (torch.arange(6) < torch.tensor(lengths)[:, None]).float().unsqueeze(-1)
    terminated = torch.zeros(5, 6, 1)
    for row, (length, end) in enumerate(zip(lengths, ends, strict=True)):
        terminated[row, length - 1] = float(end)
    return [reward, terminated, filled, taken, following, share], lengths, ends


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10])
def test_it_is_the_sum_of_discounted_errors(n_steps: int) -> None:
    given, lengths, ends = random_steps(0)
    targets = tree_backup_targets(*given, gamma=0.9, tb_lambda=0.7, n_steps=n_steps)
    reward, _, _, taken, following, share = (x.squeeze(-1).tolist() for x in given)
    for row, (length, end) in enumerate(zip(lengths, ends, strict=True)):
        value = [0.9 * v for v in following[row]]
        if end:
            value[length - 1] = 0.0
        for t in range(6):
            total = taken[row][t] if t < length else 0.0
            for k in range(min(n_steps, length - t)):
                error = reward[row][t + k] + value[t + k] - taken[row][t + k]
                total += 0.63**k * math.prod(share[row][t + 1 : t + k + 1]) * error
            assert targets[row, t].item() == pytest.approx(total, rel=1e-5), (row, t)


def test_its_limits_are_other_targets() -> None:
    """A policy that is sure of what was played makes Q(lambda) of it; one that would not have played so, one step."""
    (reward, terminated, filled, taken, following, share), _, _ = random_steps(1)
    sure = tree_backup_targets(
        reward, terminated, filled, taken, following, torch.ones_like(share), gamma=0.9, tb_lambda=0.7, n_steps=6
    )
    same = q_lambda_targets(reward, terminated, filled, taken, following, gamma=0.9, td_lambda=0.7)
    torch.testing.assert_close(sure, same)
    other = tree_backup_targets(
        reward, terminated, filled, taken, following, torch.zeros_like(share), gamma=0.9, tb_lambda=0.7, n_steps=6
    )
    one_step = n_step_targets(reward, terminated, filled, following, gamma=0.9, n_steps=1)
    torch.testing.assert_close(other, one_step)


def test_what_is_refused() -> None:
    given, _, _ = random_steps(2)
    with pytest.raises(ValueError, match="n_steps=0: expected at least 1"):
        tree_backup_targets(*given, gamma=0.9, tb_lambda=0.7, n_steps=0)
    with pytest.raises(ValueError, match="sizes differ"):
        tree_backup_targets(*given[:-1], given[-1][:, :-1], gamma=0.9, tb_lambda=0.7, n_steps=2)
