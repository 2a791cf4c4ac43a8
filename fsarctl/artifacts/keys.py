"""What identifies a unit and what identifies bytes: canonical JSON, keys, digests.

    key    = sha256(canonical(stage, version, config, {input name: digest}))
    digest = sha256 over the sorted (name, sha256 of the content) of an artifact's or an input's files

Keys depend on digests, never on upstream keys: an upstream that is made again with the same bytes
changes nothing downstream.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fsarctl.artifacts.unit import JSON
from fsarctl.errors import ConfigError

__all__ = ["canonical", "digest_of", "file_sha256", "key_of"]


def canonical(value: JSON, field: str = "config") -> bytes:
    """The one spelling of a value: equal values give equal bytes, different ones different bytes.

    Every value carries its type, so 1, 1.0, True and "1" differ. Lists and tuples are the same thing;
    the order of a mapping's keys does not count; text is taken code point by code point, never
    normalised; -0.0 differs from 0.0, for a needless recomputation is cheaper than a wrong answer.
    ``field`` names the value in errors.

    Raises:
        ConfigError: a number is NaN or infinite.
        TypeError: the value is not JSON.
    """
    return _compact(_tagged(value, field))


def key_of(stage: str, version: int, config: Mapping[str, JSON], inputs: Mapping[str, str]) -> str:
    """The key of a unit, 64 hexadecimal digits; ``inputs`` maps each input's name to its digest.

    Raises:
        ConfigError, TypeError: see ``canonical``.
    """
    return hashlib.sha256(
        _compact([stage, version, _tagged(config, "config"), sorted(inputs.items())])
    ).hexdigest()


def digest_of(contents: Mapping[str, str]) -> str:
    """The digest of named contents; ``contents`` maps each name to the sha256 of its bytes."""
    return hashlib.sha256(_compact(sorted(contents.items()))).hexdigest()


def file_sha256(path: Path | str) -> str:
    """The sha256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as stream:  # noqa: PTH123 - 100,000 Path objects cost more than their files
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _compact(value: object) -> bytes:
    # Not ensure_ascii: it would spell one astral character and two lone surrogates alike.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _tagged(value: JSON, field: str) -> list[object]:
    if value is None:
        return ["null"]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", int.__repr__(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{field} is {value}; it must be a finite number")
        return ["float", float.__repr__(value)]
    if isinstance(value, str):
        return ["str", value]
    if isinstance(value, Mapping):
        if wrong := [name for name in value if not isinstance(name, str)]:
            raise TypeError(f"{field} has a key that is not text: {wrong[0]!r}")
        return ["map", [[name, _tagged(value[name], f"{field}.{name}")] for name in sorted(value)]]
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return ["list", [_tagged(item, f"{field}[{index}]") for index, item in enumerate(value)]]
    raise TypeError(f"{field} is a {type(value).__name__}, which has no place in a key")
