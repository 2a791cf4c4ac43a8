"""Descriptions that a person corrected: a file of the project, and one of them as text to edit.

They live in ``edited-descriptions.json`` beside fsarctl.toml, in the shape of a corpus file, and not in
the cache: they are the project's own, to be reviewed and versioned with it, and no gc, no --force and no
new answer may touch them. They win over every corpus file and over the language model.
"""

import json
from pathlib import Path

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.errors import InputError
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
    return parse_corpus(str(path), content)


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


def from_text(text: str) -> SubActions | None:
    """The description that a person wrote; None if nothing is left but remarks.

    Raises:
        ValueError: it is not three good sentences. The message completes "the description ...".
    """
    found: dict[str, str] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        stage, colon, sentence = line.partition(":")
        stage = stage.strip().lower()
        if not colon or stage not in STAGES:
            raise ValueError(
                f"has a line that begins with none of {', '.join(STAGES)}: {line.strip()[:60]!r}"
            )
        if stage in found:
            raise ValueError(f"has two lines for the {stage}")
        sentence = sentence.strip()
        quoted = len(sentence) > 1 and sentence[0] == sentence[-1] == '"'
        found[stage] = sentence[1:-1] if quoted else sentence
    if not found:
        return None
    if absent := [stage for stage in STAGES if stage not in found]:
        raise ValueError(f"has no line for the {absent[0]}")
    return sub_actions_from([found[stage] for stage in STAGES])
