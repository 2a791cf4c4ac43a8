"""Events of a long video as clips: a file for each, and a list of them that is a dataset."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.errors import InputError
from fsarctl.predict.events import Event
from fsarctl.progress import Reporter
from fsarctl.video.cutting import cut_out
from fsarctl.video.survey import UnreadableVideoError

__all__ = ["CLIP_LIST", "cut_events"]

CLIP_LIST = "clips.csv"
COLUMNS = ("path", "label", "video", "start_s", "end_s", "score", "how")


def cut_events(
    videos: Sequence[tuple[Path, Sequence[Event]]], folder: Path, reporter: Reporter
) -> list[dict[str, object]]:
    """Write a clip for every event into ``folder``, and ``clips.csv`` (path, label, ...), which a dataset of
    kind "list" reads. Gives its rows; ``how`` is "copied", "encoded", or why there is no clip.

    Raises:
        InputError: the folder cannot be written.
    """
    rows: list[dict[str, object]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with reporter.task("cut", sum(len(events) for _, events in videos), "clip") as advance:
            for number, (video, events) in enumerate(videos):
                first = f"{number + 1:02}-" if len(videos) > 1 else ""
                for place, event in enumerate(events, start=1):
                    name = f"{first}{place:04}-{_plain(event.label)}.mp4"
                    try:
                        how: str = cut_out(video, event.start_s, event.end_s, folder / name)
                    except UnreadableVideoError as error:
                        how, name = error.message, ""
                    rows.append(
                        {
                            "path": name,
                            "label": event.label,
                            "video": video.name,
                            "start_s": round(event.start_s, 3),
                            "end_s": round(event.end_s, 3),
                            "score": round(event.score, 6),
                            "how": how,
                        }
                    )
                    advance(1)
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(each for each in rows if each["path"])
        write_whole(folder / CLIP_LIST, text.getvalue().encode("utf-8"))
    except OSError as error:
        raise InputError(
            f"clips cannot be written to {folder}: {error.strerror}",
            next_step="Name another folder: --clips.",
        ) from None
    return rows


def _plain(label: str) -> str:
    """A label as a part of a file's name, which is no more than a reminder."""
    return re.sub(r"[^\w]+", "-", label).strip("-")[:60] or "event"
