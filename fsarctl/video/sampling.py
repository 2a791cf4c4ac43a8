"""Which frames of a clip are kept."""

__all__ = ["segment_centres"]


def segment_centres(frame_count: int, frames: int) -> tuple[int, ...]:
    """Indices of the frames in the middle of each of ``frames`` equal segments.

    Frame k lasts from time k to k + 1. Segment i of T lasts from i n/T to (i + 1) n/T; its middle is
    (2i + 1) n / 2T, and the frame shown there is floor((2i + 1) n / 2T), in integers. A middle that
    falls exactly between two frames takes the later one. With fewer frames than segments, frames
    repeat; order never turns back.

    With C candidates to a segment, C odd, the frames are ``segment_centres(n, T C)``: C positions evenly
    spaced in each of the T segments, and the middle one of a segment is ``segment_centres(n, T)``.

    Raises:
        ValueError: ``frame_count`` or ``frames`` is below 1.
    """
    if frame_count < 1 or frames < 1:
        raise ValueError(f"cannot take {frames} frames from {frame_count}")
    return tuple((2 * i + 1) * frame_count // (2 * frames) for i in range(frames))
