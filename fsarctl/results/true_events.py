"""When actions truly happen in videos: a CSV file that a person wrote, such as `fsarctl data film` writes."""

from collections.abc import Collection, Sequence
from pathlib import Path

from fsarctl.config.text_file import read_csv
from fsarctl.errors import InputError
from fsarctl.progress import first_of
from fsarctl.results.average_precision import TimedLabel

__all__ = ["read_true_events"]

NEEDED = ("start_s", "end_s", "class")
SHAPE = (
    "It is CSV: a line `start_s,end_s,class`, then a line for each event, seconds from the first frame on;"
    " for several videos with a column `video`."
)


def read_true_events(
    path: Path, labels: Collection[str], videos: Sequence[str]
) -> dict[str, list[TimedLabel]]:
    """Video (a file's name) -> its events. Without a column ``video`` they are of the only one of ``videos``.

    Raises:
        InputError: it is no such file, a class is not one of ``labels``, or a video is not among ``videos``.
    """
    rows = read_csv(path, "list of events", SHAPE)
    _, heading = next(rows, (0, []))
    if missing := [name for name in NEEDED if name not in heading]:
        raise InputError(f"{path} has no column {first_of(missing, len(missing))}", next_step=SHAPE)
    if "video" not in heading and len(videos) > 1:
        raise InputError(
            f"{path} does not say which of {len(videos)} videos its events are of",
            next_step="Add a column `video` with the files' names.",
        )
    found: dict[str, list[TimedLabel]] = {name: [] for name in videos}
    for line, cells in rows:
        fields = dict(zip(heading, cells, strict=False))
        try:
            start, end = float(fields["start_s"]), float(fields["end_s"])
            label, video = fields["class"], Path(fields.get("video") or videos[0]).name
        except (KeyError, ValueError):
            start, end, label, video = 0.0, -1.0, "", ""
        if not 0 <= start < end < float("inf"):
            raise InputError(f"{path}, line {line} is no event: {','.join(cells)}", next_step=SHAPE)
        if label not in labels:
            raise InputError(
                f"{path}, line {line}: {label!r} is no class of the support",
                next_step=f"Classes are named as its folders: {first_of(sorted(labels), 5)}.",
            )
        if video not in found:
            raise InputError(
                f"{path}, line {line}: there is no video {video!r}",
                next_step=f"Videos here: {first_of(list(videos), 5)}.",
            )
        found[video].append(TimedLabel(start, end, label))
    if not any(found.values()):
        raise InputError(f"{path} holds no event", next_step=SHAPE)
    return found
