"""A disk that is full or read-only: one clear message, no half artifact, and the rerun works."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from fsarctl.artifacts import Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.errors import InputError


def unit(build):
    return Unit("extract", 1, "extract k100", Command("extract"), {}, build)


def fill(given):
    (given.folder / "frames").write_bytes(b"x" * 100_000)


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from fsarctl.artifacts import Store, Unit
    from fsarctl.artifacts.command import Command
    from fsarctl.errors import FsarctlError

    def build(given):
        (given.folder / "frames").write_bytes(b"x" * 100_000)

    try:
        Store(Path(sys.argv[1])).realise(Unit("extract", 1, "extract k100", Command("extract"), {}, build))
    except FsarctlError as error:
        print(error.message, error.next_step, sep="\\n")
        sys.exit(error.exit_code)
    """
)


def test_a_real_limit_on_file_size(tmp_path):
    """The kernel itself refuses the write, also to root."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    words = [sys.executable, "-c", CHILD, str(tmp_path / "cache")]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("The disk is full: File too large")
    assert "Free some space" in done.stdout
    assert not list((tmp_path / "cache" / "artifacts").glob("*/*"))
    assert subprocess.run(words, check=False).returncode == 0
    (artifact,) = Store(tmp_path / "cache").artifacts()
    assert artifact.manifest.bytes == 100_000


@pytest.mark.parametrize("place", ["fsync", "mkdir", "rename", "write_bytes"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_refusals_at_every_step_of_publishing(tmp_path, monkeypatch, place, number):
    """The n-th call of one system call fails, for every n, until the artifact gets through."""
    owner = Path if place == "write_bytes" else os
    real = getattr(owner, place)
    refusals = []
    for n in range(100):
        root = tmp_path / "cache" / str(n)
        calls = 0

        def refuse(first, *rest, n=n, root=root, **options):
            nonlocal calls
            calls += 1
            if calls == n + 1:
                raise OSError(number, os.strerror(number), str(root / "some file"))
            return real(first, *rest, **options)

        monkeypatch.setattr(owner, place, refuse)
        store = Store(root)
        try:
            store.realise(unit(fill))
        except InputError as error:
            refusals.append(error)
        monkeypatch.undo()
        found = store.find(unit(fill))
        assert found is None or not any(verdict.faults for verdict in store.verify()), "whole, or not there"
        assert store.realise(unit(fill)).manifest.bytes == 100_000, "the rerun works"
        assert [*root.glob("work/*/*"), *root.glob("trash")] == [], "and nothing is left behind"
        if calls <= n:
            break
    assert len(refusals) >= (2 if place in ("write_bytes", "rename") else 4)
    for refusal in refusals:
        assert ("disk is full" in refusal.message) == (number == errno.ENOSPC)
        assert refusal.next_step


def test_every_folder_is_on_the_disk_before_the_artifact_is_in_its_place(tmp_path, monkeypatch):
    """A rename may reach the disk before the names in a folder do, and then the power goes."""
    done, fsync, rename = [], os.fsync, os.rename

    def synced(number):
        done.append(os.fstat(number).st_ino)
        fsync(number)

    def renamed(old, new, **options):
        if Path(new).parent.name == "extract" and Path(new).parent.parent.name == "artifacts":
            done.append("in its place")
        rename(old, new, **options)

    def nested(given):
        for place in (given.folder, given.folder / "a", given.folder / "a" / "b"):
            place.mkdir(exist_ok=True)
            (place / "frames").write_bytes(b"x")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    path = Store(tmp_path).realise(unit(nested)).path
    before = done[: done.index("in its place")]
    assert {each.stat().st_ino for each in [path, *path.rglob("*")]} <= {*before}


class NativeError(Exception):
    """As raised by a library that keeps the words of an error and loses its number."""


@pytest.mark.parametrize("how", ["cause", "words"])
def test_a_full_disk_behind_a_librarys_own_exception(tmp_path, how):
    def build(_):
        if how == "words":
            raise NativeError("I/O error: No space left on device (os error 28)")
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise NativeError("cannot save") from error

    with pytest.raises(InputError, match="The disk is full"):
        Store(tmp_path).realise(unit(build))


def test_a_disk_that_takes_no_more_files_says_so(tmp_path, monkeypatch):
    """As tmpfs and ext4 say it of one with room and without inodes; others count none."""

    def build(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for files, left, blocks, lacks in (
        (1000, 1, 10**6, True),
        (1000, 500, 10**6, False),
        (0, 0, 10**6, False),
    ):
        facts = SimpleNamespace(f_files=files, f_favail=left, f_bavail=blocks)
        monkeypatch.setattr(os, "statvfs", lambda _, facts=facts: facts)
        with pytest.raises(InputError, match="The disk is full") as caught:
            Store(tmp_path).realise(unit(build))
        assert ("for no more files than there are" in caught.value.message) == lacks


def test_what_is_not_the_caches_fault_passes_through(tmp_path):
    def build(_):
        raise PermissionError(errno.EACCES, "Permission denied", "/data/clip.mp4")

    with pytest.raises(PermissionError):
        Store(tmp_path).realise(unit(build))


def test_a_read_only_cache_still_answers_what_it_has(tmp_path, monkeypatch):
    """Every write refused, as on a read-only mount; works the same for root."""
    store = Store(tmp_path / "cache")
    artifact = store.realise(unit(fill))

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for name in ("mkdir", "rename", "unlink", "fsync"):
        monkeypatch.setattr(os, name, refuse)
    assert store.realise(unit(fill)) == artifact
    with pytest.raises(InputError, match="The cache cannot be written: Read-only file system"):
        store.realise(unit(fill), force=True)
    assert store.find(unit(fill)) == artifact
    real = os.open

    def opened(path, flags, *more, **named):
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return refuse(path) if writes else real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", opened)
    assert store.gc([unit(fill)]) == []
