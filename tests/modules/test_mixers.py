"""Contract of every mixer of Q-values in the registry, and what only one of them must do."""

import itertools
import math

import pytest
import torch

from learner_kit import flat_of
from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers import REGISTRY
from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs
from pymarl.modules.mixers.nmix import Mixer
from pymarl.modules.mixers.qmix import QMixer
from pymarl.utils.config import config_keys

P, N, A, S = 7, 3, 5, 11
INFO = EnvInfo(n_agents=N, n_actions=A, obs_shape=4, state_shape=S, episode_limit=6)

# Values for the keys of the mixers' Configs, the first of each together, each other one among first ones, and all last
# ones together; any other key has the value of the first algorithm with the mixer.
VARIANTS = {
    "mixing_embed_dim": [8],
    "hypernet_embed": [6],
    "hypernet_layers": [1, 2],
    "qmix_pos_func": ["abs", "softplus", "quadratic"],
    "qmix_pos_func_beta": [2.0],
    "use_orthogonal": [False, True],
    "abs": [True, False],
    "type": ["weighted", "unweighted"],
    "agent_own_state_size": [3],
    "adv_hypernet_embed": [6],
    "adv_hypernet_layers": [1, 2, 3],
    "is_adv_attention": [True, False],
    "is_minus_one": [True, False],
    "is_stop_gradient": [True, False],
    "weighted_head": [True, False],
    "state_bias": [True, False],
    "nonlinear": [False, True],
    "dop_nonlinear": [False, True],
}


def cases():
    """Yield every mixer in the registry with values as said above."""
    for name in (name for name in REGISTRY if issubclass(REGISTRY[name], BaseMixer)):
        flat = flat_of("mixer", name)
        options = {key: VARIANTS.get(key) or [flat[key]] for key in config_keys(REGISTRY[name])}
        first, last = ({key: values[which] for key, values in options.items()} for which in (0, -1))
        others = [first | {key: value} for key, values in options.items() for value in values[1:]]
        for keys in [first, *others, *[last] * (len(others) > 1)]:
            changed = [f"{key}={value}" for key, value in keys.items() if value != first[key]]
            yield pytest.param(name, keys, id="-".join([name, *changed]))


each_mixer = pytest.mark.parametrize(("name", "keys"), list(cases()))


