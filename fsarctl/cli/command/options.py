"""What several commands' options are called, what they mean, and their values."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fsarctl.config.setting_field import EngineName
from fsarctl.errors import UsageError

__all__ = [
    "CORES",
    "Always",
    "Dataset",
    "Detach",
    "Device",
    "DryRun",
    "Engine",
    "Force",
    "Frozen",
    "Jobs",
    "Json",
    "Layout",
    "Memory",
    "Negatives",
    "Project",
    "Shots",
    "Spill",
    "Support",
    "TimeLimit",
    "TrainedFor",
    "Workers",
    "one_layout",
    "start_of",
]

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Dataset = Annotated[str | None, typer.Option("--dataset", help="A dataset of fsarctl.toml, by name.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", envvar="FSARCTL_DEVICE")]
Frozen = Annotated[bool, typer.Option("--frozen", help="The frozen backbone, without adapters.")]
TrainedFor = Annotated[
    int | None,
    typer.Option("--shots", min=1, metavar="K", help="Adapters trained for K shots; default: nearest."),
]
Memory = Annotated[
    float | None,
    typer.Option("--memory", min=0, help="GiB for videos computed once; default: 2, half of a free GPU."),
]
Spill = Annotated[
    float, typer.Option("--spill", min=0, help="GiB on disk: once memory is full, and kept prefixes.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Do the work again even if it is done.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Shots = Annotated[
    list[int] | None,
    typer.Option("--shots", min=1, metavar="K [K ...]", help="Which shots, e.g. --shots 1 3 5."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Processes beside each other; default: what the engine lends."),
]


Detach = Annotated[bool, typer.Option("--detach", help="Slurm: submit this as a job, and return.")]
Engine = Annotated[
    EngineName | None,
    typer.Option("--engine", help="Who does the work: this machine, or a cluster.", envvar="FSARCTL_ENGINE"),
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", metavar="HOST:PORT", help="Ray: a cluster's.", envvar="RAY_ADDRESS"),
]
Project = Annotated[
    Path | None, typer.Option("--project", help="Where to look for fsarctl.toml; default: here and above.")
]
Support = Annotated[
    Path,
    typer.Option(
        "--support", help="A folder with a folder of clips for each class, or a file of --save-support."
    ),
]
Negatives = Annotated[
    Path | None,
    typer.Option(
        "--negatives", metavar="DIR", help="Clips of none of the classes, beside the folder's own _none."
    ),
]
Always = Annotated[bool, typer.Option("--always", help="Name a class always, never none of them.")]
TimeLimit = Annotated[float, typer.Option("--time-limit", min=1, help="Seconds a video may take.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Decoding processes; default: one a core.")]


class Layout(StrEnum):
    """The values of --format."""

    table = "table"
    csv = "csv"
    markdown = "markdown"
    latex = "latex"


def start_of(project: Path | None) -> Path:
    """Where to look for fsarctl.toml: --project, $FSARCTL_PROJECT, or the working directory."""
    return project or Path(os.environ.get("FSARCTL_PROJECT") or ".")


def one_layout(layout: StrEnum, as_json: bool) -> None:
    """Refuse --format beside --json.

    Raises:
        UsageError: both are given.
    """
    if as_json and layout != "table":
        raise UsageError(f"--json and --format {layout.value} are two layouts", next_step="Leave out one.")
