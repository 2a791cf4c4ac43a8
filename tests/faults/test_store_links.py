"""No link within a cache is followed: nothing that it leads to is moved, removed or written."""

import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from built import copied
from notes import Notes
from typed import type_in

from fsarctl.artifacts import Build, Store, Unit
from fsarctl.artifacts.atomic_write import remove, write_whole
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unfinished.journal import Entry, Journal
from fsarctl.artifacts.unfinished.sealed import is_there
from fsarctl.errors import InputError
from fsarctl.progress import SILENT
from fsarctl.text.llm.records import CorruptRecordError, Records

PLACES = (
    *(
        "artifacts",
        "artifacts/train",
        "leases",
        "locks",
        "projects",
        "projects/around",
        "projects/around/train",
    ),
    *("quarantine", "records", "records/x", "trash", "work", "work/train"),
)


def interrupted(given: Build) -> None:
    (given.scratch / "half").write_text("half")
    raise ZeroDivisionError


def finished(given: Build) -> None:
    (given.scratch / "whole").write_text("whole")
    (given.folder / "content").write_text("content")


def unit(build: Callable[[Build], None]) -> Unit:
    return Unit("train", 1, "train", Command("train"), {}, build)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A cache with an artifact, unfinished work and claims."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    Store(folder / "cache").realise(unit(finished))
    with pytest.raises(ZeroDivisionError):
        Store(folder / "cache").realise(Unit("train", 2, "train", Command("train"), {}, interrupted))
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Somebody's files, three folders deep, with names such as a cache has."""
    for place in ("", "train", "train/scratch", "train/scratch/folder"):
        (tmp_path / "elsewhere" / place).mkdir(exist_ok=True)
        for name in ("thesis.txt", "answers.json", ".a.1.partial", "journal.jsonl", "x.safetensors"):
            (tmp_path / "elsewhere" / place / name).write_text("precious")
    return tmp_path / "elsewhere"


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize("place", PLACES)
def test_a_link_in_place_of_a_folder_stops_commands(project: Path, elsewhere: Path, place: str) -> None:
    path, before = project / "cache" / place, tree(elsewhere)
    if path.exists():
        path.rename(project / "aside")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(elsewhere)
    reads_claims = ["cache gc --yes --unclaimed"]
    for line in reads_claims if place.count("/") == 2 else [*reads_claims, "cache verify", "status"]:
        said = type_in(project, f"fsarctl {line}", expect=3)
        assert f"{path} is a link" in said.stderr
        assert f"rm {path}" in said.stderr
    assert tree(elsewhere) == before
    path.unlink()
    if (project / "aside").exists():
        (project / "aside").rename(path)
    type_in(project, "fsarctl cache gc --yes")


def test_a_file_in_place_of_a_folder_is_named(project: Path) -> None:
    """And what is said to do about it helps."""
    home = project / "cache" / "artifacts" / "train"
    shutil.rmtree(home)
    home.write_text("no folder")
    with pytest.raises(InputError, match=f"{home} is no folder") as said:
        Store(project / "cache").realise(unit(finished))
    subprocess.run(said.value.next_step.partition(": ")[2].partition(";")[0], shell=True, check=True)
    assert Store(project / "cache").realise(unit(finished)).path.parent == home


@pytest.mark.parametrize(
    ("place", "sort"),
    [
        ("locks/train-{}.lock", "a socket"),
        ("locks/train-{}.lock", "a folder"),
        ("removed/train-{}.json", "a folder"),
        ("projects/around/train/{}", "a folder"),
    ],
)
def test_what_stands_in_the_place_of_a_file_is_named(project: Path, place: str, sort: str) -> None:
    """And what is said to do about it helps."""
    cache = project / "cache"
    path = cache / place.format(next((cache / "artifacts" / "train").iterdir()).name)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.mkdir() if sort == "a folder" else os.mknod(path, stat.S_IFSOCK | 0o644)
    with pytest.raises(InputError, match=f"{path} is {sort}") as said:
        Store(cache).gc([])
    subprocess.run(said.value.next_step.partition(": ")[2].partition(";")[0], shell=True, check=True)
    Store(cache).gc([])
    assert not [*(cache / "artifacts" / "train").iterdir()]


def test_a_hidden_link_beside_the_folders_is_none_of_them(project: Path, elsewhere: Path) -> None:
    """Editors leave such."""
    (project / "cache" / ".#README.md").symlink_to(elsewhere / "nowhere")
    type_in(project, "fsarctl status")


def test_claims_are_files(project: Path) -> None:
    """Whatever else lies among them is left, and stops nobody."""
    stray = project / "cache" / "projects" / "around" / "train" / "stray"
    stray.mkdir()
    (stray / "thesis.txt").touch()
    type_in(project, "fsarctl cache gc --yes")
    assert (stray / "thesis.txt").exists()