def build(name, keys, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    cls = REGISTRY[name]
    config = cls.Config(**keys) if config_keys(cls) else None
    return cls(config, INFO).to(dtype)


def inputs(seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    q = torch.randn(P, N, generator=g, dtype=dtype)
    actions, state = torch.randint(A, (P, N), generator=g), torch.randn(P, S, generator=g, dtype=dtype)
    return MixerInputs(q, q + 0.5, actions, state, torch.randn(P, N, 4, generator=g, dtype=dtype))


@each_mixer
def test_shape_and_gradient_to_every_parameter(name, keys):
    mixer, x = build(name, keys), inputs()
    x.q.requires_grad_()
    out = mixer(x).value
    assert out.shape == (P, 1)
    out.square().sum().backward()
    assert x.q.grad.abs().sum() > 0
    for parameter, value in mixer.named_parameters():
        assert (value.grad is None) == (parameter in mixer.idle), parameter
        assert parameter in mixer.idle or value.grad.abs().sum() > 0, parameter
    assert mixer.idle <= {parameter for parameter, _ in mixer.named_parameters()}


@each_mixer
def test_monotone_if_it_says_so(name, keys):
    rises = list(itertools.product(range(N), (1e-3, 1.0, 30.0)))
    lowest, checked = 0.0, 0
    for seed in range(10):
        mixer, x = build(name, keys, seed), inputs(seed)
        with torch.no_grad():
            for weight in mixer.parameters():
                weight *= 3.0  # what hardly shows in fresh weights
            often = MixerInputs(*(torch.cat([part] * (1 + len(rises))) for part in x))
            q = often.q.clone().view(-1, P, N)
            for number, (agent, rise) in enumerate(rises, start=1):
                q[number, :, agent] += rise
            value = mixer(often._replace(q=q.flatten(0, 1))).value.view(-1, P)
        lowest = min(lowest, (value[1:] - value[0]).min().item())
        checked += value[1:].numel()
    assert checked == 10 * N * 3 * P
    assert (lowest < -1e-9) != mixer.monotone, "monotone is claimed and violated, or not claimed and never violated"


@each_mixer
def test_a_row_depends_on_itself_alone(name, keys):
    mixer, x = build(name, keys), inputs()
    whole = mixer(x).value
    for row in range(P):
        alone = MixerInputs(*(None if part is None else part[row : row + 1] for part in x))
        torch.testing.assert_close(mixer(alone).value, whole[row : row + 1])


@each_mixer
def test_wrong_shapes_are_refused(name, keys):
    mixer, x = build(name, keys), inputs()
    wrong = {"q": x.q[:, 1:], "actions": x.actions[1:], "state": x.state[:, 1:]}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=f"expected {field}"):
            mixer(x._replace(**{field: value}))


def test_q_max_is_demanded_only_by_a_mixer_that_needs_it():
    class Needy(BaseMixer):
        needs_q_max = True

        def mix(self, inputs):
            return inputs.q_max.sum(-1, keepdim=True)

    mixer, x = Needy(None, INFO), inputs()
    torch.testing.assert_close(mixer(x).value, x.q_max.sum(-1, keepdim=True))
    with pytest.raises(ValueError, match="expected q_max"):
        mixer(x._replace(q_max=None))


def test_vdn_is_the_sum():
    x = inputs()
    torch.testing.assert_close(build("vdn", {})(x).value, x.q.sum(1, keepdim=True))


def slow_mix(q, w1, b1, w2, b2):
    """Return the two-layer mixing network of one row, in plain Python floats."""
    hidden = [sum(q[n] * w1[n][e] for n in range(N)) + b1[e] for e in range(len(b1))]
    hidden = [h if h > 0 else math.expm1(h) for h in hidden]
    return sum(h * w for h, w in zip(hidden, w2, strict=True)) + b2


def test_nmix_equals_its_hypernetworks_one_by_one():
    config = Mixer.Config(
        mixing_embed_dim=8, hypernet_embed=6, qmix_pos_func="abs", qmix_pos_func_beta=1.0, use_orthogonal=False
    )
    torch.manual_seed(0)
    mixer, x = Mixer(config, INFO).double(), inputs()
    with torch.no_grad():
        got = mixer(x).value
        for row in range(P):
            state = x.state[row]
            parts = [mixer.hyper_w1(state).abs().view(N, 8), mixer.hyper_b1(state), mixer.hyper_w2(state).abs()]
            expected = slow_mix(x.q[row].tolist(), *(p.tolist() for p in parts), mixer.hyper_b2(state).item())
            assert got[row].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_qmix_equals_its_hypernetworks_one_by_one(layers):
    config = QMixer.Config(mixing_embed_dim=8, hypernet_layers=layers, hypernet_embed=6, abs=True)
    torch.manual_seed(0)
    mixer, x = QMixer(config, INFO).double(), inputs()
    with torch.no_grad():
        got = mixer(x).value
        for row in range(P):
            state = x.state[row]
            parts = [mixer.hyper_w_1(state).abs().view(N, 8), mixer.hyper_b_1(state), mixer.hyper_w_final(state).abs()]
            expected = slow_mix(x.q[row].tolist(), *(p.tolist() for p in parts), mixer.V(state).item())
            assert got[row].item() == pytest.approx(expected, rel=1e-12)


def test_parameter_names_are_pymarl2s():
    nmix = build("nmix", {key: values[0] for key, values in VARIANTS.items() if key in config_keys(Mixer)})
    assert [name for name, _ in nmix.named_parameters()] == [
        "hyper_w1.0.weight", "hyper_w1.0.bias", "hyper_w1.2.weight", "hyper_w1.2.bias",
        "hyper_b1.0.weight", "hyper_b1.0.bias",
        "hyper_w2.0.weight", "hyper_w2.0.bias", "hyper_w2.2.weight", "hyper_w2.2.bias",
        "hyper_b2.0.weight", "hyper_b2.0.bias", "hyper_b2.2.weight", "hyper_b2.2.bias",
    ]  # fmt: skip
    qmix = build("qmix", {key: values[0] for key, values in VARIANTS.items() if key in config_keys(QMixer)})
    assert [name for name, _ in qmix.named_parameters()] == [
        "hyper_w_1.weight", "hyper_w_1.bias", "hyper_w_final.weight", "hyper_w_final.bias",
        "hyper_b_1.weight", "hyper_b_1.bias", "V.0.weight", "V.0.bias", "V.2.weight", "V.2.bias",
    ]  # fmt: skip


def test_orthogonal_start():
    mixer = build("nmix", {key: values[-1] for key, values in VARIANTS.items() if key in config_keys(Mixer)})
    weight = mixer.hyper_w1[0].weight  # [6, 11]: its rows are orthonormal
    torch.testing.assert_close(weight @ weight.T, torch.eye(6).double(), atol=1e-6, rtol=0)
    assert not mixer.hyper_w1[0].bias.any()
