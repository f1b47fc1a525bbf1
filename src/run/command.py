"""The command line: --config, --env-config, sacred's own options, and the `with` updates."""

from __future__ import annotations

import ast
import logging
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pymarl.utils.errors import UserError, closest
from pymarl.utils.files import as_file_name
from pymarl.utils.redact import redacted
from pymarl.utils.values import shown

NAMED = ("--config", "--env-config")
FLAGS = ("--print-config", "--help", "--sacred-help")
LONGEST_VALUE = 2**16


@dataclass(frozen=True, kw_only=True)
class Command:
    """A parsed command line.

    Attributes:
        sacred: sacred's own options, long flag -> value, True for one that takes none.
        task: one of sacred's commands, such as print_dependencies, instead of a run.
        updates: the words `key=value`.
        words: all of the command line.
    """

    config: str | None
    env_config: str | None
    print_config: bool
    help: bool
    sacred: dict[str, Any]
    task: str | None
    updates: tuple[str, ...]
    words: tuple[str, ...]

    def sacred_words(self) -> list[str]:
        """Return the command line for sacred, without the options that we carry out ourselves."""
        given = {flag: value for flag, value in self.sacred.items() if flag not in (*OBSERVERS, DEBUG)}
        options = [flag if value is True else f"{flag}={value}" for flag, value in given.items()]
        # --debug hands exceptions to us instead of printing them; sacred has recorded them by then.
        debug = [] if "--pdb" in given or "--help" in given else [DEBUG]
        return [*([self.task] if self.task else []), *options, *debug]


@dataclass
class _Words:
    """What the words of a command line were found to be."""

    ours: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    sacred: dict[str, Any] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    updates: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)  # key=value before `with`


def parse_command(argv: Sequence[str]) -> Command:
    """Return the command line (without the program's name) in parts; options may stand anywhere, as in PyMARL.

    Raises:
        UserError: a word that has no place, an option that nobody has, or whose value is none.
    """
    for word in argv:
        if wrong := _not_text(word):
            raise UserError(f"{shown(word)}: {wrong}")
    words, found, updating = list(argv), _Words(), False
    while words:
        word = words.pop(0)
        if word == "with":
            updating = True
        elif word.startswith("-") and word != "-":
            _take_option(word, words, found)
        elif word == "help" and not updating:
            found.flags.add("--help")
        elif updating:
            found.updates.append(word)
        else:
            (found.early if "=" in word else found.tasks).append(word)
    if found.early:
        raise UserError(f"{found.early[0]!r} comes before `with`; write: with {' '.join(found.early + found.updates)}")
    if found.tasks:
        _check_task(found.tasks)
    if "--sacred-help" in found.flags:
        found.sacred["--help"] = True
    return Command(
        config=found.ours.get("--config"),
        env_config=found.ours.get("--env-config"),
        print_config="--print-config" in found.flags,
        help="--help" in found.flags,
        sacred=found.sacred,
        task=found.tasks[0] if found.tasks else None,
        updates=tuple(found.updates),
        words=tuple(argv),
    )


def _not_text(word: str) -> str | None:
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        return "expected UTF-8 text"
    return f"expected at most {LONGEST_VALUE} letters" if len(word) > LONGEST_VALUE else None


def _take_option(word: str, rest: list[str], found: _Words) -> None:
    """Put one option where it belongs; its value may be the next of the words in `rest`."""
    name, equals, value = word.partition("=")
    if name in NAMED:
        value = value if equals else _next_word(rest)
        if not value:
            raise UserError(f"{name} needs a value, such as {name}={'qmix' if name == '--config' else 'skirmish'}")
        if found.ours.setdefault(name, value) != value:
            raise UserError(f"{name} is given twice, as {shown(found.ours[name])} and {shown(value)}; keep one")
    elif name in FLAGS or word == "-h":
        if equals:
            raise UserError(f"{name} takes no value; write {name}")
        found.flags.add("--help" if word == "-h" else name)
    else:
        for flag, given in _sacred_options(word, rest):
            found.sacred[flag] = given


def _next_word(rest: list[str]) -> str:
    """Take the value of an option from the words behind it; "" if the next is no value."""
    return "" if not rest or rest[0] == "with" or rest[0].startswith("-") else rest.pop(0)


def _sacred_options(word: str, rest: list[str]) -> list[tuple[str, Any]]:
    """Return sacred's options in a word, `--flag`, `--flag=VALUE`, `-f VALUE`, `-fVALUE` or `-fg`."""
    from sacred.experiment import gather_command_line_options

    known = {flag: option for option in gather_command_line_options() for flag in option.get_flags()}
    name, equals, value = word.partition("=")
    if not word.startswith("--"):
        name, value = word[:2], word[2:].removeprefix("=")
        equals = word[2:]
    if name not in known:
        ours = [*NAMED, *FLAGS]
        raise UserError(f"unknown option {shown(name)}{closest(name, [*ours, *known])}; --sacred-help lists sacred's")
    option, flag = known[name], known[name].get_flag()
    if option.is_flag:
        if equals and word.startswith("--"):
            raise UserError(f"{name} takes no value; write {name}")
        _check_sacred(option, name, flag, True)
        return [(flag, True), *(_sacred_options(f"-{value}", rest) if value else [])]
    value = value if equals else _next_word(rest)
    if not value:
        raise UserError(f"{name} needs a value: {_first_line(option)}")
    return [(flag, _check_sacred(option, name, flag, value))]


