"""Which engine a name means."""

from pathlib import Path

from fsarctl.config.tables import ExecutionConfig
from fsarctl.errors.extras import require_extra
from fsarctl.execution.engine import Engine

__all__ = ["engine_of"]

EXTRAS = {"ray": "ray", "slurm": "submitit"}
"""Engine -> the module that its extra installs."""


def engine_of(
    name: str, config: ExecutionConfig, jobs: int, device: str, cores: int, cache: Path
) -> Engine | None:
    """The engine of this name; None where this process is to do all by itself.

    ``jobs``: at a time; 0 leaves it to the engine. ``device``: of --device. ``cores``: of this machine.
    ``cache``: the store, where an engine may keep what it needs.

    Raises:
        ConfigError: what it needs is not installed.
    """
    if name in EXTRAS:
        require_extra(f"--engine {name}", name, EXTRAS[name])
    if name == "ray":
        from fsarctl.execution.ray_cluster import RayEngine

        return RayEngine(config.ray, jobs, cores, uses_gpus=device != "cpu", beside=config.tasks_per_gpu)
    if name == "local" and jobs > 1:
        from fsarctl.execution.local import LocalEngine, gpus_here

        return LocalEngine(jobs, cores, gpus_here(device), config.tasks_per_gpu)
    if name == "slurm":
        from fsarctl.execution.slurm import SlurmEngine

        return SlurmEngine(config.slurm, jobs, cache)
    return None
