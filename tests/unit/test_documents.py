"""What README, CONTRIBUTING and docs/ show works: commands run, configurations load, links lead somewhere."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from built import BuiltOnce, copied
from documents import DOCUMENTS, ROOT, Block, anchors, blocks, lines_of, links
from imageio_ffmpeg import get_ffmpeg_exe
from typed import type_in
from video_kinds import KINDS

from fsarctl.config.demo import demo_file
from fsarctl.config.settings import load_settings

README = ROOT / "README.md"
QUICK = {
    "FSARCTL_MODEL_BACKBONE": "tiny",
    "FSARCTL_MODEL_WEIGHTS": "shipped",
    "FSARCTL_MODEL_TEXT_LAYERS": "1",
    "FSARCTL_MODEL_VISUAL_LAYERS": "1",
    "FSARCTL_TRAIN_EPOCHS": "1",
    "FSARCTL_TRAIN_EPISODES": "1",
    "FSARCTL_TRAIN_VAL_EPISODES": "1",
    "FSARCTL_TRAIN_WAY": "2",
    "FSARCTL_EVAL_WAY": "2",
    "FSARCTL_EVAL_EPISODES": "2",
    "BROWSER": "true",
}
"""What makes every command of the documents take moments; what they print is not looked at."""

GENERATED = {
    *("commands.md", "settings.md", "method-reference.md"),
    *("contributing.md", "changelog.md", "index.md"),
}
SHELL = ("sh", "console")
TO_RUN = [each for each in blocks(*SHELL) if each.word == "in"]
LANGUAGES = (*SHELL, "toml", "python", "text", "yaml", "bibtex")


@pytest.fixture
def worlds(tmp_path: Path, built_once: BuiltOnce, shapes: Path, tiny_video: Path) -> Callable[[str], Path]:
    """The folders that blocks are run in, by the names that their remarks give them; new for each test."""

    def world(name: str) -> Path:
        if not (tmp_path / name).exists():
            make = {"demo": _demo, "own clips": _own_clips, "film": _film}[name]
            given = shapes if name == "demo" else tiny_video
            copied(built_once(f"documents-{name}", lambda folder: make(folder, given)), tmp_path / name)
        return tmp_path / name

    return world


def _demo(folder: Path, shapes: Path) -> None:
    """The demo's project, with what the lines of the documents name."""
    copied(shapes, folder)  # the same clips
    small = demo_file().replace("film_s = 300", "film_s = 10\nclips_per_class = 6")
    (folder / "fsarctl.toml").write_text(small, encoding="utf-8")
    (folder / "kinetics.txt").write_text("juggling balls\nlong jump\n")
    type_in(folder, "fsarctl run --shots 1", **QUICK)


def _own_clips(folder: Path, video: Path) -> None:
    """Clips of two gestures in class directories, and two that are new."""
    for kind in ("waving one hand", "bowing"):
        for place in ("clips", "examples"):
            (folder / place / kind).mkdir(parents=True)
            for number in range(3):
                content = video.read_bytes() + os.urandom(8)  # no two are the same
                (folder / place / kind / f"{number}.mp4").write_bytes(content)
    for name in ("new.mp4", "new.avi", "other.avi"):
        shutil.copy(video, folder / name)