def test_gc_says_what_it_cannot_tell_and_verify_moves_it_away(project: Path, elsewhere: Path) -> None:
    before, link = tree(elsewhere), project / "cache" / "artifacts" / "train" / "0123456789abcdef0123"
    link.symlink_to(elsewhere)
    (project / "cache" / "artifacts" / "train" / ".DS_Store").touch()
    said = type_in(project, "fsarctl cache gc --yes").stderr
    assert f"kept: {link}, which is damaged: `fsarctl cache verify`" in said
    assert said.count("kept:") == 1
    assert "it is a link" in type_in(project, "fsarctl cache verify", expect=5).stderr
    assert "kept" not in type_in(project, "fsarctl cache gc --yes").stderr
    assert not os.path.lexists(link)
    assert tree(elsewhere) == before


@pytest.mark.parametrize("place", ["", "folder", "scratch", "scratch/half", "folder/more", "scratch/pipe"])
def test_links_and_pipes_in_unfinished_work_are_not_used(project: Path, elsewhere: Path, place: str) -> None:
    (work,) = (project / "cache" / "work" / "train").iterdir()
    before, path = tree(elsewhere), work / place
    checked = copied(project, project.parent / "checked")

    def spoil(path: Path) -> None:
        if path.exists():
            path.rename(path.parents[3] / "aside")
        if path.name == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(elsewhere)

    spoil(path)
    notes: list[str] = []
    reporter = type("Notes", (type(SILENT),), {"note": lambda _, message: notes.append(message)})()
    seen: list[list[str]] = []

    def build(given: Build) -> None:
        seen.append(sorted(each.name for each in given.scratch.iterdir()))
        finished(given)

    made = Store(project / "cache", reporter=reporter).realise(
        Unit("train", 2, "train", Command("train"), {}, build)
    )
    assert seen == [[]]
    assert sorted(made.manifest.files) == ["content"]
    assert any("neither a file nor a folder" in note for note in notes) or place == ""
    spoil(checked / path.relative_to(project))
    said = type_in(checked, "fsarctl cache verify", expect=5)
    assert "1 of 1 unfinished build are corrupt" in said.stderr
    type_in(checked, "fsarctl cache gc --yes")
    assert not [*(checked / "cache" / "work" / "train").iterdir()]
    assert tree(elsewhere) == before


def link_to_what_was_there(path: Path, aside: Path) -> None:
    path.symlink_to(aside)


def link_to_nothing(path: Path, aside: Path) -> None:
    path.symlink_to("nothing")


def pipe(path: Path, aside: Path) -> None:
    os.mkfifo(path)


def socket(path: Path, aside: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o644)


