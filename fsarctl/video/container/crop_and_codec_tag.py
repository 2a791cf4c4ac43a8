"""What libav says of a stream in words alone: PyAV has no attribute for it."""

import re
from typing import NamedTuple

import av.logging
from av.container import InputContainer
from av.video.stream import VideoStream

__all__ = ["Crop", "codec_tag", "cropping"]


class Crop(NamedTuple):
    """Pixels at each side of a stored picture that are not shown."""

    left: int
    right: int
    top: int
    bottom: int


def codec_tag(container: InputContainer, stream: VideoStream) -> str:
    """What the container calls the codec, such as "avc1"; "" where it does not say."""
    found = re.search(r"Video: [^,]*\((\S+) / 0x", _description(container, stream))
    return found[1] if found else ""


def cropping(container: InputContainer, stream: VideoStream) -> Crop | None:
    """What the container hides of each picture: MP4's clap, Matroska's PixelCrop."""
    found = re.search(r"Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)", _description(container, stream), re.I)
    return Crop(*map(int, found.groups())) if found else None


def _description(container: InputContainer, stream: VideoStream) -> str:
    """The lines on one stream of what ffmpeg prints of a file."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # below it, libav describes nothing
    try:
        text = container.dumps_format()  # type: ignore[attr-defined]  # PyAV's stub lacks it
    finally:
        av.logging.set_level(before)
    found = re.search(rf"^  Stream #\d+:{stream.index}\b.*?(?=^  Stream|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""
