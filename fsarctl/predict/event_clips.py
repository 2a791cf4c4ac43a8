"""Events of a long video as clips: a file for each, and a list of them that is a dataset."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.errors import InputError
from fsarctl.predict.events import Event
from fsarctl.progress import Reporter, first_of
from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.cutting import cut_out

__all__ = ["CLIP_LIST", "cut_events", "earlier_clips"]

CLIP_LIST = "clips.csv"
COLUMNS = ("path", "label", "video", "start_s", "end_s", "score", "how")
NAMED = 3


def earlier_clips(folder: Path, videos: Sequence[str]) -> list[Path]:
    """What stands in ``folder`` of events of the same videos (their files' names), which new ones replace.

    Raises:
        InputError: it holds clips of other videos, or other files, or cannot be read.
    """
    try:
        there = {each.name for each in folder.iterdir() if not each.name.startswith(".")}
        text = (folder / CLIP_LIST).read_text(encoding="utf-8") if CLIP_LIST in there else ""
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "clips.csv is no list of clips"
        raise InputError(
            f"the clips in {folder} cannot be read: {reason}", next_step="Name another folder: --clips."
        ) from None
    table = csv.DictReader(io.StringIO(text, newline=""))
    rows = [*table] if tuple(table.fieldnames or ()) == COLUMNS else None
    ours = {row["path"] or "": row["video"] or "" for row in rows or ()}
    of_others = sorted({*ours.values()} - {*videos})
    others = sorted(there - {*ours} - ({CLIP_LIST} if rows is not None else set()))
    if of_others or others:
        what = f"clips of {first_of(of_others, NAMED)}" if of_others else first_of(others, NAMED)
        raise InputError(
            f"{folder} holds {what}, which clips of these events are not to replace or stand beside",
            next_step="Name another folder: --clips.",
        )
    return [folder / name for name in sorted(there & {*ours})]


def cut_events(
    videos: Sequence[tuple[Path, Sequence[Event]]], folder: Path, reporter: Reporter
) -> list[dict[str, object]]:
    """Write a clip for every event into ``folder``, and ``clips.csv`` (path, label, ...), which a dataset of
    kind "list" reads. Gives its rows; ``how`` is "copied", "encoded", or why there is no clip.

    Raises:
        InputError: the folder cannot be written, or holds what is to stay; see ``earlier_clips``.
    """
    earlier = earlier_clips(folder, [video.name for video, _ in videos])
    planned = [
        (video, event, f"{f'{number:02}-' if len(videos) > 1 else ''}{place:04}-{_plain(event.label)}.mp4")
        for number, (video, events) in enumerate(videos, start=1)
        for place, event in enumerate(events, start=1)
    ]
    rows = [
        {
            "path": name,
            "label": event.label,
            "video": video.name,
            "start_s": round(event.start_s, 3),
            "end_s": round(event.end_s, 3),
            "score": round(event.score, 6),
            "how": "",
        }
        for video, event, name in planned
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_list(folder, rows)  # first, so that what is cut of them is known for ours after a kill
        for clip in earlier:
            clip.unlink(missing_ok=True)
        with reporter.task("cut", len(planned), "clip") as advance:
            for (video, event, name), row in zip(planned, rows, strict=True):
                try:
                    row["how"] = cut_out(video, event.start_s, event.end_s, folder / name)
                except UnreadableVideoError as error:
                    row.update(how=error.message, path="")
                advance(1)
        _write_list(folder, rows)
    except OSError as error:
        raise InputError(
            f"clips cannot be written to {folder}: {error.strerror}",
            next_step="Name another folder: --clips.",
        ) from None
    return rows


def _write_list(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(each for each in rows if each["path"])
    write_whole(folder / CLIP_LIST, text.getvalue().encode("utf-8"))


def _plain(label: str) -> str:
    """A label as a part of a file's name, which is no more than a reminder."""
    return re.sub(r"[^\w]+", "-", label).strip("-")[:60] or "event"
