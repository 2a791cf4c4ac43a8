"""extract: T frames of every clip of a split, decoded once and kept."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.artifacts import JSON, Artifact, Build, Files, Unit
from fsarctl.config import ExtractConfig
from fsarctl.data.clips import Clip
from fsarctl.errors import InputError

if TYPE_CHECKING:
    from fsarctl.data.frame_store import ClipRow

__all__ = ["STAGE", "VERSION", "require_no_failures", "unit"]

STAGE = "extract"
VERSION = 1

RESIZE = "squash"
NAMED_FAILURES = 3
STRICT_STEP = "Repair or remove them, or leave out --strict: they are then skipped and listed."


def unit(
    dataset: str,
    split: str,
    clips: Sequence[Clip] | Unit,
    config: ExtractConfig,
    size: int,
    *,
    workers: int,
    strict: bool = False,
    time_limit_s: float = 60,
) -> Unit:
    """The frames of one split: frames.zarr, clips.json and failures.json (``FrameStore`` reads them).

    ``clips``: videos on disk, or the unit that renders them (its clips.json lists name, label and
    file). ``size``: side of the stored square, pixels. ``workers``, ``strict`` and ``time_limit_s``
    (seconds per video) do not enter the key.

    Raises (when built):
        InputError: no clip could be decoded, or, with ``strict``, one could not.
    """
    settings: dict[str, JSON] = {"frames": config.frames, "size": size, "resize": RESIZE}
    videos: Unit | Files
    if isinstance(clips, Unit):
        videos = clips
    else:
        videos = Files({clip.name: clip.path for clip in clips})
        listing = json.dumps([(clip.name, clip.label) for clip in clips]).encode()
        settings["clips"] = hashlib.sha256(listing).hexdigest()

    def fill(build: Build) -> None:
        from fsarctl.data.extraction import extract_clips

        rows = extract_clips(
            _rendered(build.inputs["videos"]) if isinstance(clips, Unit) else clips,
            build.folder,
            build.scratch,
            frames=config.frames,
            size=size,
            workers=workers,
            reporter=build.reporter,
            time_limit_s=time_limit_s,
            title=f"extract {dataset}/{split}",
        )
        failed = [row for row in rows if not row.valid]
        build.record("clips", len(rows))
        build.record("failures", len(failed))
        build.record("decoders", dict(Counter(row.decoder for row in rows if row.valid)))
        if failed and strict:
            raise InputError(
                _summary(dataset, split, failed, len(rows)),
                next_step=STRICT_STEP,
            )
        if failed:
            build.reporter.note(f"{_summary(dataset, split, failed, len(rows))}. failures.json lists them.")

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"extract {dataset}/{split}",
        command="fsarctl extract",
        config=settings,
        build=fill,
        inputs={"videos": videos},
    )


def require_no_failures(artifact: Artifact) -> None:
    """What ``strict`` asks of an artifact that was made without it.

    Raises:
        InputError: some clips have no frames.
    """
    path = artifact.path / "failures.json"
    failures = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    if failures:
        raise InputError(
            f"{artifact.manifest.slot}: {len(failures)} clips could not be decoded,"
            f" {failures[0]['name']} ({failures[0]['reason']}) among them",
            next_step=STRICT_STEP,
        )


def _rendered(folder: Path) -> list[Clip]:
    rows = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
    return [Clip(row["name"], row["label"], folder / row["file"]) for row in rows]


def _summary(dataset: str, split: str, failed: "Sequence[ClipRow]", total: int) -> str:
    named = ", ".join(f"{row.name} ({'; '.join(row.problems)})" for row in failed[:NAMED_FAILURES])
    more = f" and {len(failed) - NAMED_FAILURES} more" if len(failed) > NAMED_FAILURES else ""
    return f"extract {dataset}/{split}: {len(failed)} of {total} clips could not be decoded: {named}{more}"
