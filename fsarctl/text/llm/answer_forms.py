"""In which form a server gives an answer (a schema, some JSON, text), and what else it may be sent.

A server says no to a form or a parameter that it does not have, each in its own words, or accepts a
form and pays no attention. What was found out about a model on a server is remembered in a file of its
own beside the answers, so that the next run need not find it out again.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.artifacts.refusals import content_of
from fsarctl.artifacts.unfinished.sealed import read_sealed_json, sealed_json
from fsarctl.text.corpus import STAGES

__all__ = ["FORMS", "FormMemory", "parameters", "refused_parameter", "refuses_form"]

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

_TOKENS = ("max_tokens", "max_completion_tokens")
"""What the longest answer is called, the name that most servers know first."""

BELIEVED = timedelta(days=7)
"""How long a lesser form, or a refused parameter, is believed; then the best is tried again."""

_ABOUT_FORM = re.compile(
    r"response.?format|json.?(schema|object|mode)|grammar|guided|structured.?output|requested parameters",
    re.IGNORECASE,
)


_NOT_TAKEN = re.compile(
    r"unsupported.?parameter|not (be )?(supported|permitted|allowed|accepted|recognized)|unrecogni[sz]ed"
    r"|unknown|unexpected|extra|deprecated|remove|does(n't| not) (support|accept|take) the"
    r"|max_completion_tokens",
    re.I,
)
_VALUE = re.compile(r"unsupported.?value|only the default|must be|at most|too (large|high)|between", re.I)


def parameters(temperature: float | None, max_tokens: int, without: Collection[str]) -> dict[str, float]:
    """What a request says besides its question and form, ``without`` what the server does not take."""
    wanted = {} if temperature is None or "temperature" in without else {"temperature": temperature}
    names = [name for name in _TOKENS if name not in without] if max_tokens else []
    return {**wanted, **dict.fromkeys(names[:1], max_tokens)}


def refused_parameter(sent: Collection[str], param: str, code: str, said: str) -> str | None:
    """The one of those ``sent`` that must not be, where a refusal says so of it and not of its value."""
    named = [name for name in ("temperature", *_TOKENS) if name in sent]
    named = [name for name in named if name == param or re.search(rf"\b{name}\b", said)]
    words = f"{code} {said}"
    return named[0] if named and _NOT_TAKEN.search(words) and not _VALUE.search(words) else None


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
    """The form that one model on one server was last seen to have, and the parameters that it refused,
    in a file of ``folder``."""

    folder: Path
    server: str
    model: str

    def recall(self) -> tuple[str, frozenset[str]] | None:
        """The form to begin with, and the parameters to leave out; None if nothing is known, or it is time
        to try the best once more."""
        try:
            known = read_sealed_json(content_of(self._path), self._path.name)
            found = datetime.fromisoformat(known["found"])
            form, without = str(known["form"]), frozenset(map(str, known.get("without", ())))
            fresh = datetime.now(UTC) - found < BELIEVED
            mine = (known["server"], known["model"]) == (self.server, self.model)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None  # it is only a memory: the form is found out again
        best = form == next(iter(FORMS)) and not without
        return (form, without) if mine and form in FORMS and (fresh or best) else None

    def remember(self, form: str, without: Collection[str] = ()) -> None:
        """Keep what was found out; unless it was known already, so that a belief grows old."""
        if self.recall() == (form, frozenset(without)):
            return
        known = {
            "server": self.server,
            "model": self.model,
            "form": form,
            "without": sorted(without),
            "found": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, sealed_json(known, self._path.name, indent=1))

    @property
    def _path(self) -> Path:
        name = hashlib.sha256(json.dumps([self.server, self.model]).encode()).hexdigest()
        return self.folder / f"{name}.json"
