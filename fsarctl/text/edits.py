"""Descriptions that a person corrected: a file of the project, and one of them as text to edit.

They live in ``edited-descriptions.json`` beside fsarctl.toml, in the shape of a corpus file, and not in
the cache: they are the project's own, to be reviewed and versioned with it, and no gc, no --force and no
new answer may touch them. They win over every corpus file and over the language model.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.datasets.labels.spelling import loosely
from fsarctl.datasets.yaml_text import compose_yaml
from fsarctl.errors import InputError
from fsarctl.progress import first_of
from fsarctl.text.corpus import STAGES, SubActions, parse_corpus, sub_actions_from

__all__ = ["EDITS", "as_text", "from_text", "keep_edit", "load_edits", "with_problem"]

EDITS = "edited-descriptions.json"

_NOT_KEPT = "# NOT KEPT:"


def load_edits(root: Path) -> dict[str, SubActions]:
    """The corrected descriptions of the project at ``root``, by label.

    Raises:
        InputError: the file cannot be read or is broken; the message names the label or the line.
    """
    path = root / EDITS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", next_step="Make it readable, or move it away."
        ) from None
    try:
        return parse_corpus(str(path), content)
    except InputError as error:
        error.next_step += " Correct it there, or delete that label, or the file, to have no such correction."
        raise


def keep_edit(root: Path, label: str, sub_actions: SubActions) -> Path:
    """Write one corrected description, in place of that label's former one; gives the file.

    Raises:
        InputError: the file is broken or cannot be written.
    """
    edits = {**load_edits(root), label: sub_actions}
    path = root / EDITS
    text = json.dumps(dict(sorted(edits.items())), indent=1, ensure_ascii=False)
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace") + b"\n")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", next_step="Make room or make it writable."
        ) from None
    return path


def as_text(label: str, sub_actions: SubActions | None) -> str:
    """A description as a person edits it: a line a stage, and remarks behind #."""
    # a folder's name may have line ends, or bytes that are no text
    label = " ".join(label.encode("utf-8", "backslashreplace").decode().split())
    stages = zip(STAGES, sub_actions or ("",) * len(STAGES), strict=True)
    lines = [
        f"# What is seen at the beginning, in the process and at the end of: {label}",
        "# One sentence a stage, on one line. Remove all lines to leave everything as it is.",
        "",
        *(f"{stage}: {sentence}".rstrip() for stage, sentence in stages),
    ]
    return "\n".join(lines) + "\n"


def with_problem(text: str, problem: str) -> str:
    """The same text to edit again, with what is wrong on top."""
    lines = [line for line in text.splitlines() if not line.startswith(_NOT_KEPT)]
    return "\n".join([f"{_NOT_KEPT} the description {problem}", *lines]) + "\n"


def from_text(text: str, label: str = "") -> SubActions | None:
    """The description that a person wrote; None if nothing is left but remarks.

    A line a stage, as ``as_text`` has it; or a list of three below its label, as files in YAML have it.

    Raises:
        ValueError: it is not three good sentences, or those of other labels than ``label``. The message
            completes "the description ...".
    """
    lines = [line for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("#")]
    if not lines:
        return None
    staged = [
        (stage.strip().lower(), colon, rest) for stage, colon, rest in (x.partition(":") for x in lines)
    ]
    if other := [n for n, (stage, colon, _) in enumerate(staged) if not colon or stage not in STAGES]:
        if any(rest.strip() for _, _, rest in staged[: other[0]]):
            raise ValueError(_no_stage(lines[other[0]]))
        try:
            return _from_yaml(lines, label)
        except ValueError:
            if other[0] == 0:
                raise
            return _from_yaml(lines[other[0] :], label)  # pasted under what stood there
    found: dict[str, str] = {}
    for stage, _, sentence in staged:
        if stage in found:
            raise ValueError(f"has two lines for the {stage}")
        sentence = sentence.strip()
        quoted = len(sentence) > 1 and sentence[0] == sentence[-1] == '"'
        found[stage] = sentence[1:-1] if quoted else sentence
    return sub_actions_from(_by_stage(found))


def _from_yaml(lines: Sequence[str], label: str) -> SubActions:
    """Three sentences as a list, alone or below their label, or by stage there; JSON is such YAML, too."""
    try:
        loader, node = compose_yaml("\n".join(lines))
        try:
            value = loader.construct_object(_of_label(node, label), deep=True) if node else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from None
    if isinstance(value, Mapping):
        value = _by_stage({str(stage).strip().lower(): sentence for stage, sentence in value.items()})
    if not isinstance(value, list):
        raise ValueError(_no_stage(lines[0]))
    if any(isinstance(sentence, Mapping) for sentence in value):
        raise ValueError("has a sentence with a colon, which YAML wants in quotes")
    return sub_actions_from(value)


def _of_label(node: yaml.Node, label: str) -> yaml.Node:
    """What stands below the one label that a description is of."""
    if not isinstance(node, yaml.MappingNode):
        return node
    named = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    if {stage.strip().lower() for stage in named} & set(STAGES):
        return node
    if len(node.value) != 1 or not named:
        raise ValueError(f"is of several labels ({first_of(named, 3)}); leave that of {label!r} alone")
    if label and loosely(named[0]) != loosely(label):
        raise ValueError(f"is of {named[0]!r}, and not of {label!r}")
    value: yaml.Node = node.value[0][1]
    return value


def _by_stage(found: Mapping[str, Any]) -> list[Any]:
    if other := [stage for stage in found if stage not in STAGES]:
        raise ValueError(_no_stage(other[0]))
    if absent := [stage for stage in STAGES if stage not in found]:
        raise ValueError(f"has no line for the {absent[0]}")
    return [found[stage] for stage in STAGES]


def _no_stage(line: str) -> str:
    return f"has a line that begins with none of {', '.join(STAGES)}: {line.strip()[:60]!r}"
