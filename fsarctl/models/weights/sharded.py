"""Weights in several files and an index of them, as the Hugging Face hub has large models. Needs no torch."""

import json
import re
from pathlib import Path

from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["INDEX", "shards_of"]

INDEX = ".index.json"


def shards_of(path: Path) -> list[Path]:
    """The files that ``path`` stands for: the shards of an index, in order of name, or the file itself.

    Raises:
        InputError: the index is none or names files that are not beside it; or ``path`` is one shard.
    """
    part = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})(\.\w+)", path.name)
    if part and int(part[2]) > 1:
        raise InputError(
            f"{path} is one of {int(part[2])} files that hold the weights together",
            next_step=f"Set model.weights to their index, {part[1]}{part[3]}{INDEX}.",
        )
    if not path.name.endswith(INDEX):
        return [path]
    try:
        names = sorted({*json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()})
        if not names or any(Path(name).name != name for name in names):
            raise ValueError(names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path} cannot be read as weights: it is no index of weight files",
            next_step="An index is JSON whose weight_map names files beside it. Fetch it again.",
        ) from None
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise InputError(
            f"{path} names {len(names)} files, and {len(missing)} are not there: {first_of(missing, 3)}",
            next_step=f"Put them into {path.parent}.",
        )
    return [path.parent / name for name in names]
