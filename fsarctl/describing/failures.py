"""What a failed request means: a reason for one label's failure, or an error that stops the run."""

from dataclasses import dataclass

from fsarctl.errors import ConfigError

__all__ = ["KEY_VARIABLE", "Failures"]

KEY_VARIABLE = "OPENAI_API_KEY"

_LONGEST_QUOTE = 200


@dataclass(frozen=True)
class Failures:
    """Words for what went wrong with one model on one server. The key is in none of them."""

    address: str
    model: str
    key: str
    timeout: float
    deadline: float

    def redacted(self, text: str) -> str:
        """A server's words without the key, should it repeat it."""
        # what local servers take for a key ("none", "EMPTY") is a word, not a secret
        return text.replace(self.key, "[key]") if len(self.key) >= 8 else text

    def reason(self, error: Exception) -> str:
        """Why one label failed."""
        import openai

        if isinstance(error, openai.APIStatusError):
            body = error.body if isinstance(error.body, dict) else {}
            said = " ".join(str(body.get("message") or error.message).split())
            return self.redacted(f"HTTP {error.status_code}: {said}")[:_LONGEST_QUOTE]
        if isinstance(error, openai.APITimeoutError):
            return f"no answer within {self.timeout:g} s"
        if isinstance(error, TimeoutError):
            return f"no answer within {self.deadline:g} s, all retries included"
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        return f"the connection failed{cause}"

    def refusal(self, error: Exception, *, reached: bool) -> ConfigError | None:
        """The error that would meet every label, if this is one.

        ``reached``: the server has answered something before.
        """
        import openai

        said = self.reason(error)
        if isinstance(error, openai.AuthenticationError):
            wrong = "refuses the key" if self.key else "wants a key, and there is none"
            return ConfigError(
                f"{self.address} {wrong} (HTTP 401)",
                next_step=f"Set the environment variable {KEY_VARIABLE}.",
            )
        if isinstance(error, openai.PermissionDeniedError):
            return ConfigError(
                f"{self.address} does not allow {self.model!r} with this key: {said}",
                next_step=f"Use another key ({KEY_VARIABLE}) or another describe.model.",
            )
        if isinstance(error, openai.NotFoundError):
            return ConfigError(
                f"{self.address} has no model {self.model!r}, or is not the right address: {said}",
                next_step="Correct describe.model, or describe.base_url (it usually ends in /v1).",
            )
        if isinstance(error, openai.RateLimitError) and error.code == "insufficient_quota":
            return ConfigError(
                f"{self.address} says that the credit of this key is used up: {said}",
                next_step="Add credit and run again; answers kept so far are found again.",
            )
        lost = isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)
        if lost and not reached:
            return ConfigError(
                f"cannot reach {self.address}: {said}",
                next_step="Start the server, or correct describe.base_url.",
            )
        return None
