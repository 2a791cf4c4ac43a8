"""A folder as people have them: one file of each of 80 kinds, good and bad videos and what lies beside.

``python tests/one_of_each.py FOLDER`` makes it, to look at what ``fsarctl data check --open`` prints.
"""

import gzip
import os
import sys
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from declared_videos import DECLARED
from PIL import Image
from video_kinds import KINDS, PLAIN
from video_zoo import write

__all__ = ["GOOD", "UNREADABLE", "make"]

GOOD = [
    *("H.264, GOP 12", "H.264, open GOP", "H.264, intra refresh", "H.264 in AVI", "VP8", "VP9", "AV1"),
    *("MPEG-4 AVI", "MPEG-4 AVI, packed B-frames", "DivX 3", "MPEG-1", "H.263 AVI", "Windows Media", "Flash"),
    *("transport stream", "Matroska", "QuickTime", "3GPP2", "F4V", "raw H.264", "raw MPEG-2", "YUV4MPEG"),
    *("IVF", "NUT", "DV", "RealMedia", "MXF", "animated PNG", "animated GIF", "fragmented", "10 bits"),
    *("stream copy with an edit list", "audio first", "one frame", "turned by 90", "mirrored"),
]
"""Those of KINDS that are in it, in the class "waving"."""

UNREADABLE = {
    "empty.mp4": "the file is empty",
    "a few zeros.avi": "zeros alone",
    "noise.mkv": "it is not a video of a known format",
    "half a download.mp4": "its index (moov) is missing",
    "the last tenth is missing.mp4": "its index (moov) is cut off",
    "zeros in the middle.mp4": "it has no video stream",
    "a page instead.mp4": "a web page",
    "git lfs.mp4": "a pointer of Git LFS",
    "json.webm": "text",
    "a picture.mp4": "a JPEG picture",
    "sound.mp4": "sound",
    "an archive.mp4": "a ZIP archive: unpack it",
}
"""What the class "bowing the head" has that is no clip, and part of why."""


def make(folder: Path) -> Path:
    """Class directories below ``folder``: "waving" with good videos, "bowing" with others."""
    good, other = folder / "waving", folder / "bowing the head"
    for number, name in enumerate(GOOD):
        work = folder / "work"
        work.mkdir(parents=True)
        made = KINDS[name].make(work)
        good.mkdir(exist_ok=True)
        made.rename(good / f"{number:02d} {name.replace('/', ' ')}{made.suffix}")
        for left in work.iterdir():
            left.unlink()
        work.rmdir()
    other.mkdir()
    whole = write(other / "whole.mp4", count=40, **PLAIN).read_bytes()
    for name, content in _bad(whole).items():
        (other / name).write_bytes(content)
    for name, (declared, _) in list(DECLARED.items())[:6]:
        (other / "new").mkdir()
        made = declared(other / "new")
        made.rename(other / f"{name.replace('/', ' ')}{made.suffix}")
        for left in (other / "new").iterdir():
            left.unlink()
        (other / "new").rmdir()
    _beside(folder, other)
    return folder


def _bad(whole: bytes) -> dict[str, bytes]:
    noise = np.random.default_rng(0).bytes(5000)
    return {
        "empty.mp4": b"",
        "a few zeros.avi": bytes(4096),
        "noise.mkv": noise,
        "half a download.mp4": whole[: len(whole) // 2],
        "the last tenth is missing.mp4": whole[: int(len(whole) * 0.95)],
        "zeros in the middle.mp4": whole[:2000] + bytes(1500) + whole[3500:],
        "no moov.mp4": whole.replace(b"moov", b"free"),
        "a page instead.mp4": b"<!DOCTYPE html><html><body>404 not found</body></html>" * 9,
        "git lfs.mp4": b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 9\n" % (b"0" * 64),
        "json.webm": b'{"error": "quota exceeded"}',
        "a second copy.mp4": whole,
        "ein Gruß 走る 🎬.mp4": whole,
        "two\nlines.mp4": whole,
        "x" * 180 + ".mp4": whole,
        "no ending": whole,
        "odd.ending": whole,
        "UPPER.MP4": whole,
        "download.mp4.part": whole[:3000],
        "clip.mp4.crdownload": whole[:3000],
        "movie.srt": b"1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "notes.txt": b"filmed on Monday",
        "labels.csv": b"a,b\n1,2\n",
        "meta.json": b"{}",
        "Thumbs.db": noise[:512],
        ".DS_Store": noise[:512],
        "._whole.mp4": noise[:512],
        "desktop.ini": b"[.ShellClassInfo]\n",
        "archive.tar.gz": gzip.compress(noise),
        "manual.pdf": b"%PDF-1.4\n" + noise,
        "backup.mp4~": whole,
    }


def _beside(folder: Path, other: Path) -> None:
    picture = Image.fromarray(np.zeros((32, 32, 3), np.uint8))
    for name in ("still.jpg", "still.png", "a picture.mp4"):
        picture.save(other / name, format="PNG" if name.endswith("png") else "JPEG")
    with wave.open(str(other / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    (other / "sound.mp4").write_bytes((other / "sound.wav").read_bytes())
    with zipfile.ZipFile(other / "frames.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    (other / "an archive.mp4").write_bytes((other / "frames.zip").read_bytes())
    (other / "nowhere.mp4").symlink_to("is/not/there.mp4")
    (other / "a folder.mp4").mkdir()
    (other / "a linked file.mp4").symlink_to("whole.mp4")
    os.mkfifo(other / "a pipe.mp4")
    (folder / "an empty class").mkdir()
    (folder / "loose.mp4").write_bytes((other / "whole.mp4").read_bytes())


if __name__ == "__main__":
    made: Callable[[Path], Path] = make
    print(made(Path(sys.argv[1])))
