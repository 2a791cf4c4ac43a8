"""Episodes as tensors: what training and evaluation feed to the model."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fsarctl.episodes.crops import (
    Crop,
    centre_offsets,
    crop_frames,
    random_candidates,
    random_flips,
    random_offsets,
)
from fsarctl.episodes.feature_cache import Lasting, Room
from fsarctl.episodes.sampler import Episode, random_words, sample_episode
from fsarctl.errors import InputError
from fsarctl.frames.frame_store import FrameStore
from fsarctl.methods.protocol import FewShotMethod, QueryMode, Scores

__all__ = ["Batch", "EpisodeLoader", "ahead", "score_batch", "upload"]

Loaded = TypeVar("Loaded")

# Up to this, and half the room, a split is held in memory, since reading clips one by one from shards costs
# milliseconds each.
RESIDENT_BYTES = 2**30


@dataclass(frozen=True)
class Batch:
    """One episode. Frames are uint8; the model normalises them.

    support (way * shot, T, side, side, 3), class-major; query (way * query, T, side, side, 3);
    tokens (way, 3, context); targets (way * query,) columns of the true classes.
    """

    episode: Episode
    support: Tensor
    query: Tensor
    tokens: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same episode on ``device``, but for its tokens, which the text encoder fetches."""
        support, query, targets = (upload(each, device) for each in (self.support, self.query, self.targets))
        return Batch(self.episode, support, query, self.tokens, targets)


