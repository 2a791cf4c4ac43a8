"""Windows of a long video: scored with what they share, against `predict` window by window."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from made import VIT, flops_of, random_model
from timing import Options, Row, print_rows, side_by_side

from fsarctl.methods.frame_method import FrameMethod
from fsarctl.methods.otam.method import OTAM
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.models.backbone import load_backbone
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.spotting import FRAMES_AT_ONCE, STRETCH, WINDOWS_AT_ONCE
from fsarctl.predict.support_set import Support

T = 8


def models(backbone: str) -> dict[str, Callable[[], FewShotMethod]]:
    """What is measured: adapters in two blocks and in six, none, and a method on single frames."""

    def otam() -> FrameMethod:
        weights = "shipped" if backbone == "tiny" else "random"
        return OTAM(load_backbone(backbone, weights), frames=T)

    return {
        "L = 2": lambda: random_model(backbone, 2),
        "L = 6": lambda: random_model(backbone, 6 if backbone == VIT else 3),
        "no adapters": lambda: random_model(backbone, 0),
        "otam, trained backbone": otam,
    }


def measure(name: str, build: Callable[[], FewShotMethod], backbone: str, repeats: int) -> list[Row]:
    """A stretch of windows at a stride of an eighth, each with one new frame, from its parts: frames in their
    batches, windows in theirs."""
    model = build()
    side = model.backbone.image_size
    predictor = Predictor(model, size=side)
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES_AT_ONCE, side, side, 3), np.uint8)
    reads = np.arange(WINDOWS_AT_ONCE)[:, None] + np.arange(T)
    with torch.inference_mode():
        support = _support(predictor, frames)
        pixels = predictor.normalised(frames)
        each = model.each_frame(pixels)

        def of_frames() -> Any:
            return model.each_frame(predictor.normalised(frames))

        def of_windows() -> Any:
            return predictor.scores_of(support, model.from_frames(each[reads])).score

        def alone() -> Any:
            return predictor.scores(support, frames[reads[-1]]).score

        difference = float((of_windows()[-1] - alone()[0]).abs().max())
        per_frame, per_window, other = side_by_side([of_frames, of_windows, alone], repeats)
        ours = _of_stretch(per_frame, per_window)
        counted = [flops_of(call) / 1e9 for call in (of_frames, of_windows, alone)]
    flops = _of_stretch(counted[0], counted[1])
    title = f"{backbone} {name}"
    return [
        Row(f"{title}: ms a window", f"{1e3 * ours:.1f}", f"{1e3 * other:.1f}", other / ours, "5"),
        Row(f"{title}: GFLOP a window", f"{flops:.2f}", f"{counted[2]:.2f}", counted[2] / flops, ""),
        Row(f"{title}: largest difference of scores", f"{difference:.1e}", "", None, "1e-5"),
    ]  # fmt: skip


def _of_stretch(frames: float, windows: float) -> float:
    """What a window costs, of what a batch of frames and one of windows cost."""
    return (STRETCH + T - 1) / STRETCH * frames / FRAMES_AT_ONCE + windows / WINDOWS_AT_ONCE


def _support(predictor: Predictor, frames: Any) -> Support:
    """Two classes of one clip each."""
    model = predictor.model
    videos = torch.stack([predictor._video(frames[k : k + T]) for k in (0, 3)])
    text = None
    if model.reads_text:
        tokens = torch.stack(
            [model.backbone.tokenize([f"{label} {stage}" for stage in "abc"]) for label in "xy"]
        )
        text = model.text_features(tokens)
    return Support(
        labels=("x", "y"),
        classes=torch.tensor([0, 1]),
        features=model.support_features(videos),
        text=text,
        clips=("x/0", "y/0"),
        pictures=("0", "1"),
        made_by={},
    )


def main(options: Options) -> None:
    """Print the table."""
    backbone, repeats = ("tiny", 1) if options.quick else (VIT, 3)
    rows: list[Row] = []
    for name, build in models(backbone).items():
        rows += measure(name, build, backbone, repeats)
    print_rows("Windows at a stride of an eighth; other: predict, window by window", rows)


if __name__ == "__main__":
    main(Options())
