"""`fsarctl results export` and `fsarctl compare` with somebody else's file, as a user types them."""

import gzip
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from built import BuiltOnce, copied
from typed import type_in

from fsarctl.cli.cache import ARCHIVE
from fsarctl.cli.report import PAGE
from fsarctl.cli.results import EXPORT
from fsarctl.cli.show import SHEET

FILE = """
[datasets.mine]
kind = "folder"
root = "clips"
split_ratio = [0, 0, 1]
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
[eval]
dataset = "mine"
shots = [1]
episodes = 80
way = 4
"""
LACKING = 0.15


@pytest.fixture(scope="module")
def ours(shapes: Path, built_once: BuiltOnce) -> Path:
    """A project whose clips lie in folders, evaluated with the frozen backbone."""

    def build(folder: Path) -> None:
        (rendered,) = (shapes / "cache" / "artifacts" / "render").glob("*/test")
        rows = json.loads((rendered.parent / "clips.json").read_text())
        for row in rows:
            place = folder / "clips" / row["label"]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(rendered.parent / row["file"], place / Path(row["file"]).name)
        (folder / "fsarctl.toml").write_text(FILE)
        type_in(folder, "fsarctl run")

    return built_once("exported", build)


@pytest.fixture(scope="module")
def theirs(ours: Path, built_once: BuiltOnce) -> Path:
    """A copy that lacks 15 % of the clips, and has one under another name and one with other content."""

    def build(folder: Path) -> None:
        copied(ours / "clips", folder / "clips")
        clips = sorted((folder / "clips").glob("*/*.mp4"))
        for clip in clips[:: round(1 / LACKING)]:
            clip.unlink()
        clips[1].rename(clips[1].with_name("renamed.mp4"))
        clips[2].write_bytes(clips[2].read_bytes() + b"\0" * 8)
        (folder / "fsarctl.toml").write_text(FILE)
        type_in(folder, "fsarctl run")
        type_in(folder, "fsarctl results export --output theirs.json.gz")

    return built_once("exported-by-others", build)


def exported(project: Path, line: str = "fsarctl results export") -> dict[str, Any]:
    return dict(json.loads(type_in(project, line).stdout))


def test_the_same_results_give_the_same_bytes(ours: Path, tmp_path: Path) -> None:
    for name in ("one.json", "one.json.gz", "two.json", "two.json.gz"):
        assert type_in(ours, f"fsarctl results export -o {tmp_path / name}").stdout == f"{tmp_path / name}\n"
        os.utime(tmp_path / name, (0, 0))
    for ending in ("json", "json.gz"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    plain = (tmp_path / "one.json").read_bytes()
    assert gzip.decompress((tmp_path / "one.json.gz").read_bytes()) == plain
    assert type_in(ours, "fsarctl results export").stdout.encode() == plain


def test_an_export_says_what_an_appendix_needs_and_nothing_private(ours: Path) -> None:
    document = exported(ours)
    (clips,), (result,) = document["clips"], document["results"]
    artifact = next((ours / "cache" / "artifacts" / "evaluate").glob("*"))
    record = json.loads((artifact / "result.json").read_text())
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert {name: result["record"][name] for name in ("accuracy", "intervals", "seed")} == {
        name: record[name] for name in ("accuracy", "intervals", "seed")
    }
    assert (clips["dataset"], clips["split"], len(clips["clips"])) == ("mine", "test", 72)
    assert result["weights"]["backbone"]["files"]["weights"] != result["weights"]["backbone"]["files"]["bpe"]
    assert result["settings"]["model"] == manifest["config"]["model"]
    assert result["versions"]["packages"]["numpy"]
    assert result["method"] == {"name": "frozen"}
    text = json.dumps(document)
    for private in (str(ours), manifest["provenance"]["host"], manifest["provenance"]["created"], "/tmp"):
        assert private not in text


def test_a_digest_is_of_the_file(ours: Path) -> None:
    import hashlib

    for name, label, digest in exported(ours)["clips"][0]["clips"][:5]:
        file = ours / "clips" / name
        assert file.parent.name == label
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("form", "begins"),
    [("markdown", "## Results"), ("latex", "% It needs \\usepackage{longtable}.\n\\subsection*{Results}")],
)
def test_an_appendix_is_read(ours: Path, form: str, begins: str) -> None:
    text = type_in(ours, f"fsarctl results export --format {form}").stdout
    assert text.startswith(begins)
    assert "one shape joins another" in text


def test_results_are_named_by_slot_or_key(ours: Path) -> None:
    key = exported(ours)["results"][0]["key"]
    named = exported(ours, f"fsarctl results export {key[:10]} 'eval mine 1-shot frozen'")
    assert [each["key"] for each in named["results"]] == [key]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("nothing", 3, "no artifacts have a key"),
        ("'describe mine/test'", 3, "is no evaluation"),
        ("'eval mine 1-shot frozen' --shots 2", 2, "these are named"),
        ("--shots 9 ", 3, "clips"),
        ("--shots 2 ", 4, "nothing is evaluated yet"),
        ("-o nowhere/x.json", 3, "there is no folder"),
        ("-o x.md.gz --format markdown", 2, "is to be read"),
        ("--format yaml", 2, "yaml"),
    ],
)
def test_what_cannot_be_exported_is_said(ours: Path, words: str, code: int, said: str) -> None:
    refused = type_in(ours, f"fsarctl results export {words}", expect=code)
    assert said in " ".join(refused.stderr.split())
    assert not list(ours.glob("x.*"))


