"""What cannot be read is not damaged; and a folder that a group shares is shared by what is made in it."""

import errno
import json
import os
import shutil
import stat
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.artifacts import Build, Store, Unit, cache_layout
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.sharing.projects import Projects
from fsarctl.errors import InputError, UpstreamError
from fsarctl.progress import SILENT


def unit(slot: str, build: Callable[[Build], None] | None = None, seed: int = 0, **inputs: Unit) -> Unit:
    def fill(given: Build) -> None:
        (given.folder / "deep").mkdir(exist_ok=True)
        (given.folder / "deep" / "content").write_text(f"{slot} {seed}")
        (given.folder / "deep" / "content").chmod(0o600)  # as some libraries write

    stage = slot.split()[0]
    return Unit(stage, 1, slot, Command(stage), {"slot": slot, "seed": seed}, build or fill, inputs)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two artifacts, one made of the other."""
    (tmp_path / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    Store(tmp_path / "cache").realise_all([unit("train a", frames=unit("extract a"))])
    return tmp_path


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize("name", ["file_sha256", "read_manifest"])
def test_what_cannot_be_read_stays_where_it_is(
    project: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    reads = getattr(cache_layout, name)

    def refuse(path: Path | str) -> object:
        if f"{os.sep}extract{os.sep}" in str(path):
            raise OSError(number, os.strerror(number), str(path))
        return reads(path)

    monkeypatch.setattr(cache_layout, name, refuse)
    with pytest.raises(InputError, match=r"the extract artifact .* cannot be read"):
        Store(project / "cache").find(unit("extract a"))
    said = type_in(project, "fsarctl cache verify", expect=3)
    assert "1 of 2 artifacts cannot be read" in said.stderr
    assert "1 of 2 artifacts are whole" in said.stderr
    assert os.strerror(number) in said.stdout
    if name == "read_manifest":
        said = type_in(project, "fsarctl cache ls")
        assert "1 artifact, " in said.stderr
        assert f"not among them: {project / 'cache' / 'artifacts' / 'extract'}{os.sep}" in said.stderr
        (home,) = json.loads(type_in(project, "fsarctl cache ls --json").stdout)["unlisted"]
        assert Path(home).parent == project / "cache" / "artifacts" / "extract"

    rows = json.loads(type_in(project, "fsarctl cache verify --json", expect=3).stdout)["artifacts"]
    assert [(bool(row["unread"]), row["faults"]) for row in rows] == [(True, []), (False, [])]
    monkeypatch.undo()
    assert not (project / "cache" / "quarantine").exists()
    assert "2 of 2 artifacts are whole" in type_in(project, "fsarctl cache verify").stderr


@pytest.mark.parametrize("folder", [".", "extract"])
def test_a_file_where_artifacts_would_be_is_not_a_cache_without_any(project: Path, folder: str) -> None:
    place = project / "cache" / "artifacts" / folder
    shutil.rmtree(place)
    place.write_text("a file")
    said = type_in(project, "fsarctl cache verify", expect=3)
    assert f"{place}: it is a file, and no folder" in said.stdout
    assert place.read_text() == "a file"


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_in_a_build_is_no_bug(tmp_path: Path, number: int) -> None:
    def fail(_: Build) -> None:
        raise OSError(number, os.strerror(number))  # as a read of an open file does: without a name

    with pytest.raises(InputError, match=os.strerror(number)):
        Store(tmp_path / "cache").realise(unit("train a", fail))


def test_gc_removes_nothing_while_it_cannot_be_known_who_uses_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Projects(project / "cache" / "projects", project / "other", SILENT)
    other.claim("extract", "0" * 20)
    reads = os.scandir

    def refuse(path: str) -> list[str]:
        if str(path).endswith(f"{os.sep}extract") and "projects" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return reads(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="what another project uses cannot be read"):
        Store(project / "cache").gc([])
    assert len(Store(project / "cache").artifacts()) == 2


def test_what_removed_what_a_command_needs_is_said(project: Path) -> None:
    whole = unit("train b", frames=unit("extract a"))
    (project / "other").mkdir()
    Store(project / "cache", project=project / "other").gc([], forget=project, unclaimed=True)
    with pytest.raises(UpstreamError, match=f"extract a was there: .*gc. of the project {project}/other"):
        Store(project / "cache").realise(whole)


SHARED_BY = 54321  # a group; whether it has a name plays no part


@pytest.fixture
def shared(project: Path) -> Iterator[Path]:
    """A folder of a group (g+rws), which two users can reach; all they need is imported before they begin."""
    if os.getuid() != 0:
        pytest.skip("only root can act as two other users")
    place = Path(tempfile.mkdtemp(prefix="fsarctl-shared-"))
    place.chmod(0o755)
    cache = place / "cache"
    cache.mkdir()
    os.chown(cache, 0, SHARED_BY)
    cache.chmod(0o2775)
    for each in ("anna", "ben"):
        (place / each).mkdir()
        (place / each).chmod(0o777)
    yield place
    shutil.rmtree(place)


def acting_as(user: int, umask: int, act: Callable[[], object]) -> object:
    """What ``act`` gives in a process of another user of the group."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child needs none of pytest's threads
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([SHARED_BY])
            os.setgid(user)
            os.setuid(user)
            os.umask(umask)
            answer = act()
        except BaseException:
            answer = traceback.format_exc()
        with os.fdopen(write_end, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answer = json.load(pipe)
    os.waitpid(child, 0)
    return answer


ANNA, BEN = 54322, 54323


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_two_users_share_a_cache(shared: Path, umask: int) -> None:
    def store(name: str) -> Store:
        return Store(shared / "cache", project=shared / name)

    def stop(given: Build) -> None:
        (given.scratch / "half").write_text("half")
        (given.folder / "part").write_text("part")
        raise ZeroDivisionError

    def begin() -> bool:
        store("anna").realise(unit("extract a"))
        try:
            store("anna").realise(unit("train a", stop, frames=unit("extract a")))
        except ZeroDivisionError:
            return True
        return False

    def go_on() -> list[object]:
        def finish(given: Build) -> None:
            (given.folder / "whole").write_text((given.scratch / "half").read_text())
            (given.folder / "part").unlink()

        found = store("ben").find(unit("extract a"))
        made = store("ben").realise(unit("train a", finish, frames=unit("extract a")))
        store("ben").realise(unit("extract b"))
        store("ben").gc([unit("extract a")], unclaimed=True)
        verdicts = list(store("ben").verify())
        return [found is not None, sorted(made.manifest.files), [(v.unread, v.faults) for v in verdicts]]

    def look() -> list[object]:
        again = store("anna").realise(unit("train a", frames=unit("extract a")))
        store("anna").gc([])
        return [sorted(again.manifest.files), [each.manifest.slot for each in store("anna").artifacts()]]

    assert acting_as(ANNA, umask, begin) is True
    found, files, verdicts = acting_as(BEN, umask, go_on)  # type: ignore[misc]
    assert found
    assert files == ["whole"]
    assert verdicts == [["", []]] * 2  # what was his alone is gone
    for path in (shared / "cache").rglob("*"):
        seen = path.lstat()
        assert seen.st_gid == SHARED_BY, path
        wanted = 0o2070 if path.is_dir() else 0o040
        assert stat.S_IMODE(seen.st_mode) & wanted == wanted, path
        assert path.is_dir() or "artifacts" not in path.parts or not seen.st_mode & 0o222, path
    assert acting_as(ANNA, umask, look) == [["whole"], ["extract a"]]  # which he uses


def test_an_artifact_of_another_user_s_own_is_not_damaged(shared: Path) -> None:
    def private() -> bool:
        made = Store(shared / "cache", project=shared / "anna").realise(unit("extract a"))
        made.path.chmod(0o700)
        return True

    def look() -> list[object]:
        store = Store(shared / "cache", project=shared / "ben")
        verdicts = [bool(each.unread) for each in store.verify()]
        try:
            store.find(unit("extract a"))
        except InputError as error:
            return [verdicts, error.exit_code, store.gc([], unclaimed=True) == []]
        return [verdicts]

    assert acting_as(ANNA, 0o002, private) is True
    assert acting_as(BEN, 0o002, look) == [[True], 3, True]
    assert not (shared / "cache" / "quarantine").exists()
