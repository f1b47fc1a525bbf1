"""Classes as forks of PyMARL have them: they know nothing of this package, and get what PyMARL hands over."""

import torch as th
import torch.nn as nn
import torch.nn.functional as F


class RowsAgent(nn.Module):
    """PyMARL's and EPyMARL's way: inputs [B * N, E]."""

    def __init__(self, input_shape, args):
        super().__init__()
        self.args = args
        self.fc1 = nn.Linear(input_shape, args.rnn_hidden_dim)
        self.rnn = nn.GRUCell(args.rnn_hidden_dim, args.rnn_hidden_dim)
        self.fc2 = nn.Linear(args.rnn_hidden_dim, args.n_actions)

    def init_hidden(self):
        return self.fc1.weight.new_zeros(1, self.args.rnn_hidden_dim)

    def forward(self, inputs, hidden_state):
        h = self.rnn(F.relu(self.fc1(inputs)), hidden_state.reshape(-1, self.args.rnn_hidden_dim))
        return self.fc2(h), h


class TeamsAgent(RowsAgent):
    """PyMARL2's way: inputs [B, N, E]; each agent also sees what the team's states are on average."""

    def __init__(self, input_shape, args):
        super().__init__(input_shape, args)
        self.share = getattr(args, "team_share", 0.5)

    def forward(self, inputs, hidden_state):
        b, a, e = inputs.size()
        q, h = super().forward(inputs.view(-1, e), hidden_state)
        team = h.view(b, a, -1).mean(1, keepdim=True).expand(b, a, -1)
        return q.view(b, a, -1) + self.share * self.fc2(team), h.view(b, a, -1)


class AttendingAgent(nn.Module):
    """Without a hidden state; its attention takes [B * N, E] too, as one sequence of all episodes."""

    def __init__(self, input_shape, args):
        super().__init__()
        self.fc1 = nn.Linear(input_shape, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc2 = nn.Linear(8, args.n_actions)

    def init_hidden(self):
        return None

    def forward(self, inputs, hidden_state=None):
        x = F.relu(self.fc1(inputs))
        return self.fc2(x + self.attention(x, x, x)[0])


class GatedSum(nn.Module):
    """A mixer: weights and value from the state."""

    def __init__(self, args):
        super().__init__()
        self.n_agents, self.state_dim = args.n_agents, args.state_shape
        self.gate = nn.Linear(args.state_shape, args.n_agents * args.gate_width)
        self.value = nn.Linear(args.state_shape, 1)

    def forward(self, agent_qs, states):
        bs = agent_qs.size(0)
        states = states.reshape(-1, self.state_dim)
        gates = self.gate(states).view(-1, self.n_agents, self.gate.out_features // self.n_agents).sigmoid().mean(-1)
        y = (gates * agent_qs.view(-1, self.n_agents)).sum(-1, keepdim=True) + self.value(states)
        return y.view(bs, -1, 1)


class Sum(nn.Module):
    """A mixer that takes nothing."""

    def __init__(self):
        super().__init__()

    def forward(self, agent_qs, batch):
        return agent_qs.sum(dim=2, keepdim=True)


class Softmax:
    """An action selector that draws from torch's global generator."""

    def __init__(self, args):
        self.args, self.epsilon = args, 1.0

    def select_action(self, agent_inputs, avail_actions, t_env, test_mode=False):
        self.epsilon = max(self.args.epsilon_finish, 1 - t_env / self.args.epsilon_anneal_time)
        masked = agent_inputs.clone()
        masked[avail_actions == 0.0] = -float("inf")
        return th.distributions.Categorical(logits=masked / (0.01 if test_mode else 1.0)).sample().long()
