"""Sub-actions: what they are, the files that hold them, and the prompts made of them.

A corpus file is a JSON object of lists of three sentences::

    {"long jump": ["Run up for momentum.", "Take off with a powerful leap.", "Land and keep balance."]}

A user's own file may be the same in YAML (.yaml, .yml), which is easier to write by hand.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import yaml

from fsarctl.artifacts.refusals import reading
from fsarctl.datasets.labels.spelling import loosely
from fsarctl.datasets.yaml_text import compose_yaml
from fsarctl.errors import ConfigError, InputError

__all__ = [
    "DESCRIPTIONS",
    "PromptUse",
    "SHIPPED",
    "STAGES",
    "Corpus",
    "SubActions",
    "action_prompts",
    "alone_text",
    "alone_texts",
    "corpus_text",
    "needs_descriptions",
    "prompts_of",
    "load_corpus",
    "load_descriptions",
    "load_names",
    "parse_corpus",
    "sub_actions_from",
]

SubActions: TypeAlias = tuple[str, str, str]
"""What is seen at the beginning, in the process and at the end of an action, a sentence each."""

PromptUse: TypeAlias = str | tuple[str, ...]
"""A use of sub-actions, a key of ``PROMPT_MAKERS``; or templates, whose {} is the label alone."""

STAGES = ("beginning", "process", "end")
SHIPPED = "shipped"
"""What the place of the shipped files is called."""
DESCRIPTIONS = "descriptions.json"
"""The file of a describe artifact."""

_YAML = (".yaml", ".yml")
_PLACEHOLDERS = {
    *("string", "str", "text", "value", "sentence", "placeholder", "description", "your sentence here"),
    *("n/a", "na", "none", "null", "nil", "undefined", "unknown", "not applicable", "empty", "todo", "tbd"),
    "lorem ipsum",
}
_STAGE = r"(beginning|process|end|stage|step|sub-?action)"
_UNFILLED = re.compile(
    rf"(the |an? )?((short|one|your) )?(sentence|description|text)s?\W*(of|for|on|about)?\W*(the )?{_STAGE}?"
    rf"( stage)?\W*\d*|(the )?{_STAGE}\W*(sentence|description|text|\d+)|beginning|process|end"
)
"""What names a sentence and is none: Sentence 1, [beginning sentence], description of the end."""
LONGEST_SENTENCE = 240
"""Characters; CLIP reads 77 tokens, label and prompt included, and drops the rest in silence."""


def sub_actions_from(sentences: Sequence[object]) -> SubActions:
    """Three checked sentences, surrounding spaces removed.

    Raises:
        ValueError: they are not three, or one is not text, is empty or a placeholder, has several lines
            or control characters, is longer than 240 characters or repeats another. The message completes
            "the description ...".
    """
    if len(sentences) != len(STAGES):
        raise ValueError(f"has {len(sentences)} stages instead of {len(STAGES)}")
    checked = []
    for stage, sentence in zip(STAGES, sentences, strict=True):
        if not isinstance(sentence, str):
            raise ValueError(f"has something else than text in its {stage}")
        sentence = sentence.strip()
        if not sentence:
            raise ValueError(f"has an empty {stage}")
        if len(sentence.splitlines()) > 1:
            raise ValueError(f"has several lines in its {stage}")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", sentence):
            raise ValueError(f"has control characters in its {stage}")
        words = _words(sentence)
        if not words:
            raise ValueError(f"has no word in its {stage}")
        if words in _PLACEHOLDERS or _UNFILLED.fullmatch(words):
            raise ValueError(f"has a placeholder for its {stage}: {sentence}")
        if len(sentence) > LONGEST_SENTENCE:
            raise ValueError(f"has {len(sentence)} characters in its {stage}; {LONGEST_SENTENCE} are allowed")
        checked.append(sentence)
    if len({sentence.casefold() for sentence in checked}) < len(STAGES):
        raise ValueError("says the same for two stages")
    return checked[0], checked[1], checked[2]


def _words(sentence: str) -> str:
    """What is said, without punctuation around it and without letters that nobody sees."""
    seen = re.sub("[\u115f\u1160\u3164\uffa0_]", " ", sentence)
    found = re.search(r"\w(?:.*\w)?", seen.casefold(), re.DOTALL)
    return found[0] if found else ""


def action_prompts(label: str, sub_actions: SubActions) -> tuple[str, ...]:
    """The text encoder's three prompts of one class, beginning to end (section 3.5 of the paper)."""
    return tuple(f"A video of action about {label}: {sentence}" for sentence in sub_actions)


