"""Artifacts from elsewhere, by file and by a remote folder: whole, compared, and where they belong."""

import json
import os
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from notes import Notes
from typed import type_in

from fsarctl.artifacts import Build, Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.manifest import MANIFEST, Stored, content_digest, read_manifest, render_manifest
from fsarctl.artifacts.transfer.archive import import_archive
from fsarctl.artifacts.transfer.remote import Remote, RemoteError
from fsarctl.errors import ConfigError, InputError, IntegrityError, UpstreamError


def unit(name: str, *, size: int = 3000, inputs: dict[str, Unit] | None = None) -> Unit:
    """Its build counts how often it runs."""

    def build(build: Build) -> None:
        built.append(name)
        (build.folder / "deep" / "er").mkdir(parents=True)
        (build.folder / "deep" / "er" / "numbers.bin").write_bytes(bytes(range(250)) * (size // 250))
        (build.folder / "what.json").write_text(json.dumps({"name": name}))

    return Unit(
        "extract", 1, f"extract {name}", Command("extract"), {"name": name}, build, dict(inputs or {})
    )


built: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    built.clear()


def store(folder: Path, remote: str = "", notes: Notes | None = None) -> Store:
    return Store(folder / "cache", reporter=notes or Notes(), remote=remote)


def contents(store: Store) -> dict[str, bytes]:
    root = store.root / "artifacts"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def archive(folder: Path, *names: str) -> Path:
    made = store(folder / "there")
    path = folder / "artifacts.zip"
    made.transfers.export([made.realise(unit(name)) for name in names], path)
    return path


def test_what_is_exported_arrives_byte_for_byte(tmp_path: Path) -> None:
    path = archive(tmp_path, "a", "b")
    here = store(tmp_path / "here")
    new, there = here.transfers.take_in(path)
    assert (sorted(each.manifest.slot for each in new), there) == (["extract a", "extract b"], 0)
    assert contents(here) == contents(store(tmp_path / "there"))
    assert all(not verdict.faults for verdict in here.verify())
    built.clear()
    here.realise(unit("a"))
    assert built == []
    assert here.transfers.take_in(path) == ([], 2)
    assert not list(here.root.glob("work/*/*"))
    first = path.read_bytes()
    there_store = store(tmp_path / "there")
    there_store.transfers.export(there_store.artifacts()[::-1], path)
    assert path.read_bytes() == first


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], kind: int = zipfile.ZIP_STORED) -> Path:
    """The archive with other members."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    other = path.with_name("other.zip")
    with zipfile.ZipFile(other, "w", kind) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return other


def with_name(name: str) -> Callable[[dict[str, bytes]], None]:
    """A sealed manifest that names one of its files so, and the file under that name."""

    def change(members: dict[str, bytes]) -> None:
        place = next(each for each in members if each.endswith(MANIFEST))
        from fsarctl.artifacts.manifest import parse_manifest

        manifest = parse_manifest(members[place])
        files = {**manifest.files, name: manifest.files["what.json"]}
        evil = replace(manifest, files=files, digest=content_digest(files, ()))
        members[place] = render_manifest(evil)
        members[place.removesuffix(MANIFEST) + name] = members[place.removesuffix(MANIFEST) + "what.json"]

    return change


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/tmp/evil",
        "a/../../evil",
        "a//b",
        "",
        "a\\b",
        "a\nb",
        "..",
        "./a",
        "x" * 300,
        "manifest.json",
        "what.json/in a file",
        "deep",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    path = rewritten(archive(tmp_path, "a"), with_name(name))
    here = store(tmp_path / "here")
    with pytest.raises(IntegrityError):
        here.transfers.take_in(path)
    assert here.artifacts() == []
    assert not list(tmp_path.rglob("*evil*"))


def flipped(content: bytes) -> bytes:
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


def test_what_is_not_as_it_was_written_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, "a")
    place = next(name for name in zipfile.ZipFile(path).namelist() if name.endswith(MANIFEST)).removesuffix(
        MANIFEST
    )
    data, manifest = f"{place}deep/er/numbers.bin", f"{place}{MANIFEST}"
    changes: dict[str, Callable[[dict[str, bytes]], object]] = {
        "another byte": lambda m: m.update({data: flipped(m[data])}),
        "shorter": lambda m: m.update({data: m[data][:-1]}),
        "longer": lambda m: m.update({data: m[data] + b"0" * 10**6}),
        "a file less": lambda m: m.pop(data),
        "a file more": lambda m: m.update({f"{place}more": b"?"}),
        "a stray": lambda m: m.update({"README": b"?"}),
        "a traversal beside it": lambda m: m.update({"../../evil": b"?"}),
        "another manifest": lambda m: m.update({manifest: flipped(m[manifest])}),
        "no manifest": lambda m: m.pop(manifest),
        "in another's place": lambda m: [
            m.update({name.replace(place, "extract/00000000000000000000/"): m.pop(name)}) for name in list(m)
        ],
    }
    for what, change in changes.items():
        here = store(tmp_path / what)
        with pytest.raises(IntegrityError):
            here.transfers.take_in(rewritten(path, change))  # type: ignore[arg-type]
        assert here.artifacts() == [], what
    with pytest.raises(IntegrityError):
        store(tmp_path / "bomb").transfers.take_in(rewritten(path, lambda m: None, zipfile.ZIP_DEFLATED))
    for cut in (0, 10, path.stat().st_size // 2, path.stat().st_size - 5):
        short = tmp_path / "short.zip"
        short.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(IntegrityError, match="no archive"):
            store(tmp_path / "cut").transfers.take_in(short)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        store(tmp_path / "cut").transfers.take_in(tmp_path / "nothing.zip")
    os.mkfifo(tmp_path / "pipe.zip")
    for odd in (tmp_path, tmp_path / "pipe.zip", Path("/dev/zero")):  # nobody writes to the pipe
        with pytest.raises(InputError, match=r" is a (folder|pipe|device), and no file"):
            store(tmp_path / "cut").transfers.take_in(odd)
    assert not list(tmp_path.rglob("*evil*"))


def test_more_than_there_is_room_for_is_not_begun(tmp_path: Path) -> None:
    def huge(members: dict[str, bytes]) -> None:
        place = next(each for each in members if each.endswith(MANIFEST))
        from fsarctl.artifacts.manifest import parse_manifest

        manifest = parse_manifest(members[place])
        files = {**manifest.files, "what.json": Stored(2**60, manifest.files["what.json"].sha256)}
        members[place] = render_manifest(replace(manifest, files=files, digest=content_digest(files, ())))

    with pytest.raises(InputError, match="GB are free"):
        store(tmp_path / "here").transfers.take_in(rewritten(archive(tmp_path, "a"), huge))


def test_an_interrupted_import_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsarctl.artifacts.transfer import archive as module

    path = archive(tmp_path, "a")
    here = store(tmp_path / "here")
    copy = module._copy
    fetched: list[str] = []

    def stop(*given: object) -> None:
        target = given[3]
        assert isinstance(target, Path)
        if len(fetched) == 1:
            raise KeyboardInterrupt
        fetched.append(target.name)
        copy(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "AT_ONCE", 1, raising=False)
    monkeypatch.setattr("fsarctl.artifacts.transfer.arrival.AT_ONCE", 1)
    monkeypatch.setattr(module, "_copy", stop)
    with pytest.raises(KeyboardInterrupt):
        here.transfers.take_in(path)
    assert here.artifacts() == []
    fetched.clear()
    fetched.append("nothing to stop at")
    monkeypatch.setattr(module, "_copy", lambda *given: (fetched.append(given[3].name), copy(*given)))
    import_archive(path, here._shelf, Notes())
    assert fetched == ["nothing to stop at", "what.json"]
    assert contents(here) == contents(store(tmp_path / "there"))


def test_a_colleagues_artifact_is_brought_and_not_made(tmp_path: Path) -> None:
    remote = str(tmp_path / "shared")
    base = unit("base")
    top = unit("top", inputs={"base": base})
    there = store(tmp_path / "there", remote)
    there.realise_all([top])
    assert there.transfers.push(there.artifacts()) == 2
    assert there.transfers.push(there.artifacts()) == 0
    built.clear()
    notes = Notes()
    here = store(tmp_path / "here", remote, notes)
    assert here.state(top).name == "waiting"  # what is only looked at is not brought
    (outcome,) = [each for each in here.realise_all([top]) if each.unit is top]
    assert built == []
    assert not outcome.made
    assert contents(here) == contents(there)
    assert [note for note in notes.said if "brought" in note] == [
        f"extract base: brought from {remote}",
        f"extract top: brought from {remote}",
    ]
    assert here.realise(unit("other")).manifest.slot == "extract other"
    assert built == ["other"]


def test_wrong_bytes_from_far_are_said_and_never_used(tmp_path: Path) -> None:
    remote = tmp_path / "shared"
    there = store(tmp_path / "there", str(remote))
    made = there.realise(unit("a"))
    there.transfers.push([made])
    sha256 = made.manifest.files["deep/er/numbers.bin"].sha256
    blob = remote / "files" / sha256[:2] / sha256
    blob.write_bytes(flipped(blob.read_bytes()))
    built.clear()
    notes = Notes()
    here = store(tmp_path / "here", str(remote), notes)
    with pytest.raises(IntegrityError, match="came with other bytes"):
        here.transfers.pull()
    assert here.artifacts() == []
    here.realise(unit("a"))
    assert built == ["a"]
    assert any("came with other bytes" in note and "made here" in note for note in notes.said)
    assert there.transfers.push([made], again=True) == 1
    assert [each.key for each in store(tmp_path / "third", str(remote)).transfers.pull()[0]] == [made.key]


def test_half_of_an_artifact_far_away_is_none(tmp_path: Path) -> None:
    remote = tmp_path / "shared"
    there = store(tmp_path / "there", str(remote))
    made = there.realise(unit("a"))
    there.transfers.push([made])
    sha256 = made.manifest.files["what.json"].sha256
    (remote / "files" / sha256[:2] / sha256).unlink()
    with pytest.raises(RemoteError, match=f"has a part of an artifact only: {sha256[:20]} is missing$"):
        store(tmp_path / "here").transfers.pull(address=str(remote))
    next(remote.glob(f"artifacts/*/*/{MANIFEST}")).unlink()
    assert store(tmp_path / "here").transfers.pull(address=str(remote)) == ([], 0)
    assert there.transfers.push([made]) == 1
    assert len(store(tmp_path / "here").transfers.pull(made.key[:8], str(remote))[0]) == 1


@pytest.mark.parametrize("odd", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("name", ["artifacts/*/*/manifest.json", "files/*/*"])
def test_what_never_ends_far_away_is_refused(tmp_path: Path, odd: Callable[[Path], None], name: str) -> None:
    remote, there = tmp_path / "remote", store(tmp_path / "there")
    there.transfers.push([there.realise(unit("a"))], str(remote))
    place = next(remote.glob(name))
    place.unlink()
    odd(place)
    here = store(tmp_path / "here")
    with pytest.raises(IntegrityError, match="is no file"):
        here.transfers.pull("", str(remote))
    assert here.artifacts() == []


def test_a_remote_that_fails_stops_a_push_and_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    notes = Notes()
    here = store(tmp_path / "here", str(tmp_path / "file" / "shared"), notes)
    made = here.realise(unit("a"))
    assert built == ["a"]
    with pytest.raises(RemoteError, match="cannot be reached"):
        here.transfers.push([made])
    with pytest.raises(ConfigError, match="no remote cache"):
        store(tmp_path / "here").transfers.push([made])
    with pytest.raises(ConfigError, match="neither an address nor a path") as misspelt:
        here.transfers.push([made], "s3:/bucket")
    assert misspelt.value.next_step.startswith("Write s3://bucket;")
    with pytest.raises(ConfigError, match="cannot be used as a remote"):
        Remote("nosuch://host/place")


def test_a_kind_of_address_that_is_asked_at_once_is_refused_as_any(tmp_path: Path) -> None:
    """SSH and FTP are connected to before anything is asked for."""
    notes = Notes()
    here = store(tmp_path / "here", "ftp://me:secret@127.0.0.1:1/shared", notes)  # where nobody listens
    made = here.realise(unit("a"))
    assert built == ["a"]
    assert [each for each in notes.said if "cannot be reached" in each and "it is made here" in each]
    with pytest.raises(RemoteError, match=r"^ftp://127.0.0.1:1/shared cannot be reached: "):
        here.transfers.push([made])


def test_a_gc_leaves_what_is_being_sent_or_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file that travels is followed by a gc that has a use for nothing, in the same cache."""
    remote, notes = str(tmp_path / "shared"), Notes()
    there = store(tmp_path / "there", remote)
    for name in ("one", "two"):
        there.realise(unit(name))
    whole = contents(there)

    one_at_a_time = threading.Lock()

    def gc_after(kind: str, root: Path, project: Path) -> None:
        travel = getattr(Remote, kind)

        def travelled(self: Remote, *given: Any, **more: Any) -> None:
            travel(self, *given, **more)
            with one_at_a_time:
                Store(root, reporter=notes, project=project).gc([], unclaimed=True)

        monkeypatch.setattr(Remote, kind, travelled)

    gc_after("_send", there.root, there.root.parent)
    assert there.transfers.push(there.artifacts()) == 2
    assert contents(there) == whole
    here = store(tmp_path / "here", remote)
    gc_after("_fetch", here.root, tmp_path / "another")
    assert len(here.transfers.pull()[0]) == 2
    assert contents(here) == whole


