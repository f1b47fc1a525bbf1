"""How a fault in a user's env is told: one line, and below it the env's own lines of the traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymarl.utils.errors import UserError, one_line, users_lines


class EnvError(UserError):
    """An env failed, or the process that it runs in. `details` are the env's own lines of the traceback."""


class EnvUserError(UserError):
    """A running env said what is wrong in one line, or returned what it must not."""


def fault(error: BaseException) -> tuple[str, str]:
    """Return what an env raised as one line, and the lines below it."""
    if isinstance(error, SystemExit):
        return f"it ended the program by sys.exit({error.code!r})", users_lines(error)
    return one_line(error), users_lines(error)


def env_error(env: str, row: int, action: str, line: str, details: str) -> EnvError:
    """Return the error of an env that raised something in a reset, a step, ..., the `action`."""
    return EnvError(f"env {env!r} failed in row {row} during {action}: {line}", details)


@contextmanager
def calling(env: str, action: str) -> Iterator[None]:
    """Turn what an env raises within into an EnvError; a UserError stays what it is."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise env_error(env, 0, action, *fault(error)) from error


def stuck_error(env: str, row: int, action: str, step: int, timeout: float, stood: str) -> EnvError:
    """Return the error of an env that does not come back; `stood` are its lines, "" if they cannot be had.

    Args:
        step: of the episode, from 1; only for a step.
    """
    what = f"step {step} of its episode" if action == "step" else f"its {action}"
    where = f"It stood here (most recent call last):\n{stood}" if stood else "It does not say where it stood."
    return EnvError(
        f"env {env!r} has not come back from {what} in row {row} within env_timeout={timeout:g} seconds; "
        f"mend what it waits for, or raise env_timeout",
        where,
    )