def device(path: Path, aside: Path) -> None:
    """One that is read without end."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make a device")


def other_sort(path: Path, aside: Path) -> None:
    """A file where a folder was, and a folder where a file was."""
    if aside.is_dir():
        path.write_text("thesis")
    else:
        path.mkdir()


ODD = {
    link_to_what_was_there: "is a link",
    link_to_nothing: "is a link",
    pipe: "is a pipe",
    socket: "is a socket",
    device: "is a device",
    other_sort: "is a (file|folder)",
}
Spoil = Callable[[Path, Path], None]
LOOKS = (lambda store: store.find(unit(deep)), lambda store: [*store.verify()])


def deep(given: Build) -> None:
    finished(given)
    (given.folder / "empty").touch()
    (given.folder / "deep").mkdir()
    (given.folder / "deep" / "er").write_text("deeper")


@pytest.mark.parametrize("spoil", ODD, ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", [".", "manifest.json", "content", "empty", "deep", "deep/er"])
def test_what_is_no_file_or_folder_of_an_artifact_is_damage(tmp_path: Path, place: str, spoil: Spoil) -> None:
    """Whatever it leads to: it is moved away unread, and made again."""
    for number, look in enumerate(LOOKS):
        notes: list[str] = []
        reporter = type("Notes", (type(SILENT),), {"note": lambda _, message, to=notes: to.append(message)})()
        store, aside = Store(tmp_path / f"{number}", reporter=reporter), tmp_path / f"aside{number}"
        home = store.realise(unit(deep)).path
        (home / place).rename(aside)
        spoil(home / place, aside)
        before = tree(aside) if aside.is_dir() else aside.read_bytes()
        look(store)
        assert not os.path.lexists(home)
        assert re.search(f"DAMAGED: .* {ODD[spoil]}.* will be made again", notes[0])
        assert store.realise(unit(deep)).path == home
        assert (tree(aside) if aside.is_dir() else aside.read_bytes()) == before


@pytest.mark.parametrize("spoil", ODD, ids=lambda each: each.__name__)
def test_what_is_no_file_among_records_is_not_believed(tmp_path: Path, spoil: Spoil) -> None:
    store = Store(tmp_path / "cache")
    records = Records(store.records / "model", "model", 0.0)
    record, memory = records.path("prompt"), records.forms("server")
    memory.remember("plain")
    (form,) = (store.records / "model" / "servers").iterdir()
    for path in (record, form):
        path.write_bytes(b"{}")
        path.rename(tmp_path / path.name)
        spoil(path, tmp_path / path.name)
    with pytest.raises(CorruptRecordError, match=ODD[spoil]):
        records.find("prompt")
    assert memory.recall() is None
    assert [re.search(ODD[spoil], each.faults[0]) is None for each in store.verify()] == [False, False]
    assert not any(map(os.path.lexists, (record, form)))


@pytest.mark.parametrize("spoil", ODD, ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", ["folder", "scratch", "scratch/half"])
def test_what_is_no_file_or_folder_of_unfinished_work_is_not_used(
    project: Path, tmp_path: Path, place: str, spoil: Spoil
) -> None:
    """Nor by those who take parts of other unfinished work, nor by those who make parts of it."""
    (work,) = (project / "cache" / "work" / "train").iterdir()
    aside, store = tmp_path / "aside", Store(project / "cache")
    (work / place).rename(aside)
    spoil(work / place, aside)
    before = tree(aside) if aside.is_dir() else aside.read_bytes()
    seen: list[Path | None] = []

    def build(given: Build) -> None:
        seen.extend(each.scratch for each in given.earlier())
        finished(given)

    store.realise(Unit("train", 3, "train", Command("train"), {}, build, reuses=True))
    assert not any(seen) or spoil is other_sort
    with store.parts(Unit("train", 2, "train", Command("train"), {}, interrupted)) as given:
        assert [each.name for each in given.scratch.iterdir() if each.is_file()] == ["divided"]
        assert not [*given.folder.iterdir()]
    assert (tree(aside) if aside.is_dir() else aside.read_bytes()) == before


@pytest.mark.parametrize("spoil", ODD, ids=lambda each: each.__name__)
@pytest.mark.parametrize("place", ["folder", "scratch", "scratch/half"])
def test_what_is_no_file_or_folder_of_unfinished_work_is_moved_away_by_verify(
    project: Path, tmp_path: Path, place: str, spoil: Spoil
) -> None:
    (work,) = (project / "cache" / "work" / "train").iterdir()
    (work / place).rename(tmp_path / "aside")
    spoil(work / place, tmp_path / "aside")
    (verdict,) = [each for each in Store(project / "cache").verify() if each.sort == "unfinished build"]
    if spoil is not other_sort or place != "scratch/half":  # which nobody but the build knows to be a file
        assert re.search(ODD[spoil], verdict.faults[0])
        assert not os.path.lexists(work / place)


def in_parts(given: Build) -> None:
    """Into a folder of theirs, and with a note of each, as others may be making theirs."""
    (given.folder / "parts").mkdir(exist_ok=True)
    write_whole(given.folder / "parts" / "0", b"whole")
    Journal(given.scratch, given.of).add_apart("0", [Entry(facts={"part": 0})])


def test_what_comes_back_into_the_way_is_removed_once_and_then_said(tmp_path: Path) -> None:
    notes, tries = Notes(), []

    def thwarted(given: Build) -> None:
        tries.append(given)
        assert len(tries) < 5
        (given.folder / "parts").write_text("somebody else's file")
        write_whole(given.folder / "parts" / "0", b"whole")

    store = Store(tmp_path / "cache", reporter=notes)
    with store.parts(unit(thwarted)) as given, pytest.raises(InputError, match="parts is no folder"):
        store.at_parts(given, partial(thwarted, given))
    assert len(tries) == 2
    assert (
        len([note for note in notes.said if note.startswith("DAMAGED: folder/parts of the unfinished")]) == 1
    )


@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize("place", ["folder/parts", "folder/parts/0", "scratch/journal-0.jsonl"])
def test_what_stands_in_the_way_of_a_part_is_removed_and_the_part_is_made(
    tmp_path: Path, elsewhere: Path, place: str, is_link: bool
) -> None:
    """By who makes the part, by who makes the whole of parts, and by verify."""
    notes: list[str] = []
    reporter = type("Notes", (type(SILENT),), {"note": lambda _, message: notes.append(message)})()
    store, parted = Store(tmp_path / "cache", reporter=reporter), unit(in_parts)

    def spoil(given: Build) -> None:
        path = given.folder.parent / place
        remove(path)
        if place == "folder/parts":
            path.write_text("a file")
        elif is_link:
            path.symlink_to(elsewhere)
        else:
            (path / "within").mkdir(parents=True)

    before = tree(elsewhere)
    with store.parts(parted) as given:
        in_parts(given)
        for act in (in_parts, lambda given: Journal(given.scratch, given.of).read_apart("0"), in_parts):
            spoil(given)
            store.at_parts(given, partial(act, given))
        spoil(given)
    replaced = is_link and place == "folder/parts/0"
    if replaced:
        assert not notes, "a file that is renamed to a link's name replaces the link"
    else:
        assert notes[0].startswith(f"DAMAGED: {place} of the unfinished work is ")
    for verdict in store.verify():
        assert not verdict.unread
        assert bool(verdict.faults) == (replaced or place.startswith("scratch"))
    with store.parts(parted) as given:
        store.at_parts(given, partial(in_parts, given))
        spoil(given)
    assert (store.realise(parted).path / "parts" / "0").read_bytes() == b"whole"
    assert tree(elsewhere) == before


def test_a_part_for_which_the_disk_has_no_room_says_so(tmp_path: Path) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path / "cache")
    with store.parts(unit(in_parts)) as given, pytest.raises(InputError, match="The disk is full"):
        store.at_parts(given, fill)


def test_a_link_among_unfinished_work_is_removed_and_what_it_leads_to_stays(
    project: Path, elsewhere: Path
) -> None:
    before, link = tree(elsewhere), project / "cache" / "work" / "train" / "stray"
    link.symlink_to(elsewhere)
    type_in(project, "fsarctl cache gc --yes")
    assert not link.is_symlink()
    assert tree(elsewhere) == before


@pytest.mark.parametrize("spoil", [os.mkfifo, lambda path: os.truncate(path, 2**40), Path.mkdir])
def test_what_is_no_file_of_ours_keeps_nobody(project: Path, spoil: Callable[[Path], None]) -> None:
    """A pipe that nobody writes to, a file that is larger than any memory, and a folder."""
    cache = project / "cache"
    record = Records(cache / "records", "model", 0.0).path("prompt")
    (home,) = (cache / "artifacts" / "train").iterdir()
    (owner,) = [each for each in (cache / "locks").glob("*.owner") if home.name in each.name]
    lease, facts = cache / "leases" / "x.json", cache / "projects" / "other" / "project.json"
    for path in (record, lease, facts, owner, home / "manifest.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if spoil is not os.mkfifo and spoil is not Path.mkdir:
            path.touch()
        spoil(path)
    assert "cannot be read" in type_in(project, "fsarctl cache gc --yes").stderr, "the lease"
    with pytest.raises(CorruptRecordError):
        Records(cache / "records", "model", 0.0).find("prompt")
    said = type_in(project, "fsarctl cache verify", expect=5)
    assert said.stderr.count("DAMAGED") == 2, "the artifact and the record"
    assert not record.exists(), "it was moved away"
    assert Store(cache).realise(unit(finished)).path == home


@pytest.mark.parametrize("name", ["journal.jsonl", "checkpoint.safetensors"])
def test_a_folder_in_place_of_a_file_of_unfinished_work_is_damage(project: Path, name: str) -> None:
    (work,) = (project / "cache" / "work" / "train").iterdir()
    (work / "scratch" / name / "more").mkdir(parents=True)

    def build(given: Build) -> None:
        journal = Journal(given.scratch, given.of)
        entries, lost = journal.read()
        assert (entries, lost) == ([], int(name == journal.path.name))
        journal.begin([])
        assert not is_there(given.scratch / name, given.of, SILENT, "") or name == journal.path.name
        finished(given)

    made = Store(project / "cache").realise(Unit("train", 2, "train", Command("train"), {}, build))
    assert sorted(made.manifest.files) == ["content"]


@pytest.mark.parametrize(
    "spoil", [Path.mkdir, lambda path: (path / "content").mkdir(parents=True), Path.touch]
)
def test_what_stands_in_the_way_of_a_build_begins_the_work_anew(
    project: Path, spoil: Callable[[Path], None]
) -> None:
    (work,) = (project / "cache" / "work" / "train").iterdir()
    spoil(work / "folder" / "more")
    notes: list[str] = []
    reporter = type("Notes", (type(SILENT),), {"note": lambda _, message: notes.append(message)})()

    def build(given: Build) -> None:
        if (given.folder / "more").is_dir():
            (given.folder / "more").write_text("it is a file")
        (given.folder / "more").mkdir()
        (given.folder / "more" / "content").write_text("content")

    made = Store(project / "cache", reporter=reporter).realise(
        Unit("train", 2, "train", Command("train"), {}, build)
    )
    assert sorted(made.manifest.files) == ["more/content"]
    assert notes[1].startswith("DAMAGED: folder/more of the unfinished work: ")
