"""What an exported model is worth: accuracy and time of ONNX and int8 beside fsarctl's own.

Of the embedded default, after `make demo`: all its test classes at once, five clips of each are the support
set, and the others are named.
"""

import json
import random
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from timing import NothingToMeasureError, Options, Row, print_rows

from fsarctl.artifacts import Store
from fsarctl.config.settings import load_settings
from fsarctl.execution.device import Machine
from fsarctl.predict.export.comparison import answers_of_files, answers_of_ours
from fsarctl.predict.export.write import FACTS, write_model
from fsarctl.stages.plan import Pipeline, RunOptions
from fsarctl.stages.predict import Ready, Setup
from fsarctl.video.decode_clip import decode_clip

ROOT = Path(__file__).parents[2]
SHOT = 5
SEEDS = 3


def main(options: Options) -> None:
    """Print the table."""
    settings = load_settings(ROOT, environment={})
    store = Store(settings.root / "cache")
    setup = Setup(settings, Pipeline(settings, store.records, RunOptions(workers=1)), store, Machine("cpu"))
    clips = _test_clips(store)
    for frozen in (True, False):
        rows = []
        for seed in range(1 if options.quick else SEEDS):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(_measure(setup, clips, Path(folder), seed, frozen, options.quick))
        found = np.array(rows)  # (seeds, ours / onnx / int8 / same of int8, and three times)
        accuracy, spread = 100 * found[:, :4].mean(0), 100 * found[:, :4].std(0)
        ours, onnx, int8 = found[:, 4:].mean(0)
        name = "frozen" if frozen else "task-adapter++"
        print_rows(
            f"{name}: accuracy, {len(rows)} support sets",
            [
                Row("ONNX; fsarctl", f"{accuracy[1]:.2f} %", f"{accuracy[0]:.2f} %", None, ""),
                Row(
                    f"int8; fsarctl (+/- {spread[2]:.2f})",
                    f"{accuracy[2]:.2f} %",
                    f"{accuracy[0]:.2f} %",
                    None,
                    "",
                ),
                Row("int8: the same answer as fsarctl", f"{accuracy[3]:.2f} %", "", None, ""),
                Row("clips/s of ONNX; fsarctl", f"{1 / onnx:.0f}", f"{1 / ours:.0f}", ours / onnx, ""),
                Row("clips/s of int8; fsarctl", f"{1 / int8:.0f}", f"{1 / ours:.0f}", ours / int8, ""),
            ],
        )


def _test_clips(store: Store) -> dict[str, list[Path]]:
    """Class -> its clips."""
    found: dict[str, list[Path]] = {}
    for artifact in store.artifacts():
        if artifact.manifest.slot == "render shapes/test":
            for row in json.loads((artifact.path / "clips.json").read_text(encoding="utf-8")):
                found.setdefault(row["label"], []).append(artifact.path / row["file"])
    if not found:
        raise NothingToMeasureError("the embedded default is not made; run `make demo` first")
    return found


def _measure(
    setup: Setup, clips: dict[str, list[Path]], folder: Path, seed: int, frozen: bool, quick: bool
) -> list[float]:
    draw = random.Random(seed)
    others: list[tuple[str, Path]] = []
    for number, (label, files) in enumerate(sorted(clips.items())):
        mixed = draw.sample(sorted(files), len(files))
        (folder / "support" / label).mkdir(parents=True)
        for place, file in enumerate(mixed[:SHOT]):
            (folder / "support" / label / f"{number}-{place}.mp4").symlink_to(file)
        others += [(label, file) for file in mixed[SHOT : SHOT + 1 if quick else None]]
    ready: Ready = setup.ready(folder / "support", shot=None if frozen else SHOT, frozen=frozen)
    predictor = ready.predictor
    frames = np.stack(
        [decode_clip(file, predictor.model.frames, predictor.size).frames for _, file in others]
    )
    write_model(predictor, ready.support, folder / "model", frames[:2], int8=True)
    files = json.loads((folder / "model" / FACTS).read_text(encoding="utf-8"))["files"]
    right = np.array([ready.support.labels.index(label) for label, _ in others])
    chosen, seconds = [], []
    for kind in ("ours", "onnx", "int8"):
        start = perf_counter()
        if kind == "ours":
            answers = answers_of_ours(predictor, ready.support, frames)
        else:
            parts = (folder / "model" / files[kind][part] for part in ("encoder", "head"))
            answers = answers_of_files(*parts, frames)
        seconds.append((perf_counter() - start) / len(frames))
        chosen.append(np.array([score.argmax() for score, _ in answers]))
    return [
        *(float((each == right).mean()) for each in chosen),
        float((chosen[2] == chosen[0]).mean()),
        *seconds,
    ]
