"""A recogniser answers as a predictor does, however a clip is given, and however many at once."""

import os
import signal
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_clips import S, T, made_frames, read_seed
from small_model import small_model
from video_zoo import number_in, painted, write

from fsarctl.datasets.clip_files import ClipFile
from fsarctl.datasets.clips import Clip
from fsarctl.errors import InputError
from fsarctl.predict.event_rules import EventRules
from fsarctl.predict.predictor import Prediction, Predictor
from fsarctl.predict.recogniser import Recogniser
from fsarctl.predict.windows import WindowSize
from fsarctl.video.decode_clip import clip_of_pictures, decode_clip
from fsarctl.video.processes.worker_pool import temporary_folder

CLASSES = {"jump": [1, 2], "run": [3], "wave": [4, 5]}


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recogniser]:
    folder = tmp_path_factory.mktemp("support")
    clips = []
    for label, seeds in CLASSES.items():
        for seed in seeds:
            (folder / f"{seed}.txt").write_text(str(seed))
            clips.append(Clip(f"{label}/{seed}", label, str(folder / f"{seed}.txt")))
    predictor = Predictor(small_model(), size=S, decode=read_seed, workers=2)
    with Recogniser(predictor, predictor.support(clips)[0]) as made:
        yield made


def scores(prediction: Prediction) -> dict[str, float]:
    return {each.label: each.score for each in prediction.classes}


def test_a_path_bytes_and_pictures_are_the_same_clip(recogniser: Recogniser, tmp_path: Path) -> None:
    (tmp_path / "50").write_text("50")
    (expected,) = recogniser.predictor.predict(recogniser.support, [ClipFile("x", tmp_path / "50")])
    given = [tmp_path / "50", str(tmp_path / "50"), b"50", made_frames(50)]
    alone = [found for each in given[:3] for found in recogniser.predict_many(each)]  # not letter by letter
    assert len(alone) == 3
    for prediction in [*map(recogniser.predict, given), *recogniser.predict_many(given), *alone]:
        assert scores(prediction) == pytest.approx(scores(expected), abs=1e-6)
        assert [each.label for each in prediction.classes] == [each.label for each in expected.classes]
    assert [each.name for each in temporary_folder().iterdir() if each.name.startswith("tmp")] == []


def test_many_at_once_are_each_as_if_alone(recogniser: Recogniser) -> None:
    given = [str(seed).encode() for seed in range(60, 79)]
    given[7] = b"no number"
    together = recogniser.predict_many(given)
    assert [each.clip for each in together] == [f"clip {n}" for n in range(1, 20)]
    for clip, prediction in zip(given, together, strict=True):
        assert scores(prediction) == pytest.approx(scores(recogniser.predict(clip)), abs=1e-6)
    assert [n for n, each in enumerate(together) if each.failure] == [7]
    assert together[7].failure == "it is no number"
    assert recogniser.predict(b"4").twin == "wave/4"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_workers_that_are_killed_idle_are_replaced(recogniser: Recogniser) -> None:
    before = scores(recogniser.predict(b"50"))
    server = psutil.Process()
    workers = [each for each in server.children(recursive=True) if not each.children()]
    mine = [each for each in workers if "forkserver" in " ".join(each.cmdline())]
    assert mine
    for each in mine:
        os.kill(each.pid, signal.SIGKILL)
    assert scores(recogniser.predict(b"50")) == before


@pytest.mark.parametrize(
    "pictures",
    [
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((4, 8, 8, 3), np.float32),
    ],
)
def test_what_is_no_clip_is_refused(recogniser: Recogniser, pictures: np.ndarray) -> None:
    with pytest.raises(InputError, match="are no clip"):
        recogniser.predict(pictures)
    with pytest.raises(InputError, match="no clip nowhere"):
        recogniser.predict("nowhere")


def test_pictures_are_sampled_and_scaled_as_a_file_is(tmp_path: Path) -> None:
    pictures = np.stack([painted(number) for number in range(30)])
    write(tmp_path / "30.mp4", count=30)
    from_file, given = decode_clip(tmp_path / "30.mp4", 8, 64), clip_of_pictures(pictures, 8, 64)
    assert given.indices == from_file.indices
    assert given.frame_count == 30
    assert [number_in(each) for each in given.frames] == list(given.indices)
    assert np.abs(given.frames.astype(int) - from_file.frames).mean() < 4
    wide = clip_of_pictures(np.stack([painted(1)] * 3), 8, 96, "aspect")
    assert (wide.frames == painted(1)[:, 40:136]).all()  # 96 high as they are: the middle, unchanged


def test_where_it_looks(recogniser: Recogniser) -> None:
    _, clip = recogniser.read(b"50")
    look = recogniser.look(clip)
    assert (look.frames == made_frames(50)[:, 1:17, 1:17]).all()
    assert look.maps is not None
    assert look.maps.shape == (T, 2, 2)


def test_events_are_those_of_the_windows(tmp_path: Path) -> None:
    """Against each window cut out and predicted by itself, with windows that do not overlap."""
    video = write(tmp_path / "long.mp4", count=48, rate=12, qp="0")
    clips = [
        Clip(
            label,
            label,
            str(write(tmp_path / f"{label}.mp4", numbers=range(first, first + 12), rate=12, qp="0")),
        )
        for label, first in (("early", 0), ("late", 36))
    ]
    predictor = Predictor(small_model(), size=18)
    support, _ = predictor.support(clips)
    rules = EventRules(threshold=0.0)
    second = WindowSize(Fraction(1), Fraction(1))
    with Recogniser(predictor, support, lambda: [second]) as recogniser:
        events = recogniser.spot(video, rules=rules)
        assert events == recogniser.spot(video.read_bytes(), lengths=[1], stride=1, rules=rules)
        shown = [painted(number) for number in range(48)]
        for event in events:
            start = int(event.start_s)
            assert event.end_s - event.start_s == 1
            alone = recogniser.predict(np.stack(shown[12 * start : 12 * start + 12]))
            confidences = {each.label: each.confidence for each in alone.classes}
            assert event.score == pytest.approx(confidences[event.label], abs=0.02)
        with pytest.raises(InputError, match="cannot be read: it is not a video"):
            recogniser.spot(b"no video", lengths=[1])
        with pytest.raises(InputError, match="a length is -1"):
            recogniser.spot(video, lengths=[-1])
    assert {event.label for event in events} == {"early", "late"}
    with pytest.raises(InputError, match="how long the examples are"):
        Recogniser(predictor, support).spot(video)