def _first_line(option: Any) -> str:
    return str(option.get_description().splitlines()[0])


DEBUG = "--debug"
REFUSED = {
    "--name": "--name={value} would not name the run here; write: with name={value}",
    "--mongo_db": "{flag}: write instead: with mongo_url=mongodb://HOST:PORT mongo_db=NAME",
    "--queue": "{flag}: nothing here starts queued runs; leave it out",
    "--priority": "{flag} {value}: nothing here starts queued runs, so none has a priority; leave it out",
    "--enforce_clean": "{flag}: version control is not recorded here; leave it out, and look at `git status` yourself",
}
"""sacred's options that could not do here what their help says: what to write instead."""

OBSERVERS = ("--file_storage", "--tiny_db", "--sql", "--s3", "--gcs")
"""sacred's options that add an observer: made here, so that a wrong one is seen early and no password is recorded."""


def _check_sacred(option: Any, name: str, flag: str, value: Any) -> Any:
    """Return an option's value as sacred wants it. UserError if it cannot do what its help says."""
    if flag in REFUSED:
        raise UserError(REFUSED[flag].format(flag=name, value=value))
    if flag in CHECKS:
        expected, read = CHECKS[flag]
        try:
            return read(value)
        except ValueError as error:
            raise UserError(f"{name} {shown(value)}: expected {expected}") from error
    return value


def _level(value: str) -> int:
    names = logging.getLevelNamesMapping()
    level = names[value.upper()] if value.upper() in names else int(value)
    if not 0 <= level <= 50:
        raise ValueError(level)
    return level


def _seconds(value: str) -> float:
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(seconds)
    return seconds


def _capture(value: str) -> str:
    if value not in ("no", "sys", "fd"):
        raise ValueError(value)
    return value


def _file_name(value: str) -> str:
    if as_file_name(value) != value or value == "_sources":  # where sacred keeps a run's source
        raise ValueError(value)
    return value


CHECKS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--loglevel": ("DEBUG, INFO, WARNING, ERROR, CRITICAL or a number from 0 to 50", _level),
    "--beat-interval": ("seconds > 0", _seconds),
    "--capture": ("no, sys or fd", _capture),
    "--id": ("a name for the run's folder: no separators, not beginning with a dot, at most 100 bytes", _file_name),
}


def observers(command: Command) -> list[Any]:
    """Return the observers that sacred's own options ask for. UserError for a missing package or a wrong value."""
    from sacred.experiment import gather_command_line_options

    made = SimpleNamespace(observers=[])
    for option in gather_command_line_options():
        flag = option.get_flag()
        if flag in OBSERVERS and flag in command.sacred:
            value = command.sacred[flag]
            try:
                if flag == "--file_storage":
                    Path(value).mkdir(parents=True, exist_ok=True)
                option.apply(value, made)
            except ImportError as error:
                raise UserError(f"{flag} needs a package that is not installed: {error}; `pip install` it") from error
            except Exception as error:  # each of them has its own ways
                raise UserError(redacted(f"{flag} {shown(value)}: {type(error).__name__}: {error}")) from error
    return made.observers


def _check_task(tasks: Sequence[str]) -> None:
    from sacred import Experiment

    known = [name.rpartition(".")[2] for name, _ in Experiment("pymarl", save_git_info=False).gather_commands()]
    if tasks[0] not in known:
        raise UserError(
            f"{shown(tasks[0])} is no option, and no command of sacred's ({', '.join(sorted(known))})"
            f"{closest(tasks[0], known)}; keys go behind `with`, as key=value"
        )
    if len(tasks) > 1:
        raise UserError(f"{shown(tasks[1])} stands behind the command {tasks[0]!r}; one command at a time")


def parse_updates(words: Sequence[str]) -> dict[str, Any]:
    """Return the `with` updates as nested dicts: values are Python's literals, and text where they are none."""
    updates: dict[str, Any] = {}
    for word in words:
        path, equals, text = (part.strip() for part in word.partition("="))
        given = f"with {shown(word)[1:-1]}"
        if not equals:
            raise UserError(f"{given}: expected key=value; a YAML file goes into --config or --env-config")
        *groups, key = path.split(".")
        if not all([*groups, key]):
            raise UserError(f"{given}: expected key=value, or env_args.key=value for a key of the env")
        inner = updates
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise UserError(f"{given}: {group} was given a value of its own before; keep one of the two")
        if isinstance(inner.get(key), dict):
            raise UserError(f"{given}: {path} was given before, or parts of it; keep one of the two")
        inner[key] = _literal(given, text)  # the last of several counts, as sacred has it: scripts rely on it
    return updates


def _literal(given: str, text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of text that is nearly a literal, such as '\\d'
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text
    except (RecursionError, MemoryError) as error:  # Python's parser, at a few hundred brackets
        raise UserError(f"{given}: nested too deep to be read") from error
