"""An artifact that arrives: its files are compared with its manifest one by one, and it is published whole.

Who sends it decides what it says; what it cannot do is to write anywhere but in its own folder, to take more
room than its manifest declares, or to be used with other bytes than these.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from fsarctl.artifacts.atomic_write import following, storage_errors, sync_file, write_synced
from fsarctl.artifacts.cache_layout import Shelf
from fsarctl.artifacts.keys import file_sha256
from fsarctl.artifacts.manifest import (
    MANIFEST,
    RESERVED,
    SOURCES,
    Artifact,
    Manifest,
    ManifestError,
    Stored,
    parse_manifest,
)
from fsarctl.artifacts.publishing import publish
from fsarctl.artifacts.sharing.work_places import give_back, new_place, take_over
from fsarctl.errors import InputError, IntegrityError

__all__ = ["MOST_MANIFEST", "Claim", "Fetch", "manifest_of", "parts_of", "receive", "unclaimed"]

Claim: TypeAlias = Callable[[str, str], None]
"""(stage, the name of an artifact's folder): notes who has a use for it."""
Fetch: TypeAlias = Callable[[str, Stored, Path], None]
"""(name, what is expected, where to write it): brings one file; what it wrote is compared afterwards."""

MOST_MANIFEST = 2**27
"""Bytes of a manifest: one of 100,000 videos has some 20 MB."""
AT_ONCE = 8
_STAGE = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_PART = re.compile(r"(?!\.{1,2}$)[^/\\\0-\x1f\x7f]{1,255}")


def manifest_of(raw: bytes, place: str) -> Manifest:
    """The manifest of an artifact that lies at ``place``, if all that it names may be written.

    Raises:
        IntegrityError: it is damaged, or names what no artifact holds.
    """
    try:
        manifest = parse_manifest(raw)
    except ManifestError as error:
        raise IntegrityError(f"{place}: {error}", next_step="Ask for it again where it is from.") from None
    names = [*manifest.files]
    strange = [name for name in names if not all(map(_PART.fullmatch, name.split("/"))) or len(name) > 1000]
    strange += [name for name in names if name in RESERVED]
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    strange += [name for name in names if name in folders]
    strange += [manifest.stage] if not _STAGE.fullmatch(manifest.stage) else []
    sizes = [each.bytes for each in parts_of(manifest).values()]
    if strange or not all(isinstance(size, int) and size >= 0 for size in sizes):
        what = f"a file called {strange[0][:60]!r}" if strange else "sizes that are none"
        raise IntegrityError(
            f"{place} is no artifact: it has {what}", next_step="Do not use what this came from."
        )
    return manifest


def parts_of(manifest: Manifest) -> Mapping[str, Stored]:
    """The files of an artifact beside its manifest, by name."""
    return {**manifest.files, **({SOURCES: manifest.sources} if manifest.sources else {})}


def unclaimed(stage: str, name: str) -> None:
    """Nobody is known to have a use for it."""


def receive(shelf: Shelf, raw: bytes, place: str, fetch: Fetch, claim: Claim = unclaimed) -> Artifact | None:
    """Bring the artifact whose manifest is ``raw``; None where it is there already.

    What an interrupted attempt brought is compared and kept. ``claim`` is told of what is new before it is
    there, so that no `gc` removes it as what nobody uses.

    Raises:
        IntegrityError: its manifest is none, or a file that came has other bytes.
        InputError: there is no room for it.
    """
    manifest = manifest_of(raw, place)
    stage, key = manifest.stage, manifest.key
    with storage_errors(shelf.root), following(shelf.root), shelf.lock(stage, key, manifest.slot):
        if shelf.get(stage, key) is not None:
            return None
        claim(stage, shelf.home(stage, key).name)
        rest = shelf.work(stage, key)
        rest = rest.with_name(f"{rest.name}-arriving")
        work = new_place(rest)
        take_over(rest, work, tuple, 0.0)
        folder = work / "folder"
        folder.mkdir(parents=True, exist_ok=True)
        _require_room(manifest, folder)

        def bring(part: tuple[str, Stored]) -> None:
            name, expected = part
            target = folder / name
            if not _is(target, expected):
                target.parent.mkdir(parents=True, exist_ok=True)
                fetch(name, expected, target)
                if not _is(target, expected):
                    target.unlink(missing_ok=True)
                    raise IntegrityError(
                        f"{place}: {name} of {manifest.slot} came with other bytes than its manifest says",
                        next_step="Nothing of it is used. Have it sent again where it is from.",
                    )
                sync_file(target)

        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for _ in pool.map(bring, parts_of(manifest).items()):
                    pass
            write_synced(folder / MANIFEST, raw)
            if publish(shelf, stage, key, work, raw):
                shelf.discard(work)
                return None
        finally:
            give_back(work, rest)
    return Artifact(shelf.home(stage, key), manifest)


def _is(path: Path, expected: Stored) -> bool:
    try:
        return path.stat().st_size == expected.bytes and file_sha256(path) == expected.sha256
    except FileNotFoundError:
        return False


def _require_room(manifest: Manifest, folder: Path) -> None:
    needed, free = sum(each.bytes for each in parts_of(manifest).values()), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{manifest.slot} takes {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free",
            next_step="Free some space (`fsarctl cache gc` removes what is old), or use another --cache.",
        )
