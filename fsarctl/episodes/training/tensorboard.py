"""TensorBoard, for who has it installed: the lines of the training log as scalars. Nothing of it is imported
otherwise."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsarctl.episodes.training.training_log import Line, Watch
from fsarctl.errors import ConfigError
from fsarctl.errors.extras import require_extra

__all__ = ["require_board", "run_name", "watching"]

SCALARS = {
    "interval": {"loss": "train/loss", "accuracy": "train/accuracy"},
    "epoch": {"val_accuracy": "validation/accuracy"},
}
"""Kind of a line -> its numbers, and what TensorBoard calls them."""


def require_board() -> None:
    """Refuse to go on without the package.

    Raises:
        ConfigError: it is not installed.
    """
    otherwise = "; or leave the flag out: log.jsonl of the train artifact has the same numbers."
    require_extra("--tensorboard", "tensorboard", "tensorboard", otherwise=otherwise)


def run_name(title: str, config: Mapping[str, Any]) -> str:
    """A folder's name for a training run: ``title``, what it is, and a digest of its settings."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', title).strip('-')}-{digest}"


@contextmanager
def watching(folder: Path | None, name: str) -> Iterator[Watch]:
    """Where the lines of a training log go: the run ``name`` in ``folder``, or nowhere.

    A run of that name that is there already is replaced, so an interrupted one that goes on is one curve.

    Raises:
        ConfigError: the folder cannot be written.
    """
    if folder is None:
        yield lambda line: None
        return
    from torch.utils.tensorboard import SummaryWriter

    try:
        writer = SummaryWriter(log_dir=str(folder / name), purge_step=0)
    except OSError as error:
        raise ConfigError(
            f"--tensorboard {folder} cannot be written: {error.strerror}", next_step="Name another folder."
        ) from None

    def watch(line: Line) -> None:
        for number, tag in SCALARS[line["kind"]].items():
            writer.add_scalar(tag, line[number], line["step"])

    try:
        yield watch
    finally:
        writer.close()
