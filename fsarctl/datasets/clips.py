"""A clip: a video with a label. Labels and names are data, never paths."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Clip"]


@dataclass(frozen=True)
class Clip:
    """One labelled video.

    ``name`` identifies it within its dataset on any machine ("waving one hand/PS7A2P1T1.avi");
    ``file`` is where it is on this one: text, since 100,000 objects of Path take a second to make.
    ``group`` is the person, camera or recording that it is of, "" where nobody asked; all clips of
    a dataset have one, or none.
    """

    name: str
    label: str
    file: str
    group: str = ""

    @property
    def path(self) -> Path:
        """``file``, to work with."""
        return Path(self.file)
