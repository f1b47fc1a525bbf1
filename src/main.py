"""Train or evaluate: `python src/main.py --config=ALG --env-config=ENV [SACRED OPTIONS] [with key=value ...]`.

Merges the YAML layers (alg > env > default, a `with` update beats all), checks every key before anything is written,
and hands the result to sacred, which calls `run_REGISTRY[config["run"]]`.
"""

# Heavy imports stay inside the functions, so that --help and a mistake in the config answer quickly.
from __future__ import annotations

import os
import secrets
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from run import REGISTRY as run_REGISTRY
from utils.errors import UserError, closest

if TYPE_CHECKING:
    from utils.layers import Layers

NEEDED = ("yaml", "sacred", "torch")
"""Without one of them this is another Python than that of .venv."""

USAGE = """\
usage: python src/main.py --config=ALG --env-config=ENV [options] [with KEY=VALUE ...]

  --config=ALG       algorithm: {algs}; or the path of your own YAML file
  --env-config=ENV   environment: {envs}; or the path of your own YAML file
  --print-config     print every key with its value and the file it came from, and stop
  --help             print this and stop
  with KEY=VALUE ... keys that beat those of the files, such as: seed=1 t_max=50000 env_args.time_limit=25
  other options      are sacred's, such as -c COMMENT or -u (write no run folder): see `--sacred-help`

examples:
  python src/main.py --config=qmix --env-config=skirmish with env_args.map_name=2s3z seed=1
  python src/main.py --config=qmix_predator_prey --env-config=stag_hunt with seed=1
  python src/main.py --config=qmix --env-config=gymma with env_args.key=rware:rware-tiny-2ag-v2 use_tensorboard=True
  python src/main.py --config=qmix --env-config=gymma with checkpoint_path=results/models/TOKEN evaluate=True
  python src/main.py --config=qmix --env-config=gymma with resume=results/models/TOKEN
"""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A parsed command line. `sacred` holds sacred's own options."""

    config: str | None
    env_config: str | None
    print_config: bool
    help: bool
    sacred: tuple[str, ...]
    updates: tuple[str, ...]


def parse_command(argv: Sequence[str]) -> Command:
    """Return the command line (without the program's name) in parts. UserError for a word that has no place."""
    options, updates = list(argv), []
    if "with" in options:
        split = options.index("with")
        options, updates = options[:split], options[split + 1 :]
    values: dict[str, str] = {}
    rest = []
    while options:
        word = options.pop(0)
        name, equals, value = word.partition("=")
        if name in ("--config", "--env-config"):
            if not equals and not options:
                raise UserError(f"{name} needs a value, such as {name}=qmix")
            values[name] = value if equals else options.pop(0)
        else:
            rest.append(word)
    stray = [word for word in rest if "=" in word and not word.startswith("-")]
    if stray:
        raise UserError(f"{stray[0]!r} comes before `with`; write: with {' '.join([*stray, *updates])}")
    flags = {"--print-config", "--help", "-h"}
    return Command(
        config=values.get("--config"),
        env_config=values.get("--env-config"),
        print_config="--print-config" in rest,
        help="--help" in rest or "-h" in rest,
        sacred=tuple("--help" if word == "--sacred-help" else word for word in rest if word not in flags),
        updates=tuple(updates),
    )


def parse_updates(words: Sequence[str]) -> dict[str, Any]:
    """Return the `with` updates as nested dicts, read as sacred reads them."""
    with warnings.catch_warnings():  # sacred 0.8.7 imports pkg_resources, which says at length that it is old
        warnings.simplefilter("ignore", UserWarning)
        from sacred.arg_parser import get_config_updates

    updates, named = get_config_updates(list(words))
    if named:
        raise UserError(f"with {named[0]}: expected key=value; a YAML file goes into --config or --env-config")
    return dict(updates)


def refuse_unknown_options(words: Sequence[str]) -> None:
    """Raise UserError for an option that neither we nor sacred have."""
    from sacred.experiment import gather_command_line_options

    flags = {flag for option in gather_command_line_options() for flag in option.get_flags()}
    for word in words:
        name = word.partition("=")[0]
        if word.startswith("--") and name not in {"--help", *flags}:
            ours = ["--config", "--env-config", "--print-config", "--help", "--sacred-help"]
            raise UserError(f"unknown option {name!r}{closest(name, [*ours, *flags])}")


