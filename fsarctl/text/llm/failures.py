"""What a failed request means: a reason for one label's failure, or an error that stops the run."""

import os
import re
from dataclasses import dataclass

from fsarctl.errors import ConfigError
from fsarctl.errors.addresses import public_address
from fsarctl.text.llm.answers import BadAnswerError, CutOffError, NoAnswerError
from fsarctl.text.llm.connection import ConnectionLostError
from fsarctl.text.llm.environment import Proxy, trusted_from
from fsarctl.text.llm.rate_limit import ClosedError
from fsarctl.text.llm.redaction import Redaction
from fsarctl.text.llm.refusals import RefusedError
from fsarctl.text.llm.server import KEY_VARIABLE

__all__ = ["Failures"]

_KEY = re.compile(
    r"(api.?key|credential)s?\b.{0,30}\b(invalid|not valid|incorrect|wrong|missing|expired|required)"
    r"|\b(invalid|incorrect|wrong|missing|expired|no)\b.{0,20}(api.?key|credential)",
    re.I,
)
_MODEL = re.compile(
    r"\b(unknown|invalid|no such|nonexistent|not a valid)\b.{0,9}\bmodel\b"
    r"|\bmodel\b.{0,80}?(not found|n[o']t exist|not a valid|is unknown|not loaded)",
    re.I,
)
_ADDRESS = re.compile(
    r"unexpected (endpoint|path|url)|unknown (request )?(url|endpoint|route|path)|no route|cannot (post|get)",
    re.I,
)


