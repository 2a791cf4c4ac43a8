"""A clip: a video with a label. Labels and names are data, never paths."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Clip"]


@dataclass(frozen=True)
class Clip:
    """One labelled video.

    ``name`` identifies it within its dataset on any machine ("waving one hand/PS7A2P1T1.avi");
    ``path`` is where it is on this one.
    """

    name: str
    label: str
    path: Path
