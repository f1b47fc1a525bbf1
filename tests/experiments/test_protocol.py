"""In what runs differ that are compared, and what a set of runs that differ in the method alone is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymarl.experiments.plan import Grid, jobs_of, read_plan
from pymarl.experiments.protocol import MARKED, REFUSED, Difference, differences, labelled
from pymarl.experiments.results import Result, load_results
from pymarl.utils.runs import dotted

ROOT = Path(__file__).resolve().parent.parent.parent
RUNS = ROOT / "tests" / "fixtures" / "runs"


def results_of(grid: Grid) -> dict[str, list[Result]]:
    """Return runs of a grid that have not been played, by what stands behind --configs."""
    found: dict[str, list[Result]] = {}
    for job in jobs_of([grid])[0]:
        config = dotted(job.config)
        scenario = str(config["env_args.map_name"])
        result = Result(
            config["name"], config["env"], scenario, config["seed"], Path(), "pymarl", config, "", {}, {}, {}, None
        )
        found.setdefault(job.label.split()[0], []).append(result)
    return found


@pytest.fixture(scope="module")
def qmix() -> Result:
    return results_of(Grid(("qmix",), ("skirmish",), ("3m",), (1,), ()))["qmix"][0]


def changed(result: Result, **keys: Any) -> Result:
    return replace(result, config=result.config | keys)


def found(a: Result, b: Result) -> list[tuple[str, str]]:
    return [(each.kind, each.key) for each in differences({"A": [a], "B": [b]})]


def test_like_for_like_differs_in_the_mixer_alone() -> None:
    (grid,) = read_plan(ROOT / "benchmarks" / "plans" / "like_for_like.yaml")
    sides = results_of(replace(grid, maps=grid.maps[:1], seeds=(1,)))
    assert set(sides) == {"iql", "vdn", "qmix", "qatten", "qplex"}
    shared = [each for each in differences(sides) if "-" not in each.values.values()]
    assert [(each.kind, each.key) for each in shared] == [("method", "mixer"), ("method", "name")]
    assert {each.kind for each in differences(sides)} == {"method"}


def test_as_shipped_they_differ_in_more() -> None:
    """The line above would hold of anything if this did not see it."""
    sides = results_of(Grid(("iql", "qmix"), ("skirmish",), ("3m",), (1,), ()))
    training = {each.key: list(each.values.values()) for each in differences(sides) if each.kind == "training"}
    assert training == {"batch_size": ["32", "128"], "lr": ["0.0005", "0.001"]}
    parts = {each.key for each in differences(sides) if each.kind == "method" and "-" not in each.values.values()}
    assert parts == {"agent", "learner", "mac", "mixer", "name"}


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("env_args.step_mul", 4, "task"),
        ("env", "sc2", "task"),
        ("test_nepisode", 8, "test"),
        ("test_interval", 77, "test"),
        ("t_max", 77, "length"),
        ("batch_size_run", 4, "training"),
        ("runner", "episode", "training"),
        ("optimizer", "rmsprop", "training"),
        ("buffer_size", 77, "training"),
        ("mixing_embed_dim", 77, "training"),
        ("agent", "rnn", "method"),
    ],
)
def test_what_a_key_is(qmix: Result, key: str, value: Any, kind: str) -> None:
    assert (kind, key) in found(qmix, changed(qmix, **{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 7),
        ("env_args.threads", 2),
        ("log_interval", 7),
        ("resume", "x"),
        ("per_alpha", 0.1),
        ("epsilon_start", 1),
    ],
)
def test_what_says_nothing(qmix: Result, key: str, value: Any) -> None:
    """Of per_alpha: no part of the run reads it. Of epsilon_start: it is the same number."""
    assert found(qmix, changed(qmix, **{key: value})) == []


def test_tests_that_act_otherwise_are_found_whatever_the_key(qmix: Result) -> None:
    """One reads test_noise and the other test_greedy, but what counts is how the tests choose."""
    mappo = results_of(Grid(("mappo",), ("skirmish",), ("3m",), (1,), ()))["mappo"][0]
    assert not [each for each in differences({"A": [qmix], "B": [mappo]}) if each.key == "tests act"]
    sampled = changed(mappo, test_greedy=False)
    (acts,) = [each for each in differences({"A": [qmix], "B": [sampled]}) if each.key == "tests act"]
    assert acts == Difference("tests act", "test", {"A": "greedily", "B": "by sampling"})
    assert found(qmix, changed(qmix, test_noise=0.05)) == [("test", "tests act")]


def test_how_long_the_absolute_metric_is_played_is_of_the_tests(qmix: Result) -> None:
    assert found(changed(qmix, absolute_episodes=5), changed(qmix, absolute_episodes=7)) == [
        ("test", "absolute_episodes")
    ]


def test_what_refuses_and_what_marks() -> None:
    assert set(REFUSED) == {"task"}
    assert set(MARKED) == {"framework", "test", "length"}


def test_seeds_that_differ_within_a_side_are_found(qmix: Result) -> None:
    (each,) = differences({"A": [qmix, changed(qmix, lr=0.5, seed=2)], "B": [qmix]})
    assert (each.key, each.values) == ("lr", {"A": "0.001 / 0.5", "B": "0.001"})


def test_other_frameworks_keys_are_compared_by_our_names(qmix: Result) -> None:
    """EPyMARL's hidden_dim is our rnn_hidden_dim; keys that one of them lacks say nothing."""
    (theirs,) = load_results([RUNS / "epymarl"])
    ours = changed(replace(qmix, env="gymma"), rnn_hidden_dim=32)
    keys = {each.key: each for each in differences({"A": [theirs], "B": [ours]})}
    assert keys["rnn_hidden_dim"].values == {"A": "64", "B": "32"}
    assert keys["framework"].values == {"A": "epymarl", "B": "pymarl"}
    assert keys["tests act"].values == {"A": "by sampling", "B": "greedily"}  # soft_policies
    assert not {"hidden_dim", "mixer", "env_args.time_limit"} & keys.keys()


def test_labels(qmix: Result) -> None:
    """One name with two configs on a scenario is told apart; by its origin beside another framework's."""
    other = replace(changed(qmix, lr=0.5, test_interval=1), seed=2)
    elsewhere = replace(changed(qmix, **{"env_args.map_name": "2s3z", "t_max": 5}), scenario="2s3z")
    name = qmix.method
    assert labelled([qmix, elsewhere]) == {name: [qmix, elsewhere]}
    assert labelled([qmix, other, elsewhere]) == {f"{name} lr=0.001": [qmix, elsewhere], f"{name} lr=0.5": [other]}
    theirs = replace(qmix, origin="pymarl2")
    assert labelled([qmix, theirs]) == {name: [qmix], f"{name} (pymarl2)": [theirs]}
