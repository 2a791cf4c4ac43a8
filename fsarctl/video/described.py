"""What libav says of a stream in words alone: PyAV has no attribute for it."""

import re

import av.logging
from av.container import InputContainer
from av.video.stream import VideoStream

__all__ = ["codec_tag"]


def codec_tag(container: InputContainer, stream: VideoStream) -> str:
    """What the container calls the codec, such as "avc1"; "" where it does not say."""
    found = re.search(r"Video: [^,]*\((\S+) / 0x", _description(container, stream))
    return found[1] if found else ""


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
