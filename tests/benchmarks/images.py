"""Folders of frames: JPEG to pixels, and clips of them, against torchvision, as readers of frames use it."""

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import Options, Row, print_rows
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2.functional import resize

from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.frame_folders.decode_image import decode_image
from fsarctl.video.frame_folders.images import images_in
from fsarctl.video.sampling import segment_centres

FRAMES, SIZE = 8, 257
SIZES = ((340, 256), (640, 480), (1280, 720))
ROUNDS = 7


def measure(options: Options) -> list[Row]:
    """Images and clips a second of processor time, on one thread, the best of several rounds by turns."""
    torch.set_num_threads(1)
    count, rounds = (16, 1) if options.quick else (96, ROUNDS)
    rows = []
    for width, height in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _dump(folder, count, width, height)
            paths = [f"{folder}/{each}" for each in images_in(folder).names]
            for path in paths[:: count // 8]:
                theirs = _theirs(path).permute(1, 2, 0).numpy()
                assert np.array_equal(decode_image(path).pixels, theirs), "the same bits"
            calls = (
                ("images/s", partial(_all, decode_image, paths), partial(_all, _theirs, paths), count),
                ("clips of 8/s", partial(decode_clip, folder, FRAMES, SIZE), partial(_clip, folder), 1),
            )
            for what, ours, other, number in calls:
                taken = [[_seconds(call) for call in (ours, other)] for _ in range(rounds)]
                best = [min(some) for some in zip(*taken, strict=True)]
                target = "1" if what == "images/s" else ""
                what = f"{width} x {height}: {what}; torchvision"
                rows.append(
                    Row(what, f"{number / best[0]:.0f}", f"{number / best[1]:.0f}", best[1] / best[0], target)
                )
    return rows


def _all(decode: Callable[[str], object], paths: Sequence[str]) -> None:
    for path in paths:
        decode(path)


def _theirs(path: str) -> torch.Tensor:
    return decode_jpeg(read_file(path), ImageReadMode.RGB)


def _clip(folder: Path) -> torch.Tensor:
    names = images_in(folder).names
    return torch.stack(
        [
            resize(_theirs(f"{folder}/{names[place]}"), [SIZE, SIZE])
            for place in segment_centres(len(names), FRAMES)
        ]
    )


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _dump(folder: Path, count: int, width: int, height: int) -> None:
    """Frames with edges and some noise, as cameras have them, at the quality of ffmpeg's -q:v 2."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    for number in range(count):
        scene = np.stack([x + 3 * number, y * 2, (x // 32 + y // 32) % 2 * 200], -1) % 256
        noisy = scene + rng.normal(0, 6, scene.shape)
        picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"img_{number + 1:05d}.jpg", quality=92)


def main(options: Options) -> None:
    """Print the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torchvision.io
        print_rows("Folders of frames, one thread", measure(options))


if __name__ == "__main__":
    main(Options())
