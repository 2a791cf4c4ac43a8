"""What this machine and this project have, and what is missing."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import typer

from fsarctl.cli.console import print_json
from fsarctl.errors import FsarctlError

if TYPE_CHECKING:
    from fsarctl.cli.session import Session

__all__ = ["examine"]

PACKAGES = ("torch", "open_clip_torch", "decord", "av", "zarr", "numpy", "httpx2", "typer")


def examine(session: "Session", *, as_json: bool) -> None:
    """Print one line per finding. A key is said to be set or not, never shown."""
    import torch

    from fsarctl.methods.build import weight_files

    settings = session.settings
    findings = {
        "project": str(settings.root),
        "cache": str(session.store.root),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "cores": str(os.cpu_count()),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "backbone": settings.config.model.backbone,
        "weights": settings.config.model.weights,
        "datasets": ", ".join(settings.config.datasets) or "none",
        "OPENAI_API_KEY": "set" if os.environ.get("OPENAI_API_KEY") else "not set",
    }
    try:
        files = weight_files(settings.config.model, settings.root)
        findings["weights"] += "".join(
            f" ({path.stat().st_size / 1e6:.1f} MB)" for path in [*files.values()][:1]
        )
    except FsarctlError as error:
        findings["weights"] += f": {error.message}"
    if as_json:
        print_json({"schema": "fsarctl.doctor/1", **findings})
        return
    for name, finding in findings.items():
        typer.echo(f"{name:<16} {finding}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