@dataclass
class EpisodeLoader:
    """Samples, reads and crops the episodes of one split.

    ``tokens`` maps a label to its (3, context) tokens. ``crop`` is "clip" (random, one per clip), "frame"
    (random, one per frame, as the released code does) or "centre". Random crops are drawn anew for each
    episode; with ``crops`` above 0 each clip has so many, once and for all, and an episode draws one of them.
    With random crops the frame of each segment is drawn likewise, where the store keeps several; otherwise it
    is the middle one. ``flip`` mirrors each clip in one of two draws, where crops are random. ``room``: what
    its frames may take in memory. ``groups`` (rows,) are kept apart by each episode, whose classes are of one
    of the ``sets`` (label -> set). ``lasting`` is where others leave what is frozen of its clips.

    Raises:
        InputError: the stored frames are smaller than what the backbone reads, or a label has no tokens.
    """

    store: FrameStore
    tokens: Mapping[str, Tensor]
    stream: str
    seed: int
    way: int
    shot: int
    query: int
    side: int
    crop: Crop
    crops: int = 0
    flip: bool = False
    groups: npt.NDArray[np.int64] | None = None
    sets: Mapping[str, str] | None = None
    room: Room = field(default_factory=lambda: Room(2 * RESIDENT_BYTES), repr=False)
    lasting: Lasting | None = field(default=None, repr=False)
    _rows: Mapping[str, list[int]] = field(init=False)
    _resident: npt.NDArray[np.uint8] | None = field(init=False, default=None)
    _places: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        if self.store.size < self.side:
            raise InputError(
                f"the stored frames are {self.store.size} pixels wide and the backbone reads {self.side}",
                next_step="Leave extract.size at 0, or set it to that or more.",
            )
        missing = sorted(set(self.store.classes) - set(self.tokens))
        if missing:
            raise InputError(
                f"{len(missing)} classes have no description, {missing[0]!r} among them",
                next_step="Run `fsarctl describe`.",
            )
        self._rows = {label: self.store.rows_of(label) for label in self.store.classes}

    @property
    def rows(self) -> Mapping[str, list[int]]:
        """Label -> rows of its usable clips."""
        return self._rows

    def episode(self, number: int) -> Episode:
        """Which clips make episode ``number`` of this loader's stream."""
        return sample_episode(
            self._rows,
            stream=self.stream,
            seed=self.seed,
            number=number,
            way=self.way,
            shot=self.shot,
            query=self.query,
            groups=self.groups,
            sets=self.sets,
        )

    def load(self, number: int) -> Batch:
        """Episode ``number`` with its frames."""
        episode = self.episode(number)
        if self.crops:
            frames = self.fixed_crops(self.crop_names(episode))
        else:
            rows = _videos(episode)
            stored = self._read(
                rows, self._candidates(len(rows), number, self.stream)
            )  # (videos, T, S, S, 3)
            cut = crop_frames(stored, self._offsets(len(rows), number), self.side)
            frames = torch.from_numpy(self._mirrored(cut, self.stream, [number], len(rows)))
        return Batch(
            episode=episode,
            support=frames[: episode.support.size],
            query=frames[episode.support.size :],
            tokens=self.tokens_of(episode),
            targets=torch.from_numpy(episode.targets),
        )

    def tokens_of(self, episode: Episode) -> Tensor:
        """(way, 3, context): the tokens of an episode's classes."""
        return torch.stack([self.tokens[label] for label in episode.classes])

    def crop_names(self, episode: Episode) -> list[int]:
        """Which of its fixed crops each video of an episode shows, support videos first: row * crops + k."""
        rows = _videos(episode)
        words = random_words(f"{self.stream}/which crop", self.seed, episode.number, len(rows))
        which = (words % np.uint64(self.crops)).astype(np.int64)
        names: list[int] = (rows * self.crops + which).tolist()
        return names

    def fixed_crops(self, names: Sequence[int]) -> Tensor:
        """The frames that ``crop_names`` names, (videos, T, side, side, 3) uint8."""
        drawn = [self._candidates(1, name, f"{self.stream}/fixed") for name in names]
        candidates = (
            None if self.store.candidates == 1 else np.concatenate([c for c in drawn if c is not None])
        )
        stored = self._read(np.array(names, np.int64) // self.crops, candidates)
        offsets = np.concatenate(
            [
                random_offsets(
                    1,
                    self.store.frames,
                    self.store.size - self.side,
                    stream=f"{self.stream}/fixed",
                    seed=self.seed,
                    number=name,
                    per_frame=self.crop == "frame",
                )
                for name in names
            ]
        )
        cut = crop_frames(stored, offsets, self.side)
        return torch.from_numpy(self._mirrored(cut, f"{self.stream}/fixed", names, 1))

    def central_frames(self, rows: Sequence[int]) -> Tensor:
        """The middle of these clips' frames, (videos, T, side, side, 3) uint8."""
        offsets = centre_offsets(len(rows), self.store.frames, self.store.size - self.side)
        return torch.from_numpy(crop_frames(self.store.read(rows), offsets, self.side))

    def _offsets(self, videos: int, number: int) -> npt.NDArray[np.int64]:
        margin = self.store.size - self.side
        if self.crop == "centre":
            return centre_offsets(videos, self.store.frames, margin)
        return random_offsets(
            videos,
            self.store.frames,
            margin,
            stream=self.stream,
            seed=self.seed,
            number=number,
            per_frame=self.crop == "frame",
        )

    def _mirrored(
        self, frames: npt.NDArray[np.uint8], stream: str, numbers: Sequence[int], videos: int
    ) -> npt.NDArray[np.uint8]:
        """``frames`` with some clips the other way round, drawn for ``videos`` clips of each number."""
        if not self.flip or self.crop == "centre":
            return frames
        drawn = [random_flips(videos, stream=stream, seed=self.seed, number=each) for each in numbers]
        flipped = np.concatenate(drawn)
        frames[flipped] = frames[flipped, :, :, ::-1]
        return frames

    def _candidates(self, videos: int, number: int, stream: str) -> npt.NDArray[np.int64] | None:
        """Which frame of each segment, (videos, T); None: the middle one."""
        if self.crop == "centre" or self.store.candidates == 1:
            return None
        return random_candidates(
            videos, self.store.frames, self.store.candidates, stream=stream, seed=self.seed, number=number
        )

    def _read(
        self, rows: npt.NDArray[np.int64], candidates: npt.NDArray[np.int64] | None
    ) -> npt.NDArray[np.uint8]:
        if self._resident is None:
            clip_bytes = self.store.frames * self.store.candidates * self.store.size**2 * 3
            size = len(self.store) * clip_bytes
            if size > min(RESIDENT_BYTES, self.room.memory // 2) or not self.room.take(memory=size):
                return self.store.read(rows.tolist(), candidates)
            usable = [row for rows in self._rows.values() for row in rows]
            self._places = np.zeros(len(self.store), np.int64)
            self._places[usable] = np.arange(len(usable))
            self._resident = self.store.read_all_candidates(usable)
        places = self.store.places(len(rows), candidates)
        return self._resident[self._places[rows][:, None], places]


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``. A GPU fetches it from pinned memory by itself, so nobody waits for it.

    Frames go there as uint8 and already cropped: cutting them out is the copy that pinning needs anyway, and
    whole ones are a third more to send.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def ahead(load: Callable[[int], Loaded], numbers: Iterable[int]) -> Generator[Loaded, None, None]:
    """``load`` of each number in turn, the next one in a thread while the caller is busy with this one."""
    waiting: deque[Future[Loaded]] = deque()
    with ThreadPoolExecutor(1) as reader:
        for number in numbers:
            waiting.append(reader.submit(load, number))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _videos(episode: Episode) -> npt.NDArray[np.int64]:
    return np.concatenate([episode.support.reshape(-1), episode.query])


def score_batch(model: FewShotMethod, batch: Batch, query_mode: QueryMode = "joint") -> Scores:
    """``model``'s scores of an episode whose frames are still uint8."""
    scores: Scores = model(
        model.normalise(batch.support),
        model.normalise(batch.query),
        batch.tokens,
        way=len(batch.tokens),
        query_mode=query_mode,
    )
    return scores
