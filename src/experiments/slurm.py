"""Runs as jobs of Slurm, through submitit: each saves and is queued again when its time is up or its place is needed.

Jobs go on without the launcher. Called again it finds them: those that run by their folders, those that wait by what
submitit has kept of them under results/launch/slurm.
"""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pymarl.experiments.attempt import INTERRUPTED, here, last_line
from pymarl.experiments.launch import Process
from pymarl.utils.child import import_path
from pymarl.utils.errors import UserError, message_line
from pymarl.utils.packages import missing_module
from pymarl.utils.values import shown

ALIVE = ("PENDING", "RUNNING", "REQUEUED", "CONFIGURING", "COMPLETING", "SUSPENDED", "PREEMPTED", "READY")
"""States in which a job still has something to do; sacct's words."""

OFTEN = 10_000
"""How often a job may run out of time and be queued again: each time it has come further."""

LONG = 60 * 24 * 30
"""Minutes of a job of cluster=local, which has no queue to give way to."""


def minutes(given: Any) -> float:
    """Return a job's time, as sbatch takes it (60, 4:00:00, 2-12:00:00), in minutes. UserError if it is none."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?", str(given).strip())
    if found is None or float(given if str(given).isdigit() else 1) == 0:
        raise UserError(f"--slurm time={given}: expected minutes (240), H:MM:SS (4:00:00) or D-HH:MM:SS (2-12:00:00)")
    days, first, second, third = found.groups()
    parts = [int(part) for part in (first, second, third) if part is not None]
    if days is not None or len(parts) == 3:  # hours first
        hours, mins, seconds = (*parts, 0, 0)[:3]
        return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60
    return parts[0] + (parts[1] / 60 if len(parts) == 2 else 0)


@contextmanager
def _known_imports() -> Iterator[None]:
    """Let what is started within import what we can: sbatch hands our environment on, and a job is a class of ours."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = import_path()
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class SlurmProcess:
    """A run in a job.

    Args:
        job: submitit's.
        log: takes what the run prints.
    """

    def __init__(self, job: Any, log: Path) -> None:
        self.job, self.log = job, log

    def queued(self) -> bool:
        """Tell whether it has yet to begin."""
        return self._state().startswith(("PENDING", "REQUEUED", "CONFIGURING"))

    def _state(self, mode: str = "standard") -> str:
        """Return what sacct says, lately or ("force") now; "" if it does not know the job."""
        return str(self.job.get_info(mode).get("State", ""))

    def ended(self) -> bool:
        """Tell whether it has."""
        return bool(self.job.done())

    def cut_off(self) -> str:
        """Return what ended it from outside; "" if it ended by itself, or its user wanted it to."""
        if self._state("force").startswith("CANCELLED"):
            return ""
        if not self.job.paths.result_pickle.exists():
            return f"Slurm job {self.job.job_id} ended as {self._state()}"
        if (error := self.job.exception()) is not None:
            trace = str(error).split("-" * 20)[1:2] or [str(error)]  # between submitit's own words
            return f"Slurm job {self.job.job_id}: {trace[0].strip('-').strip().splitlines()[-1]}"
        code = self.job.result()
        if code == INTERRUPTED:
            return f"Slurm job {self.job.job_id} was told to end"
        return f"killed by signal {-code}" if code < 0 else ""

    def stop(self) -> None:
        """Cancel the job: Slurm asks it to end, on which the run saves."""
        with suppress(OSError, subprocess.SubprocessError):
            self.job.cancel(check=False)

    def kill(self) -> None:
        """Cancel the job; Slurm kills it after a while."""
        self.stop()

    def memory(self) -> int:
        """Return 0: it is elsewhere."""
        return 0

    def last_line(self) -> str:
        """Return the last thing that it said, or that its job was cancelled."""
        if self._state().startswith("CANCELLED"):
            return f"Slurm job {self.job.job_id} was cancelled"
        return last_line(self.log)


