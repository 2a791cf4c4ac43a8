"""Answers of language models, one file each, kept for good: paid work is never paid for twice.

What identifies an answer is what was asked of whom: the model, the whole prompt and the temperature.
The server's address is no part of it (it is noted inside): a model that moves to another port or
behind a proxy gives the same answers, and a label is not paid for again because of that. Two
different models under one name are told apart by giving them different names.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fsarctl.artifacts.atomic_write import sync_folder, write_whole
from fsarctl.artifacts.refusals import content_of, is_refused
from fsarctl.artifacts.sharing.locks import hold
from fsarctl.artifacts.unfinished.sealed import SealError, read_sealed_json, sealed_json
from fsarctl.artifacts.unpublished import BEFORE_SEALS
from fsarctl.errors import InputError
from fsarctl.progress import Reporter
from fsarctl.text.corpus import STAGES, SubActions, sub_actions_from
from fsarctl.text.llm.answer_forms import FormMemory
from fsarctl.text.llm.answers import Answer

__all__ = ["CorruptRecordError", "Record", "Records"]


class CorruptRecordError(Exception):
    """A record that cannot be read back as the answer that its name promises."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Record:
    """One kept answer."""

    sub_actions: SubActions
    usage: Mapping[str, int] | None
    """prompt_tokens and completion_tokens; None if the server did not count them."""
    answered_by: str
    """The model's name as the server gave it."""
    created: str
    """When the answer came, ISO 8601."""


class Records:
    """The answers of one model at one temperature, in ``folder``."""

    def __init__(self, folder: Path, model: str, temperature: float | None) -> None:
        self.folder = folder
        self.model = model
        self.temperature = None if temperature is None else float(temperature)

    def path(self, prompt: str) -> Path:
        """Where the answer to a prompt is, or would be."""
        asked = {"model": self.model, "prompt": prompt, "temperature": self.temperature}
        return self.folder / f"{_digest(json.dumps(asked, sort_keys=True))}.json"

    def find(self, prompt: str) -> Record | None:
        """The answer that was kept for a prompt, None if there is none.

        Raises:
            CorruptRecordError: there is a file, and it does not hold that answer.
        """
        path = self.path(prompt)
        try:
            record = read_sealed_json(content_of(path), path.name, BEFORE_SEALS)
        except FileNotFoundError:
            return None
        except OSError as error:
            if not is_refused(error):
                raise CorruptRecordError(path, str(error.strerror)) from None
            raise InputError(
                f"a kept answer cannot be read: {error.strerror}: {path}",
                next_step="Make it readable: what was paid for once is not asked again.",
            ) from None
        except SealError as error:
            raise CorruptRecordError(path, str(error)) from None
        except (ValueError, RecursionError) as error:
            raise CorruptRecordError(path, f"not readable as JSON ({type(error).__name__})") from None
        try:
            asked = (record["model"], record["prompt_digest"], record["temperature"])
            if asked != (self.model, _digest(prompt), self.temperature):
                raise CorruptRecordError(path, "it answers another prompt")
            return Record(
                sub_actions_from([record["stages"][stage] for stage in STAGES]),
                record.get("usage"),
                str(record.get("answered_by", self.model)),
                str(record.get("created", "")),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise CorruptRecordError(path, f"incomplete ({type(error).__name__}: {error})") from None
        except ValueError as error:
            raise CorruptRecordError(path, f"the description {error}") from None

    def forms(self, server: str) -> FormMemory:
        """What is remembered of this model on one server."""
        return FormMemory(self.folder / "servers", server, self.model)

    def keep(self, label: str, prompt: str, answer: Answer) -> None:
        """Write one answer so that it is there whole or not at all, and survives what comes next.

        Only within ``held``: two processes would write over each other's half-written file.

        Raises:
            InputError: the disk is full or cannot be written.
        """
        record = {
            "label": label,
            "model": self.model,
            "temperature": self.temperature,
            "prompt_digest": _digest(prompt),
            "stages": dict(zip(STAGES, answer.sub_actions, strict=True)),
            "form": answer.form,
            "usage": answer.usage,
            "server": answer.server,
            "answered_by": answer.answered_by,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        path = self.path(prompt)
        try:
            write_whole(path, sealed_json(record, path.name, indent=1))
            sync_folder(self.folder)
        except OSError as error:
            raise self._unwritable(error) from None

    def quarantine(self, corrupt: CorruptRecordError) -> Path:
        """Move a corrupt record aside, under a name that is never read; gives the new path."""
        for number in range(1, 10_000):
            aside = corrupt.path.with_name(f"{corrupt.path.name}.corrupt-{number}")
            if not aside.exists():
                break
        try:
            return corrupt.path.replace(aside)
        except OSError as error:
            raise self._unwritable(error) from None

    @contextmanager
    def held(self, reporter: Reporter) -> Iterator[None]:
        """Keep other processes from asking meanwhile, so that no two pay for the same label.

        Raises:
            InputError: the folder cannot be written. Said here, before anything is paid for.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
            with ExitStack() as stack:
                stack.enter_context(hold(self.folder / ".lock", "asking for descriptions", reporter))
                locked = stack.pop_all()
        except OSError as error:
            raise self._unwritable(error) from None
        with locked:
            yield

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"cannot keep answers in {self.folder}: {error.strerror or type(error).__name__}",
            next_step="Make room or make it writable, and run again; answers kept so far are found again.",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