def alone_text(label: str) -> SubActions:
    """What stands for the sub-actions of a label that is read alone; no description says the same thrice."""
    return (label, label, label)


def alone_texts(labels: Iterable[str]) -> dict[str, SubActions]:
    """Each label, read alone."""
    return {label: alone_text(label) for label in labels}


def prompts_of(use: PromptUse, label: str, sub_actions: SubActions, name: str = "") -> tuple[str, ...]:
    """A class's prompts for one use of its sub-actions (Table 6), or from templates.

    ``name`` is what they call it, if not by its label. A label that is read alone is said once: as many
    prompts, and each of them that of the use "none".
    """
    name = name or label
    if isinstance(use, tuple):
        return tuple(template.replace("{}", name) for template in use)
    prompts = PROMPT_MAKERS[use](name, sub_actions)
    if sub_actions == alone_text(label):
        return PROMPT_MAKERS["none"](name, sub_actions) * len(prompts)
    return prompts


def needs_descriptions(use: PromptUse) -> bool:
    """Whether a class's prompts for this use say more than its label."""
    return use != "none" and not isinstance(use, tuple)


PROMPT_MAKERS: Mapping[str, Callable[[str, SubActions], tuple[str, ...]]] = {
    "none": lambda label, sub_actions: (f"A video of action about {label}",),
    "average": action_prompts,
    "concatenate": lambda label, sub_actions: (f"A video of action about {label}: {' '.join(sub_actions)}",),
    "stages": action_prompts,
}


