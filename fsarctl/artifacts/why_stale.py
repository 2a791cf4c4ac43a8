"""Why an answer is outdated: what changed since it was computed, field by field."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fsarctl.artifacts.keys import canonical
from fsarctl.artifacts.manifest import Manifest
from fsarctl.artifacts.unit import JSON, Unit
from fsarctl.progress import shortened

__all__ = ["Change", "changes"]

NAMED = 5  # files named of each sort: added, removed, changed
SHOWN = 60  # characters of a value on a line
DIGEST_DIGITS = 12


@dataclass(frozen=True)
class Change:
    """One field that differs; ``field`` is dotted ("config.train.lr"), None stands for absence."""

    field: str
    old: JSON
    new: JSON

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.old)} -> {_shown(self.new)}"


def changes(
    unit: Unit,
    digests: Mapping[str, str | None],
    listings: Mapping[str, Mapping[str, str]],
    old: Manifest,
    old_listings: Mapping[str, Mapping[str, str]],
) -> tuple[Change, ...]:
    """How a unit differs from the artifact that last answered its slot.

    ``digests`` are those of the unit's inputs today, None where the upstream is not made yet;
    ``listings`` name the files of its Files inputs, with their sha256.
    """
    found: list[Change] = []
    if unit.version != old.version:
        found.append(Change("version", old.version, unit.version))
    found += _differences("config", old.config, unit.config)
    for name in sorted({*old.inputs, *digests}):
        path = f"inputs.{name}"
        before = old.inputs[name].digest if name in old.inputs else None
        after = digests.get(name)
        if before is not None and before == after:
            continue
        if name in listings and name in old_listings:
            before_files, after_files = (
                {file: sha256[:DIGEST_DIGITS] for file, sha256 in listing.items()}
                for listing in (old_listings[name], listings[name])
            )
            found += _name_changes(path, "files", before_files, after_files)
            continue
        upstream = unit.inputs.get(name)
        if after is None and isinstance(upstream, Unit):
            found.append(Change(path, _short(before), f"not made yet: {upstream.slot}"))
        else:
            found.append(Change(path, _short(before), _short(after)))
    return tuple(found)


def _differences(path: str, old: JSON, new: JSON) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            if name not in old:
                yield Change(f"{path}.{name}", None, new[name])
            elif name not in new:
                yield Change(f"{path}.{name}", old[name], None)
            else:
                yield from _differences(f"{path}.{name}", old[name], new[name])
    elif canonical(old) != canonical(new):
        before, after = _names(old), _names(new)
        if before and after and before.keys() != after.keys() and max(len(before), len(after)) > NAMED:
            yield from _name_changes(path, "entries", before, after)
        else:
            yield Change(path, old, new)


def _names(value: JSON) -> dict[str, str]:
    """A list of texts as {text: text}; empty for anything else."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {item: item for item in value if isinstance(item, str)}
    return {}


def _name_changes(path: str, noun: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """A long listing that changed: its counts, then the first few names of each sort."""
    added = sorted(new.keys() - old.keys())
    removed = sorted(old.keys() - new.keys())
    changed = sorted(name for name in new.keys() & old.keys() if new[name] != old[name])
    counts = f"{len(added)} added, {len(removed)} removed, {len(changed)} changed"
    yield Change(path, f"{len(old):,} {noun}", f"{len(new):,} {noun}: {counts}")
    for name in [*added[:NAMED], *removed[:NAMED], *changed[:NAMED]]:
        yield Change(f"{path}[{name}]", old.get(name), new.get(name))


def _short(digest: str | None) -> str | None:
    return digest and digest[:DIGEST_DIGITS]


def _shown(value: JSON) -> str:
    if value is None:
        return "nothing"
    return shortened(json.dumps(value, ensure_ascii=False, default=dict), SHOWN)
