"""PyAV from the first frame to the last: it trusts neither times nor key frames, and misses no damage."""

from collections import deque
from pathlib import Path

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from fsarctl.video.decoder_protocol import DecodedClip, UntrustedError, Video
from fsarctl.video.packet_heads import is_repeat
from fsarctl.video.rotate_and_resize import Scale, square_of
from fsarctl.video.sampling import segment_centres
from fsarctl.video.survey import TOLERATED_LOSS, UnreadableVideoError, open_video, text_of, video_stream

__all__ = ["LinearPyAV"]


class LinearPyAV:
    """PyAV from the first frame to the last: frames are counted, and only wanted ones converted."""

    name = "pyav-linear"

    def read(self, video: Video, frames: int, scale: Scale) -> DecodedClip:
        """Frames at ``segment_centres``.

        Raises:
            UntrustedError: nothing, or not enough, can be decoded.
            UnreadableVideoError: see ``square_of``.
        """
        path, surveyed = video.path, video.surveyed
        count, pictures, lost = self._pass(path, surveyed.packets, frames, scale)
        if count and count != surveyed.packets:
            expected = count
            count, pictures, lost = self._pass(path, expected, frames, scale)
            if count != expected:
                raise UntrustedError(f"it gave {expected} frames, then {count}")
        if not count:
            raise UntrustedError("no frame could be decoded")
        if lost:  # a decoder also drops, silently, what it cannot rebuild before the next key frame
            lost = max(lost, surveyed.packets - count)
        if lost > TOLERATED_LOSS * surveyed.packets:
            raise UntrustedError(f"{lost} of {surveyed.packets} frames are damaged")
        indices = segment_centres(count, frames)
        problems = [f"{lost} of {surveyed.packets} frames are damaged"] if lost else []
        if count != surveyed.packets:
            problems.append(f"{count} frames came from {surveyed.packets} packets")
        stacked = np.stack([pictures[index] for index in indices])  # (T, S, S, 3)
        return DecodedClip(stacked, self.name, indices, count, tuple(problems))

    @staticmethod
    def _pass(
        path: Path, expected: int, frames: int, scale: Scale
    ) -> tuple[int, dict[int, NDArray[np.uint8]], int]:
        """Decode it all: frames counted, pictures (S, S, 3) by index, frames damaged.

        A packet that is empty means that the frame before it is shown once more.
        """
        wanted = frozenset(segment_centres(expected, frames))
        pictures: dict[int, NDArray[np.uint8]] = {}
        count = lost = 0
        broken = False
        repeats: deque[int | None] = deque()
        shown: VideoFrame | None = None

        def show(frame: VideoFrame) -> None:
            nonlocal count
            if count in wanted:
                pictures[count] = square_of(frame, scale)
            count += 1

        def repeat(before: int | None) -> None:
            """Show the last frame again for the packets that are due before a time, or for all of them."""
            while repeats and (None in (before, repeats[0]) or (repeats[0] or 0) < (before or 0)):
                repeats.popleft()
                if shown is not None:
                    show(shown)

        with open_video(path) as container:
            stream = video_stream(container)
            stream.thread_type = "NONE"
            try:
                for packet in container.demux(stream):
                    if is_repeat(packet) and not packet.is_discard:
                        repeats.append(packet.pts)
                        continue
                    try:
                        decoded = packet.decode()
                    except Exception:
                        lost += 1
                        broken = not packet.is_disposable
                        continue
                    for frame in decoded:
                        # What refers to a lost frame is grey or smeared, and libav does not say so.
                        broken = broken and not frame.key_frame
                        lost += frame.is_corrupt or broken
                        repeat(frame.pts)
                        show(frame)
                        shown = frame
                repeat(None)
            except UnreadableVideoError:
                raise
            except Exception as error:  # the demuxer itself; what came before it stands
                if not count:
                    raise UntrustedError(text_of(error)) from None
        return count, pictures, lost
