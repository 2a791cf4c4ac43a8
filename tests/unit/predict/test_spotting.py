"""Windows over a long video: which frames they read, and that they score as clips cut out."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from small_model import small_model
from video_zoo import HEIGHT, WIDTH, number_in, with_noise, write

from fsarctl.cli.watch import OFTENEST_S
from fsarctl.errors import InputError
from fsarctl.predict import spotting
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.spotting import score_windows
from fsarctl.predict.support_set import Support
from fsarctl.predict.windows import SHORTEST_S, Windows, WindowSize, exact_seconds
from fsarctl.video import read_through
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.read_through import Moment, course_of, pictures_at
from fsarctl.video.sampling import segment_centres

RATE = 15
SIDE = 18
SIZES = (WindowSize(Fraction(2), Fraction(1, 4)), WindowSize(Fraction(28, 10), Fraction(7, 15)))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of numbered frames."""
    return write(tmp_path_factory.mktemp("long") / "long.mp4", count=150, rate=RATE, g="30", bf="2")


def clip_frames(path: Path) -> Any:
    return decode_clip(path, 4, SIDE).frames


def predictor(model: Any = None) -> Predictor:
    return Predictor(model or small_model(), size=SIDE)


def support_of(made: Predictor) -> Support:
    """Two classes of one clip each, of noise."""
    videos = torch.stack(
        [made._video(np.random.default_rng(k).integers(0, 256, (4, 18, 18, 3), np.uint8)) for k in (0, 1)]
    )
    with torch.inference_mode():
        features = made.model.support_features(videos)
    return Support(
        labels=("a", "b"),
        classes=torch.tensor([0, 1]),
        features=features,
        text=torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0)),
        clips=("a/0", "b/0"),
        pictures=("0", "1"),
        made_by={},
    )


def number_at(moment: Moment[Any]) -> int:
    assert moment.picture is not None
    return number_in(moment.picture)


