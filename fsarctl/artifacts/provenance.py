"""Where and with what an artifact was made."""

import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from fsarctl.artifacts.unit import JSON

__all__ = ["processor_facts", "provenance"]

CPU_FACTS = Path("/proc/cpuinfo")


def provenance(project: Path) -> dict[str, JSON]:
    """The time, the machine, the versions of fsarctl and what it depends on, and the project's commit."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": _packages(),
        "git": _commit(project),
    }


def processor_facts(*names: str) -> set[str] | None:
    """The lines of these names that Linux has of the processor ("flags : fpu ..."); None without a list."""
    try:
        said = CPU_FACTS.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return set(re.findall(rf"(?m)^(?:{'|'.join(names)})\s*:.*$", said))


@cache  # finding them takes longer than making a small artifact
def _packages() -> Mapping[str, JSON]:
    try:
        required = metadata.requires("fsarctl") or []
    except metadata.PackageNotFoundError:  # run from a source tree that was not installed
        return {}
    names = {"fsarctl"}
    for requirement in required:
        if "extra ==" not in requirement and (named := re.match(r"[\w.-]+", requirement)):
            names.add(named.group())
    versions: dict[str, JSON] = {}
    for name in sorted(names):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit(project: Path) -> JSON:
    commit = _git(project, "rev-parse", "HEAD")
    if not commit:
        return None
    return {
        "commit": commit,
        "modified": bool(_git(project, "status", "--porcelain", "--untracked-files=no")),
    }


def _git(project: Path, *words: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-C", str(project), *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
