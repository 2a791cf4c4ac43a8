"""segment_centres against a search through time with exact fractions."""

from fractions import Fraction
from itertools import pairwise

import pytest

from fsarctl.video.sampling import segment_centres


def searched(frame_count: int, frames: int) -> tuple[int, ...]:
    found = []
    for i in range(frames):
        begin, end = Fraction(i * frame_count, frames), Fraction((i + 1) * frame_count, frames)
        middle = (begin + end) / 2
        found.append(next(k for k in range(frame_count) if k <= middle < k + 1))
    return tuple(found)


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 8, 16, 32])
def test_is_the_frame_shown_in_the_middle_of_each_segment(frames: int) -> None:
    for frame_count in range(1, 130):
        assert segment_centres(frame_count, frames) == searched(frame_count, frames)


def test_known_values() -> None:
    assert segment_centres(16, 8) == (1, 3, 5, 7, 9, 11, 13, 15)
    assert segment_centres(8, 8) == tuple(range(8))
    assert segment_centres(3, 8) == (0, 0, 0, 1, 1, 2, 2, 2)
    assert segment_centres(1, 4) == (0, 0, 0, 0)


def test_is_exact_where_floating_point_is_not() -> None:
    huge = 10**18 + 1
    assert segment_centres(huge, 3)[1] == huge // 2


def test_never_turns_back_and_shows_every_frame_of_a_short_clip() -> None:
    for frame_count in range(1, 20):
        indices = segment_centres(frame_count, 20)
        assert all(a <= b for a, b in pairwise(indices))
        assert set(indices) == set(range(frame_count))


@pytest.mark.parametrize(("frame_count", "frames"), [(0, 8), (8, 0), (-1, 8)])
def test_refuses_nothing(frame_count: int, frames: int) -> None:
    with pytest.raises(ValueError, match="cannot take"):
        segment_centres(frame_count, frames)
