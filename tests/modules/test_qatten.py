"""Qatten's sums one by one, and where its agents' own features are looked for."""

import math

import pytest
import torch

from pymarl.envs.specs import Block, EntityLayout, EnvInfo
from pymarl.modules.mixers.mixer import MixerInputs
from pymarl.modules.mixers.own_features import own_state_size
from pymarl.modules.mixers.qatten import QattenMixer
from pymarl.modules.mixers.qplex_qatten import QPLEXQattenMixer
from pymarl.utils.errors import UserError

N, U, S, HEADS, WIDTH = 3, 2, 8, 4, 5


def told(*blocks):
    """Return an env of 3 agents whose state of 8 places is made of these blocks."""
    layout = EntityLayout(obs=(Block("own", 1, 4),), state=tuple(Block(*block) for block in blocks), first_target=0)
    return EnvInfo(n_agents=N, n_actions=4, obs_shape=4, state_shape=S, episode_limit=6, entity_layout=layout)


INFO = told(("allies", N, U), ("timestep", 1, 2))
UNTOLD = EnvInfo(n_agents=N, n_actions=4, obs_shape=4, state_shape=S, episode_limit=6)


def config(**overrides):
    keys = {
        "n_query_embedding_layer1": 6, "n_query_embedding_layer2": WIDTH, "n_key_embedding_layer1": WIDTH,
        "n_head_embedding_layer1": 7, "n_head_embedding_layer2": HEADS, "n_attention_head": HEADS,
        "n_constrant_value": 6, "type": "weighted", "agent_own_state_size": True,
    }  # fmt: skip
    return QattenMixer.Config(**{**keys, **overrides})


def build(seed=0, **overrides):
    torch.manual_seed(seed)
    mixer = QattenMixer(config(**overrides), INFO).double()
    q, state = torch.randn(6, N, dtype=torch.float64), torch.randn(6, S, dtype=torch.float64)
    return mixer, MixerInputs(q, None, torch.zeros(6, N, dtype=torch.int64), state)


def slow_value(mixer, q, state, weighted):
    """Return q_tot of one row by loops over heads and agents; a key's bias included, which no result may depend on."""
    total = mixer.constrant_value_layer(state).item()
    head_weights = mixer.head_embedding_layer(state).abs().tolist() if weighted else [1.0] * HEADS
    for head in range(HEADS):
        query = mixer.query_embedding_layers[head](state)
        logits = []
        for agent in range(N):
            key = mixer.key_embedding_layers[head](state[agent * U : (agent + 1) * U])
            logits.append(sum(a * b for a, b in zip(query.tolist(), key.tolist(), strict=True)) / math.sqrt(WIDTH))
        shares = [math.exp(logit) for logit in logits]
        own = sum(share / sum(shares) * value for share, value in zip(shares, q.tolist(), strict=True))
        total += head_weights[head] * own
    return total


@pytest.mark.parametrize("kind", ["weighted", "unweighted"])
def test_the_heads_sum_as_written(kind):
    mixer, x = build(type=kind)
    with torch.no_grad():
        got = mixer(x).value[:, 0].tolist()
        expected = [slow_value(mixer, q, state, kind == "weighted") for q, state in zip(x.q, x.state, strict=True)]
    assert got == pytest.approx(expected, rel=1e-12)


def test_equal_values_leave_only_the_heads_weights():
    """A head's weights of the agents sum to 1: if all say 2, q_tot is 2 * sum of |w_h| + c, whoever is attended to."""
    mixer, x = build()
    got = mixer(x._replace(q=torch.full_like(x.q, 2.0))).value
    expected = 2 * mixer.head_embedding_layer(x.state).abs().sum(-1, keepdim=True) + mixer.constrant_value_layer(
        x.state
    )
    torch.testing.assert_close(got, expected)


def test_a_keys_bias_changes_nothing_and_the_features_behind_do():
    mixer, x = build()
    before = mixer(x).value
    with torch.no_grad():
        for layer in mixer.key_embedding_layers:
            layer.bias += 3.0
    assert torch.equal(mixer(x).value, before)
    features = x.state.clone()
    features[:, N * U - 1] += 1.0  # of the last agent
    with torch.no_grad():
        for head in mixer.query_embedding_layers:
            head[0].weight[:, : N * U] = 0.0
    assert not torch.equal(mixer(x._replace(state=features)).value, mixer(x).value)


