"""Typed configs, YAML layers and registries."""

from __future__ import annotations

import copy
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from pymarl.controllers import REGISTRY as MACS
from pymarl.learners import REGISTRY as LEARNERS
from pymarl.run.check import check
from pymarl.run.config import all_keys
from pymarl.run.foreign import take_foreign
from pymarl.utils import layers
from pymarl.utils.config import PositiveInt, Probability, Range, build_config, check_value, describe
from pymarl.utils.errors import UserError
from pymarl.utils.layers import CONFIG, find_config, merge, shipped_files, shipped_keys
from pymarl.utils.yaml_files import read_yaml


@dataclass(frozen=True, kw_only=True)
class Example:
    size: PositiveInt
    share: Probability
    shape: tuple[int, int]
    names: list[str]
    kind: Literal["a", "b"] | None
    flag: bool
    rate: Annotated[float, Range(gt=0, lt=1)]


GOOD: dict[str, Any] = {
    "size": 3, "share": 1, "shape": [2, 5], "names": [], "kind": None, "flag": False, "rate": 0.5, "other": 1,
}  # fmt: skip


def test_a_config_takes_its_own_keys() -> None:
    config = build_config(Example, GOOD, {})
    assert config == Example(size=3, share=1, shape=(2, 5), names=[], kind=None, flag=False, rate=0.5)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("size", 0, "size=0: expected int >= 1"),
        ("size", 1e3, "size=1000.0: expected int, got float (write size=1000)"),
        ("size", "1e3", "size='1e3': expected int, got str (write size=1000)"),
        ("size", 10**400, "size=<int of 401 digits>: expected int, got an int beyond 2**63"),
        ("rate", 10**400, "rate=<int of 401 digits>: expected float, got an int beyond 2**63"),
        ("kind", "null", "kind='null': expected 'a' or 'b' or None, got str (write kind=None)"),
        ("names", list(range(100)), "names=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]: expected list[str], got list"),
        ("size", True, "size=True: expected int, got bool"),
        ("size", "3", "size='3': expected int, got str (write size=3)"),
        ("share", 1.01, "share=1.01: expected float >= 0 and <= 1"),
        ("share", "1e-4", "share='1e-4': expected float, got str (write share=0.0001)"),
        ("shape", [1, 2, 3], "shape=[1, 2, 3]: expected tuple[int, int], got list"),
        ("shape", [1, 2.5], "shape=[1, 2.5]: expected tuple[int, int], got list"),
        ("names", "x", "names='x': expected list[str], got str"),
        ("kind", "c", "kind='c': expected 'a' or 'b' or None, got str"),
        ("flag", "true", "flag='true': expected bool, got str (write flag=True)"),
        ("flag", 1, "flag=1: expected bool, got int"),
        ("rate", 1, "rate=1: expected float > 0 and < 1"),
        ("rate", float("inf"), "rate=inf: expected float, got a float that is not finite"),
    ],
)
def test_wrong_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        build_config(Example, GOOD | {key: value}, {})
    assert str(error.value) == message


def test_a_missing_key_and_the_file_at_fault_are_named() -> None:
    with pytest.raises(UserError, match="missing key 'size'"):
        build_config(Example, {k: v for k, v in GOOD.items() if k != "size"}, {})
    with pytest.raises(UserError, match=r"^config/algs/x.yaml: size=-1: expected int >= 1$"):
        build_config(Example, GOOD | {"size": -1}, {"size": "config/algs/x.yaml"})


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, tuple[str, float]], [1, ["a", 2]], (1, ("a", 2))),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[str, tuple[int, str]], {"a": [1, "b"]}, {"a": (1, "b")}),
        (dict, {1: "a"}, {1: "a"}),
    ],
)
def test_containers_are_checked_element_by_element(kind: Any, value: Any, result: Any) -> None:
    checked = check_value(value, kind, "x")
    assert checked == result
    assert type(checked) is type(result)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (tuple[int, str], [1, 2]), (tuple[int, str], ["a", 1]), (tuple[int, str], [1]), (tuple[int, str], [1, "a", 2]),
        (dict[str, int], {"a": "b"}), (dict[str, int], {1: 2}), (dict[str, PositiveInt], {"a": 0}),
        (dict[str, int], [1]),
    ],
)  # fmt: skip
def test_one_wrong_element_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(UserError, match=f"^x=.*: expected {re.escape(describe(kind))}, got"):
        check_value(value, kind, "x")


def test_describe_nested_types() -> None:
    assert describe(dict[str, int] | None) == "dict[str, int] or None"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_layers_and_their_origins(tmp_path: Path) -> None:
    env = write(tmp_path / "env.yaml", "env: stag_hunt\nt_max: 5\nlr: 0.5\nenv_args: {n_agents: 3}\n")
    alg = write(tmp_path / "alg.yaml", "lr: 0.25\nname: mine\n")
    layers = merge(alg, env, {"name": "typed", "env_args": {"n_stags": 1}})
    values, origin = layers.values, layers.origin
    assert (values["t_max"], values["lr"], values["name"], values["gamma"]) == (5, 0.25, "typed", 0.99)
    assert [Path(origin[key]).name for key in ("t_max", "lr", "name", "gamma")] == [
        "env.yaml", "alg.yaml", "with", "default.yaml",
    ]  # fmt: skip
    assert values["env_args"]["n_agents"] == 3
    assert values["env_args"]["n_stags"] == 1
    assert values["env_args"]["world_shape"] == [10, 10]
    assert origin["env_args.world_shape"] == "config/envs/stag_hunt.yaml"


def test_an_env_named_by_with_brings_its_defaults() -> None:
    layers = merge("iql", None, {"env": "one_step_matrix_game"})
    assert layers.values["env_args"] == {"map_name": "one_step_matrix_game"}


