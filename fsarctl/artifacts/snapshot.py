"""One consistent look at a graph of units: each file hashed once, each key computed once."""

import hashlib
from collections.abc import Callable, Iterable, Mapping

from fsarctl.artifacts.hashes import HashMemory
from fsarctl.artifacts.keys import canonical, digest_of, key_of
from fsarctl.artifacts.manifest import Artifact
from fsarctl.artifacts.unit import Files, Unit

__all__ = ["Snapshot"]


class Snapshot:
    """The digests, keys and artifacts of units as they are when first asked for.

    Two units that ask the same (stage, version, slot, configuration and inputs) are one, even when they
    are separate objects.
    """

    def __init__(
        self,
        hashes: HashMemory,
        get: Callable[[str, str], Artifact | None],
        newest: Callable[[str], Mapping[str, Artifact]],
    ) -> None:
        self._hashes = hashes
        self._get = get
        self._list_newest = newest
        self._newest: dict[str, Mapping[str, Artifact]] = {}
        self._file_sha256: dict[str, str] = {}
        self._listings: dict[int, dict[str, str]] = {}
        self._digests: dict[int, str] = {}
        self._identities: dict[int, str] = {}
        self._artifacts: dict[str, Artifact | None] = {}
        self._alive: list[object] = []  # an id() is unique only while its object lives

    def order(self, units: Iterable[Unit]) -> list[Unit]:
        """The units and everything upstream of them, each once, upstream first."""
        ordered: dict[str, Unit] = {}

        def visit(unit: Unit) -> None:
            if self.identity(unit) not in ordered:
                for source in unit.inputs.values():
                    if isinstance(source, Unit):
                        visit(source)
                ordered[self.identity(unit)] = unit

        for unit in units:
            visit(unit)
        return list(ordered.values())

    def identity(self, unit: Unit) -> str:
        """What a unit asks, known even while its upstream is not made (and its key therefore unknown)."""
        if id(unit) not in self._identities:
            inputs = {
                name: self.identity(source) if isinstance(source, Unit) else self.files_digest(source)
                for name, source in unit.inputs.items()
            }
            asked = key_of(unit.stage, unit.version, unit.config, inputs)
            self._identities[id(unit)] = hashlib.sha256(canonical([asked, unit.slot])).hexdigest()
            self._alive.append(unit)
        return self._identities[id(unit)]

    def artifact(self, unit: Unit) -> Artifact | None:
        """The unit's artifact, None while it or one upstream is not made."""
        identity = self.identity(unit)
        if identity not in self._artifacts:
            key = self.key(unit)
            self._artifacts[identity] = None if key is None else self._get(unit.stage, key)
        return self._artifacts[identity]

    def newest(self, stage: str, slot: str) -> Artifact | None:
        """The artifact that last answered a slot's question, whatever its key; all are listed once."""
        if stage not in self._newest:
            self._newest[stage] = self._list_newest(stage)
        return self._newest[stage].get(slot)

    def again(self, unit: Unit) -> Artifact | None:
        """The unit's artifact, looked for anew if there was none."""
        if self._artifacts.get(self.identity(unit)) is None:
            self._artifacts.pop(self.identity(unit), None)
        return self.artifact(unit)

    def found(self) -> list[Artifact]:
        """The artifacts that were asked for so far, and are there."""
        return [artifact for artifact in self._artifacts.values() if artifact is not None]

    def learn(self, unit: Unit, artifact: Artifact) -> None:
        """Takes note that the unit's artifact is there now."""
        self._artifacts[self.identity(unit)] = artifact

    def key(self, unit: Unit) -> str | None:
        """The unit's key, None while one upstream is not made."""
        digests: dict[str, str] = {}
        for name, digest in self.digests(unit).items():
            if digest is None:
                return None
            digests[name] = digest
        return key_of(unit.stage, unit.version, unit.config, digests)

    def digests(self, unit: Unit) -> dict[str, str | None]:
        """The digest of each input, None where an upstream is not made."""
        return {name: self._digest(source) for name, source in unit.inputs.items()}

    def listings(self, unit: Unit) -> dict[str, Mapping[str, str]]:
        """{file name: sha256} of each of the unit's Files inputs."""
        return {
            name: self.listing(source) for name, source in unit.inputs.items() if isinstance(source, Files)
        }

    def listing(self, source: Files) -> Mapping[str, str]:
        """{file name: sha256} of one Files input."""
        if id(source) not in self._listings:
            paths = {name: str(path) for name, path in source.paths.items()}
            self._file_sha256.update(source.known)
            unseen = [path for path in paths.values() if path not in self._file_sha256]
            self._file_sha256.update(self._hashes.sha256(unseen, source.seen, source.members))
            self._listings[id(source)] = {name: self._file_sha256[path] for name, path in paths.items()}
            self._alive.append(source)
        return self._listings[id(source)]

    def files_digest(self, source: Files) -> str:
        """The digest of one Files input."""
        listing = self.listing(source)
        if id(source) not in self._digests:
            self._digests[id(source)] = digest_of(listing)
        return self._digests[id(source)]

    def _digest(self, source: Unit | Files) -> str | None:
        if isinstance(source, Files):
            return self.files_digest(source)
        artifact = self.artifact(source)
        return None if artifact is None else artifact.digest
