"""What takes long to build, once for all processes that run tests."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from filelock import FileLock

__all__ = ["BuiltOnce", "built_in", "copied"]

BuiltOnce: TypeAlias = Callable[[str, Callable[[Path], None]], Path]
"""The fixture ``built_once``: (name, build) -> the folder that ``build`` filled; copies are changed."""


def built_in(factory: pytest.TempPathFactory) -> BuiltOnce:
    """Folders below the session's temporary one, which the workers of pytest-xdist have in common."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    (base / "built").mkdir(exist_ok=True)

    def built_once(name: str, build: Callable[[Path], None]) -> Path:
        folder = base / "built" / name
        done = folder.with_name(f"{name}.done")
        with FileLock(folder.with_name(f"{name}.lock")):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                build(folder)
                done.touch()
        return folder

    return built_once


def copied(project: Path, to: Path) -> Path:
    """A project of one's own to change, in ``to``, which may be there."""
    return Path(shutil.copytree(project, to, symlinks=True, dirs_exist_ok=True))