class SlurmBackend:
    """Submits runs to Slurm.

    Args:
        options: what sbatch is told, such as partition, time, mem, gpus_per_node; "cluster" is slurm, or local for
            submitit's stand-in on this machine.
        at_once: most jobs at a time, in the queue or at work; None: all.
        threads: of each run, and CPU cores of its job.
        logs: folder of what they print; every machine must see it.

    Raises:
        UserError: submitit is not installed, there is no Slurm here, or an option is none.
    """

    def __init__(self, options: Mapping[str, Any], at_once: int | None, threads: int, logs: Path) -> None:
        if find_spec("submitit") is None:
            raise UserError(f"--backend=slurm needs {missing_module('submitit')}")
        given = dict(options)
        self.cluster = given.pop("cluster", "slurm")
        if self.cluster not in ("slurm", "local"):
            raise UserError(f"--slurm cluster={shown(self.cluster)}: expected slurm, or local to try it without one")
        self.at_once, self.threads, self.logs = at_once, threads, logs
        self._parameters = self._for_slurm(given) if self.cluster == "slurm" else self._for_here(given)

    def _for_slurm(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of submitit. What it does not know is sbatch's, which says so if it is not."""
        from submitit import SlurmExecutor

        if "time" not in given:
            raise UserError("--slurm: how long may a job take? write --slurm time=4:00:00, or as your partition has it")
        own = {str(key).replace("-", "_"): value for key, value in given.items()}
        own["time"] = max(1, int(minutes(own["time"])))
        known = SlurmExecutor._valid_parameters() - {"additional_parameters", "setup", "teardown", "srun_args"}
        more = {key.replace("_", "-"): own.pop(key) for key in list(own) if key not in known}
        return {"cpus_per_task": self.threads, "stderr_to_stdout": True, **own, "additional_parameters": more}

    def _for_here(self, given: dict[str, Any]) -> dict[str, Any]:
        time = minutes(given["time"]) if "time" in given else LONG
        return {"timeout_min": time, "signal_delay_s": given.get("signal_delay_s", 90), "stderr_to_stdout": True}

    def has_room(self, running: Sequence[Process]) -> bool:
        """Tell whether another job may be submitted beside those: queueing is Slurm's affair."""
        return self.at_once is None or len(running) < self.at_once

    def start(self, words: Sequence[str], name: str) -> SlurmProcess:
        """Submit a run, or find its job if it has one that waits or works."""
        import submitit

        kind = submitit.SlurmExecutor if self.cluster == "slurm" else submitit.LocalExecutor
        folder, log = self.logs / "slurm" / name, self.logs / f"{name}.log"
        (self.logs / "slurm").mkdir(0o700, parents=True, exist_ok=True)  # its files hold the words, passwords included
        with warnings.catch_warnings(), _known_imports():
            warnings.simplefilter("ignore")
            try:
                executor = kind(folder, max_num_timeout=OFTEN)
                if (job := self._found(executor)) is None:
                    own = {"job_name": name} if self.cluster == "slurm" else {}
                    executor.update_parameters(**self._parameters, **own)
                    job = executor.submit(here(words, self.threads, log))
            except RuntimeError as error:
                hint = "--slurm cluster=local tries it without Slurm"
                raise UserError(f"--backend=slurm: {message_line(error)}; {hint}") from error
            except (ValueError, submitit.core.utils.FailedJobError) as error:
                raise UserError(f"--slurm: {message_line(error)}") from error
        return SlurmProcess(job, log)

    def _found(self, executor: Any) -> Any:
        """Return the job of this run that an earlier launch has submitted and that is not over; None if none is."""
        submitted = executor.folder.glob("*_submitted.pkl")
        for path in sorted(submitted, key=lambda each: each.stat().st_mtime, reverse=True):
            job = executor.job_class(executor.folder, path.name.removesuffix("_submitted.pkl"))
            if not job.done(force_check=True) and str(job.state).upper().startswith(ALIVE):
                return job
        return None

    def leave(self, running: Sequence[Process]) -> str:
        """Leave the jobs where they are; return how the user ends them."""
        numbers = [process.job.job_id for process in running if isinstance(process, SlurmProcess)]
        return f"{'kill' if self.cluster == 'local' else 'scancel'} {' '.join(numbers)}" if numbers else ""

    def close(self) -> None:
        """Nothing is left here."""
