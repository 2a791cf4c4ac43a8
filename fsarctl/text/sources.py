"""Where the description of a label comes from: a person's correction, a written file, or a language model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from fsarctl.config.tables import DescribeConfig
from fsarctl.progress import first_of
from fsarctl.text.corpus import Corpus, SubActions, alone_text, load_corpus
from fsarctl.text.edits import load_edits
from fsarctl.text.llm.question import prompt_of, read_template
from fsarctl.text.llm.records import CorruptRecordError, Record, Records
from fsarctl.text.llm.server import Server

__all__ = ["Found", "Source", "Sources", "by_label", "of_one_kind", "undescribed"]

NAMED = 5
Source: TypeAlias = Literal["edited", "corpus", "openai", "label"]
"""label: no file describes it, and it stands for its own stages."""


@dataclass(frozen=True)
class Found:
    """The description of one label, and where it comes from."""

    sub_actions: SubActions
    source: Source
    place: str = ""
    """corpus: the file, or "shipped"; openai: the model."""
    record: Record | None = None
    """openai: the answer and how it came about."""
    name: str = ""
    """What prompts call it, if not by its label."""


class Sources:
    """Descriptions as a project's settings find them; nothing is asked or written.

    ``root`` is what relative paths of ``config`` are relative to, and where corrections are; ``records``
    is the folder of kept answers. ``names``: label -> what prompts call it, where that is not the label.

    Raises:
        ConfigError: the template is missing or has no {label}, or the server's address is none.
    """

    def __init__(
        self, config: DescribeConfig, root: Path, records: Path, names: Mapping[str, str] | None = None
    ) -> None:
        self._config = config
        self._names = names or {}
        self._root = root
        self.asks = config.source == "openai"
        temperature = None if config.temperature == "none" else float(config.temperature)
        self.records = Records(records, config.model, temperature)
        if self.asks:
            self.template = read_template(root / config.template if config.template else None)
            self.server = Server(config.base_url, config.model, temperature, config.max_tokens)

    def written(self, labels: Sequence[str]) -> dict[str, Found]:
        """Those of the labels that need no language model: corrected by a person, or from a file.

        Raises:
            InputError: a file is broken; the message names it and the label.
            ConfigError: a corpus file does not exist.
        """
        edits = Corpus((load_edits(self._root),), ("",))
        found = {label: Found(text, "edited") for label, (text, _) in self._find(edits, labels).items()}
        rest = [label for label in labels if label not in found]
        if not self.asks:
            corpus = load_corpus([self._root / file for file in self._config.files])
            if self._config.missing == "label":
                found = {label: _alone(label) for label in rest} | found
            for label, (text, place) in self._find(corpus, rest).items():
                found[label] = Found(text, "corpus", place)
        return {label: self._named(label, each) for label, each in found.items()}

    def _find(self, corpus: Corpus, labels: Sequence[str]) -> dict[str, tuple[SubActions, str]]:
        """Those of the labels that are described there, by themselves or else by name, and its place."""
        by_label = corpus.find(labels)
        called = {label: label if label in by_label else self._names.get(label, label) for label in labels}
        texts, places = corpus.find(called.values()), corpus.whence(called.values())
        return {label: (texts[key], places[key]) for label, key in called.items() if key in texts}

    def _named(self, label: str, found: Found) -> Found:
        return replace(found, name=self._names[label]) if label in self._names else found

    def prompts(self, labels: Iterable[str]) -> dict[str, str]:
        """What a language model is asked about each label."""
        return {label: prompt_of(self.template, self._names.get(label, label)) for label in labels}

    def all(self, labels: Sequence[str]) -> dict[str, Found]:
        """Those of the labels that have a description now, kept answers included; corrupt ones are left out.

        Raises:
            InputError, ConfigError: see ``written``.
        """
        found = self.written(labels)
        if self.asks:
            for label, prompt in self.prompts(label for label in labels if label not in found).items():
                try:
                    record = self.records.find(prompt)
                except CorruptRecordError:
                    continue
                if record is not None:
                    answer = Found(record.sub_actions, "openai", self._config.model, record)
                    found[label] = self._named(label, answer)
        return {label: found[label] for label in labels if label in found}


def undescribed(labels: Iterable[str], found: Mapping[str, Found]) -> list[str]:
    """Those of the labels that nobody has described, whether they stand for themselves or not."""
    return [label for label in labels if label not in found or found[label].source == "label"]


def of_one_kind(found: Mapping[str, Found]) -> dict[str, Found]:
    """The descriptions of classes that are compared with each other: a sentence each, or the label each.

    CLIP finds a video nearer to a sentence than to a bare label, whatever it shows. So where any label stands
    for itself, all of them do.
    """
    if any(each.source == "label" for each in found.values()):
        return {label: replace(_alone(label), name=each.name) for label, each in found.items()}
    return dict(found)


def by_label(where: str, missing: Sequence[str], classes: int) -> str:
    """A sentence on a place whose classes are read by their labels, since ``missing`` have no other text."""
    named = first_of([*map(repr, missing)], NAMED)
    if len(missing) == classes:
        return f"no class of {where} is described ({named}), and each is read by its label alone"
    are = "is" if len(missing) == 1 else "are"
    return (
        f"{len(missing)} of the {classes} classes of {where} {are} not described ({named}), so all are"
        " read by their labels alone: a sentence would win over a label"
    )


def _alone(label: str) -> Found:
    return Found(alone_text(label), "label")
