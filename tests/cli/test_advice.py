"""What fsarctl says to do next: every command in its code is one, and typed where it is printed it helps."""

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from built import copied
from typed import type_in

import fsarctl
from fsarctl.cli.app import app

CODE = Path(fsarctl.__file__).parent
FILES = sorted([*CODE.rglob("*.py"), *(CODE / "stages").glob("*.py")])  # stages may be a link
TREE: Any = typer.main.get_command(app)
QUICK = {
    "FSARCTL_MODEL_BACKBONE": "tiny",
    "FSARCTL_MODEL_WEIGHTS": "shipped",
    "FSARCTL_EVAL_WAY": "2",
    "FSARCTL_EVAL_EPISODES": "2",
}


def texts(path: Path) -> Iterator[str]:
    """What a file may print: its strings but docstrings, what is filled in as {}."""
    tree = ast.parse(path.read_text())
    apart = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            apart |= {id(part) for part in node.values}
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            apart.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield node.value


def advised() -> list[tuple[str, str]]:
    """Every command in a text of the code, and the file that it is in."""
    found = []
    for path in FILES:
        for text in texts(path):
            for line in re.findall(r"\bfsarctl ((?:[a-z]+ )?[a-z]+(?: [^`;,.()\n&|>]*)?)", text):
                found.append((line.strip(), path.name))
    return found


def command_of(line: str) -> tuple[Any, list[str]]:
    """The command that a line names, and the rest of its words; None of what is no command."""
    words = line.split()
    command = TREE
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    return (None if command is TREE or hasattr(command, "commands") else command), words


def options_of(command: Any) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}


def test_every_command_in_the_code_is_one_with_options_that_it_has() -> None:
    verbs = set(TREE.commands)
    checked = 0
    for line, file in advised():
        command, words = command_of(line)
        if command is None:  # a sentence about fsarctl, or a group
            assert line.split()[0] not in verbs or hasattr(TREE.commands[line.split()[0]], "commands"), line
            continue
        checked += 1
        wrong = {word for word in words if re.fullmatch(r"--[a-z-]+", word)} - options_of(command)
        assert not wrong, f"{file}: fsarctl {line}"
    assert checked > 60


def test_every_command_that_is_put_together_has_options_that_it_has() -> None:
    checked = 0
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Command" and node.args):
                continue
            verb = node.args[0]
            if not (isinstance(verb, ast.Constant) and verb.value in TREE.commands):
                continue
            named = [
                each.args[0].value
                for each in ast.walk(node)
                if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "Option" and each.args
                and isinstance(each.args[0], ast.Constant)
            ]  # fmt: skip
            checked += 1
            known = options_of(TREE.commands[verb.value]) | {"", "--"}
            assert set(named) <= known, f"{path.name}: {verb.value} {named}"
    assert checked > 10


def told(said: str) -> str:
    return " ".join(said.split())


@pytest.fixture
def clips(tmp_path: Path, tiny_video: Path) -> Path:
    """A folder with six classes of three clips, in a folder without a project."""
    for name in "abcdef":
        (tmp_path / "clips" / name).mkdir(parents=True)
        for number in range(3):
            shutil.copy(tiny_video, tmp_path / "clips" / name / f"{number}.mp4")
    return tmp_path


def test_what_init_writes_about_training_works_as_it_is_written(clips: Path) -> None:
    type_in(clips, "fsarctl init clips")
    file = clips / "fsarctl.toml"
    text = file.read_text()
    small, (ratio,) = text.index('# backbone = "tiny"'), re.findall(r"split_ratio = \[.*?\]", text)
    head, tail = text[:small], text[small:]
    head = re.sub(r"(?m)^(backbone|weights|strategy) = .*\n", "", head)
    said = r"backbone|weights|visual_layers|text_layers|\[train\]|dataset|way|shots"
    tail = re.sub(rf"(?m)^# ({said})( = |$)", r"\1\2", tail)
    (way,) = re.findall(r"at most\n?#? ?(\d+)\)", tail.replace("\n# ", " ").replace("\n", " "))
    tail = tail.replace("way = 5", f"way = {way}")
    file.write_text(head.replace('kind = "folder"', f'kind = "folder"\n{ratio}') + tail)
    type_in(clips, "fsarctl data check")
    planned = type_in(clips, "fsarctl train --dry-run").stdout
    assert "train clips 1-shot" in planned
    type_in(clips, "fsarctl eval --dry-run")


def test_a_list_whose_videos_are_elsewhere_is_told_where(clips: Path) -> None:
    lines = [f"{path.relative_to(clips / 'clips')},{path.parent.name}" for path in clips.rglob("*.mp4")]
    (clips / "lists").mkdir()
    (clips / "lists" / "my list.csv").write_text("\n".join(["path,label", *lines]))
    said = told(type_in(clips, "fsarctl init 'lists/my list.csv'", expect=3).stderr)
    line = said.partition("relative to: ")[2]
    assert line.endswith(" --root FOLDER")
    type_in(clips, line.replace("FOLDER", "clips"))
    assert "18" in type_in(clips, "fsarctl data ls").stdout
    type_in(clips, "fsarctl init clips --root clips --force", expect=2)


def test_a_root_is_set_as_it_is_advised(clips: Path) -> None:
    type_in(clips, "fsarctl init clips")
    (clips / "clips").rename(clips / "moved")
    (clips / "clips").mkdir()
    line = "fsarctl extract --dry-run"
    said = told(type_in(clips, line, expect=3).stderr)
    (advised,) = re.findall(r"(--set datasets\.clips\.root=)FOLDER", said)
    assert "extract clips" in type_in(clips, f"{line} {advised}moved").stdout


def test_where_nothing_is_trained_the_advice_evaluates(shapes: Path, tmp_path: Path) -> None:
    copied(shapes, tmp_path)
    said = told(
        type_in(tmp_path, "fsarctl train --shots 1 --set model.strategy=frozen", expect=3, **QUICK).stderr
    )
    (line,) = re.findall(r"It is evaluated as it is: (fsarctl [^;]*);", said)
    assert shlex.split(line)[:4] == ["fsarctl", "run", "--shots", "1"]
    assert "eval shapes 1-shot" in type_in(tmp_path, f"{line} --dry-run", **QUICK).stdout


def test_what_the_report_says_to_run_makes_all_it_needs(shapes: Path, tmp_path: Path) -> None:
    copied(shapes, tmp_path)
    frozen = {**QUICK, "FSARCTL_MODEL_STRATEGY": "frozen"}
    said = told(type_in(tmp_path, "fsarctl report --shots 1", expect=4, **frozen).stderr)
    (line,) = re.findall(r"next: Run: (fsarctl run .*)$", said)
    type_in(tmp_path, line, **frozen)
    type_in(tmp_path, "fsarctl report --shots 1", **frozen)


def test_upstream_that_is_missing_is_made_by_what_is_advised(shapes: Path, tmp_path: Path) -> None:
    copied(shapes, tmp_path)
    frozen = {**QUICK, "FSARCTL_MODEL_STRATEGY": "frozen"}
    said = told(type_in(tmp_path, "fsarctl eval --shots 1", expect=4, **frozen).stderr)
    for line in said.partition("next: Run: ")[2].split(" && "):
        type_in(tmp_path, line, **frozen)
    type_in(tmp_path, "fsarctl eval --shots 1", **frozen)
