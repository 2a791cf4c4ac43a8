"""A file in the working directory is never taken for a module, whatever its name."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.cli import main
from fsarctl.datasets.shapes.rendering import render_split
from fsarctl.progress import SILENT

FILE = """
[datasets.clips]
kind = "folder"
root = "clips"
[model]
backbone = "tiny"
weights = "shipped"
"""
MODULES = {
    *sys.stdlib_module_names,
    *filter(str.isidentifier, importlib.metadata.packages_distributions()),
    *("stages", "prompts", "fsarctl", "sitecustomize"),
} - {"__main__"}
LOG = "imported.txt"


@pytest.fixture
def project(tmp_path: Path, tiny_video: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project beside whose file there is one of each name that something imports; the working directory."""
    tell = f"import os; os.write(os.open({str(tmp_path / LOG)!r}, os.O_CREAT | os.O_WRONLY), b'imported')\n"
    for name in MODULES:
        (tmp_path / f"{name}.py").write_text(tell)
    for name in ("numpy", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.py").rename(tmp_path / name / "__init__.py")
    (tmp_path / "fsarctl.toml").write_text(FILE)
    for split in ("train", "val", "test"):
        for place in ("1/1", "1/2", "2/1", "2/2"):
            clip = tmp_path / f"clips/{split}/{split} {place}.mp4"
            clip.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tiny_video, clip)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def itself() -> str:
    """Where fsarctl is, by an absolute path."""
    return str(Path(sys.modules["fsarctl"].__path__[0]).parent)


def test_workers_beside_each_other_import_nothing_of_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}{itself()}{os.pathsep}")  # with two empty entries
    done = type_in(project, "fsarctl extract --jobs 2 --workers 1", PYTHONPATH=os.environ["PYTHONPATH"])
    assert "3 artifacts made" in done.stderr, "two of them beside each other"
    assert not (project / LOG).exists()


def test_processes_that_render_import_nothing_of_it(project: Path) -> None:
    render_split(project / "rendered", "val", 2, 0, 2, SILENT)
    assert not (project / LOG).exists()


def test_processes_that_decode_import_nothing_of_it(project: Path) -> None:
    """Run as a module, which puts the working directory on the path of the command itself."""
    (project / "fsarctl.py").unlink()  # Python finds that one before anything of ours has a say
    words = ["data", "check", "--open", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "fsarctl", *words],
        env={**os.environ, "PYTHONPATH": itself()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "open: 12 clips" in done.stderr  # all were decoded, and are too few for episodes
    assert not (project / LOG).exists()


@pytest.mark.parametrize("entry", ["", "here"])
def test_the_command_line_takes_it_off_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry.replace("here", str(tmp_path)), *sys.path])
    monkeypatch.setattr(sys, "argv", ["fsarctl", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert not {"", str(tmp_path)} & set(sys.path)


def test_a_folder_that_pythonpath_names_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody keeps a metric of her own, she says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["fsarctl", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert str(tmp_path) in sys.path
