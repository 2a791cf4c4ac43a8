"""What a failed request means: a reason for one label's failure, or an error that stops the run."""

import json
import re
from dataclasses import dataclass
from typing import Any

from fsarctl.errors import ConfigError
from fsarctl.errors.addresses import public_address
from fsarctl.text.llm.connection import ConnectionLostError, Reply
from fsarctl.text.llm.redaction import Redaction
from fsarctl.text.llm.retries import asked_to_wait
from fsarctl.text.llm.server import KEY_VARIABLE

__all__ = ["Failures", "RefusedError"]

_LONGEST_QUOTE = 200
_PASSING = {408, 409, 425, 429}


class RefusedError(Exception):
    """A reply whose status is not 200. The message is what the server said, without the key."""

    def __init__(self, reply: Reply, said: str, code: str, param: str) -> None:
        super().__init__(said)
        self.status = reply.status
        self.said = said
        self.code = code
        self.param = param
        self.wait = asked_to_wait(reply.headers)
        self.location = reply.headers.get("location", "")

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in _PASSING or (self.status >= 500 and self.status not in (501, 505))


@dataclass(frozen=True)
class Failures:
    """Words for what went wrong with one model on one server. No secret is in them."""

    address: str
    model: str
    has_key: bool
    has_login: bool
    redaction: Redaction
    deadline: float

    def refused(self, reply: Reply) -> RefusedError:
        """What a reply that is none says, in whichever of its many places a server says it."""
        text = reply.content.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            page = re.search(r"<title[^>]*>(.*?)</title>", text, flags=re.DOTALL | re.IGNORECASE)
            body = {"message": page[1] if page else text}
        error = body.get("error", body) if isinstance(body, dict) else body
        fields: dict[str, Any] = error if isinstance(error, dict) else {}
        words = fields.get("message") or fields.get("detail") or error or ""
        said = " ".join(str(words).split())
        return RefusedError(
            reply,
            self.redaction.text(said)[:_LONGEST_QUOTE],
            str(fields.get("code") or ""),
            str(fields.get("param") or ""),
        )

    def reason(self, error: Exception) -> str:
        """Why one label failed."""
        if isinstance(error, RefusedError):
            wait = f", it asks to wait {error.wait:g} s" if (error.wait or 0) >= 1 else ""
            return f"HTTP {error.status}{': ' if error.said else ''}{error.said}{wait}"
        if isinstance(error, ConnectionLostError):
            return str(error)
        return f"no answer within {self.deadline:g} s, all retries included"

    def stops_the_run(self, error: Exception, *, reached: bool) -> ConfigError | None:
        """The error that would meet every label, if this is one.

        ``reached``: the server has answered something before.
        """
        said = self.reason(error)
        if isinstance(error, ConnectionLostError):
            return None if reached else self._no_reply(error)
        if not isinstance(error, RefusedError):
            return None
        if 300 <= error.status < 400:
            to = self.redaction.text(public_address(error.location)).removesuffix("/chat/completions")
            return ConfigError(
                f"{self.address} redirects to another address: {to}",
                next_step="Set describe.base_url to the address that you trust with prompts and key.",
            )
        if error.status == 401:
            return self._unknown_caller()
        if error.status == 403:
            this = "the login in describe.base_url" if self.has_login else "this key"
            other = "login in describe.base_url" if self.has_login else f"key ({KEY_VARIABLE})"
            return ConfigError(
                f"{self.address} does not allow {self.model!r} with {this}: {said}",
                next_step=f"Use another {other} or another describe.model.",
            )
        if error.status in (404, 405):
            return ConfigError(
                f"{self.address} has no model {self.model!r}, or is not the right address: {said}",
                next_step="Correct describe.model, or describe.base_url (it usually ends in /v1).",
            )
        if error.status == 402 or error.code == "insufficient_quota":
            return ConfigError(
                f"{self.address} says that the credit of this key is used up: {said}",
                next_step="Add credit and run again; answers kept so far are found again.",
            )
        about = error.param == "temperature" or re.search(r"""['"`]temperature['"`]""", error.said)
        if error.status == 400 and about:
            return ConfigError(
                f"{self.model!r} does not take this temperature: {said}",
                next_step="Set describe.temperature to what the model takes, often 1.",
            )
        return None

    def _no_reply(self, error: ConnectionLostError) -> ConfigError:
        """No request has had a reply so far."""
        if error.kind == "unreached":
            return ConfigError(
                f"cannot reach {self.address}: {error}",
                next_step="Start the server, or correct describe.base_url.",
            )
        if error.kind == "late":
            return ConfigError(
                f"{self.address} takes the connection, but there is {error}",
                next_step="Give a slow model longer (--time-limit SECONDS); else see the server's log.",
            )
        return ConfigError(
            f"{self.address} takes the connection, but gives no whole answer: {error}",
            next_step="See the server's log; check the port of describe.base_url, and http or https.",
        )

    def _unknown_caller(self) -> ConfigError:
        if self.has_login:
            return ConfigError(
                f"{self.address} refuses the login in describe.base_url (HTTP 401)",
                next_step="Correct the user and the password in describe.base_url.",
            )
        wrong = "refuses the key" if self.has_key else "wants a key, and there is none"
        return ConfigError(
            f"{self.address} {wrong} (HTTP 401)", next_step=f"Set the environment variable {KEY_VARIABLE}."
        )