@dataclass(frozen=True)
class Failures:
    """Words for what went wrong with one model on one server. No secret is in them."""

    address: str
    model: str
    has_key: bool
    has_login: bool
    redaction: Redaction
    deadline: float
    proxy: Proxy | None = None

    def reason(self, error: Exception) -> str:
        """Why one label failed."""
        if isinstance(error, RefusedError):
            wait = f", it asks to wait {error.wait:g} s" if (error.wait or 0) >= 1 else ""
            status = "an error" if error.status < 300 else f"HTTP {error.status}"
            return f"{status}{': ' if error.said else ''}{error.said}{wait}"
        if isinstance(error, ConnectionLostError):
            return str(error)
        if isinstance(error, BadAnswerError | ClosedError):
            return self.redaction.text(str(error))
        return f"no answer within {self.deadline:g} s, all retries included"

    def stops_the_run(self, error: Exception, *, reached: bool) -> ConfigError | None:
        """The error that would meet every label, if this is one.

        ``reached``: the server has answered something before.
        """
        return self._through_proxy(self._stopping(error, reached=reached))

    def _through_proxy(self, error: ConfigError | None) -> ConfigError | None:
        """The same, with the proxy that may be at fault."""
        if error is None or self.proxy is None or self.proxy.variable in error.message:
            return error
        return ConfigError(
            f"{error.message} (asked through {self.proxy.named})",
            next_step=f"{error.next_step} If it is the proxy that answers: correct {self.proxy.variable}, or "
            f"go past it: {self.proxy.past}",
        )

    def _stopping(self, error: Exception, *, reached: bool) -> ConfigError | None:
        said = self.reason(error)
        if isinstance(error, ConnectionLostError):
            return self._no_reply(error) if not reached or error.kind in ("untrusted", "barred") else None
        if not isinstance(error, RefusedError):
            return None
        if 300 <= error.status < 400:
            to = self.redaction.text(public_address(error.location)).removesuffix("/chat/completions")
            return ConfigError(
                f"{self.address} redirects to another address: {to}",
                next_step="Set describe.base_url to the address that you trust with prompts and key.",
            )
        if error.limited and error.code != "insufficient_quota":
            return None
        if error.status == 407 and self.proxy:
            return self._barred(self.proxy, f"it answers HTTP 407 {error.said}")
        if error.status == 401 or (error.status in (200, 400, 403) and _KEY.search(error.said)):
            return self._unknown_caller(error)
        if error.status == 403:
            this = "the login in describe.base_url" if self.has_login else "this key"
            other = "login in describe.base_url" if self.has_login else f"key ({KEY_VARIABLE})"
            return ConfigError(
                f"{self.address} does not allow {self.model!r} with {this}: {said}",
                next_step=f"Use another {other} or another describe.model.",
            )
        missing = error.status in (200, 400) and (_MODEL.search(error.said) or _ADDRESS.search(error.said))
        if error.status in (404, 405) or missing:
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
                next_step="Set describe.temperature to what the model takes, often 1, or "
                "leave it to the server: --set describe.temperature=none",
            )
        if error.status == 400 and re.search(r"max_(completion_)?tokens", f"{error.param} {error.said}"):
            return ConfigError(
                f"{self.model!r} does not take this describe.max_tokens: {said}",
                next_step="Set describe.max_tokens to what the model takes, or to 0.",
            )
        return None

    def meets_every_label(self, error: Exception, labels: int) -> ConfigError | None:
        """The error that met the first labels, all of them, and so is expected to meet the others."""
        return self._through_proxy(self._meeting_all(error, labels))

    def _meeting_all(self, error: Exception, labels: int) -> ConfigError:
        if isinstance(error, RefusedError) and error.limited:
            return ConfigError(
                f"the rate limit of {self.address} stays, however long is waited: {self.reason(error)}",
                next_step="Run again later, or with --until-done, which goes on asking.",
            )
        step = "Do what it asks for; else correct describe.model or describe.base_url, or see its log."
        if isinstance(error, NoAnswerError):
            step = "Correct describe.base_url (it usually ends in /v1), or see the server's log."
        elif isinstance(error, CutOffError):
            step = "Let it say more: --set describe.max_tokens=4000; or try a model that thinks less."
        elif isinstance(error, BadAnswerError):
            step = "Try another model (--model, describe.model), or write them: fsarctl describe --edit LABEL"
        elif not isinstance(error, RefusedError) or error.status >= 500:
            step = "See the server's log; --concurrency 1 and --time-limit SECONDS go easy on a slow one."
        return ConfigError(
            f"{self.address} described none of the first {labels} labels, the last one for this reason: "
            f"{self.reason(error)}",
            next_step=step,
        )

    def _no_reply(self, error: ConnectionLostError) -> ConfigError:
        """No request has had a reply so far."""
        if error.kind == "barred" and self.proxy:
            return self._barred(self.proxy, str(error))
        if error.kind == "untrusted":
            return self._untrusted(error)
        if error.kind == "unreached" and self.proxy:
            return ConfigError(
                f"cannot reach {self.proxy.named}, through which {self.address} is asked: {error}",
                next_step=f"Start the proxy, correct or unset {self.proxy.variable}, or go past it: "
                f"{self.proxy.past}",
            )
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

    def _barred(self, proxy: Proxy, said: str) -> ConfigError:
        login = ": put user and password before its host, with an @ between" if "407" in said else ""
        return ConfigError(
            f"{proxy.named} does not let through to {self.address}: {said.strip()}",
            next_step=f"Correct {proxy.variable}{login}, or go past it: {proxy.past}",
        )

    def _untrusted(self, error: ConnectionLostError) -> ConfigError:
        variable = trusted_from()
        now = f" by {variable} ({os.environ[variable]})" if variable else ""
        return ConfigError(
            f"{self.address} cannot be asked safely: {error}{now}",
            next_step="Save the certificate of the server, or of who signed it, and trust it: "
            f"export {variable or 'SSL_CERT_FILE'}=FILE.pem; or correct the name in describe.base_url.",
        )

    def _unknown_caller(self, error: RefusedError) -> ConfigError:
        said = self.reason(error)
        if self.has_login:
            return ConfigError(
                f"{self.address} refuses the login in describe.base_url ({said})",
                next_step="Correct the user and the password in describe.base_url.",
            )
        wrong = "refuses the key" if self.has_key else "wants a key, and there is none"
        return ConfigError(
            f"{self.address} {wrong} ({said})",
            next_step=f"Set the environment variable {KEY_VARIABLE} to a key that it takes.",
        )
