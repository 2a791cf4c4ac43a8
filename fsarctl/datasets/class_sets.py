"""Sets of classes: what a rendered dataset says of how its episodes are to be drawn.

All classes of an episode are of one set, and support and query of a class share no group of clips. It lies
beside the videos, and then beside their frames, so that it is in the digest of either.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fsarctl.artifacts.refusals import reading

__all__ = ["ClassSets"]

FILE = "sets.json"


@dataclass(frozen=True)
class ClassSets:
    """``sets``: label -> its set. ``groups``: clip -> its group, None where clips have none."""

    sets: Mapping[str, str]
    groups: Mapping[str, str] | None = None

    def write(self, folder: Path) -> None:
        """Into a folder of videos or frames."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "ClassSets | None":
        """What lies in a folder of videos or frames; None: episodes are of any classes.

        Raises:
            IntegrityError: it is something else.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        with reading(path):
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            words = [*found.sets.items(), *(found.groups or {}).items()]
            if not all(isinstance(name, str) and isinstance(value, str) for name, value in words):
                raise ValueError("it names something else than labels and clips")
        return found
