"""extract: T frames of every clip of a split, decoded once and kept."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fsarctl.artifacts import JSON, Artifact, Build, Files, Parts, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.plugins import Part
from fsarctl.config.tables import ExtractConfig
from fsarctl.datasets.class_sets import ClassSets
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.findings import Known
from fsarctl.errors import InputError
from fsarctl.frames import ASIDE
from fsarctl.progress import first_of
from fsarctl.stages.slots import Slot
from fsarctl.video.frame_folders.images import frames_of, look_at
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from fsarctl.frames.extraction import Extraction, Extractor
    from fsarctl.frames.frame_store import ClipRow

__all__ = ["STAGE", "VERSION", "failure_note", "require_no_failures", "retry_hint", "Videos", "unit"]

STAGE = "extract"
VERSION = 5

NAMED_FAILURES = 3
STRICT_STEP = "Repair or remove them, or leave out --strict: they are then skipped and listed."
MORE_TIME = 4


@dataclass(frozen=True)
class Videos:
    """Clips on disk, looked at once: ``unreadable`` says of a clip's name why its file cannot be opened."""

    clips: Sequence[Clip]
    files: Files
    unreadable: Mapping[str, str]
    sha256: str
    """Of the names and labels, in order."""

    @classmethod
    def look(cls, clips: Sequence[Clip], known: Mapping[str, Known] = MappingProxyType({})) -> "Videos":
        """Ask the file system for each of them, but for paths that are ``known``."""
        looks = [
            (clip, found.look, "") if (found := known.get(clip.file)) else (clip, *look_at(clip.file))
            for clip in clips
        ]
        unreadable = {clip.name: reason for clip, _, reason in looks if reason}
        there = {clip.name: clip.file for clip, facts, _ in looks if facts}
        seen = {clip.file: facts for clip, facts, _ in looks if facts}
        sha256 = {path: found.sha256 for path in seen if (found := known.get(path))}
        files = Files(there, seen, frames_of, sha256)
        listing = json.dumps([(clip.name, clip.label) for clip in clips]).encode()
        return cls(clips, files, unreadable, hashlib.sha256(listing).hexdigest())


def unit(
    dataset: str,
    split: str,
    clips: Videos | Unit,
    config: ExtractConfig,
    size: int,
    *,
    candidates: int = 1,
    kind: Part | None = None,
    workers: int,
    strict: bool = False,
    time_limit_s: float = TIME_LIMIT_S,
) -> Unit:
    """The frames of one split: frames.zarr and clips.json, which ``FrameStore`` reads, and how they were had.

    ``clips``: videos on disk, or the unit that renders them (its clips.json lists name, label and
    file). ``size``: side of the stored square, pixels. ``candidates``: frames per segment.
    ``kind``: the part that opened the dataset, where that is somebody else's. ``workers``,
    ``strict`` and ``time_limit_s`` (seconds per video) do not enter the key. A clip whose file cannot be
    opened is a failure like any other; mended, it changes the key.

    Raises (when built):
        InputError: no clip could be decoded, or, with ``strict``, one could not.
    """
    settings: dict[str, JSON] = {
        "frames": config.frames,
        "candidates": candidates,
        "size": size,
        "resize": config.resize,
    }
    if config.resize == "aspect":
        # Frames that took the first one's shape were kept under the other settings alone.
        settings["shape"] = "of each frame"
    key = dict(settings)
    videos: Unit | Files
    if isinstance(clips, Unit):
        videos = clips
    else:
        videos = clips.files
        key["clips"] = clips.sha256
    if kind is not None:
        key["kind"] = kind.key

    def extractor(build: Build, workers: int) -> "Extractor":
        from fsarctl.frames.extraction import Extractor, Sources

        digests = build.digests.get("videos", {})
        unreadable = {} if isinstance(clips, Unit) else dict(clips.unreadable)
        if isinstance(clips, Unit):
            listed, digests = _rendered(build.inputs["videos"], digests)
        else:
            listed = list(clips.clips)
        return Extractor(
            listed,
            build.folder,
            build.scratch,
            frames=config.frames,
            candidates=candidates,
            size=size,
            resize=config.resize,
            workers=workers,
            reporter=build.reporter,
            time_limit_s=time_limit_s,
            title=f"extract {dataset}/{split}",
            settings={**settings, "version": VERSION},
            sources=Sources(digests, unreadable, build.earlier()),
            of=build.of,
            require_unchanged=lambda names: build.require_unchanged("videos", names),
        )

    def fill(build: Build) -> None:
        extraction = extractor(build, workers).extract()
        if isinstance(clips, Unit) and (sets := ClassSets.read(build.inputs["videos"])):
            sets.write(build.folder)
        _record(build, extraction, time_limit_s)
        failed = [row for row in extraction.rows if not row.valid]
        if failed:
            summary = _summary(dataset, split, failed, len(extraction.rows))
            if strict:
                raise InputError(summary, next_step=STRICT_STEP)
            build.reporter.note(f"{summary}. failures.json lists them.")

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=str(Slot.of_split(STAGE, dataset, split)),
        command=Command("extract"),
        config=key,
        build=fill,
        inputs={"videos": videos},
        aside=ASIDE,
        reuses=True,
        parts=Parts(lambda build: extractor(build, 1).left(), lambda build: extractor(build, 1).make),
        cores=workers,
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


def failure_note(artifact: Artifact) -> str:
    """How many of its clips have no frames, and where to read why; "" where all have."""
    count = artifact.manifest.facts.get("failures", 0) if artifact.manifest.stage == STAGE else 0
    if not count:
        return ""
    return f"{artifact.manifest.slot}: {count} of its clips have no frames: {artifact.path / 'failures.json'}"


def retry_hint(artifact: Artifact, command: Command) -> str:
    """What to say of an artifact that lacks clips only because of bad luck; "" where there are none.

    ``command`` is what makes the artifact.
    """
    facts = artifact.manifest.facts
    count = facts.get("retry", 0) if artifact.manifest.stage == STAGE else 0
    if not count:
        return ""
    limit = f"{MORE_TIME * float(facts.get('time_limit_s', 0)):g}"
    retry = command.with_options(Option("--retry"), Option("--time-limit", (limit,)))
    return (
        f"{artifact.manifest.slot}: {count} of its failures may be bad luck (out of time, or the decoder"
        f" crashed). To try {'it' if count == 1 else 'them'} again, with more time:"
        f" {retry}"
    )


def _record(build: Build, extraction: "Extraction", time_limit_s: float) -> None:
    rows = extraction.rows
    build.record("clips", len(rows))
    build.record("failures", sum(not row.valid for row in rows))
    build.record("retry", sum(row.retry for row in rows))
    build.record("time_limit_s", time_limit_s)
    build.record("decoders", dict(Counter(row.decoder for row in rows if row.valid)))
    build.record("decoded", extraction.decoded)
    build.record("copied", extraction.copied)


def _rendered(folder: Path, digests: Mapping[str, str]) -> tuple[list[Clip], dict[str, str]]:
    """The clips of a render artifact, and their digests by clip name instead of file name."""
    rows = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
    clips = [Clip(row["name"], row["label"], str(folder / row["file"])) for row in rows]
    return clips, {row["name"]: digests[row["file"]] for row in rows if row["file"] in digests}


def _summary(dataset: str, split: str, failed: "Sequence[ClipRow]", total: int) -> str:
    named = first_of([f"{row.name} ({'; '.join(row.problems)})" for row in failed], NAMED_FAILURES)
    return f"extract {dataset}/{split}: {len(failed)} of {total} clips could not be decoded: {named}"
