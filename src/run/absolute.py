"""The absolute metric: what the last and the best networks of a training come to in many more episodes (Gorsane et al.,
2022, "Towards a standardised performance evaluation protocol for cooperative MARL").
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.learners.learner import Learner
from pymarl.run.testing import Tests, episodes_of, play
from pymarl.runners.player import EpisodeRecord
from pymarl.utils.errors import UserError
from pymarl.utils.evaluations import EVALUATIONS, Evaluation, read_evaluations, write_evaluations
from pymarl.utils.files import writing_failed
from pymarl.utils.interrupts import StopRequest
from pymarl.utils.logging import EpisodeStats

Which = Literal["last", "best"]


def play_absolute(tests: Tests, models: Path, stop: StopRequest) -> None:
    """Let the last networks of a run play absolute_episodes, and then its best ones, the same episodes.

    What has been recorded, in evaluations.jsonl beside the checkpoints, is not played again.

    Args:
        tests: of the run, which is over and saved.
        models: folder of its checkpoints.
        stop: asked between batches.

    Raises:
        KeyboardInterrupt: `stop` was requested.
        UserError: the disk takes no more.
    """
    config, t_env, best = tests.config, tests.parts.runner.t_env, tests.best
    seconds, log = tests.seconds, tests.logger.console_logger
    done = read_evaluations(models)
    at = t_env // config.test_interval * config.test_interval
    wanted: list[tuple[Which, int | None, int | None]] = [("last", t_env, at), ("best", best.t_env, best.at)]
    for of, steps, multiple in wanted:
        if steps is None or multiple is None:
            log.warning("No best networks: absolute_episodes was 0 as long as they were tested")
            continue
        evaluation = next((each for each in done if _is(each, of, steps, config.absolute_episodes)), None)
        if evaluation is None:
            same = next((each for each in done if _is(each, "last", steps, config.absolute_episodes)), None)
            episodes = _episodes(tests, of, stop) if same is None else same.episodes
            evaluation = Evaluation(multiple, steps, of, seconds, episodes)
            done.append(evaluation)
            _record(models, done)
        tests.add(evaluation)
        tests.logger.log_stats(_means(evaluation), steps, prefix=f"absolute_{of}_")
        log.info("The %s networks, of %s env steps: %s", of, f"{steps:,}", said(evaluation))


def _is(evaluation: Evaluation, of: str, t_env: int, episodes: int) -> bool:
    return (evaluation.of, evaluation.t_env, len(evaluation.episodes["return"])) == (of, t_env, episodes)


def _episodes(tests: Tests, of: Which, stop: StopRequest) -> dict[str, list[float | None]]:
    """Play with the last or the best networks; the last ones are in place afterwards."""
    records: list[EpisodeRecord] = []

    def after(_: EpisodeBatch, counted: list[EpisodeRecord]) -> None:
        records.extend(counted)

    count = tests.config.absolute_episodes
    tests.logger.console_logger.info("The %s networks play %d episodes", of, count)
    with _networks(tests.parts.learner, tests.best.folder if of == "best" else None):
        play(tests.parts.runner, count, after, stop, of)
    if stop.requested:
        raise KeyboardInterrupt
    return episodes_of(records)


@contextmanager
def _networks(learner: Learner, folder: Path | None) -> Iterator[None]:
    """Let the agents act with the networks of a folder, if one is given."""
    if folder is None:
        yield
        return
    own = copy.deepcopy(learner.mac.agent.state_dict())
    try:
        learner.load_agent(folder)
        yield
    finally:
        learner.mac.agent.load_state_dict(own)


def _record(models: Path, done: list[Evaluation]) -> None:
    path = models / EVALUATIONS
    try:
        write_evaluations(path, done)
    except OSError as error:
        raise UserError(writing_failed(path, error)) from error


def _means(evaluation: Evaluation) -> dict[str, float]:
    """Return the means by PyMARL's names."""
    stats, episodes = EpisodeStats(), evaluation.episodes
    won = episodes.get("won") or [None] * len(episodes["return"])
    for ret, length, win in zip(episodes["return"], episodes["length"], won, strict=True):
        info = {} if win is None else {"battle_won": win}
        stats.add(float("nan") if ret is None else ret, int(length or 0), info)
    return stats.flush()


def said(evaluation: Evaluation) -> str:
    """Return in words what came of a test."""
    won, ret = evaluation.mean("won"), evaluation.mean("return")
    told = [f"won {won:.1%}"] if won is not None else []
    told += [f"return {ret:.2f}"] if ret is not None else []
    return f"{', '.join(told)} in {len(evaluation.episodes['return'])} episodes"