def test_a_result_whose_clips_are_gone_cannot_be_exported(ours: Path, tmp_path: Path) -> None:
    project = copied(ours, tmp_path / "project")
    shutil.rmtree(project / "cache" / "artifacts" / "extract")
    refused = type_in(project, "fsarctl results export 'eval mine 1-shot frozen'", expect=4)
    assert "no longer in the store" in refused.stderr


def test_a_copy_that_lacks_clips_is_compared_on_what_both_have(ours: Path, theirs: Path) -> None:
    file = theirs / "theirs.json.gz"
    found = json.loads(type_in(ours, f"fsarctl compare 'eval mine 1-shot frozen' {file} --json").stdout)
    mine, other = exported(ours)["clips"][0]["clips"], exported(theirs)["clips"][0]["clips"]
    assert found["schema"] == "fsarctl.compare/1"
    assert len(other) == 61
    digests = {clip[2] for clip in mine} & {clip[2] for clip in other}
    assert found["shared"]["by_digest"] == len(digests) == 60
    assert (found["shared"]["by_name"], found["shared"]["other_content"]) == (1, 1)
    assert found["paired"] == "clips"
    assert found["intervals"]["clips"]["low"] < found["difference"] < found["intervals"]["clips"]["high"]
    said = type_in(ours, f"fsarctl compare {file} 'eval mine 1-shot frozen'")
    assert "both have 61 clips: 60 by content, 1 by name" in said.stdout
    assert "1 clip of the same name has other content" in said.stderr


def test_two_files_are_compared_where_no_project_is(ours: Path, theirs: Path, tmp_path: Path) -> None:
    type_in(ours, f"fsarctl results export -o {tmp_path / 'ours.json'}")
    shutil.copy(theirs / "theirs.json.gz", tmp_path)
    type_in(tmp_path, "fsarctl compare ours.json theirs.json.gz")
    same = json.loads(type_in(tmp_path, "fsarctl compare ours.json ours.json --json").stdout)
    assert (same["paired"], same["difference"], same["episodes"]) == ("episodes", 0, 80)
    type_in(tmp_path, "fsarctl compare ours.json 'ours.json::eval mine 1-shot frozen'")
    assert "no such result" in type_in(tmp_path, "fsarctl compare ours.json ours.json::x", expect=3).stderr
    assert "there is no fsarctl.toml" in type_in(tmp_path, "fsarctl compare ours.json x", expect=3).stderr
    assert (
        "there is no file gone.json"
        in type_in(tmp_path, "fsarctl compare ours.json gone.json", expect=3).stderr
    )


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\x1f\x8b", b"{" * 10**5, b'{"schema":"fsarctl.results/9"}']
)
def test_a_file_that_is_none_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    refused = type_in(tmp_path, "fsarctl compare bad.json bad.json", expect=3)
    assert refused.stderr.count("\n") == 2
    assert "is no file of results" in refused.stderr


def test_nothing_is_written_over_but_what_the_command_wrote(ours: Path, tmp_path: Path) -> None:
    project = copied(ours, tmp_path)
    clip = shlex.quote(str(next((project / "clips").rglob("*.mp4")).relative_to(project)))
    for line, name, kind in (
        ("report --no-pictures --output", "report.html", PAGE),
        ("results export -o", "results.json", EXPORT),
        ("results export -o", "results.json.gz", EXPORT),
        ("results export --format markdown -o", "results.md", EXPORT),
        ("results export --format latex -o", "results.tex", EXPORT),
        ("cache export", "all.zip", ARCHIVE),
        (f"show {clip} --output", "sheet.png", SHEET),
    ):
        place = project / name
        place.touch()  # as `mktemp` leaves it
        for _ in range(2):
            type_in(project, f"fsarctl {line} {name}")
        own = place.read_bytes()
        for foreign in (
            b'{\n "clips": [\n  "a"\n ]\n}\n',
            b"\x89PNG\r\n\x1a\n",
            own[len(own) // 2 :],
            b"my notes\n",
        ):
            place.write_bytes(foreign)
            assert not kind.is_one(place)
        said = " ".join(type_in(project, f"fsarctl {line} {name}", expect=3).stderr.split())
        assert f"{name} is there and is no {kind.name}: it would be lost" in said
        assert place.read_bytes() == foreign
    type_in(project, "fsarctl report --no-pictures --output old.html")
    page = (project / "old.html").read_text(encoding="utf-8")
    (project / "old.html").write_text(re.sub(r".*generator.*\n", "", page), encoding="utf-8")
    type_in(project, "fsarctl report --no-pictures --output old.html")  # which an earlier version wrote
    said = type_in(project, "fsarctl report --output fsarctl.toml", expect=3).stderr
    assert "is where a project has its settings" in " ".join(said.split())
    assert (project / "fsarctl.toml").read_text() == FILE
