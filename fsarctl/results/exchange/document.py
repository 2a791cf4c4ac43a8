"""The file that finished results travel in: ``fsarctl.results/1``, JSON, gzip where its name ends in .gz.

    clips     [{dataset, split, digest, clips: [[name, label, SHA-256 of the file]], failed: [[name, label]]}]
    episodes  [{clips, way, shot, labels, classes, support, query, targets, groups}]
    results   [{slot, key, title, episodes, record, settings, method, weights, versions, predicted}]

``clips`` and ``episodes`` of an entry are places in the lists above it, since many results share them. Of an
episode ``classes`` are places in ``labels``, ``support`` (way x shot, class after class) and ``query`` are
places in ``clips``, ``targets`` and ``predicted`` columns, 0 to way - 1. ``groups``: of each clip, or null.

The same results give the same bytes: no time, host, user or path stands in it.
"""

import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

from fsarctl.errors import InputError
from fsarctl.errors.addresses import public_text

__all__ = ["MOST_BYTES", "SCHEMA", "file_bytes", "public"]

SCHEMA = "fsarctl.results/1"
MOST_BYTES = 64 * 2**20
"""More than this, decompressed, no file of results has."""

# A path from the root of a disk, a home or a share; "and/or" and "class/clip.mp4" are none.
_PATH = re.compile(r"(?<![\w.:/\\-])(?:file:/*|[A-Za-z]:[\\/]|~\w*[\\/]|\\\\|/)(?=[^\s/\\])[^\s\"'`<>|,;()]*")


def file_bytes(document: Mapping[str, Any], *, compressed: bool) -> bytes:
    """The bytes of the file.

    Raises:
        InputError: nobody would read so many.
    """
    # A name that is no Unicode becomes an escape that JSON reads as that name.
    content = (_lines(document) + "\n").encode("utf-8", "backslashreplace")
    if len(content) > MOST_BYTES:
        raise InputError(
            f"these results are {len(content) / 2**20:.0f} MiB; {MOST_BYTES / 2**20:.0f} are read at most",
            next_step="Export fewer at a time: name them.",
        )
    return gzip.compress(content, mtime=0) if compressed else content


def public(value: Any) -> Any:
    """A value without what only this machine's owner should know: paths to their last part, logins gone."""
    if isinstance(value, str):
        return _PATH.sub(_last_part, public_text(value))
    if isinstance(value, Mapping):
        return {public(key): public(each) for key, each in value.items()}
    return [public(each) for each in value] if isinstance(value, list | tuple) else value


def _last_part(match: re.Match[str]) -> str:
    return re.split(r"[\\/]", match.group().rstrip("\\/"))[-1]


def _lines(value: Any, depth: int = 0) -> str:
    """JSON, a list of rows or of entries one a line, so that two files can be told apart by `diff`."""
    rows = isinstance(value, list) and value and isinstance(value[0], list | dict)
    if not rows and not (isinstance(value, dict) and value):
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    pad = " " * (depth + 1)
    if isinstance(value, dict):
        inner = [f"{json.dumps(key)}: {_lines(value[key], depth + 1)}" for key in sorted(value)]
        return "{\n" + ",\n".join(pad + each for each in inner) + f"\n{' ' * depth}}}"
    if isinstance(value[0], list):
        inner = [json.dumps(e, ensure_ascii=False, allow_nan=False, separators=(",", ":")) for e in value]
    else:
        inner = [_lines(each, depth + 1) for each in value]
    return "[\n" + ",\n".join(pad + each for each in inner) + f"\n{' ' * depth}]"
