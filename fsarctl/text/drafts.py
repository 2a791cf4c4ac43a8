"""Descriptions that a person is typing: files of the project until they are kept, so that none is lost.

What an editor works on is ``edit-drafts/<label>-<digest>.yaml`` beside fsarctl.toml. It goes away when its
description is kept or given up, and with it the folder; after a mistake, a crash of the editor or a kill
it stays, with whatever the editor keeps beside it (vi's swap file), and the next edit of that label goes on
there.
"""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.errors import InputError
from fsarctl.text.corpus import SubActions
from fsarctl.text.edits import as_text, from_text, with_problem

__all__ = ["DRAFTS", "Draft"]

DRAFTS = "edit-drafts"
NAME = 40
BEGUN = "# A draft of fsarctl's, begun as"


class Draft:
    """The draft of one label in the project at ``root``."""

    def __init__(self, root: Path, label: str) -> None:
        digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = re.sub(r"\W+", "-", label.encode("utf-8", "replace").decode())[:NAME].strip("-")
        self.label = label
        self.path = root / DRAFTS / f"{name}-{digest}.yaml"
        self._of = ""  # in case that the editor writes no remarks back

    def begin(self, before: SubActions | None) -> bool:
        """Write the description ``before`` there to be edited; True if somebody typed there already.

        Raises:
            InputError: the project cannot be written.
        """
        text = as_text(self.label, before)
        try:
            if self.typed:
                return True
            self.path.parent.mkdir(exist_ok=True)
            self._of = _mark(text.encode())
            write_whole(self.path, f"{BEGUN} {self._of}\n{text}".encode())
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written: {error.strerror}",
                next_step="Make room or make it writable; it holds what you type until that is kept.",
            ) from None
        return False

    @property
    def typed(self) -> bool:
        """Whether it holds more than remarks, and something else than it was begun with."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return False
        begun = re.findall(rf"^{BEGUN} (\w+)".encode(), content, re.MULTILINE)
        return bool(_lines(content)) and _mark(content) not in (mark.decode() for mark in begun)

    def is_of(self, before: SubActions | None) -> bool:
        """Whether it was begun with this description, as far as is known."""
        begun = re.findall(rf"(?m)^{BEGUN} (\w+)", self.path.read_bytes().decode("utf-8", "replace"))
        of = begun[0] if begun else self._of
        return of in ("", _mark(as_text(self.label, before).encode()))

    def sub_actions(self) -> SubActions | None:
        """The description that it holds; None of remarks alone.

        Raises:
            ValueError: it is none. The message completes "the description ...".
        """
        return from_text(self._text(), self.label)

    def remark(self, problem: str, *, now: SubActions | None = None) -> None:
        """Say on top what is wrong, for who edits it next; ``now``: it is an edit of that description now."""
        with suppress(ValueError, OSError):
            text = with_problem(self._text(), problem)
            if now:
                self._of = _mark(as_text(self.label, now).encode())
                text = f"{BEGUN} {self._of}\n{text}"
            write_whole(self.path, text.encode())

    def remove(self) -> None:
        """What is kept elsewhere, or given up, is no draft any more."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()  # unless it holds others

    def _text(self) -> str:
        try:
            content = self.path.read_bytes()
            return content.decode()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise ValueError(f"is not in UTF-8 (line {line})") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None


def _lines(content: bytes) -> list[bytes]:
    return [line.strip() for line in content.splitlines() if line.strip() and not line.startswith(b"#")]


def _mark(content: bytes) -> str:
    return hashlib.sha256(b"\n".join(_lines(content))).hexdigest()[:8]
