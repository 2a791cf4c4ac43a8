"""Slurm's own commands: sbatch by way of submitit, squeue, sacct, scancel and scontrol."""

import getpass
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fsarctl.config.tables import SlurmConfig
from fsarctl.errors import ConfigError
from fsarctl.execution.engine import Need

__all__ = ["Slurm"]

MOST_IN_ARRAY = 1000
"""Where Slurm does not say: its default is one more, and numbers begin with 0."""
TIMES_OUT = 100
"""How often submitit puts a job that ran out of time into the queue again."""
ANSWER_S = 60.0
REFUSED = "sbatch: error: "
AT_ONCE = 500
"""Job numbers in one command."""


class Slurm:
    """Submits jobs as ``config`` says, at most ``jobs`` of an array at a time; ``folder``: for logs."""

    def __init__(self, config: SlurmConfig, jobs: int, folder: Path) -> None:
        self._config, self._jobs, self._folder = config, jobs, folder
        self._most = 0

    def require(self) -> None:
        """Refuse a machine from which no job can be submitted.

        Raises:
            ConfigError: a command of Slurm's is not there.
        """
        missing = [each for each in ("sbatch", "srun", "squeue", "scancel") if shutil.which(each) is None]
        if missing:
            raise ConfigError(
                f"--engine slurm needs {missing[0]}, and there is none here",
                next_step="Run it on a machine from which jobs are submitted, or add --engine local.",
            )

    def most_in_array(self) -> int:
        """How many jobs an array may have (MaxArraySize)."""
        if not self._most:
            said = _run(["scontrol", "show", "config"]) or ""
            found = re.search(r"MaxArraySize\s*=\s*(\d+)", said)
            self._most = max(1, int(found[1])) if found else MOST_IN_ARRAY
        return self._most

    def submit(self, calls: "Sequence[Callable[[], None]]", need: Need) -> list[str]:
        """Submit an array, or one job; the number of each.

        Raises:
            ConfigError: Slurm refuses it; its own words are repeated.
        """
        config = self._config
        gpus = config.gpus if need.gpus else 0
        asked = {
            "time": config.time,
            "mem_gb": config.memory_gib or max(1.0, need.memory_gib + 1.0),
            "cpus_per_task": config.cores or need.cores,
            "gpus_per_node": gpus or None,
        }
        return self._submit(calls, asked)

    def submit_driver(self, call: "Callable[[], None]") -> str:
        """Submit what itself submits jobs, and waits for them; its number."""
        # Within a step of srun nothing could be submitted.
        asked = {"time": self._config.detached_time, "mem_gb": 4.0, "cpus_per_task": 1, "use_srun": False}
        return self._submit([call], asked)[0]

    def alive(self) -> dict[str, str] | None:
        """The user's jobs that wait or run, and their states; None if Slurm does not answer."""
        said = _run(["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i %T"])
        if said is None:
            return None
        return dict(line.split()[:2] for line in said.splitlines() if len(line.split()) >= 2)

    def state(self, job: str) -> str:
        """What Slurm's accounts say of a job that has ended; "" if nothing."""
        asked = ["--noheader", "--parsable2", "--allocations", "--format", "State"]
        said = (_run(["sacct", *asked, "--jobs", job]) or "").split()
        return said[0] if said else ""

    def cancel(self, jobs: Sequence[str]) -> None:
        """Take jobs out of the queue, and end those that run."""
        for start in range(0, len(jobs), AT_ONCE):
            _run(["scancel", *jobs[start : start + AT_ONCE]])

    def _submit(self, calls: "Sequence[Callable[[], None]]", asked: dict[str, Any]) -> list[str]:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
        from submitit.helpers import clean_env

        config = self._config
        executor = submitit.SlurmExecutor(self._folder / "submitit", max_num_timeout=TIMES_OUT)
        memory = f"{math.ceil(asked.pop('mem_gb') * 1024)}M"  # 0 would be all that a node has
        parameters = {
            **{name: value for name, value in asked.items() if value is not None},
            **{name: value for name in ("partition", "account", "qos") if (value := getattr(config, name))},
        }
        executor.update_parameters(
            job_name="fsarctl",
            mem=memory,
            array_parallelism=self._jobs,
            stderr_to_stdout=True,
            setup=[*config.setup],
            additional_parameters=dict(config.options),
            **parameters,
        )
        try:
            # What a job is given by Slurm is not for the jobs that it submits.
            with clean_env() if "SLURM_JOB_ID" in os.environ else nullcontext(), executor.batch():
                jobs = [executor.submit(call) for call in calls]
        except (FailedJobError, FailedSubmissionError) as error:
            lines = str(error).splitlines()
            said = next((line for line in lines if line.startswith(REFUSED)), lines[-1] if lines else "")
            raise ConfigError(
                f"Slurm refused the jobs: {said.removeprefix(REFUSED)}",
                next_step="[execution.slurm] says what is asked for: fsarctl config show",
            ) from None
        return [str(job.job_id) for job in jobs]


def _run(command: Sequence[str]) -> str | None:
    """What a command says; None if it fails, or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
