"""Hundreds of damaged files: each ends in a clip or a reason, in time, and hurts no other."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from video_kinds import KINDS

from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.decoding_pool import Failure, decode_all

TIME_LIMIT_S = 20.0


def flip(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 10, 100])):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def garble_header(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 3, 8])):
        content[chance.randrange(min(len(content), 1500))] = chance.choice([0, 1, 127, 128, 255])


def garble_end(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 3, 8])):
        content[-1 - chance.randrange(min(len(content), 2500))] = chance.choice([0, 1, 127, 128, 255])


def blank(content: bytearray, chance: random.Random) -> None:
    start, length = chance.randrange(len(content)), chance.choice([10, 100, 1000, 5000])
    content[start : start + length] = bytes(len(content[start : start + length]))


def shorten(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def lose(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    del content[start : start + chance.choice([1, 7, 100, 2000])]


def insert(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    content[start:start] = chance.randbytes(chance.choice([1, 7, 100, 2000]))


def repeat(content: bytearray, chance: random.Random) -> None:
    start, length = chance.randrange(len(content)), chance.choice([100, 2000])
    content[start:start] = content[start : start + length]


DAMAGE: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip, garble_header, garble_end, blank, shorten, lose, insert, repeat,
)  # fmt: skip


def whole_videos(at: Path, kinds: int) -> list[Path]:
    names = sorted(KINDS)[:: -(-len(KINDS) // kinds)]
    for number in range(len(names)):
        (at / f"whole {number}").mkdir()
    return [KINDS[name].make(at / f"whole {number}") for number, name in enumerate(names)]


@pytest.mark.parametrize(("files", "kinds"), [(48, 8), pytest.param(800, 60, marks=pytest.mark.slow)])
def test_damaged_files_end_in_a_clip_or_a_reason(tmp_path: Path, files: int, kinds: int) -> None:
    videos = whole_videos(tmp_path, kinds)
    tasks = []
    for number in range(files):
        chance = random.Random(number)
        video = videos[number % len(videos)]
        damaged = bytearray(video.read_bytes())
        chance.choice(DAMAGE)(damaged, chance)
        path = tmp_path / f"{number}{video.suffix}"
        path.write_bytes(damaged)
        tasks.append((number, path))
    tasks = [(-1, videos[0]), *tasks, (-2, videos[0])]

    started = time.monotonic()
    answers = dict(decode_all(tasks, decode_clip, 8, 64, 2, TIME_LIMIT_S))
    assert list(answers) == [number for number, _ in tasks]
    assert time.monotonic() - started < len(tasks) * TIME_LIMIT_S / 2
    assert isinstance(answers[-1], DecodedClip)
    assert isinstance(answers[-2], DecodedClip)
    clips = sum(isinstance(answer, DecodedClip) for answer in answers.values())
    assert files // 8 < clips < files, "damage that hurts nothing, or everything, tests nothing"
    for number, path in tasks:
        answer = answers[number]
        if isinstance(answer, Failure):
            assert answer.reason
            assert str(tmp_path) not in answer.reason
            assert path.name not in answer.reason
            assert not answer.reason.startswith("decoding failed"), f"{number}: {answer.reason}"
            assert not answer.retry, f"{number}: {answer.reason}"
        else:
            assert answer.frames.shape == (8, 64, 64, 3)
            assert all(a <= b for a, b in zip(answer.indices, answer.indices[1:], strict=False))
            assert 0 <= answer.indices[0] <= answer.indices[-1] < answer.frame_count
