"""Films of battles for the page: replays of skirmish that were saved of the runs' checkpoints."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pymarl.experiments.report.study import Study
from pymarl.experiments.results import Result
from pymarl.utils.errors import UserError, short_line
from pymarl.utils.runs import read_record, replays_of, token_of

if TYPE_CHECKING:
    from pymarl.envs.skirmish.replay.replay import Replay

MOST_EMBEDDED = 4
MOST_BYTES = 4_000_000
"""Of all films inside the page; others lie beside it."""

POSTER_WIDTH = 640


@dataclass(frozen=True)
class Film:
    """A battle.

    Attributes:
        title: method, scenario and seed.
        result: "won", "lost", ...
        page: HTML that plays it and needs nothing else.
        poster: a picture of its midst, as a data: address.
        file: where it lies beside the page; None if it is inside.
    """

    title: str
    result: str
    page: str
    poster: str
    file: str | None


def films_of(study: Study, given: Sequence[Path], warn: Callable[[str], None]) -> list[Film]:
    """Return films: of each method on each scenario one, a victory if there is any, and those that were named.

    Args:
        study: the runs. Replays are those of evaluations of their checkpoints that stand beside them in results/sacred,
            and what is in results/replays/<token>.
        given: files, or folders of them.
        warn: is told of files that cannot be read.
    """
    found = []
    for name in study.scenarios:
        for method, cell in study.of(name):
            files = [(run, path) for run in cell.runs for path in _replays(run)]
            if film := _best(f"{method.name} on {name}", files, warn):
                found.append(film)
    for path in given:
        replays = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
        found += [film for file in replays if (film := _best(file.stem, [(None, file)], warn))]
    return _placed(found)


def _replays(run: Result) -> Iterator[Path]:
    """Yield the replays that were saved of a run's checkpoints, the newest evaluation first."""
    token = token_of(read_record(run.folder))
    if token is None:
        return
    results = run.folder.parents[3]  # results/sacred/<map>/<name>/<id>, which may have been moved since
    yield from sorted((results / "replays" / token.name).rglob("*.npz"), reverse=True)
    for folder in sorted(run.folder.parent.iterdir(), reverse=True):
        if not (folder / "run.json").is_file():
            continue
        record = read_record(folder)
        if record.config.get("save_replay") and Path(str(record.config.get("checkpoint_path"))).name == token.name:
            yield from replays_of(record, results)


def _best(title: str, files: Sequence[tuple[Result | None, Path]], warn: Callable[[str], None]) -> Film | None:
    """Return the first victory among some replays, else the first of them; None if there are none."""
    from pymarl.envs.skirmish.replay.page import render_page
    from pymarl.envs.skirmish.replay.replay import read_replay

    chosen = None
    for run, path in files[:8]:
        try:
            replay = read_replay(path)
        except UserError as error:
            warn(short_line(str(error)))
            continue
        if chosen is None or replay.meta["result"] == "won":
            chosen = run, replay
        if replay.meta["result"] == "won":
            break
    if chosen is None:
        return None
    run, replay = chosen
    seed = "" if run is None else f", seed {run.seed}"
    return Film(title + seed, str(replay.meta["result"]), render_page([replay]), _poster(replay), None)


def _poster(replay: Replay) -> str:
    """Return a picture of the midst of a battle."""
    from pymarl.envs.skirmish.replay.painter import Painter

    picture, file = Painter(replay, POSTER_WIDTH).paint(replay.n_loops / 2), io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _placed(films: Sequence[Film]) -> list[Film]:
    """Return films with places for those that make the page too large."""
    spent, placed = 0, []
    for number, film in enumerate(films):
        size = len(film.page.encode())
        if number < MOST_EMBEDDED and spent + size <= MOST_BYTES:
            spent += size
            placed.append(film)
        else:
            placed.append(Film(film.title, film.result, film.page, film.poster, f"films/film_{number + 1}.html"))
    return placed
