"""A tree shaped like each public benchmark: init, data check, describe, extract, train and eval, as typed.

Names are from the real lists; three classes of each split have three tiny clips.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typed import Typed, type_in

from fsarctl.config.dataset_table import BENCHMARKS
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists

CLASSES, CLIPS = 3, 3
SMALL = {
    "MODEL_BACKBONE": "tiny",
    "MODEL_WEIGHTS": "shipped",
    "MODEL_VISUAL_LAYERS": "1",
    "MODEL_TEXT_LAYERS": "1",
    # Something's labels, said twice, are longer than what the tiny tokenizer takes.
    "MODEL_SUB_ACTIONS": "none",
    "DESCRIBE_MISSING": "label",
    "TRAIN_EPOCHS": "1",
    "TRAIN_EPISODES": "2",
    "TRAIN_VAL_EPISODES": "2",
    "EVAL_EPISODES": "3",
    "EVAL_FROZEN": "false",
}


def typed_in(project: Path, line: str) -> Typed:
    return type_in(project, line, **{f"FSARCTL_{key}": value for key, value in SMALL.items()})


def encode(path: Path, codec: str, number: int) -> None:
    """Twelve frames of 32 x 32 in which a bar moves; every number is another video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=12)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for time in range(12):
            picture = np.full((32, 32, 3), (37 * number) % 200, np.uint8)
            picture[:, 2 * time : 2 * time + 8] = 250
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


# benchmark -> how its files are called within the root, and their codec
LAYOUTS: dict[str, tuple[Callable[[str, str, str], str], str]] = {
    "hmdb51": (
        # One class as unpacked, with brackets and all; the others with every mark replaced.
        lambda split, label, video: (
            f"hmdb51_org/{label.replace(' ', '_')}/"
            + (video if label in ("cartwheel", "fencing") else re.sub("[^A-Za-z0-9]", "_", video))
            + ".avi"
        ),
        "mpeg4",
    ),
    "ucf101": (lambda split, label, video: f"UCF-101/{label.title().replace(' ', '')}/{video}.avi", "mpeg4"),
    "kinetics100": (
        lambda split, label, video: (
            f"{split}/{label if split == 'val' else label.replace(' ', '_')}/"
            + (video[:11] if split == "test" else video)
            + (".mkv" if split == "train" else ".mp4")
        ),
        "libx264",
    ),
    "ssv2-small": (lambda split, label, video: f"{video}.webm", "libvpx"),
    "ssv2-full": (lambda split, label, video: f"20bn-something-something-v2/{video}.mp4", "libx264"),
}


def plant(root: Path, name: str) -> None:
    layout, codec = LAYOUTS[name]
    number = 0
    for split, rows in load_split_lists(name).items():
        videos: dict[str, list[str]] = {}
        for label, video in sorted(rows):
            videos.setdefault(label, []).append(video)
        for label in list(videos)[:CLASSES]:
            for video in videos[label][:CLIPS]:
                number += 1
                encode(root / layout(split, label, video), codec, number)


@pytest.mark.parametrize(
    "name",
    ["hmdb51", *(pytest.param(each, marks=pytest.mark.slow) for each in BENCHMARKS if each != "hmdb51")],
)
def test_the_pipeline_runs_on_a_tree_shaped_like_it(name: str, tmp_path: Path) -> None:
    root = tmp_path / "videos"
    plant(root, name)
    expected = sum(map(len, load_split_lists(name).values()))
    test_size = len(load_split_lists(name)["test"])

    assert "next: fsarctl data check" in typed_in(tmp_path, "fsarctl init videos").stderr
    written = (tmp_path / "fsarctl.toml").read_text()
    assert f'name = "{name}"' in written
    assert f"27 of its {expected:,} videos are there" in written

    check = json.loads(typed_in(tmp_path, "fsarctl data check --json").stdout)
    assert check["ready"]
    (dataset,) = check["datasets"]
    for split in dataset["splits"]:
        assert (split["found"], len(split["unreadable"])) == (CLASSES * CLIPS, 0)
        assert split["expected"] == split["found"] + len(split["missing"])
        assert split["smallest"]["clips"] == CLIPS

    typed_in(tmp_path, "fsarctl describe")
    typed_in(tmp_path, "fsarctl extract --workers 1")
    typed_in(tmp_path, "fsarctl train")
    done = typed_in(tmp_path, "fsarctl eval")
    assert f"(9 of {test_size:,} clips)" in done.stdout
    assert "classes without any video, which no episode has: " in done.stderr
    rows = json.loads(typed_in(tmp_path, "fsarctl eval --json").stdout)["results"]
    assert [(row["shot"], row["model"]) for row in rows] == [(1, "task-adapter++")]
    for row in rows:
        assert (row["clips"], row["clips_expected"], row["clips_failed"]) == (9, test_size, 0)
        assert len(row["classes"]) == CLASSES
        assert (
            len(row["classes_missing"])
            == len({label for label, _ in load_split_lists(name)["test"]}) - CLASSES
        )

    # Another layout of the same videos is the same data, and nothing is made again.
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in root.rglob("*.*"):
        path.rename(flat / path.name)
    again = typed_in(tmp_path, f"fsarctl eval --set datasets.{name}.root=flat")
    assert "nothing to do" in again.stderr
