"""Name the action of clips: python classify.py [--int8] CLIP... Needs numpy, onnxruntime and av alone."""

import json
import sys
from pathlib import Path

import av
import numpy as np
import onnxruntime

HERE = Path(__file__).parent
FACTS = json.loads((HERE / "model.json").read_text(encoding="utf-8"))


def square(frame: av.VideoFrame) -> np.ndarray:
    """A frame as the model reads it, S x S x 3: scaled, turned as a player turns it, and its middle."""
    side, shape, plain = FACTS["size"], (frame.width, frame.height), frame
    scaled = [max(side, round(side * each / min(shape))) for each in shape]
    if frame.format.name == "yuv420p" and not any(each % 2 for each in shape):
        plain = av.VideoFrame.from_ndarray(frame.to_ndarray(), "yuv420p")  # chroma amid its four pixels
        plain.colorspace, plain.color_range = frame.colorspace, frame.color_range
    width, height = (side, side) if FACTS["resize"] == "squash" else scaled
    picture = plain.reformat(width, height, "rgb24", interpolation="BILINEAR").to_ndarray()
    picture = np.rot90(picture, frame.rotation // 90)
    top, left = ((each - side) // 2 for each in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def frames(path: str) -> np.ndarray:
    """The frame in the middle of each of T equal segments, T x S x S x 3."""
    with av.open(path) as video:
        count = sum(1 for _ in video.decode(video=0))
    wanted = [(2 * i + 1) * count // (2 * FACTS["frames"]) for i in range(FACTS["frames"])]
    with av.open(path) as video:
        kept = {i: square(frame) for i, frame in enumerate(video.decode(video=0)) if i in wanted}
    return np.stack([kept[i] for i in wanted])


def main(words: list[str]) -> None:
    """Print each clip, its class, score and confidence."""
    files = FACTS["files"]["int8" if "--int8" in words else "onnx"]
    encoder, head = (onnxruntime.InferenceSession(HERE / files[part]) for part in ("encoder", "head"))
    for path in [word for word in words if word != "--int8"]:
        features = encoder.run(None, {"pixels": frames(path)})[0]
        score, confidence, *none = head.run(None, {"features": features})
        best = score.argmax()
        name, sure = FACTS["classes"][best], confidence[best]
        if none and none[0] > 0.5:
            name, sure = "none of these", none[0]
        print(path, name, f"{score[best]:.6f}", f"{sure:.4f}", sep="\t")


if __name__ == "__main__":
    main(sys.argv[1:])
