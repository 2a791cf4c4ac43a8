"""`fsarctl doctor`: what this machine and this project have, and what is missing."""

import os
import platform

from fsarctl.cli.command.options import Json
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, print_json
from fsarctl.errors import FsarctlError
from fsarctl.progress import sized

__all__ = ["doctor"]

PACKAGES = ("torch", "open_clip_torch", "decord", "av", "zarr", "numpy", "httpx2", "typer")


@command("doctor", example="fsarctl doctor --json", needs_project=False)
def doctor(session: Session, as_json: Json = False) -> None:
    """What this machine and this project have: versions, devices, weights, keys."""
    from fsarctl.execution.device import bf16_of_cpu, gpu_name
    from fsarctl.methods.weights import require_weights_here, weight_files

    settings = session.settings
    findings = {
        "project": str(settings.root) if settings.has_file else "none here",
        "cache": str(session.store.root),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "cores": str(os.cpu_count()),
        "gpu": gpu_name() or "none",
        "bf16 on the CPU": _bf16(bf16_of_cpu()),
        "backbone": settings.config.model.backbone,
        "weights": settings.config.model.weights,
        "datasets": ", ".join(settings.config.datasets) or "none",
        "OPENAI_API_KEY": "set" if os.environ.get("OPENAI_API_KEY") else "not set",
    }
    try:
        remarks = require_weights_here(settings.config.model, settings.root)
        files = weight_files(settings.config.model, settings.root)
        findings["weights"] += "".join(f" ({sized(each.stat().st_size)})" for each in [*files.values()][:1])
        findings["weights"] += "".join(f"; {remark}" for remark in remarks)
    except FsarctlError as error:
        findings["weights"] += f": {error.message}. {error.next_step}"
    if as_json:
        print_json({"schema": "fsarctl.doctor/1", **findings})
        return
    for name, finding in findings.items():
        echo(f"{name:<16} {finding}")


def _bf16(flags: str) -> str:
    return f'{flags}, so that model.precision = "bf16" gains nothing' if flags == "none" else flags


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
