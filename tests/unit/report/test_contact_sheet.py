"""`fsarctl show`: the sheet's geometry, and which clip is meant."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fsarctl.cli.show import frames_taken
from fsarctl.errors import InputError
from fsarctl.frames.clip_view import choose_name, clip_names, view_file, view_stored
from fsarctl.report.contact_sheet import BAR, COLUMNS, GAP, LINE, MARGIN, STAGE_COLOURS, Stage, contact_sheet

STAGES = (Stage("beginning", range(0, 4)), Stage("process", range(2, 6)), Stage("end", range(4, 8)))


def sheet_of(count: int, stored: int, crop: int, stages: Any = STAGES) -> np.ndarray:
    frames = np.stack([np.full((stored, stored, 3), 10 + 20 * n, np.uint8) for n in range(count)])
    captions = [str(n) for n in range(count)]
    picture = contact_sheet(frames, captions, stages, title="a label", subtitle=["one", "two"], crop=crop)
    return np.asarray(picture).astype(int)


def colour(text: str) -> list[int]:
    return [int(text[n : n + 2], 16) for n in (1, 3, 5)]


def columns_of(sheet: np.ndarray, wanted: str) -> tuple[int, int]:
    """First and last column with this colour."""
    there = np.nonzero((sheet == colour(wanted)).all(-1).any(0))[0]
    return int(there[0]), int(there[-1])


def test_the_frames_stand_in_order_and_the_crop_is_outlined() -> None:
    # Stored at 200 pixels, so nothing is enlarged; the model reads the middle 160.
    sheet = sheet_of(8, 200, 160)
    outlined = (sheet == colour(LINE)).all(-1)
    top = int(np.nonzero(outlined.any(1))[0][0])
    first = int(np.nonzero(outlined[top])[0][0])
    assert first == MARGIN + 20
    assert int(np.nonzero(outlined.any(1))[0][-1]) == top + 159
    assert outlined[top].sum() == 8 * 160
    for n in range(8):
        left = MARGIN + n * (200 + GAP)
        assert sheet[top + 80, left + 100].tolist() == [10 + 20 * n] * 3, "read: as it is"
        outside = sheet[top + 80, left + 5]
        assert outside.tolist() == pytest.approx([round(0.45 * (10 + 20 * n) + 0.55 * 255)] * 3, abs=1)


def test_the_bars_stand_under_the_frames_that_reach_their_stage() -> None:
    sheet = sheet_of(8, 200, 160)
    for stage, wanted in zip(STAGES, STAGE_COLOURS, strict=True):
        left, right = columns_of(sheet, wanted)
        assert left == MARGIN + stage.frames.start * (200 + GAP)
        assert right == MARGIN + (stage.frames.stop - 1) * (200 + GAP) + 200


def test_small_frames_are_enlarged_and_many_wrap() -> None:
    stages = (Stage("beginning", range(0, 10)), Stage("end", range(9, 12)))
    sheet = sheet_of(12, 50, 40, stages)
    width = 2 * MARGIN + COLUMNS * (150 + GAP) - GAP
    assert sheet.shape[1] == width
    # The first stage has a bar in both rows, of all 8 frames and then of 2.
    bars = (sheet == colour(STAGE_COLOURS[0])).all(-1)
    rows = np.nonzero(bars.sum(1) > 100)[0]
    breaks = np.nonzero(np.diff(rows) > BAR)[0]
    assert len(breaks) == 1
    assert bars[rows[breaks[0] + 1] + BAR // 2].sum() <= 2 * 150 + GAP + 1
    end = (sheet == colour(STAGE_COLOURS[1])).all(-1)
    assert np.nonzero(end.any(0))[0][0] == MARGIN + 150 + GAP, "frame 9 is the second of its row"


def test_a_frame_that_is_read_whole_has_no_outline() -> None:
    assert not (sheet_of(2, 160, 160) == colour(LINE)).all(-1).any()


def test_what_is_said_of_the_stages_is_written_and_cut_to_fit() -> None:
    said = [Stage(each.name, each.frames, "word " * 300) for each in STAGES]
    plain, spoken = sheet_of(4, 160, 160), sheet_of(4, 160, 160, said)
    assert spoken.shape[0] > plain.shape[0]
    assert plain.shape[1] == 2 * MARGIN + 4 * (160 + GAP) - GAP
    assert spoken.shape[1] == 2 * MARGIN + COLUMNS * (160 + GAP) - GAP
    assert (spoken[:, -MARGIN // 2 :] == 255).all(), "nothing runs off the paper"


def test_the_heading_of_few_frames_is_whole() -> None:
    frames = np.zeros((2, 150, 150, 3), np.uint8)

    def heading(title: str) -> np.ndarray:
        sheet = contact_sheet(frames, ["0", "1"], (), title=title, subtitle=["word " * 12], crop=150)
        return np.asarray(sheet)[: MARGIN + 50]

    label = "a shape moves from the bottom left corner to the top"
    whole, longer = heading(label), heading(f"{label}!")
    assert whole.shape[1] > 2 * MARGIN + 2 * (150 + GAP) - GAP
    rows = min(whole.shape[0], longer.shape[0])
    columns = min(whole.shape[1], longer.shape[1])
    assert (whole[:rows, :columns] != longer[:rows, :columns]).any(), "its last letter is there"


@pytest.mark.parametrize(
    ("indices", "count", "said"),
    [
        ((1, 4, 7, 10), 1200, "4 of its 1,200 frames, by number"),
        ((0, 0, 1, 1, 2, 2), 3, "6 frames, by number, from the 3 that it has, so some stand several times"),
        ((0,) * 8, 1, "its only frame, 8 times"),
        ((0,), 1, "its only frame"),
    ],
)
def test_frames_that_repeat_are_said_to(indices: tuple[int, ...], count: int, said: str) -> None:
    assert frames_taken(indices, count) == said


def test_a_clip_is_found_by_its_name_or_a_part_that_only_it_has() -> None:
    names = ["test/rising/00.mp4", "test/rising/01.mp4", "test/Falling/00.mp4"]
    assert choose_name("test/rising/00.mp4", names, "shapes") == names[0]
    assert choose_name("falling", names, "shapes") == names[2]
    with pytest.raises(InputError, match=r"3 clips of shapes have 'mp4'"):
        choose_name("mp4", names, "shapes")
    with pytest.raises(InputError, match=r"no clip 'test/risng/00\.mp4'") as caught:
        choose_name("test/risng/00.mp4", names, "shapes")
    assert "test/rising/00.mp4" in caught.value.next_step


def test_a_stored_clip_and_a_file_give_the_same_view(tmp_path: Path) -> None:
    from fsarctl.datasets.clips import Clip
    from fsarctl.frames.extraction import Extractor
    from fsarctl.progress import SILENT

    video, broken = tmp_path / "twelve.mp4", tmp_path / "broken.mp4"
    with av.open(str(video), "w") as output:
        stream = output.add_stream("libx264", rate=12, options={"bf": "0"})
        stream.width = stream.height = 32
        for number in range(12):
            picture = np.full((32, 32, 3), 20 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    broken.write_bytes(b"no video")
    clips = [Clip("a/twelve.mp4", "a", str(video)), Clip("a/broken.mp4", "a", str(broken))]
    folder = tmp_path / "frames"
    folder.mkdir()
    Extractor(
        clips,
        folder,
        tmp_path / "scratch",
        frames=4,
        size=32,
        workers=1,
        reporter=SILENT,
        time_limit_s=60,
    ).extract()
    assert clip_names(folder) == ["a/twelve.mp4", "a/broken.mp4"]
    stored, decoded = view_stored(folder, "a/twelve.mp4"), view_file(video, 4, 32, "squash")
    assert (stored.frames == decoded.frames).all()
    assert stored.indices == decoded.indices == (1, 4, 7, 10)
    assert (stored.frame_count, stored.decoder) == (decoded.frame_count, decoded.decoder)
    assert (stored.label, decoded.label) == ("a", "")
    with pytest.raises(InputError, match=r"a/broken.mp4 could not be decoded"):
        view_stored(folder, "a/broken.mp4")
    with pytest.raises(InputError, match="cannot be decoded"):
        view_file(broken, 4, 32, "squash")
