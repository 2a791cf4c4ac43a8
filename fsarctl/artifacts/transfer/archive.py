"""Artifacts in one file, for those without a network between them: a ZIP, not compressed, as frames are not.

    <stage>/<20 digits of the key>/manifest.json, and its files beside it

Names in the archive are only looked up, never written to: what is written is what the manifests name.
"""

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.artifacts.cache_layout import KEY_DIGITS, Shelf
from fsarctl.artifacts.manifest import MANIFEST, Artifact, Stored
from fsarctl.artifacts.refusals import A_FILE, sort_of
from fsarctl.artifacts.transfer.arrival import (
    MOST_MANIFEST,
    Claim,
    manifest_of,
    parts_of,
    receive,
    unclaimed,
)
from fsarctl.errors import InputError, IntegrityError
from fsarctl.progress import Reporter

__all__ = ["export_archive", "import_archive"]

CHUNK = 2**20
MOST_FILES = 2**22


def export_archive(artifacts: Sequence[Artifact], path: Path, reporter: Reporter) -> None:
    """Write whole artifacts to ``path``, which appears when all is in it. The same ones give the same bytes.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with (
            replacing(path, alone=False) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
            reporter.task("export", len(artifacts), "artifact") as advance,
        ):
            for each in sorted(artifacts, key=lambda found: (found.manifest.stage, found.key)):
                for name in (MANIFEST, *parts_of(each.manifest)):
                    info = zipfile.ZipInfo(f"{each.manifest.stage}/{each.key[:KEY_DIGITS]}/{name}")
                    info.external_attr = 0o644 << 16
                    with (
                        (each.path / name).open("rb") as source,
                        archive.open(info, "w", force_zip64=True) as target,
                    ):
                        shutil.copyfileobj(source, target, CHUNK)
                advance(1, each.manifest.slot)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", next_step="Name another place, or free some space."
        ) from None


def import_archive(
    path: Path, shelf: Shelf, reporter: Reporter, claim: Claim = unclaimed
) -> tuple[list[Artifact], int]:
    """Bring the artifacts of a file of ``export_archive``: those that are new here, and how many were there.

    Each is published when all of it has arrived and been compared; an interrupted import goes on. ``claim``:
    see ``receive``.

    Raises:
        InputError: it cannot be read, is no such file, or there is no room for it.
        IntegrityError: it is damaged, or holds what no artifact does; what came before that is kept.
    """
    arrived, there = [], 0
    with _reading(path):
        if (sort := sort_of(path.stat().st_mode)) != A_FILE:  # a pipe is waited for, and a device never ends
            raise InputError(
                f"{path} is {sort}, and no file", next_step="Name one that `fsarctl cache export` wrote."
            )
        archive = zipfile.ZipFile(path)
    with archive:
        members = _members(archive, path)
        manifests = [each for each in members if each.count("/") == 2 and each.endswith(f"/{MANIFEST}")]
        with reporter.task("import", len(manifests), "artifact") as advance:
            for name in manifests:
                raw = b"".join(_pieces(archive, members[name], path, MOST_MANIFEST))
                folder = name.removesuffix(MANIFEST)
                _require_its_place(raw, folder, members, path)

                def fetch(part: str, expected: Stored, target: Path, folder: str = folder) -> None:
                    _copy(archive, members[folder + part], expected, target, path)

                found = receive(shelf, raw, str(path), fetch, claim)
                arrived += [found] if found else []
                there += found is None
                advance()
    return arrived, there


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Around what zipfile does alone: whatever it raises of an archive is one error."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", next_step="Check the path.") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise IntegrityError(
            f"{path} is no archive of artifacts, or is damaged: {error}",
            next_step="Export it again with `fsarctl cache export`, and copy it whole.",
        ) from None


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if not info.filename:
            raise _strange(path, "")
        if info.is_dir():
            continue
        if info.filename in found or info.compress_type != zipfile.ZIP_STORED or len(found) > MOST_FILES:
            raise _strange(path, info.filename)
        found[info.filename] = info
    manifests = {name.removesuffix(MANIFEST) for name in found if name.endswith(f"/{MANIFEST}")}
    for name in found:
        parts = name.split("/", 2)
        if len(parts) < 3 or f"{parts[0]}/{parts[1]}/" not in manifests:
            raise _strange(path, name)
    return found


def _require_its_place(raw: bytes, folder: str, members: dict[str, zipfile.ZipInfo], path: Path) -> None:
    """That a manifest stands in its own folder, with its files and no others."""
    manifest = manifest_of(raw, str(path))
    expected = {folder + name for name in (MANIFEST, *parts_of(manifest))}
    here = {name for name in members if name.startswith(folder)}
    if folder != f"{manifest.stage}/{manifest.key[:KEY_DIGITS]}/" or here - expected:
        raise _strange(path, min(here - expected, default=folder))
    for name in sorted(expected - here):
        raise IntegrityError(
            f"{path}: {name} is missing", next_step="Export it again with `fsarctl cache export`."
        )


def _strange(path: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"{path} is no archive of artifacts: {name[:100]!r} is not part of one",
        next_step="Do not use what this came from; archives come from `fsarctl cache export`.",
    )


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, most: int) -> Iterator[bytes]:
    """The content of a member, which has at most so many bytes."""
    with _reading(path), archive.open(info) as source:
        while piece := source.read(min(CHUNK, most + 1)):
            most -= len(piece)
            if most < 0:
                raise _strange(path, info.filename)
            yield piece


def _copy(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, expected: Stored, target: Path, path: Path
) -> None:
    with target.open("wb") as file:
        for piece in _pieces(archive, info, path, expected.bytes):
            file.write(piece)