def test_parameter_names_are_pymarl2s():
    mixer, _ = build(n_attention_head=2, n_head_embedding_layer2=2)
    names = ["query_embedding_layers.{}.0", "query_embedding_layers.{}.2", "key_embedding_layers.{}"]
    heads = [name.format(head) for group in (names[:2], names[2:]) for head in range(2) for name in group]
    layers = [*heads, *(f"{net}.{i}" for net in ("head_embedding_layer", "constrant_value_layer") for i in (0, 2))]
    assert [name for name, _ in mixer.named_parameters()] == [f"{x}.{p}" for x in layers for p in ("weight", "bias")]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"n_key_embedding_layer1": 4}, "write n_key_embedding_layer1=5"),
        ({"n_head_embedding_layer2": 3}, "write n_head_embedding_layer2=4"),
    ],
)
def test_sizes_that_cannot_be_multiplied_are_one_line(overrides, message):
    with pytest.raises(UserError, match=message) as error:
        config(**overrides)
    assert "\n" not in str(error.value)
    config(type="unweighted", n_head_embedding_layer2=3)


def test_the_env_says_how_long_an_agents_features_are():
    assert own_state_size(True, INFO) == U
    assert own_state_size(2, INFO) == own_state_size(2, UNTOLD) == 2
    assert own_state_size(1, UNTOLD) == 1


@pytest.mark.parametrize(
    ("given", "info", "message"),
    [
        (True, UNTOLD, "does not say that its state begins with the features"),
        (True, told(("obs", N, 2), ("rest", 1, 2)), "does not say that its state begins with"),
        (True, told(("enemies", 1, 2), ("allies", N, 2)), "does not say that its state begins with"),
        (True, told(("allies", N - 1, 4)), "does not say that its state begins with"),
        (3, INFO, "an agent has 2 features in this env's state; write agent_own_state_size=2"),
        (3, UNTOLD, "3 agents have 9 features then, but state_shape=8; write at most 2"),
    ],
)
def test_own_state_sizes_that_cannot_be_right_are_one_line(given, info, message):
    with pytest.raises(UserError, match=message) as error:
        own_state_size(given, info)
    assert "\n" not in str(error.value)


def qplex_qatten(**overrides):
    keys = {
        "num_kernel": 2, "adv_hypernet_layers": 1, "adv_hypernet_embed": 4, "is_adv_attention": True,
        "is_minus_one": True, "is_stop_gradient": True, "weighted_head": False, "mixing_embed_dim": WIDTH,
        "hypernet_embed": 6, "n_head": HEADS, "attend_reg_coef": 0.01, "state_bias": True, "nonlinear": False,
        "agent_own_state_size": True,
    }  # fmt: skip
    torch.manual_seed(1)
    return QPLEXQattenMixer(QPLEXQattenMixer.Config(**{**keys, **overrides}), INFO).double()


def slow_attention(net, q, state, *, weighted, nonlinear):
    """Return the agents' weights of one row and the sum over the heads of the mean squared logit."""
    weights, penalty = [0.0] * N, 0.0
    head_weights = net.hyper_w_head(state).abs().tolist() if weighted else [1.0] * HEADS
    for head in range(HEADS):
        logits = []
        for agent in range(N):
            features = state[agent * U : (agent + 1) * U]
            features = torch.cat([features, q[agent : agent + 1]]) if nonlinear else features
            logits.append((net.selector_extractors[head](state) @ net.key_extractors[head](features)).item())
        shares = [math.exp(logit / math.sqrt(WIDTH)) for logit in logits]
        weights = [w + head_weights[head] * share / sum(shares) for w, share in zip(weights, shares, strict=True)]
        penalty += sum(logit**2 for logit in logits) / N
    return weights, penalty


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("nonlinear", [False, True])
def test_qplex_over_attention_one_by_one(weighted, nonlinear):
    mixer = qplex_qatten(weighted_head=weighted, nonlinear=nonlinear)
    _, x = build()
    x = x._replace(q_max=x.q + torch.rand(6, N, dtype=torch.float64))
    with torch.no_grad():
        got = mixer(x)
        actions = torch.zeros(N, 4, dtype=torch.float64)
        actions[:, 0] = 1.0
        for row in range(6):
            q, best, state = x.q[row], x.q_max[row], x.state[row]
            options = {"weighted": weighted, "nonlinear": nonlinear}
            weights, penalty = slow_attention(mixer.attention_weight, q, state, **options)
            seen = torch.cat([state, actions.flatten()])
            shares = mixer.si_weight(state[None], seen[None])[0].tolist()
            value = mixer.attention_weight.V(state).item()
            for w, lam, own, top in zip(weights, shares, q.tolist(), best.tolist(), strict=True):
                value += w * top + lam * w * (own - top)
            assert got.value[row].item() == pytest.approx(value, rel=1e-9)
            assert got.penalty[row].item() == pytest.approx(0.01 * penalty, rel=1e-9)
