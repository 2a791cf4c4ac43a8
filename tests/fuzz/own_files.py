"""Readers of what fsarctl itself wrote into a cache, which others may share, and which disks may spoil.

Where a seal would end the matter at once, what was damaged is also sealed anew, as whoever means harm would
do, or a version of fsarctl that writes something else.
"""

import hashlib
import json
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from fsarctl.errors import FsarctlError

__all__ = ["readers"]

Refusals = tuple[type[Exception], ...]

SEAL = re.compile(b'"seal": ?"[0-9a-f]{80}"')
MANIFEST_SEAL = b',\n "seal": "'


def readers() -> Iterator[tuple[str, Callable[[Path], object], Refusals]]:
    """Name, function and refusals of each."""
    from fsarctl.artifacts.manifest import ManifestError
    from fsarctl.text.llm.records import CorruptRecordError

    yield "manifests", _manifest, (ManifestError, FsarctlError)
    yield "archives", _archive, (FsarctlError,)
    yield "sources", _sources, ()
    yield "records", _record, (CorruptRecordError, FsarctlError)
    yield "forms", _form, ()
    yield "hashes", _hashes, ()
    yield "journals", _journal, ()
    yield "store_notes", _store_note, ()
    yield "result_files", _result, (FsarctlError,)
    yield "logs", _log, (FsarctlError,)
    yield "described", _described, (FsarctlError,)
    yield "frames", _frames, (FsarctlError,)
    yield "class_sets", _class_sets, (FsarctlError,)


def _manifest(path: Path) -> None:
    from fsarctl.artifacts.cache_layout import Shelf
    from fsarctl.artifacts.manifest import MANIFEST, ManifestError, parse_manifest
    from fsarctl.progress import SILENT

    raw = path.read_bytes()
    body = raw.rpartition(MANIFEST_SEAL)[0] or raw.rstrip().removesuffix(b"}")
    sealed = body + MANIFEST_SEAL + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'
    root = path.parent / "cache"
    shutil.rmtree(root, ignore_errors=True)
    for number, content in enumerate((raw, sealed, _consistent(body))):
        home = root / "artifacts" / "train" / f"{number:020}"
        home.mkdir(parents=True)
        (home / MANIFEST).write_bytes(content)
        try:
            manifest = parse_manifest(content)
        except ManifestError:
            continue
        _ = manifest.bytes, manifest.created
    shelf = Shelf(root, SILENT)
    for artifact in shelf.all():
        shelf.newest(artifact.manifest.stage)
        shelf.get("train", artifact.key)
    list(shelf.verify())


def _archive(path: Path) -> None:
    """An archive of artifacts; or a manifest, which is put into one with files of the sizes that it names."""
    from fsarctl.artifacts.cache_layout import Shelf
    from fsarctl.artifacts.transfer.archive import import_archive
    from fsarctl.progress import SILENT

    root = path.parent / "imported"
    shutil.rmtree(root, ignore_errors=True)
    if path.suffix == ".json":
        raw = path.read_bytes()
        sealed = _consistent(raw.rpartition(MANIFEST_SEAL)[0] or raw.rstrip().removesuffix(b"}"))
        path = path.with_suffix(".zip")
        _pack(sealed, path)
    import_archive(path, Shelf(root, SILENT), SILENT)


