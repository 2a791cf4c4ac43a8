"""From a video file to T frames: the right ones, or a reason why not.

``decode_clip`` surveys the file (``container/demuxing.py``), then decodes only what the wanted frames need;
where that cannot be relied on, PyAV reads from the first frame to the last and counts what comes out, so
that its answer needs no trust. Both give the same bytes.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fsarctl.video.container.crop_and_codec_tag import cropping
from fsarctl.video.container.demuxing import UnreadableVideoError, open_video, survey, video_stream
from fsarctl.video.decoder_protocol import DecodedClip, Decoder, UntrustedError, Video
from fsarctl.video.linear_decoder import LinearPyAV
from fsarctl.video.rotate_and_resize import UPRIGHT, Resize, Scale, square_of
from fsarctl.video.sampling import segment_centres
from fsarctl.video.seeking_decoder import SeekingPyAV

__all__ = ["DECODERS", "clip_of_pictures", "decode_clip", "scale_of"]

DECODERS: tuple[Decoder, ...] = (SeekingPyAV(), LinearPyAV())


def decode_clip(path: Path, frames: int, size: int, resize: Resize = "squash") -> DecodedClip:
    """The middle frame of each of ``frames`` equal segments of a video, ``size`` x ``size``.

    ``path`` may be a folder of images, one a frame.

    ``resize``: "squash" scales each picture to that square whatever its shape; "aspect" scales its short
    side to ``size`` and keeps the middle, with pixels that are not square drawn as a player draws them.

    Raises:
        UnreadableVideoError: empty, truncated, not a video, without a picture, or beyond decoding.
    """
    if path.is_dir():
        from fsarctl.video.frame_folders.decode_folder import decode_folder

        return decode_folder(path, frames, size, resize)
    passed_over: list[str] = []
    with open_video(path) as container:
        stream = video_stream(container)
        surveyed = survey(container, stream)
        scale = scale_of(stream, size, resize)
        for decoder in DECODERS:
            try:
                clip = decoder.read(Video(path, container, stream, surveyed), frames, scale)
            except UntrustedError as error:
                passed_over.append(f"{decoder.name}: {error}")
            else:
                return replace(clip, problems=(*surveyed.problems, *passed_over, *clip.problems))
    raise UnreadableVideoError("; ".join((*surveyed.problems, *passed_over)))


def clip_of_pictures(
    pictures: NDArray[np.uint8], frames: int, size: int, resize: Resize = "squash"
) -> DecodedClip:
    """The same of pictures that were decoded elsewhere, (any number, H, W, 3), RGB.

    Raises:
        UnreadableVideoError: they are too elongated to keep their aspect.
    """
    indices = segment_centres(len(pictures), frames)
    scale = Scale(size, resize)
    squares = [
        square_of(VideoFrame.from_ndarray(np.ascontiguousarray(pictures[index])), scale, UPRIGHT)
        for index in indices
    ]
    return DecodedClip(np.stack(squares), "given", indices, len(pictures))


def scale_of(stream: VideoStream, size: int, resize: Resize) -> Scale:
    """What the pictures of a video are scaled to."""
    aspect = float(stream.sample_aspect_ratio or 1)
    container = stream.container
    assert isinstance(container, InputContainer)
    return Scale(size, resize, aspect, cropping(container, stream))
