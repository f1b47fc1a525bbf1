"""A stand-in for Slurm on this machine: sbatch, srun, sacct, scancel and scontrol, as far as submitit calls them.

Its state is in the folder SLURM_STAND_IN: a job N is N.sh and N.state. While there is a file `full`, jobs wait.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(folder: Path) -> dict[str, str]:
    """Put the commands into a folder; return the environment variables of those who are to find them."""
    (folder / "bin").mkdir(parents=True)
    for name in COMMANDS:
        path = folder / "bin" / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" {name} "$@"\n')
        path.chmod(0o755)
    return {"SLURM_STAND_IN": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def state(folder: Path, job: int) -> str:
    """Return a job's state."""
    return (folder / f"{job}.state").read_text()


def set_state(folder: Path, job: int, value: str) -> None:
    temporary = folder / f"{job}.{value.split()[0]}"
    temporary.write_text(value)
    temporary.replace(folder / f"{job}.state")


def send(folder: Path, job: int, number: int) -> None:
    """Send a signal to all processes of a job's step, as Slurm does; its shell has none."""
    shell = int((folder / f"{job}.pid").read_text())
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(shell).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def sbatch(folder: Path, script: str) -> None:
    job = 1 + sum(1 for _ in folder.glob("*.sh"))
    (folder / f"{job}.sh").write_text(Path(script).read_text().replace("%j", str(job)).replace("%t", "0"))
    set_state(folder, job, "PENDING")
    subprocess.Popen(
        [sys.executable, __file__, "supervise", str(job)], start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    print(f"Submitted batch job {job}")


def supervise(folder: Path, name: str) -> None:
    """Run a job, again if it is queued again."""
    job = int(name)
    environment = {f"SLURM_{key}": "0" for key in ("NODEID", "PROCID", "LOCALID")}
    environment |= {"SLURM_JOB_ID": name, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
    while True:
        while (folder / "full").exists() and state(folder, job) == "PENDING":
            time.sleep(0.05)
        if state(folder, job) != "PENDING":
            return
        with Path(os.devnull).open("w") as nowhere:
            shell = subprocess.Popen(
                ["bash", str(folder / f"{job}.sh")], env=os.environ | environment, stdout=nowhere, stderr=nowhere
            )
        (folder / f"{job}.pid").write_text(str(shell.pid))
        set_state(folder, job, "RUNNING")
        code = shell.wait()
        if (folder / f"{job}.requeue").exists():
            (folder / f"{job}.requeue").unlink()
            set_state(folder, job, "PENDING")
            continue
        if not state(folder, job).startswith("CANCELLED"):
            set_state(folder, job, "FAILED" if code else "COMPLETED")
        return


def srun(folder: Path, *words: str) -> None:
    output = Path(words[words.index("--output") + 1])
    command = words[words.index(str(output)) + 1 :]
    with output.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.execvp(command[0], command)


def sacct(folder: Path, *words: str) -> None:
    print("JobID|State|NodeList")
    for job in re.findall(r"-j (\d+)", " ".join(words)):
        if (folder / f"{job}.state").exists():
            print(f"{job}|{state(folder, int(job))}|here")


def scancel(folder: Path, *jobs: str) -> None:
    for job in map(int, jobs):
        before = state(folder, job)
        set_state(folder, job, "CANCELLED by 1000")
        if before == "RUNNING":
            send(folder, job, signal.SIGTERM)


def scontrol(folder: Path, action: str, job: str) -> None:
    (folder / f"{job}.{action}").touch()


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(os.environ["SLURM_STAND_IN"]), *sys.argv[2:])