ALGS = list(shipped_files("algs"))
ENVS = list(shipped_files("envs"))


@pytest.mark.parametrize("env", ENVS)
def test_every_shipped_pair_of_files_is_right(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = functools.cache(layers.read_yaml)  # reading them is most of the work
    monkeypatch.setattr(layers, "read_yaml", lambda path: copy.deepcopy(cached(path)))
    for alg in ALGS:
        merged = merge(alg, env, {"seed": 0})
        take_foreign(merged)
        check(merged)
    assert len(ALGS) > 20


def test_default_yaml_is_the_home_of_every_key_and_of_no_other() -> None:
    defaults = set(read_yaml(CONFIG / "default.yaml"))
    assert defaults == set(all_keys())


# PyMARL2's values (hijkzzz/pymarl2 8ccac7c, src/config/algs), against which ours are held.
PYMARL2 = {
    "qmix": {"epsilon_anneal_time": 100000, "batch_size_run": 8, "buffer_size": 5000, "batch_size": 128, "lr": 0.001,
             "td_lambda": 0.6, "mixer": "nmix", "mixing_embed_dim": 32, "hypernet_embed": 64, "t_max": 10050000,
             "target_update_interval": 200, "learner": "nq_learner", "agent": "n_rnn", "optimizer": "adam"},
    "qmix_large": {"rnn_hidden_dim": 256, "mixing_embed_dim": 64, "hypernet_embed": 256, "td_lambda": 0.6},
    "qmix_predator_prey": {"buffer_size": 1000, "td_lambda": 0.5, "t_max": 1050000, "batch_size": 128},
    "vdn": {"mixer": "vdn", "buffer_size": 5000, "td_lambda": 0.6, "lr": 0.001, "learner": "nq_learner"},
    "iql": {"mixer": None, "learner": "q_learner", "double_q": True, "batch_size": 32, "lr": 0.0005,
            "optimizer": "adam", "mac": "basic_mac", "agent": "rnn"},
    "qmix_att": {"agent": "att_rnn", "att_heads": 4, "att_embed_dim": 32, "td_lambda": 0.3, "grad_norm_clip": 20,
                 "lr": 0.001, "batch_size": 128, "learner": "nq_learner", "mixer": "nmix", "rnn_hidden_dim": 64},
    "qmix_conv": {"agent": "conv_agent", "frames": 4, "rnn_hidden_dim": 128, "td_lambda": 0.6, "lr": 0.001},
    "qmix_high_sample_efficiency": {"batch_size_run": 4, "batch_size": 64, "buffer_size": 2500, "td_lambda": 0.5},
    "vdn_gfootball": {"rnn_hidden_dim": 256, "td_lambda": 1.0, "gamma": 0.999, "lr": 0.0005, "batch_size_run": 16,
                      "target_update_interval": 1, "buffer_size": 2000, "return_priority": True, "mixer": "vdn"},
}  # fmt: skip


@pytest.mark.parametrize("alg", PYMARL2)
def test_values_are_pymarl2s(alg: str) -> None:
    values = merge(alg, "stag_hunt", {}).values
    assert {key: values[key] for key in PYMARL2[alg]} == PYMARL2[alg]


# EPyMARL's (uoe-agents/epymarl cbc38c0, src/config/algs), under our names of its keys.
EPYMARL = {
    "iql": {"mixer": None, "agent": "rnn", "rnn_hidden_dim": 128, "lr": 0.0003, "epsilon_anneal_time": 200000},
    "vdn": {"mixer": "vdn", "agent": "ff"},
    "qmix": {"mixer": "qmix", "agent": "ff", "hypernet_layers": 2, "hypernet_embed": 64, "mixing_embed_dim": 32},
    "iql_ns": {"mixer": None, "agent": "ff_ns"},
    "vdn_ns": {"mixer": "vdn", "agent": "ff_ns"},
    "qmix_ns": {"mixer": "qmix", "agent": "ff_ns", "hypernet_layers": 2, "hypernet_embed": 64},
}


@pytest.mark.parametrize("name", EPYMARL)
def test_values_are_epymarls(name: str) -> None:
    common = {"rnn_hidden_dim": 64, "lr": 0.0005, "epsilon_anneal_time": 50000, "buffer_size": 5000, "batch_size": 32,
              "obs_last_action": False, "obs_agent_id": not name.endswith("_ns"), "standardise_rewards": True,
              "standardise_returns": False, "target_update_interval_or_tau": 200, "learner": "q_learner",
              "double_q": True, "optimizer": "adam", "grad_norm_clip": 5,
              "runner": "episode", "name": f"epymarl_{name}"}  # fmt: skip
    expected = common | EPYMARL[name]
    values = merge(f"epymarl/{name}", "stag_hunt", {}).values
    assert {key: values[key] for key in expected} == expected


def test_shipped_configs_are_found_in_folders_of_their_own() -> None:
    assert find_config("epymarl/iql", "algs") == CONFIG / "algs" / "epymarl" / "iql.yaml"
    assert find_config("iql", "algs") == CONFIG / "algs" / "iql.yaml"
    with pytest.raises(UserError, match=r"no config file 'epymarl/iqk'; did you mean 'epymarl/iql'"):
        find_config("epymarl/iqk", "algs")
    with pytest.raises(UserError, match=r"no config file 'other/iql'; did you mean --config=iql"):
        find_config("other/iql", "algs")
    assert "standardise_rewards" in shipped_keys()


def test_registries_hold_what_they_say() -> None:
    for registry in (LEARNERS, MACS):
        assert all(isinstance(registry[name], type) for name in registry)
