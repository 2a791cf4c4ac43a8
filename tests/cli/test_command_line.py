"""The installed command, as a user types it. Nothing here computes anything."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.cli.command.variadic import spread
from fsarctl.errors import UsageError

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 7
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "fsarctl.toml").write_text(FILE)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("--shots 1 3 5", "--shots 1 --shots 3 --shots 5"),
        ("--shots 1 3 --json", "--shots 1 --shots 3 --json"),
        ("--json --shots 5 --set a=b", "--json --shots 5 --set a=b"),
        ("--shots=1", "--shots=1"),
        ("--shots 1 --shots 3", "--shots 1 --shots 3"),
        ("--shots -1", "--shots -1"),
        ("--json -- --shots 1 3", "--json -- --shots 1 3"),
        ("", ""),
    ],
)
def test_words_after_a_variadic_option_are_repeated(typed: str, parsed: str) -> None:
    assert spread(typed.split()) == parsed.split()


def test_a_variadic_option_without_words_is_refused() -> None:
    with pytest.raises(UsageError, match="--shots needs one or more numbers"):
        spread(["--shots", "--json"])


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("fsarctl eval --shots", 2, "--shots needs one or more numbers"),
        ("fsarctl eval --shots --json", 2, "--shots needs one or more numbers"),
        ("fsarctl eval --shots x", 2, "valid integer"),
        ("fsarctl eval --shots 0", 2, "Invalid value for '--shots'"),
        ("fsarctl eval --shots -1", 2, "Invalid value for '--shots'"),
        ("fsarctl eval --shots 1,3", 2, "valid integer"),
        ("fsarctl evla", 2, "evla"),
        ("fsarctl eval --set train.lrr=1", 3, "did you mean lr?"),
        ("fsarctl eval --dataset shpes", 3, "did you mean shapes?"),
        ("fsarctl eval --set model.backbone=ViT-B-17", 3, "ViT-B-16"),
        ("fsarctl eval --set model.weights=none.pt", 3, "no such file"),
        ("fsarctl train --set datasets.mine.root=nowhere --set train.dataset=mine", 3, "nowhere"),
        ("fsarctl describe --labels nowhere.txt", 3, "nowhere.txt"),
        ("fsarctl run --project nowhere", 3, "no directory nowhere"),
        ("fsarctl run --set train.seed=99999999999999999999", 3, "a whole number of 67 bits"),
        ("fsarctl run --set train.seed=-1", 3, "0 or more"),
        ("fsarctl describe --cache fsarctl.toml/cache", 3, "cannot be written"),
        ("fsarctl cache show ffff", 3, "no artifacts"),
        (
            "fsarctl eval --shots 1 3 5",
            4,
            "fsarctl describe && fsarctl extract && fsarctl train --shots 1 3 5",
        ),
        ("fsarctl eval --shots=1", 4, "fsarctl extract"),
        ("fsarctl eval --shots 1 --shots 3", 4, "fsarctl describe"),
        ("fsarctl train", 4, "fsarctl extract"),
    ],
)
def test_what_is_wrong_gives_one_message_and_its_exit_code(
    project: Path, line: str, code: int, says: str
) -> None:
    done = type_in(project, line, expect=code)
    assert says in done.stderr
    assert done.stdout == ""


def test_no_project_says_so(tmp_path: Path) -> None:
    done = type_in(tmp_path, "fsarctl run", expect=3)
    assert "no fsarctl.toml" in done.stderr
    assert "next:" in done.stderr


def test_debug_shows_the_traceback(project: Path) -> None:
    assert "Traceback" in type_in(project, "fsarctl eval --set train.lrr=1 --debug", expect=3).stderr


@pytest.mark.parametrize(
    "command",
    [
        "",
        "describe",
        "extract",
        "train",
        "eval",
        "run",
        "predict",
        "spot",
        "report",
        "show",
        "status",
        "doctor",
        "cache",
        "config show",
        "init",
        "data ls",
        "data check",
        "data film",
    ],
)
def test_help_answers_everywhere_with_an_example(project: Path, command: str) -> None:
    done = type_in(project, f"fsarctl {command} --help")
    assert "Usage: fsarctl" in done.stdout
    if command and command != "cache":
        assert f"Example: fsarctl {command}" in done.stdout


@pytest.mark.parametrize(
    "usage", ["spot [OPTIONS] VIDEO...", "predict [OPTIONS] [CLIP...]", "watch [OPTIONS] SOURCE"]
)
def test_usage_has_one_pair_of_brackets(project: Path, usage: str) -> None:
    said = type_in(project, f"fsarctl {usage.split()[0]} --help").stdout
    assert f"Usage: fsarctl {usage}" in [line.strip() for line in said.splitlines()]


def test_dry_run_lists_everything_and_makes_nothing(project: Path) -> None:
    done = type_in(project, "fsarctl run --dry-run --json --shots 1")
    units = json.loads(done.stdout)["units"]
    assert [unit["state"] for unit in units if unit["slot"].startswith("render")] == ["missing"] * 3
    assert {unit["slot"] for unit in units} >= {
        "describe shapes/train",
        "extract shapes/test",
        "train shapes 1-shot",
        "eval shapes 1-shot frozen",
        "eval shapes 1-shot task-adapter++",
    }
    assert not (project / "cache" / "artifacts").exists()


def test_describe_by_label_file(project: Path) -> None:
    from fsarctl.datasets.shapes.rendering import CLASSES

    labels = [each.label for each in CLASSES][:3]
    (project / "kinetics.txt").write_text("\ufeff" + "\r\n".join([*labels, "", labels[0]]))
    first = type_in(project, "fsarctl describe --labels kinetics.txt --json")
    artifact = json.loads(first.stdout)["artifacts"][0]
    described = json.loads((Path(artifact["path"]) / "descriptions.json").read_text())["labels"]
    assert set(described) == set(labels)
    assert all(set(stages) >= {"beginning", "process", "end"} for stages in described.values())
    # The same labels in another order are the same artifact.
    (project / "kinetics.txt").write_text("\n".join(reversed(labels)) + "\n")
    second = type_in(project, "fsarctl describe --labels kinetics.txt")
    assert "nothing to do" in second.stderr


def test_an_undescribed_label_says_how_to_describe_it(project: Path) -> None:
    (project / "mine.txt").write_text("juggling eleven balls\n")
    done = type_in(project, "fsarctl describe --labels mine.txt", expect=3)
    assert "juggling eleven balls" in done.stderr
    assert "describe.files" in done.stderr


def test_config_show_names_origins(project: Path) -> None:
    done = type_in(project, "fsarctl config show --json", FSARCTL_TRAIN_LR="0.5")
    rows = {row["key"]: row for row in json.loads(done.stdout)["settings"]}
    assert rows["train.lr"] == {
        "key": "train.lr",
        "value": 0.5,
        "origin": "FSARCTL_TRAIN_LR",
        "meaning": rows["train.lr"]["meaning"],
    }
    assert rows["train.momentum"]["origin"] == "default"


def test_the_key_is_never_shown(project: Path) -> None:
    done = type_in(project, "fsarctl doctor", OPENAI_API_KEY="sk-secret-of-mine")
    assert "sk-secret-of-mine" not in done.stdout + done.stderr
    assert "OPENAI_API_KEY   set" in done.stdout


HEAVY = (
    *("torch", "open_clip", "zarr", "decord", "av", "httpx2", "numpy", "pydantic", "rich.table"),
    *("jinja2", "matplotlib", "PIL", "tensorboard"),
)


@pytest.mark.parametrize(
    "module",
    ["fsarctl", "fsarctl.cli.app", "fsarctl.config.tables", "fsarctl.errors", "fsarctl.stages.report"],
)
def test_importing_the_command_line_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_needs_neither_settings_nor_package_metadata() -> None:
    unwanted = ("fsarctl.config.tables", "importlib.metadata", "statistics", "fsarctl.artifacts")
    code = f"import sys, fsarctl.cli.app; print(*[name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_planning_and_looking_import_no_torch(project: Path) -> None:
    code = (
        "import sys\nfrom fsarctl.cli.app import app\n"
        "for line in ('--help', 'methods', 'cache ls', 'data ls', 'status --why', 'run --dry-run --json'):\n"
        "    sys.argv = ['fsarctl', *line.split()]\n"
        "    try: app()\n"
        "    except SystemExit as ended: assert not ended.code, line\n"
        "    found = [name for name in ('torch', 'open_clip', 'httpx2') if name in sys.modules]\n"
        "    assert not found, (line, found)\n"
        "assert 'fsarctl.stages.plan' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
