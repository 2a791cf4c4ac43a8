"""What surrounds a command and is not as it should be: variables, a full stdout, a folder that is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typed import FSARCTL, plain_environment, type_in

FILE = """
[datasets.shapes]
kind = "shapes"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "fsarctl.toml").write_text(FILE)
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("FSARCTL_TRAIN_LR", "0,05", 'FSARCTL_TRAIN_LR: train.lr = "0,05": input should be a valid number'),
        ("FSARCTL_TRAIN_LR", "-1", "FSARCTL_TRAIN_LR: [train] lr is -1.0; it must be above 0"),
        ("FSARCTL_DESCRIBE_TEMPERATURE", "9", "FSARCTL_DESCRIBE_TEMPERATURE: [describe] temperature is 9"),
        ("FSARCTL_DESCRIBE_TEMPERATURE", "hot", 'DESCRIBE_TEMPERATURE: describe.temperature = "hot"'),
    ],
)
def test_a_setting_of_the_environment_is_blamed_on_its_variable(
    project: Path, variable: str, value: str, says: str
) -> None:
    for verb in ("status", "config show"):
        said = type_in(project, *verb.split(), expect=3, **{variable: value}).stderr
        assert says in " ".join(said.split())
        assert said.rstrip().endswith(f"unset {variable}")  # which is what helps
        assert "fsarctl config show" not in said


def test_a_home_in_a_variable_is_that_home(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    line = "fsarctl cache ls --json"
    for words in ({"FSARCTL_CACHE": "~/kept"}, {"FSARCTL_PROJECT": "~/..", "FSARCTL_CACHE": "~/kept"}):
        type_in(project, line, HOME=str(home), **words)
        type_in(project, "fsarctl describe", HOME=str(home), **words)
        assert (home / "kept" / "artifacts").is_dir()
    type_in(project, "fsarctl describe --cache=~/other", HOME=str(home))
    assert (home / "other" / "artifacts").is_dir()
    assert not (project / "~").exists()


def test_a_full_stdout_says_so(project: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this machine has no /dev/full")
    with full.open("w") as stdout:
        done = subprocess.run(
            [FSARCTL, "methods"],
            cwd=project,
            env=plain_environment(),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "error: stdout cannot be written: No space left on device",
        "next:  Write it where there is room",
    ]


def test_a_working_directory_that_is_gone_says_so(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os, sys; from fsarctl.cli import main; "
        "os.chdir(sys.argv.pop()); os.rmdir(os.getcwd()); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status", str(gone)],
        env={**plain_environment(), "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: the working directory was removed\nnext:  cd ")
