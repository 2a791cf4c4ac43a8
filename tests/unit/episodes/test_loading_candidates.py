"""Training draws one frame of each segment anew; everything else sees the middle one."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from fsarctl.episodes.crops import random_candidates
from fsarctl.episodes.loader import Batch, EpisodeLoader
from fsarctl.episodes.shortcuts import RandomFrames
from fsarctl.frames.frame_store import ClipRow, FrameStore, FrameWriter, write_rows
from fsarctl.video.sampling import segment_centres

T, S, CLASSES, CLIPS = 4, 8, 3, 5


def store(at: Path, candidates: int) -> FrameStore:
    """Frames whose every pixel is their place along the stored time."""
    at.mkdir()
    count = CLASSES * CLIPS
    places = np.arange(T * candidates, dtype=np.uint8).reshape(1, -1, 1, 1, 1)
    FrameWriter(at, count, T, S, candidates).write(0, np.tile(places, (count, 1, S, S, 3)))
    kept = tuple(range(T * candidates))
    rows = [
        ClipRow(f"{label}/{clip}", str(label), True, "made", len(kept), kept, ())
        for label in range(CLASSES)
        for clip in range(CLIPS)
    ]
    write_rows(at, rows)
    return FrameStore(at)


def loader(given: FrameStore, crop: str = "clip", seed: int = 0, crops: int = 0) -> EpisodeLoader:
    return EpisodeLoader(
        store=given,
        tokens={label: torch.zeros(3, 4) for label in given.classes},
        stream="train",
        seed=seed,
        way=3,
        shot=2,
        query=1,
        side=S,
        crop=crop,  # type: ignore[arg-type]
        crops=crops,
    )


def chosen(batch: Batch, candidates: int) -> np.ndarray:
    """(videos, T): which candidate of its segment each frame is."""
    videos = torch.cat([batch.support, batch.query])[:, :, 0, 0, 0].numpy()
    segments, candidate = np.divmod(videos, candidates)
    assert (segments == np.arange(T)).all(), "a frame of another segment"
    return candidate


@pytest.mark.parametrize("candidates", [3, 5])
def test_each_frame_is_drawn_from_its_own_segment(tmp_path: Path, candidates: int) -> None:
    training = loader(store(tmp_path / "s", candidates))
    drawn = np.concatenate([chosen(training.load(number), candidates) for number in range(200)])
    counts = Counter(drawn.reshape(-1).tolist())
    each = drawn.size / candidates
    assert counts.keys() == set(range(candidates))
    assert all(abs(count - each) < 5 * each**0.5 for count in counts.values())
    assert any(len(set(video)) > 1 for video in drawn.tolist()), "segments are drawn apart"
    assert abs(np.corrcoef(drawn.T) - np.eye(T)).max() < 0.1


def test_the_draw_is_a_function_of_seed_stream_episode_and_clip(tmp_path: Path) -> None:
    given = store(tmp_path / "s", 3)
    one, same, other = loader(given), loader(given), loader(given, seed=1)
    later = chosen(one.load(7), 3)
    assert (later == chosen(same.load(7), 3)).all()  # whatever was loaded before
    assert (later != chosen(one.load(8), 3)).any()
    assert (later != chosen(other.load(7), 3)).any()
    mine = random_candidates(9, T, 3, stream="train", seed=0, number=7)
    assert (later == mine).all()
    assert (mine != random_candidates(9, T, 3, stream="val", seed=0, number=7)).any()


@pytest.mark.parametrize("candidates", [1, 3, 5])
def test_central_crops_see_the_middle_frame(tmp_path: Path, candidates: int) -> None:
    evaluation = loader(store(tmp_path / "s", candidates), crop="centre")
    assert (chosen(evaluation.load(3), candidates) == candidates // 2).all()
    frames = evaluation.central_frames([0, 4])[:, :, 0, 0, 0].numpy()
    assert (frames == np.arange(T) * candidates + candidates // 2).all()


def test_a_fixed_crop_has_its_own_frames_for_good(tmp_path: Path) -> None:
    fixed = loader(store(tmp_path / "s", 3), crops=2)
    seen: dict[int, set[tuple[int, ...]]] = {}
    for number in range(60):
        names = fixed.crop_names(fixed.episode(number))
        for name, frames in zip(names, chosen(fixed.load(number), 3).tolist(), strict=True):
            seen.setdefault(name, set()).add(tuple(frames))
    assert all(len(frames) == 1 for frames in seen.values())
    assert len(set.union(*seen.values())) > 10


def test_frames_held_in_memory_are_those_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = store(tmp_path / "s", 3)
    held = loader(given).load(5)
    monkeypatch.setattr("fsarctl.episodes.loader.RESIDENT_BYTES", 0)
    read = loader(given).load(5)
    assert torch.equal(held.support, read.support)
    assert torch.equal(held.query, read.query)


@pytest.mark.parametrize("candidates", [1, 3, 5, 31])
@pytest.mark.parametrize("frames", [1, 2, 8])
def test_the_middle_candidate_is_the_segment_s_middle(candidates: int, frames: int) -> None:
    for count in range(1, 200):
        kept = np.array(segment_centres(count, frames * candidates)).reshape(frames, candidates)
        assert tuple(kept[:, candidates // 2]) == segment_centres(count, frames)
        for segment, places in enumerate(kept):
            # Within its segment; one that is shorter than a frame shows the frame that it lies in.
            assert segment * count // frames <= places.min()
            assert places.max() <= ((segment + 1) * count - 1) // frames


def test_a_short_clip_repeats_its_frames() -> None:
    assert segment_centres(2, 2 * 3) == (0, 0, 0, 1, 1, 1)
    assert segment_centres(4, 2 * 3) == (0, 1, 1, 2, 3, 3)


def test_random_test_frames_are_of_their_segments_and_a_function_of_seed_and_clip(tmp_path: Path) -> None:
    given = store(tmp_path / "store", 5)

    def places(rows: list[int], seed: int = 0) -> np.ndarray:
        tokens = {label: torch.zeros(3, 4) for label in given.classes}
        shape = {"way": 3, "shot": 2, "query": 1, "side": S, "crop": "centre"}
        made = RandomFrames(given, tokens, "test", seed=seed, **shape)  # type: ignore[arg-type]
        return made.central_frames(rows)[..., 0, 0, 0].numpy()

    drawn = places(list(range(CLASSES * CLIPS)))
    assert (drawn // 5 == np.arange(T)).all(), "each of its own segment"
    assert Counter((drawn % 5).ravel().tolist()).keys() == set(range(5)), "any frame of it"
    assert (places([7, 2])[1] == drawn[2]).all()
    assert (places([7, 2], seed=1) != drawn[[7, 2]]).any()