def test_what_vanishes_while_it_is_sent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = store(tmp_path / "there")
    made = there.realise(unit("one"))
    send = Remote._send

    def lost(self: Remote, path: Path, *given: Any, **more: Any) -> None:
        with suppress(FileNotFoundError):  # files are sent side by side
            made.path.rename(tmp_path / "elsewhere")
        send(self, path, *given, **more)

    monkeypatch.setattr(Remote, "_send", lost)
    for far in (str(tmp_path / "shared"), str(tmp_path / "other")):  # in the middle, and before it begins
        with pytest.raises(
            UpstreamError, match=rf"extract one vanished while a copy at {far} was being made"
        ):
            there.transfers.push([made], far)
    assert Remote(str(tmp_path / "shared")).listing() == []
    assert not list((there.root / "leases").iterdir())


def test_the_commands(tmp_path: Path) -> None:
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fsarctl.toml").write_text("")
    made = store(tmp_path / "there").realise(unit("a"))
    shared = str(tmp_path / "shared")
    there, here = tmp_path / "there", tmp_path / "here"
    assert "1 artifact sent, 0 were there" in type_in(there, "cache", "push", "--remote", shared).stderr
    said = type_in(here, "cache", "pull", made.key[:6], FSARCTL_CACHE_REMOTE=shared)
    assert said.stdout == f"{made.key[:12]}  extract a\n"
    assert "1 artifact new here, 0 were there" in said.stderr
    type_in(there, "cache", "export", str(tmp_path / "a.zip"), "extract a")
    document = json.loads(type_in(here, "cache", "import", str(tmp_path / "a.zip"), "--json").stdout)
    assert document == {"schema": "fsarctl.transfer/1", "artifacts": [], "new": 0}
    for verb in ("push", "pull"):
        assert "begins with 'zz'" in type_in(there, "cache", verb, "zz", "--remote", shared, expect=3).stderr
    said = type_in(there, "cache", "pull", "--remote", str(tmp_path / "misspelt")).stderr
    assert f"warning: {tmp_path}/misspelt has no artifact" in said
    assert "pull:" not in said, "nothing went on"
    assert read_manifest(here / made.path.relative_to(there)) == made.manifest
    said = type_in(there, "fsarctl cache push --remote s3://me:secret@host/x", expect=3).stderr
    assert "secret" not in said


class NoCredentialsError(Exception):
    """As botocore calls it."""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError("403"), "refuses these credentials"),
        (NoCredentialsError("none"), "there are no credentials for"),
        (ConnectionResetError("gone"), "cannot be reached: ConnectionResetError"),
    ],
)
def test_what_a_remote_folder_answers_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    remote = Remote(str(tmp_path / "shared"))

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(remote._files, "glob", refuse)
    with pytest.raises(RemoteError, match=says) as caught:
        remote.listing()
    assert caught.value.next_step