def usage() -> str:
    """Return the help text with the shipped configs."""
    from utils.layers import CONFIG

    names = {kind: ", ".join(sorted(p.stem for p in (CONFIG / kind).glob("*.yaml"))) for kind in ("algs", "envs")}
    return USAGE.format(**names)


def print_config(layers: Layers) -> None:
    """Print every key, its value and where it was set."""
    from utils.logging import table

    rows = []
    for key, value in sorted(layers.values.items()):
        if key == "env_args":
            rows += [(f"env_args.{name} = {item!r}", layers.origin[f"env_args.{name}"]) for name, item in value.items()]
        else:
            rows.append((f"{key} = {value!r}", layers.origin[key]))
    print(table(rows))


def prepare(command: Command) -> Layers:
    """Return the merged, checked config of a command. UserError for whatever is wrong with it."""
    from run.config import check
    from run.preflight import check_resume
    from utils.layers import merge

    updates = parse_updates(command.updates)
    refuse_unknown_options(command.sacred)
    layers = merge(command.config, command.env_config, updates)
    check_resume(layers)
    if layers.values.get("seed") is None:
        layers.add({"seed": secrets.randbelow(2**31)}, "drawn")
    unread = check(layers)
    if unread:
        print(f"note: this run does not read: {', '.join(unread)}", file=sys.stderr)
    return layers


def results_folder(config: dict[str, Any]) -> Path:
    """Return results/sacred/<map or env key>/<name>."""
    env_args = config["env_args"]
    scenario = str(env_args.get("map_name") or env_args.get("key") or config["env"])
    return Path(config["local_results_path"]) / "sacred" / _file_name(scenario) / _file_name(config["name"])


def _file_name(text: str) -> str:
    return text.replace("/", "_").replace(":", "_")


def experiment(config: dict[str, Any]) -> Any:
    """Return the sacred experiment that runs this config and writes it to the results."""
    from sacred import SETTINGS, Experiment
    from sacred.utils import apply_backspaces_and_linefeeds

    from utils.logging import console_logger
    from utils.observers import RunFolder, mongo_observer
    from utils.seeding import seed_everything

    SETTINGS["CAPTURE_MODE"] = "sys"  # "fd" hides the terminal from the progress bar, and is not for Windows
    SETTINGS["HOST_INFO"]["CAPTURED_ENV"] = []
    ex: Any = Experiment("pymarl", base_dir=str(Path(__file__).parent), save_git_info=False)
    ex.logger = console_logger()
    ex.captured_out_filter = apply_backspaces_and_linefeeds
    ex.add_config(config)
    ex.observers.append(RunFolder(results_folder(config)))
    if config["mongo_url"]:
        ex.observers.append(mongo_observer(config["mongo_url"], config["mongo_db"]))

    @ex.main
    def my_main(_run: Any, _config: dict[str, Any], _log: Any) -> None:
        seed_everything(_config["seed"])
        run_REGISTRY[_config["run"]](_run, _config, _log)

    return ex


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input, 130 stopped by a signal."""
    # OpenMP's idle threads would spin on the cores that the learner's own threads need. Read when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        for name in NEEDED:
            if find_spec(name) is None:
                raise UserError(
                    f"{sys.executable} has no {name}; source .venv/bin/activate first (./run.sh makes .venv), "
                    f"or call ./run.sh in place of python src/main.py"
                )
        command = parse_command(argv)
        if command.help:
            print(usage())
            return 0
        layers = prepare(command)
        if command.print_config:
            print_config(layers)
            return 0
        from run.preflight import preflight

        preflight(layers)
        ex = experiment(layers.values)
        # --debug hands exceptions to us instead of printing them; sacred has recorded them by then.
        ex.run_commandline(["main.py", *command.sacred, "--debug"])
    except UserError as error:
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        if error.details:
            print(error.details, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