def cut_out(source: Path, target: Path, first: int, count: int) -> Path:
    """The same pictures as a video of their own: H.264 without loss."""
    with av.open(str(source)) as given, av.open(str(target), "w") as output:
        stream: Any = output.add_stream("libx264", rate=RATE, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in itertools.islice(given.decode(video=0), first, first + count):
            frame.pts = None
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target


def test_frames_of_a_window_are_those_of_the_window_cut_out() -> None:
    """At a constant rate: by integers, against fractions."""
    windows = Windows.over(SIZES, 8, Fraction(10), Fraction(1, RATE))
    read: dict[int, list[int]] = {}
    for slot in windows.slots():
        read.setdefault(windows.row(slot), []).append(int(slot.time_s * RATE))
    spans = list(windows.spans())
    assert len(read) == len(spans) == len(windows)
    compared = 0
    for row, (start, length) in enumerate(spans):
        first, count = start * RATE, length * RATE
        if first.denominator == 1:
            expected = [int(first) + place for place in segment_centres(int(count), 8)]
            assert read[row] == expected
            compared += 1
    assert compared > 15


def test_windows_end_with_the_video() -> None:
    """One frame may be missing, no two; enumerated in frames."""
    size = WindowSize(Fraction(2), Fraction(1, 4))
    for frames in (29, 30, 31, 100, 149):
        windows = Windows.over([size], 8, Fraction(frames, RATE), Fraction(1, RATE))
        starts = [k * 3.75 for k in range(1000) if k * 3.75 + 30 <= frames + 1]
        assert windows.counts == (len(starts),), frames
        assert windows.remarks == ()
    windows = Windows.over([size, *SIZES], 8, Fraction(28, RATE), Fraction(1, RATE))
    assert list(windows.spans()) == [(0, Fraction(28, RATE))]
    assert "one window over all of it" in windows.remarks[0]
    assert "2 s and 2 s and 2.8 s" in windows.remarks[0]


def test_windows_start_no_closer_than_frames() -> None:
    windows = Windows.over([WindowSize(Fraction(2), Fraction(1, 10**6))], 8, Fraction(4), Fraction(1, RATE))
    assert len(windows) == 32


def test_scores_are_those_of_windows_cut_out(video: Path, tmp_path: Path) -> None:
    made = predictor()
    support = support_of(made)
    course = course_of(video)
    windows = Windows.over(SIZES, 4, course.duration_s, course.frame_s)
    scores = score_windows(made, support, video, course, windows, tmp_path)
    compared = 0
    for row, (start, length) in enumerate(windows.spans()):
        first, count = start * RATE, length * RATE
        if first.denominator == 1:
            clip = cut_out(video, tmp_path / "cut.mp4", int(first), int(count))
            alone = made.scores(support, clip_frames(clip))
            assert alone.video is not None
            assert alone.text is not None
            parts = torch.cat([alone.score, alone.video, alone.text]).numpy()
            np.testing.assert_allclose(scores[row], parts, atol=1e-5)
            compared += 1
    assert compared > 15
    assert np.ptp(scores[:, 0, 0]) > 1e-3


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_frames_are_chosen_by_time_where_the_rate_varies(tmp_path: Path, container: str) -> None:
    """Times are drawn; which frame is shown at a moment is looked up in all of them."""
    gaps = np.random.default_rng(3).integers(1, 6, 80)
    ticks = np.concatenate([[0], np.cumsum(gaps)])
    path = write(tmp_path / f"v.{container}", count=81, rate=30, times=[int(each) for each in ticks])
    course = course_of(path)
    windows = Windows.over([SIZES[0]], 8, course.duration_s, course.frame_s)
    asked = [(slot.time_s, slot.time_s) for slot in windows.slots()]
    assert len(asked) == 200
    for moment in pictures_at(path, course, asked, 96):
        # Matroska counts in milliseconds: no moment that is asked for lies that near to a frame's.
        begun = [number for number, tick in enumerate(ticks) if Fraction(int(tick), 30) <= moment.asked]
        assert moment.picture is not None
        assert number_in(moment.picture) == begun[-1]


def test_times_rounded_to_milliseconds_choose_the_frames_of_exact_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", count=90, rate=RATE)
    course = course_of(path)
    asked = [
        (Fraction(number, RATE), number) for number in range(90)
    ]  # where one frame ends and the next begins
    for moment in pictures_at(path, course, asked, 96):
        assert moment.picture is not None
        assert number_in(moment.picture) == moment.asked


def test_the_last_frame_is_shown_to_the_end_and_after_it(video: Path) -> None:
    course = course_of(video)
    times = [Fraction(149, RATE), Fraction(10), Fraction(11)]
    assert course.duration_s == 10
    assert [number_at(each) for each in pictures_at(video, course, zip(times, times, strict=True), 96)] == [
        149
    ] * 3


def test_times_are_from_the_first_frame_on(tmp_path: Path) -> None:
    """Which an hour of a recording before it, or an offset, does not change."""
    path = write(tmp_path / "late.mkv", count=60, rate=25, times=range(50, 110))
    course = course_of(path)
    assert (course.last_s, course.duration_s) == (Fraction(59, 25), Fraction(60, 25))
    times = [(Fraction(2 * number + 1, 50), number) for number in range(60)]
    assert [number_at(each) for each in pictures_at(path, course, times, 96)] == list(range(60))


def test_each_frame_is_read_once(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = predictor()
    support = support_of(made)
    course = course_of(video)
    windows = Windows.over([SIZES[0]], 4, course.duration_s, course.frame_s)
    frames: list[int] = []
    each_frame = made.model.each_frame
    monkeypatch.setattr(made.model, "each_frame", lambda x: (frames.append(len(x)), each_frame(x))[1])
    score_windows(made, support, video, course, windows, tmp_path)
    distinct = {int(slot.time_s * RATE) for slot in windows.slots()}
    assert sum(frames) == len(distinct)
    assert len(distinct) < len(windows) * 4 / 2


def stop_after(monkeypatch: pytest.MonkeyPatch, stretches: int) -> None:
    """Ctrl-C once so many stretches are finished."""
    score: Callable[..., Any] = spotting._score
    calls = itertools.count()

    def scored(*arguments: Any) -> Any:
        if next(calls) == stretches:
            raise KeyboardInterrupt
        return score(*arguments)

    monkeypatch.setattr(spotting, "_score", scored)


@pytest.mark.parametrize("damage", [False, True])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bool
) -> None:
    made = predictor()
    support = support_of(made)
    course = course_of(video)
    windows = Windows.over(SIZES, 4, course.duration_s, course.frame_s)
    monkeypatch.setattr(spotting, "STRETCH", 10)
    monkeypatch.setattr(read_through, "BETWEEN_ENTRIES_S", 1)
    course = course_of(video)
    (tmp_path / "whole").mkdir()
    whole = score_windows(made, support, video, course, windows, tmp_path / "whole")
    (tmp_path / "parts").mkdir()
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            score_windows(made, support, video, course, windows, tmp_path / "parts")
    if damage:
        stretch = tmp_path / "parts" / "stretch-000001.npy"
        stretch.write_bytes(stretch.read_bytes()[:-1] + b"?")
    counted: list[int] = []
    decoded: list[Fraction] = []
    score, shown = spotting._score, read_through._Shown
    monkeypatch.setattr(spotting, "_score", lambda *a: (counted.append(len(a[2].rows)), score(*a))[1])
    monkeypatch.setattr(read_through, "_Shown", lambda *a: (decoded.append(a[1]), shown(*a))[1])
    again = score_windows(made, support, video, course, windows, tmp_path / "parts")
    assert again.tobytes() == whole.tobytes()
    assert sum(counted) == len(windows) - (10 if damage else 30)
    # Thirty windows are complete after six seconds, ten after three; a key frame is every two seconds.
    assert min(decoded) == (0 if damage else 4)


def test_what_cannot_be_read_in_the_middle_has_no_score(tmp_path: Path) -> None:
    """Packets of seconds 4 to 5 are noise; frames come back with the key frame after them."""
    broken = write(tmp_path / "broken.mp4", count=150, rate=RATE, g="15", bf="0")
    with_noise(broken, range(60, 75), after=4)
    course = course_of(broken)
    asked = [(Fraction(2 * number + 1, 2 * RATE), number) for number in range(150)]
    for moment in pictures_at(broken, course, asked, 96):
        if 60 <= moment.asked < 75:
            assert moment.picture is None
        else:
            assert moment.picture is not None
            assert number_in(moment.picture) == moment.asked
    made = predictor()
    windows = Windows.over([SIZES[0]], 4, course.duration_s, course.frame_s)
    scores = score_windows(made, support_of(made), broken, course, windows, tmp_path)
    for (start, length), row in zip(windows.spans(), scores, strict=True):
        read = [start + (2 * i + 1) * length / 8 for i in range(4)]
        assert np.isnan(row[0]).all() == any(4 <= time < 5 for time in read)


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "frozen"},
        {"strategy": "aim"},
        {"adapters": ["spatial", "joint"]},
        {"adapters": ["task"]},
        {"task_position": "before"},
        {"formulation": "released"},
        {"visual_position": "all"},
    ],
    ids=str,
)
def test_models_of_shared_frames_are_the_plain_ones(options: dict[str, Any]) -> None:
    model = small_model(**options).eval()
    frames = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        each = model.each_frame(frames)
        found = model.from_frames(torch.stack([each[:4], each[2:]]))
        expected = model.video(torch.stack([frames[:4], frames[2:]]))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert model.shares_frames == (options != {"formulation": "released"})


@pytest.mark.parametrize("least_s", [SHORTEST_S, OFTENEST_S])
def test_the_least_that_is_asked_for_is_taken(least_s: float) -> None:
    """A float lies above 0.05 and above 0.001: what was said to be enough was refused."""
    assert exact_seconds(least_s, "--every", least_s) == Fraction(str(least_s))
    assert exact_seconds(str(least_s), "--every", least_s) == Fraction(str(least_s))
    with pytest.raises(InputError, match="--every is"):
        exact_seconds(least_s * 0.999, "--every", least_s)
