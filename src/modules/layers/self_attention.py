"""Multi-head self-attention of a team's agents on what each of them sees."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.modules.inputs import Inputs


class SelfAttention(nn.Module):
    """softmax(q . k / sqrt(embed)) v over the agents of one team in one slot (Vaswani et al. 2017, arXiv:1706.03762).

    Keys, queries and values are linear in an agent's input, without biases. Every agent is attended to, dead ones too.
    Parameter names are PyMARL2's.

    Args:
        input_shape: E, length of an agent's dense input row.
        heads: their outputs stand one behind the other.
        embed: width of one head.
    """

    def __init__(self, input_shape: int, heads: int, embed: int) -> None:
        super().__init__()
        self.heads = heads
        self.tokeys = nn.Linear(input_shape, heads * embed, bias=False)
        self.toqueries = nn.Linear(input_shape, heads * embed, bias=False)
        self.tovalues = nn.Linear(input_shape, heads * embed, bias=False)

    def forward(self, inputs: Inputs, n_agents: int) -> Tensor:
        """Return [R, heads * embed] for R rows of whole teams."""
        keys, queries, values = (
            inputs.linear(layer).view(-1, n_agents, self.heads, layer.out_features // self.heads).transpose(1, 2)
            for layer in (self.tokeys, self.toqueries, self.tovalues)
        )  # [R/N, heads, N, embed]
        attended = F.scaled_dot_product_attention(queries, keys, values)
        return attended.transpose(1, 2).flatten(2).flatten(0, 1)
