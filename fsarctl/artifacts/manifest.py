"""The manifest: what an artifact holds, what it was made from, and how to make it again.

``manifest.json`` is the last file written: no manifest, no artifact. Its own last line seals every
byte before it, so a flipped bit in the manifest is found like one in any other file. Beside it,
``sources.json`` lists the files outside the store that went in, by name.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fsarctl.artifacts.keys import digest_of, key_of
from fsarctl.artifacts.refusals import content_of, is_refused
from fsarctl.artifacts.unfinished.journal import is_within
from fsarctl.artifacts.unit import JSON
from fsarctl.errors import ConfigError

__all__ = [
    "MANIFEST",
    "RESERVED",
    "SOURCES",
    "Artifact",
    "Manifest",
    "ManifestError",
    "Source",
    "Stored",
    "content_digest",
    "parse_manifest",
    "read_manifest",
    "read_sources",
    "render_manifest",
    "render_sources",
]

MANIFEST = "manifest.json"
SOURCES = "sources.json"
RESERVED = (MANIFEST, SOURCES)

_SEAL = b',\n "seal": "'
_END = b'"\n}\n'


class ManifestError(ValueError):
    """There is no manifest, or it is not the one that was written."""


class Stored(NamedTuple):
    """One file of an artifact: its size in bytes and the sha256 of its content."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """One input: its digest, and the artifact (stage, slot, key) or the number of files it was."""

    digest: str
    stage: str = ""
    slot: str = ""
    key: str = ""
    files: int = 0


@dataclass(frozen=True)
class Manifest:
    """See the module.

    ``files`` are by relative path; those in ``aside`` do not count in ``digest``. ``sources`` is
    sources.json, None where no outside file went in;
    ``provenance`` holds created, seconds, resumed, host, platform, python, packages, git and facts (what the
    stage recorded: device, counts).
    """

    stage: str
    version: int
    slot: str
    key: str
    digest: str
    command: str
    config: Mapping[str, JSON]
    inputs: Mapping[str, Source]
    files: Mapping[str, Stored]
    sources: Stored | None
    provenance: Mapping[str, JSON]
    aside: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the artifact's files, manifest excluded."""
        return sum(stored.bytes for stored in self.files.values())

    @property
    def created(self) -> str:
        """When it was published, ISO 8601 in UTC: later ones sort later."""
        return str(self.provenance.get("created", ""))

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the stage recorded; empty where it recorded nothing."""
        facts = self.provenance.get("facts")
        return facts if isinstance(facts, Mapping) else {}


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: its folder, read-only, and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        return self.manifest.key

    @property
    def digest(self) -> str:
        return self.manifest.digest


def render_manifest(manifest: Manifest) -> bytes:
    """The bytes of manifest.json."""
    fields = {"format": 1, **vars(manifest)}
    fields["inputs"] = {name: asdict(source) for name, source in manifest.inputs.items()}
    fields["files"] = {name: stored._asdict() for name, stored in manifest.files.items()}
    fields["sources"] = manifest.sources and manifest.sources._asdict()
    body = json.dumps(fields, indent=1, allow_nan=False, default=_plain).removesuffix("\n}").encode()
    return body + _SEAL + hashlib.sha256(body).hexdigest().encode() + _END


def read_manifest(folder: Path) -> Manifest:
    """The manifest in an artifact's folder.

    Raises:
        ManifestError: it is missing, damaged, or contradicts itself.
        OSError: it cannot be read, which says nothing of it.
    """
    try:
        raw = content_of(folder / MANIFEST)
    except FileNotFoundError as error:
        raise ManifestError("it has no manifest") from error
    except OSError as error:
        if is_refused(error):
            raise
        raise ManifestError(f"its manifest cannot be read ({error.strerror})") from error
    return parse_manifest(raw)


def parse_manifest(raw: bytes) -> Manifest:
    """The manifest in these bytes, sealed and consistent.

    Raises:
        ManifestError: it is damaged, or contradicts itself.
    """
    body, _, seal = raw.rpartition(_SEAL)
    if seal != hashlib.sha256(body).hexdigest().encode() + _END:
        raise ManifestError("its manifest is damaged (the seal does not match)")
    try:
        fields: dict[str, Any] = json.loads(raw)
        if fields.pop("format") != 1:
            raise ManifestError("its manifest is of another format")
        del fields["seal"]
        fields["inputs"] = {name: Source(**source) for name, source in fields["inputs"].items()}
        fields["files"] = {name: Stored(**stored) for name, stored in fields["files"].items()}
        fields["sources"] = fields["sources"] and Stored(**fields["sources"])
        fields["aside"] = tuple(fields.get("aside", ()))
        manifest = Manifest(**fields)
        _require_sense(manifest)
        inputs = {name: source.digest for name, source in manifest.inputs.items()}
        key = key_of(manifest.stage, manifest.version, manifest.config, inputs)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, ConfigError) as error:
        raise ManifestError(f"its manifest makes no sense ({error})") from error
    if manifest.key != key:
        raise ManifestError("its manifest contradicts its key")
    if manifest.digest != content_digest(manifest.files, manifest.aside):
        raise ManifestError("its manifest contradicts its digest")
    return manifest


def _require_sense(manifest: Manifest) -> None:
    """Refuse what no build writes: a seal says that bytes are whole, not that they are fsarctl's.

    Raises:
        ValueError: a field is of another type, or a file is named that is not in the artifact's folder.
    """
    words = (manifest.stage, manifest.slot, manifest.key, manifest.digest, manifest.command, *manifest.aside)
    sources = [
        each for source in manifest.inputs.values() for each in (source.digest, source.stage, source.key)
    ]
    sizes = [stored.bytes for stored in (*manifest.files.values(), *filter(None, (manifest.sources,)))]
    sums = [stored.sha256 for stored in (*manifest.files.values(), *filter(None, (manifest.sources,)))]
    tables = (manifest.config, manifest.provenance)
    if not (
        all(isinstance(word, str) for word in (*words, *sources, *sums))
        and all(isinstance(number, int) for number in (manifest.version, *sizes))
        and all(isinstance(table, dict) for table in tables)
    ):
        raise ValueError("a field is of another type")
    if not all(0 <= size < 2**63 for size in sizes):
        raise ValueError("a file has a size that none has")
    if outside := [name for name in manifest.files if not is_within(name)]:
        raise ValueError(f"{outside[0]!r} is no file of its folder")


def content_digest(files: Mapping[str, Stored], aside: Sequence[str]) -> str:
    """The digest of an artifact's files, but for those that only say how it was made."""
    return digest_of({name: stored.sha256 for name, stored in files.items() if name not in aside})


def _plain(value: object) -> object:
    """Mappings and sequences that are not dict or list, as those."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no place in a manifest")


def render_sources(sources: Mapping[str, Mapping[str, str]]) -> bytes:
    """The bytes of sources.json: {input: {file name: sha256}}."""
    return (json.dumps(sources, indent=1, sort_keys=True) + "\n").encode()


def read_sources(artifact: Artifact) -> Mapping[str, Mapping[str, str]]:
    """The listing of the outside files that an artifact was made from; empty when it cannot be read."""
    try:
        raw = content_of(artifact.path / SOURCES)
    except OSError:
        return {}
    written = artifact.manifest.sources
    if written is None or hashlib.sha256(raw).hexdigest() != written.sha256:
        return {}
    try:
        sources: dict[str, dict[str, str]] = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    listed = isinstance(sources, dict) and all(isinstance(files, dict) for files in sources.values())
    return sources if listed else {}