def _film(folder: Path, _: Path) -> None:
    """A film of shapes, as a camera's recorder writes one, and a project with the tiny CLIP."""
    (folder / "fsarctl.toml").write_text(
        '[datasets.shapes]\nkind = "shapes"\n[model]\nbackbone = "tiny"\nweights = "shipped"\n'
    )
    type_in(folder, "fsarctl data film film --seconds 30 --shots 2")
    words = ("-v", "error", "-i", "film/film.mp4", "-c", "copy", "film.ts")
    subprocess.run([get_ffmpeg_exe(), *words], cwd=folder, stdin=subprocess.DEVNULL, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("block", [each for each in blocks("console") if each.word == "prints"], ids=str)
def test_commands_print_what_is_shown(block: Block, worlds: Callable[[str], Path]) -> None:
    for command, shown in block.sessions:
        done = type_in(worlds(block.more), command)
        assert lines_of(done.stdout + done.stderr) == lines_of(shown)


@pytest.mark.parametrize("document", dict.fromkeys(each.document for each in TO_RUN), ids=str)
def test_commands_run(document: str, worlds: Callable[[str], Path]) -> None:
    for block in TO_RUN:  # a later one may need what an earlier one makes
        for line in block.commands if block.document == document else []:
            if line.startswith("fsarctl init"):
                (worlds(block.more) / "fsarctl.toml").unlink(missing_ok=True)
            frozen = " --frozen" * (line.startswith("fsarctl predict") and "--frozen" not in line)
            type_in(worlds(block.more), line.partition("  #")[0].strip() + frozen, **QUICK)


@pytest.mark.parametrize("block", [each for each in blocks(*SHELL) if each.word == "dry run"], ids=str)
def test_commands_that_take_long_are_planned(block: Block, worlds: Callable[[str], Path]) -> None:
    assert len(block.more) > 10
    for line in block.commands:
        type_in(worlds("demo"), f"{line.partition('  #')[0].strip()} --dry-run", **QUICK)


def test_every_other_block_says_why_it_is_not_run() -> None:
    for block in blocks(*SHELL):
        assert block.commands, block
        assert block.word in ("in", "prints", "dry run") or (
            block.word == "not run" and len(block.more) > 10
        ), block


def test_every_block_says_its_language() -> None:
    for path in DOCUMENTS:
        opening = re.findall(r"(?m)^```(.*)$", path.read_text(encoding="utf-8"))[::2]
        assert set(opening) <= set(LANGUAGES), path
        assert not re.search(r"(?m)^    \$? ?(fsarctl|make|pip) ", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("block", [each for each in blocks("toml") if each.word != "not a project"], ids=str)
def test_configurations_load(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "theirs" in block.text:
        monkeypatch.syspath_prepend(str(_package(tmp_path)))
    (tmp_path / "fsarctl.toml").write_text(block.text)
    load_settings(tmp_path, environment={})


def _package(folder: Path) -> Path:
    """The package that the documents call theirs, with the parts that they show."""
    (folder / "site" / "theirs").mkdir(parents=True)
    parts = "\n".join(each.text for each in blocks("python") if each.document == "docs/parts.md")
    for name in ("__init__", "metrics", "methods", "datasets"):
        (folder / "site" / "theirs" / f"{name}.py").write_text(parts)
    return folder / "site"


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs(
    block: Block,
    worlds: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if block.word == "in":
        for name, value in QUICK.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(worlds(block.more))
    exec(block.text, {"__name__": "block"})
    printed = capsys.readouterr().out
    for shape in re.findall(r"# .*: (\(\d+, \d+\))$", block.text, re.MULTILINE):
        assert f"torch.Size([{shape[1:-1]}])" in printed


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]{2,}", parts.netloc), link
            continue
        target = path.parent / parts.path if parts.path else path
        generated = target.parent == ROOT / "docs" and target.name in GENERATED
        assert generated or target.is_file(), f"{link} in {path}"
        if parts.fragment and not generated:
            assert parts.fragment in anchors(target), f"{link} in {path}"


def test_every_word_that_is_a_command_is_one() -> None:
    """Also in running text: `fsarctl data check` and the like."""
    named = set()
    for path in DOCUMENTS:
        text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text(encoding="utf-8"))
        code = "\n".join(re.findall(r"`([^`\n]+)`", text))
        named |= set(re.findall(r"\bfsarctl ((?:cache |config |data |results )?[a-z]+)", code))
    assert {"ablate", "data check", "cache verify"} <= named
    for command in sorted(named):
        type_in(ROOT, f"fsarctl {command} --help")


def test_files_that_are_named_are_there() -> None:
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:fsarctl|stages|prompts|tests|docs)/[\w./-]+)`", text):
            if "NAME" not in name and "..." not in name and "site/" not in name:
                assert (ROOT / name).exists(), f"{name} in {path.name}"


def test_the_readme_is_short_and_begins_with_its_installation() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    first = blocks("sh")[0]
    assert (first.document, first.commands[0]) == ("README.md", "pip install fsarctl")


def test_sorts_of_video_are_counted() -> None:
    wrong = sum(kind.decord == "wrong" for kind in KINDS.values())
    frames = (ROOT / "docs" / "frames.md").read_text(encoding="utf-8")
    assert f"the {len(KINDS)} sorts of video" in frames
    assert f"On {wrong} of these sorts decord" in frames
    assert f"{len(KINDS)} sorts of video" in README.read_text(encoding="utf-8")
    assert f"on {wrong} of them decord" in README.read_text(encoding="utf-8")


def test_the_version_stands_in_one_place() -> None:
    version = re.search(r'(?m)^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert version
    again = [
        path
        for path in (*DOCUMENTS, ROOT / "CITATION.cff", ROOT / "Dockerfile", *(ROOT / "fsarctl").glob("*.py"))
        if version[1] in path.read_text(encoding="utf-8")
    ]
    assert not again
