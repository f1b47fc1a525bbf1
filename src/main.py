"""Train or evaluate: `python src/main.py --config=ALG --env-config=ENV [SACRED OPTIONS] [with key=value ...]`.

Merges the YAML layers (alg > env > default, a `with` update beats all), checks every key before anything is written,
and hands the result to sacred, which calls `run_REGISTRY[config["run"]]`.
"""

# Heavy imports stay inside the functions, so that --help and a mistake in the config answer quickly.
from __future__ import annotations

import secrets
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymarl.run import REGISTRY as run_REGISTRY
from pymarl.run.command import Command, observers, parse_command, parse_updates
from pymarl.utils.doors import CHECKOUT, as_called, command_line, set_up
from pymarl.utils.errors import UserError, short_line, users_fault
from pymarl.utils.files import as_file_name
from pymarl.utils.redact import redacted
from pymarl.utils.runs import scenario_of

if TYPE_CHECKING:
    from pymarl.utils.layers import Layers

NEEDED = ("yaml", "sacred", "torch")
"""Without one of them this is another Python than that of .venv."""
WITHOUT_NEEDED = (
    "source .venv/bin/activate first (./run.sh makes .venv), or call ./run.sh in place of python src/main.py"
    if CHECKOUT
    else "install pymarl-next together with what it needs: `pip check` names what is missing"
)

USAGE = """\
usage: python src/main.py --config=ALG --env-config=ENV [options] [with KEY=VALUE ...]

  --config=ALG       algorithm, or the path of your own YAML file:
{algs}
  --env-config=ENV   environment, or the path of your own YAML file:
{envs}
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
  python src/main.py --config=qmix --env-config=gymma with seed=1 save_model=True resume=auto
"""


def usage() -> str:
    """Return the help text with the shipped configs."""
    from pymarl.utils.layers import OPTIONS, shipped_files

    indent = " " * 21
    names = {kind: textwrap.fill(", ".join(shipped_files(kind)), 100, initial_indent=indent, subsequent_indent=indent,
                                 break_on_hyphens=False) for kind in OPTIONS}  # fmt: skip
    return as_called(USAGE.format(**names))


def print_config(layers: Layers) -> None:
    """Print every key, its value and where it was set."""
    from pymarl.utils.logging import table

    rows = []
    for key, value in sorted(redacted(layers.values).items()):
        if key == "env_args":
            rows += [(f"env_args.{name} = {item!r}", layers.origin[f"env_args.{name}"]) for name, item in value.items()]
        else:
            rows.append((f"{key} = {value!r}", layers.origin[key]))
    print(table(rows))


def prepare(command: Command) -> Layers:
    """Return the merged, checked config of a command. UserError for whatever is wrong with it."""
    from pymarl.utils.layers import merge

    return checked(merge(command.config, command.env_config, parse_updates(command.updates)))


def checked(layers: Layers) -> Layers:
    """Return a merged config, put into our words and checked, with a seed. UserError for whatever is wrong with it."""
    from pymarl.run.quick import quick_check

    quick_check(layers)

    from pymarl.run.foreign import take_foreign  # imports torch

    for note in take_foreign(layers):
        print(f"note: {note}", file=sys.stderr)
    return completed(layers)


def completed(layers: Layers) -> Layers:
    """Return a config in our words, checked and with a seed. UserError for whatever is wrong with it."""
    from pymarl.run.check import check  # these import torch
    from pymarl.run.resume import check_resume

    check_resume(layers)
    if layers.values.get("seed") is None:
        layers.add({"seed": secrets.randbelow(2**31)}, "drawn")
    unread = check(layers)
    if unread:
        print(f"note: this run does not read: {', '.join(unread)}", file=sys.stderr)
    return layers


def results_folder(config: dict[str, Any]) -> Path:
    """Return results/sacred/<map or env key>/<name>."""
    root = Path(config["local_results_path"]) / "sacred"
    return root / as_file_name(scenario_of(config)) / as_file_name(config["name"])


