"""What is read of a project's classes: sentences or labels, and whether the text encoder reads all of it."""

import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fsarctl.config.read_settings import toml_key
from fsarctl.config.tables import DescribeConfig
from fsarctl.datasets.project import ProjectData
from fsarctl.models.token_counts import reads_english
from fsarctl.progress import first_of
from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.corpus import needs_descriptions
from fsarctl.text.sources import NAMED, Sources, by_label, of_one_kind, undescribed

__all__ = ["ClassTexts", "TextCheck"]


@dataclass(frozen=True)
class TextCheck:
    """One split. ``undescribed``: classes that nobody described; ``remark`` says what follows from that.

    ``too_long``: (label, in what way its prompts are too long). ``foreign`` says which prompts are in letters
    that the text encoder has hardly seen.
    """

    undescribed: tuple[str, ...] = ()
    remark: str = ""
    too_long: tuple[tuple[str, str], ...] = ()
    foreign: str = ""


class ClassTexts:
    """The texts of the classes of ``data`` as the settings have them.

    ``config`` is [describe], ``sources`` opens where descriptions are, and ``edit_command`` is what lets a
    person describe labels. ``limit``: what the text encoder reads; None if the model reads no text.
    """

    def __init__(
        self,
        config: DescribeConfig,
        data: ProjectData,
        sources: Callable[[], Sources],
        limit: CaptionLimit | None,
        edit_command: Callable[[Sequence[str]], object],
    ) -> None:
        self._config = config
        self._data = data
        self._sources = sources
        self._limit = limit
        self._edit_command = edit_command

    @property
    def of_descriptions(self) -> bool:
        """Whether the model reads more of a class than its label and its clips."""
        return self._limit is not None and needs_descriptions(self._limit.use)

    def undescribed(self, name: str, split: str) -> list[str]:
        """The classes of a split that nobody has described.

        With ``describe.missing = "label"`` the texts of all classes of that split are their labels alone.
        """
        labels = self._data.dataset(name).labels(split)
        return undescribed(labels, self._sources().all(labels))

    def warnings(self, splits: Iterable[tuple[str, str]]) -> list[str]:
        """Which classes are read by their labels, and why: a sentence for each (dataset, split) with some.

        None where labels do not stand for themselves: making descriptions refuses those that have none.
        """
        if not self._labels_stand or not self.of_descriptions:
            return []
        missing = {place: self.undescribed(*place) for place in splits}
        return [self._remark(*place, labels) for place, labels in missing.items() if labels]

    def of_reference(self, name: str, split: str) -> list[str]:
        """Why the frozen model beside a method that reads no descriptions reads labels, if it does."""
        missing = self.undescribed(name, split)
        if not missing:
            return []
        where, classes = f"{name}/{split}", len(self._data.dataset(name).labels(split))
        them = "it" if len(missing) == 1 else "them"
        return [
            f"of the frozen CLIP: {by_label(where, missing, classes)}; describe {them} if it is to read"
            f" sentences: {self._edit_command(missing)}"
        ]

    def check(self, name: str, split: str) -> TextCheck:
        """What is to be known of a split's texts before anything runs."""
        labels = self._data.dataset(name).labels(split)
        if self._limit is None or not labels:
            return TextCheck()
        found = self._sources().all(labels)
        read = of_one_kind(found) if self.of_descriptions else found
        problems = [(label, self._limit.problem(label, each.sub_actions)) for label, each in read.items()]
        missing = undescribed(labels, found) if self.of_descriptions else []
        return TextCheck(
            undescribed=tuple(missing),
            remark=self._remark(name, split, missing) if missing else "",
            too_long=tuple((label, problem) for label, problem in problems if problem),
            foreign=self._foreign(name, [each.name or label for label, each in read.items()]),
        )

    def _foreign(self, name: str, called: Sequence[str]) -> str:
        """What is to be said of labels in letters that CLIP's captions, which are English, hardly have."""
        other = [each for each in called if any(map(_is_foreign, each))]
        if not other or not self._limit or not reads_english(self._limit.backbone):
            return ""
        are = "is" if len(other) == 1 else "are"
        return (
            f"{len(other)} of the {len(called)} labels of {name} {are} in letters that {self._limit.backbone}"
            f" has hardly read ({first_of([*map(repr, other)], NAMED)}): say in English what prompts call"
            f" {'it' if are == 'is' else 'them'}, under [datasets.{toml_key(name)}.names]:"
            f' {json.dumps(other[0], ensure_ascii=False)} = "..."; results go on showing the label'
        )

    @property
    def _labels_stand(self) -> bool:
        return self._config.source == "corpus" and self._config.missing == "label"

    def _remark(self, name: str, split: str, missing: Sequence[str]) -> str:
        where, classes = f"{name}/{split}", len(self._data.dataset(name).labels(split))
        them = "it" if len(missing) == 1 else "them"
        if self._labels_stand:
            return f"{by_label(where, missing, classes)}; describe {them}: {self._edit_command(missing)}"
        named = f"{len(missing)} of the {classes} classes of {where} {'is' if them == 'it' else 'are'}"
        if self._config.source == "openai":
            return f"{named} not described yet; `fsarctl describe` asks {self._config.model}"
        return f'{named} not described: {self._edit_command(missing)}, or set describe.missing = "label"'


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and not unicodedata.name(letter, "LATIN").startswith("LATIN")
