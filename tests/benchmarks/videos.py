"""Videos that are as hard to decode as camera footage: the five kinds that decoders were compared on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

__all__ = ["KINDS", "Kind", "make_video"]

FRAMES = 250
RATE = 25


@dataclass(frozen=True)
class Kind:
    """A codec, its options, and a picture size, pixels."""

    codec: str
    ending: str
    options: Mapping[str, str] = field(default_factory=dict)
    width: int = 340
    height: int = 256


X264 = {"preset": "ultrafast", "crf": "23", "sc_threshold": "0"}
KINDS: dict[str, Kind] = {
    "H.264, GOP 12": Kind("libx264", ".mp4", {**X264, "g": "12", "bf": "0"}),
    "H.264, GOP 250": Kind("libx264", ".mp4", {**X264, "g": "250", "bf": "0"}),
    "VP9": Kind(
        "libvpx-vp9", ".webm", {"deadline": "realtime", "cpu-used": "8", "g": "12", "crf": "30", "b": "0"}
    ),
    "MPEG-4 in AVI": Kind("mpeg4", ".avi", {"g": "12", "qscale": "4"}),
    "1080p": Kind("libx264", ".mp4", {**X264, "g": "48", "bf": "0"}, 1920, 1080),
}


def make_video(path: Path, kind: Kind, frames: int = FRAMES) -> Path:
    """A textured background that drifts, a patch that crosses it, and the noise of a sensor."""
    random = np.random.default_rng(0)
    height, width = kind.height, kind.width
    coarse = random.integers(0, 256, (height // 16 + 9, width // 16 + 9, 3), np.uint8)
    scene = coarse.repeat(8, 0).repeat(8, 1)
    for axis in (0, 1):  # soft edges, as lenses make them
        scene = (scene // 2 + np.roll(scene, 3, axis) // 2).astype(np.uint8)
    scene = np.tile(scene, (3, 3, 1))
    noise = random.integers(0, 7, (height + 64, width + 64, 3), np.uint8)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(kind.codec, rate=RATE, options=dict(kind.options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            top, left = number // 3, number
            picture = scene[top : top + height, left % (scene.shape[1] - width) :][:, :width] // 2
            down, along = random.integers(0, 64, 2)
            picture = picture + noise[down : down + height, along : along + width]
            patch = height // 5
            at = number * (width - patch) // frames
            picture[height // 3 : height // 3 + patch, at : at + patch] = 255 - picture[:patch, :patch]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