@dataclass(frozen=True)
class Corpus:
    """Descriptions from several places; those of an earlier place win.

    Within a place a label is looked up as it is, and then with case, underscores, hyphens, brackets and
    spaces ignored, so that ``LongJump``, ``long_jump`` and ``Long Jump`` find each other. If several
    labels of a place are the same that way, the first one answers.
    """

    places: tuple[Mapping[str, SubActions], ...]
    names: tuple[str, ...] = ()
    """What to call each place."""

    def find(self, labels: Iterable[str]) -> dict[str, SubActions]:
        """The descriptions of those labels that have one, in the order asked."""
        return {label: self.places[place][key] for label, (place, key) in self._located(labels).items()}

    def whence(self, labels: Iterable[str]) -> dict[str, str]:
        """The name of the place that each of those labels has its description from."""
        return {label: self.names[place] for label, (place, _) in self._located(labels).items()}

    def _located(self, labels: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Label -> its place and what it is called there."""
        loose: list[dict[str, str]] = []
        for place in self.places:
            loose.append({})
            for label in place:
                loose[-1].setdefault(loosely(label), label)

        found = {}
        for label in labels:
            for number, (place, others) in enumerate(zip(self.places, loose, strict=True)):
                key = label if label in place else others.get(loosely(label))
                if key is not None:
                    found[label] = number, key
                    break
        return found


def load_corpus(files: Sequence[Path]) -> Corpus:
    """The user's corpus files, each a place of its own, then all shipped ones as one place.

    Raises:
        ConfigError: a file does not exist.
        InputError: a file is not such JSON; the message names the file and the label.
    """
    places = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"describe.files names {file}, which cannot be read: {error.strerror}",
                next_step="Correct describe.files.",
            ) from None
        places.append(parse_corpus(str(file), content))

    return Corpus(
        (*places, _shipped(Path(str(resources.files("fsarctl.prompts"))))), (*map(str, files), SHIPPED)
    )


@cache
def _shipped(folder: Path) -> Mapping[str, SubActions]:
    """What comes with fsarctl in that folder, read once."""
    shipped: dict[str, SubActions] = {}
    for resource in sorted(folder.iterdir(), key=lambda found: found.name):
        if resource.name.endswith(".json"):
            shipped = {**parse_corpus(f"prompts/{resource.name}", resource.read_bytes()), **shipped}
    return shipped


def load_descriptions(folder: Path) -> dict[str, SubActions]:
    """The sub-actions of every label in a describe artifact, where a label that is read alone has none.

    Raises:
        IntegrityError: the artifact does not hold them.
    """
    with reading(folder / DESCRIPTIONS):
        labels = json.loads((folder / DESCRIPTIONS).read_bytes())["labels"]
        found = {
            label: (stages["beginning"], stages["process"], stages["end"])
            if any(stages[stage] for stage in STAGES)
            else alone_text(label)
            for label, stages in labels.items()
        }
        if not all(isinstance(sentence, str) for sentences in found.values() for sentence in sentences):
            raise ValueError("it holds something else than sentences")
    return found


def load_names(folder: Path) -> dict[str, str]:
    """What prompts call the labels in a describe artifact, of those that have a name besides.

    Raises:
        IntegrityError: the artifact does not hold them.
    """
    with reading(folder / DESCRIPTIONS):
        labels = json.loads((folder / DESCRIPTIONS).read_bytes())["labels"]
        return {label: str(stages["name"]) for label, stages in labels.items() if "name" in stages}


def parse_corpus(name: str, content: bytes) -> dict[str, SubActions]:
    """The descriptions in a corpus file's content, by label; ``name`` is the file's, for its kind and errors.

    Raises:
        InputError: it is no such JSON or YAML; the message names the file and the label.
    """
    shape = 'A corpus file reads {"label": ["beginning.", "process.", "end."], ...}, in UTF-8.'
    is_yaml = name.endswith(_YAML)
    kind = "YAML" if is_yaml else "JSON"
    try:
        text = content.decode("utf-8-sig")
        pairs = _yaml_pairs(text) if is_yaml else json.loads(text, object_pairs_hook=tuple)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{name} is not JSON: {error.msg} on line {error.lineno}, column {error.colno}", next_step=shape
        ) from None
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise InputError(f"{name} is not YAML: {where}", next_step=shape) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not {kind} in UTF-8: {type(error).__name__}", next_step=shape) from None
    if not isinstance(pairs, tuple):
        raise InputError(f"{name} is not a JSON object of labels", next_step=shape)

    descriptions: dict[str, SubActions] = {}
    for label, sentences in pairs:
        if label in descriptions:
            raise InputError(f"{name} describes {label!r} twice", next_step="Delete one of the two.")
        if not isinstance(sentences, list):
            raise InputError(f"{name}: the value of {label!r} is not a list", next_step=shape)
        try:
            descriptions[label] = sub_actions_from(sentences)
        except ValueError as error:
            raise InputError(f"{name}: the description of {label!r} {error}", next_step=shape) from None
    return descriptions


def corpus_text(name: str, descriptions: Mapping[str, SubActions]) -> str:
    """The text of a corpus file as ``parse_corpus`` reads it: YAML if ``name`` ends so, else JSON."""
    lists = {label: list(sentences) for label, sentences in descriptions.items()}
    if name.endswith(_YAML):
        return yaml.safe_dump(lists, allow_unicode=True, sort_keys=False, width=1000)
    return json.dumps(lists, indent=1, ensure_ascii=False) + "\n"


def _yaml_pairs(text: str) -> object:
    """Like ``object_pairs_hook=tuple`` of JSON: a label that stands twice is seen twice."""
    loader, node = compose_yaml(text)
    try:
        if not isinstance(node, yaml.MappingNode):
            return node
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.composer.ComposerError(None, None, "a label that is no text", key.start_mark)
        return tuple((key.value, loader.construct_object(value, deep=True)) for key, value in node.value)
    finally:
        loader.dispose()