def _pack(manifest: bytes, path: Path) -> None:
    """An archive of one artifact whose files are zeros, with their names as the manifest says."""
    from fsarctl.artifacts.cache_layout import KEY_DIGITS

    try:
        fields = json.loads(manifest)
        folder = f"{fields['stage']}/{fields['key'][:KEY_DIGITS]}"
        sizes = {name: min(int(stored["bytes"]), 10_000) for name, stored in fields["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        folder, sizes = "train/0", {}
    with zipfile.ZipFile(path, "w") as out:
        for name, content in {
            "manifest.json": manifest,
            **{n: bytes(max(s, 0)) for n, s in sizes.items()},
        }.items():
            with suppress(ValueError, struct.error):  # a name that no archive can hold
                out.writestr(zipfile.ZipInfo(f"{folder}/{name}"), content)


def _consistent(body: bytes) -> bytes:
    """The manifest with its own key, digest and seal, where it is JSON that can have them."""
    from fsarctl.artifacts.keys import key_of
    from fsarctl.artifacts.manifest import Stored, content_digest

    try:
        fields = json.loads(body + b"\n}")
        inputs = {name: source["digest"] for name, source in fields["inputs"].items()}
        fields["key"] = key_of(fields["stage"], fields["version"], fields["config"], inputs)
        files = {name: Stored(**stored) for name, stored in fields["files"].items()}
        fields["digest"] = content_digest(files, fields.get("aside", ()))
        body = json.dumps(fields, indent=1).removesuffix("\n}").encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FsarctlError):
        pass
    return body + MANIFEST_SEAL + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


def _sources(path: Path) -> None:
    from fsarctl.artifacts.manifest import SOURCES, Artifact, Manifest, Stored, read_sources

    content = path.read_bytes()
    (path.parent / SOURCES).write_bytes(content)
    stored = Stored(len(content), hashlib.sha256(content).hexdigest())
    manifest = Manifest("train", 1, "", "", "", "", {}, {}, {}, stored, {})
    for listed in read_sources(Artifact(path.parent, manifest)).values():
        sorted(listed.items())


def _record(path: Path) -> None:
    """It answers the prompt "p" of a model, or whichever its own digest says."""
    from fsarctl.text.llm.records import Records

    records = Records(path.parent / "records", "m", 0.0)
    records.folder.mkdir(exist_ok=True)
    records.path("p").write_bytes(path.read_bytes())
    records.find("p")


def _form(path: Path) -> None:
    from fsarctl.text.llm.answer_forms import FORMS, FormMemory

    memory = FormMemory(path.parent / "servers", "http://h/v1", "m")
    memory.folder.mkdir(exist_ok=True)
    memory._path.write_bytes(path.read_bytes())
    known = memory.recall()
    assert known is None or known[0] in FORMS
    memory.remember("text")


def _hashes(path: Path) -> None:
    """The database is of a file at this very path, whatever was remembered of it."""
    from fsarctl.artifacts.hashes import HashMemory
    from fsarctl.progress import SILENT

    clip = path.parent / "clip.mp4"
    clip.write_bytes(b"clip")
    memory = HashMemory(path, SILENT)
    for _ in range(2):
        assert set(memory.sha256([str(clip), str(path.parent / "clip.mp4")])) == {str(clip)}


def _journal(path: Path) -> None:
    from fsarctl.artifacts.unfinished.journal import JOURNAL, Journal
    from fsarctl.frames.frame_store import ARRAY
    from fsarctl.frames.journal import read_journal

    content = path.read_bytes()
    (path.parent / ARRAY).mkdir(exist_ok=True)
    for each in (content, b"".join(_sealed(line, b"x journal.jsonl") for line in content.splitlines(True))):
        (path.parent / JOURNAL).write_bytes(each)
        for entry in Journal(path.parent, "x").read()[0]:
            entry.is_whole(path.parent)
        read_journal(path.parent, "x")


def _sealed(line: bytes, of: bytes) -> bytes:
    """The same with a seal that is right; one is put behind its first bracket if it has none."""
    empty = b'"seal": "' + b"0" * 80 + b'"'
    if not SEAL.search(line):
        line = line.replace(b"{", b"{" + empty + b",", 1)
    if not (field := SEAL.search(line)):
        return line
    start = field.end() - 81
    content = line[:start] + b"0" * 80 + line[start + 80 :]
    bound = content[:start] + hashlib.sha256(of).hexdigest()[:16].encode() + content[start + 16 :]
    sum_ = hashlib.sha256(bound).hexdigest().encode()
    return bound[: start + 16] + sum_ + bound[start + 80 :]


def _store_note(path: Path) -> None:
    """A lease, a project's facts or an obituary: whatever it is, it stands in all three places."""
    from fsarctl.artifacts.cache_layout import Shelf
    from fsarctl.artifacts.removal import end_of
    from fsarctl.artifacts.sharing.leases import Leases
    from fsarctl.artifacts.sharing.projects import Projects
    from fsarctl.progress import SILENT

    root, content = path.parent / "store", path.read_bytes()
    shelf = Shelf(root, SILENT)
    places = (
        root / "leases" / "a.json",
        root / "projects" / "a" / "project.json",
        shelf.obituary("train", "k"),
    )
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    Leases(root / "leases", SILENT).readers()
    Projects(root / "projects", path.parent, SILENT).of_others()
    end_of(shelf, "train", "k")


def _result(path: Path) -> None:
    """result.json, or episodes.safetensors, with the other one as it was."""
    from fsarctl.results.predictions import Predictions
    from fsarctl.results.result import PREDICTIONS, RESULT, compare, load_result, write_result

    content = path.read_bytes()
    arrays = np.array([[0, 1], [1, 0]])
    scores = np.array([[[1, 0], [0, 1]], [[1, 0], [1, 0]]], np.float32)
    predictions = Predictions(("run", "jump"), arrays, arrays[..., None], arrays + 2, arrays, scores)
    facts = {"way": 2, "shot": 1, "query": 1, "episodes": 2, "seed": 0, "split": "test", "model": "x"}
    write_result(path.parent, predictions, [f"{n}" for n in range(4)], facts)
    (path.parent / (PREDICTIONS if path.suffix == ".safetensors" else RESULT)).write_bytes(content)
    result = load_result(path.parent)
    _ = result.accuracy, result.remarks
    compare(result, result)


def _log(path: Path) -> None:
    from fsarctl.episodes.training.training_log import LOG, read_log

    (path.parent / LOG).write_bytes(path.read_bytes())
    read_log(path.parent)


def _described(path: Path) -> None:
    from fsarctl.text.corpus import DESCRIPTIONS, load_descriptions, prompts_of

    (path.parent / DESCRIPTIONS).write_bytes(path.read_bytes())
    for label, sub_actions in load_descriptions(path.parent).items():
        prompts_of("stages", label, sub_actions)


def _frames(path: Path) -> None:
    """clips.json or zarr.json of a small store, whose other files are whole."""
    from fsarctl.frames.frame_store import ARRAY, ClipRow, FrameStore, FrameWriter, write_rows

    folder = path.parent / "frames"
    if not folder.exists():
        folder.mkdir()
        rows = [ClipRow(f"run/{n}", "run", n > 0, "pyav", 9, (1, 4), ()) for n in range(3)]
        FrameWriter(folder, 3, 2, 4).write(0, np.zeros((3, 2, 4, 4, 3), np.uint8))
        write_rows(folder, rows)
    place = folder / (f"{ARRAY}/zarr.json" if path.name.startswith("zarr") else "clips.json")
    whole = place.read_bytes()
    try:
        place.write_bytes(path.read_bytes())
        store = FrameStore(folder)
        if len(store) and store.frames * store.size**2 * store.candidates < 10**6:
            store.read([row for label in store.classes for row in store.rows_of(label)][:3])
    finally:
        place.write_bytes(whole)


def _class_sets(path: Path) -> None:
    from fsarctl.datasets.class_sets import FILE, ClassSets

    (path.parent / FILE).write_bytes(path.read_bytes())
    found = ClassSets.read(path.parent)
    assert found is not None
    _ = [found.sets[label] for label in found.sets]
    _ = [(found.groups or {})[clip] for clip in found.groups or {}]
