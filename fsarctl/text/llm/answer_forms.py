"""In which form a server gives an answer: by a schema, as some JSON, or as plain text.

A server says no to a form that it does not have, each in its own words, or accepts it and pays no
attention. What was found out about a model on a server is remembered in a file of its own beside the
answers, so that the next run need not find it out again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.text.corpus import STAGES

__all__ = ["FORMS", "FormMemory", "refuses_form"]

FORMS: Mapping[str, Mapping[str, Any]] = {
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "sub_actions",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {stage: {"type": "string"} for stage in STAGES},
                    "required": list(STAGES),
                    "additionalProperties": False,
                },
            },
        }
    },
    "json_object": {"response_format": {"type": "json_object"}},
    "text": {},
}
"""What a request says to get each form, best first."""

BELIEVED = timedelta(days=7)
"""How long a lesser form is believed; then the best one is tried again, for servers get better."""

_ABOUT_FORM = re.compile(
    r"response.?format|json.?(schema|object|mode)|grammar|guided|structured.?output|requested parameters",
    re.IGNORECASE,
)


def refuses_form(status: int, message: str) -> bool:
    """Whether this refusal may be one of the form, rather than of what was asked.

    400 and 422 are what most servers say, in words that cannot be told apart; others answer 404 or an
    error of their own, or 200 with an error in it, and name the form.
    """
    if status in (400, 422, 501):
        return True
    return (status < 300 or status == 404 or status >= 500) and bool(_ABOUT_FORM.search(message))


@dataclass(frozen=True)
class FormMemory:
    """The form that one model on one server was last seen to have, in a file of ``folder``."""

    folder: Path
    server: str
    model: str

    def recall(self) -> str | None:
        """The form to begin with; None if nothing is known, or it is time to try the best one again."""
        try:
            known = json.loads(self._path.read_bytes())
            found = datetime.fromisoformat(known["found"])
            form = known["form"]
            fresh = datetime.now(UTC) - found < BELIEVED
            mine = (known["server"], known["model"]) == (self.server, self.model)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None  # it is only a memory: the form is found out again
        return form if mine and form in FORMS and (fresh or form == next(iter(FORMS))) else None

    def remember(self, form: str) -> None:
        """Keep what was found out; unless it was known already, so that a belief grows old."""
        if self.recall() == form:
            return
        known = {
            "server": self.server,
            "model": self.model,
            "form": form,
            "found": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, json.dumps(known, indent=1).encode())

    @property
    def _path(self) -> Path:
        name = hashlib.sha256(json.dumps([self.server, self.model]).encode()).hexdigest()
        return self.folder / f"{name}.json"
