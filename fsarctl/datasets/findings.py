"""What whoever plans has found out about datasets and their clips, so that it is asked for once.

The one who plans for many writes it down, and they read it: a hundred thousand clips are one file for them.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fsarctl.artifacts.file_stat import Look
from fsarctl.artifacts.unit import Files
from fsarctl.datasets.clip_files import ClipFile, clip_files
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.video_tree import LeftOut, PassedOver

__all__ = ["Findings", "Known"]


@dataclass(frozen=True)
class Known:
    """What of a file was found out: how it looked, and the SHA-256 of its content."""

    look: Look
    sha256: str


@dataclass(frozen=True)
class Findings:
    """``datasets``: by name and settings. ``clips``: by the words that named them. ``files``: by path."""

    datasets: dict[str, Dataset] = field(default_factory=dict)
    clips: dict[str, list[ClipFile]] = field(default_factory=dict)
    files: Mapping[str, Known] = field(default_factory=dict)

    def clip_files(self, paths: Sequence[Path], note: Callable[[str], None]) -> list[ClipFile]:
        """What ``paths`` name, looked at once; see ``clip_files``.

        Raises:
            InputError: a path is not there, or a folder holds no video.
        """
        words = json.dumps([*map(str, paths)])
        if words not in self.clips:
            self.clips[words] = clip_files(paths, note)
        return self.clips[words]

    def render(self, looked_at: Iterable[tuple[Files, Mapping[str, str]]]) -> bytes:
        """It as bytes, with what is known of the files of inputs: each input, and name -> SHA-256."""
        rows = [
            (path, *source.seen[path], listing[name])
            for source, listing in looked_at
            for name, path in ((name, str(path)) for name, path in source.paths.items())
        ]
        named = {words: [(each.name, str(each.path)) for each in some] for words, some in self.clips.items()}
        document = {
            "datasets": {key: _told(dataset) for key, dataset in self.datasets.items()},
            "clips": named,
            "files": rows,
        }
        return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)

    @classmethod
    def parse(cls, content: bytes) -> "Findings":
        """What ``render`` gave."""
        document = json.loads(zlib.decompress(content))
        return cls(
            {key: _dataset(told) for key, told in document["datasets"].items()},
            {
                words: [ClipFile(name, Path(path)) for name, path in some]
                for words, some in document["clips"].items()
            },
            {path: Known(Look(*look), sha256) for path, *look, sha256 in document["files"]},
        )


def _told(dataset: Dataset) -> dict[str, Any]:
    told = {each.name: getattr(dataset, each.name) for each in fields(dataset)}
    return {
        **told,
        "clips": {
            split: [(clip.name, clip.label, clip.file, clip.group) for clip in some]
            for split, some in dataset.clips.items()
        },
        "passed_over": [(each.path, each.reason) for each in dataset.passed_over],
        "left_out": [(each.ending, each.files, each.such_as) for each in dataset.left_out],
    }


def _dataset(told: Mapping[str, Any]) -> Dataset:
    return Dataset(
        **{
            **told,
            "clips": {split: tuple(Clip(*each) for each in some) for split, some in told["clips"].items()},
            "missing": {split: tuple(some) for split, some in told["missing"].items()},
            "passed_over": tuple(PassedOver(*each) for each in told["passed_over"]),
            "left_out": tuple(LeftOut(*each) for each in told["left_out"]),
            "remarks": tuple(told["remarks"]),
        }
    )