def experiment(config: dict[str, Any], observers: Sequence[Any] = (), line: str = "") -> Any:
    """Return the sacred experiment that runs this config and writes it to the results, and to `observers`.

    run.json names the command `line`.
    """
    from sacred import SETTINGS, Experiment

    from pymarl.utils.logging import console_logger
    from pymarl.utils.observers import RunFolder, mongo_observer
    from pymarl.utils.provenance import provenance
    from pymarl.utils.runs import for_epymarl
    from pymarl.utils.seeding import seed_everything

    SETTINGS["CAPTURE_MODE"] = "sys"  # "fd" hides the terminal from the progress bar, and is not for Windows
    SETTINGS["HOST_INFO"]["CAPTURED_ENV"] = []
    ex: Any = Experiment("pymarl", base_dir=str(Path(__file__).parent), save_git_info=False)
    ex.logger = console_logger()
    folder = RunFolder(results_folder(config), provenance(line))
    ex.captured_out_filter = folder.filter_output
    ex.add_config(redacted(config) | for_epymarl(config))
    ex.observers += [folder, *observers]
    if config["mongo_url"]:
        ex.observers.append(mongo_observer(config["mongo_url"], config["mongo_db"]))

    @ex.main
    def my_main(_run: Any, _log: Any) -> None:
        folder.keep_output = len(_run.observers) > 1
        seed_everything(config["seed"])
        run_REGISTRY[config["run"]](_run, config, _log)  # with the passwords that sacred's copy lacks

    return ex


def carry_out(command: Command) -> int:
    """Do what a command line asks for; return the exit code."""
    if command.help or not command.words:
        print(usage(), file=sys.stdout if command.help else sys.stderr)
        return 0 if command.help else 2
    return play(prepare(command), command, line_of("python src/main.py", command.words))


def line_of(script: str, words: Sequence[str]) -> str:
    """Return a command line for run.json: `script` and the `words` behind it, without passwords."""
    return command_line(script, redacted(list(words)))


def play(layers: Layers, command: Command, line: str) -> int:
    """Run a checked config with the options of a command; return the exit code."""
    if command.print_config:
        print_config(layers)
        return 0
    from pymarl.run.allocation import memory_as_user_error
    from pymarl.run.preflight import preflight
    from pymarl.run.resume import is_done

    if is_done(layers):
        print(f"{layers.values['resume']} has reached t_max={layers.values['t_max']}: nothing to do")
        return 0
    taken = results_folder(layers.values) / command.sacred.get("--id", "")
    if "--id" in command.sacred and taken.exists():
        raise UserError(f"--id={taken.name}: {taken} exists; choose another name, or leave it out to have a number")
    extra, help_alone = observers(command), "--help" in command.sacred
    if not command.task and not help_alone:
        with memory_as_user_error("the sizes in env_args, rnn_hidden_dim or batch_size_run"):
            preflight(layers, results_folder(layers.values))
    ex = experiment(layers.values, extra, line)
    with suppress(SystemExit) if help_alone else nullcontext():  # which is how sacred's help ends
        ex.run_commandline(["main.py", *command.sacred_words()])
    failed = ex.current_run is not None and ex.current_run.status == "FAILED"  # --pdb has shown why
    return int(failed or ex.observers[0].fault is not None)  # a run that cannot write its numbers has said so


def say(error: UserError) -> int:
    """Print what the user can mend; return the exit code."""
    print(f"error: {redacted(short_line(str(error)))}", file=sys.stderr)
    if error.details:
        print(redacted(error.details), file=sys.stderr)
    return 1


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input, 2 no words at all, 130 stopped by a signal."""
    return answered(lambda: carry_out(parse_command(argv)))


def answered(work: Callable[[], int]) -> int:
    """Return the exit code of some work. What the user can mend is a line on stderr and 1, a signal is 130."""
    set_up()
    try:
        for name in NEEDED:
            if find_spec(name) is None:
                raise UserError(f"{sys.executable} has no {name}; {WITHOUT_NEEDED}")
        return work()
    except UserError as error:
        return say(error)
    except OSError as error:  # of sacred's files; those of checkpoints say it themselves
        from pymarl.utils.files import DISK_ERRORS, writing_failed

        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {writing_failed(Path(str(error.filename or 'the results')), error)}", file=sys.stderr)
        return 1
    except Exception as error:
        if fault := users_fault(error):
            return say(fault)
        raise  # a fault of ours: the whole traceback
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
