"""A language model on an OpenAI-compatible server: its address, and the key from the environment."""

import os
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from fsarctl.errors import ConfigError
from fsarctl.errors.addresses import public_address, secrets_in

__all__ = ["KEY_VARIABLE", "Server"]

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"

_OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Server:
    """A model on a server. An empty ``base_url`` means $OPENAI_BASE_URL, or OpenAI's own server.

    Raises:
        ConfigError: ``base_url`` is not an http or https address.
    """

    base_url: str
    model: str
    temperature: float | None = 0.0
    """None leaves it to the server."""
    max_tokens: int = 0
    """Of one answer; 0 leaves it to the server."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname)
            good = good and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            variable = not self.base_url
            name = f"the environment variable {URL_VARIABLE}" if variable else "describe.base_url"
            given = public_address(self.url)
            raise ConfigError(
                f"{name} is not an http or https address: {given!r}",
                next_step=f"export {URL_VARIABLE}=http://localhost:8000/v1, or unset {URL_VARIABLE}"
                if variable
                else "Write it like http://localhost:8000/v1; `fsarctl config show --origin` says where.",
            )

    @property
    def url(self) -> str:
        """The address that is asked; it may hold a password."""
        return self.base_url or os.environ.get(URL_VARIABLE, "").strip() or _OPENAI

    @property
    def address(self) -> str:
        """The address without user, password and query."""
        return public_address(self.url)

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own server."""
        return self.url == _OPENAI

    @property
    def base(self) -> str:
        """The address without its query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))

    @property
    def query(self) -> list[tuple[str, str]]:
        """The address's query, which some servers want with every request (their version)."""
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    def key(self) -> str:
        """The key of the environment; empty if there is none and the server is not OpenAI's own.

        Raises:
            ConfigError: OpenAI's own needs one, or it is none.
        """
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key and self.is_openai:
            raise ConfigError(
                f"describe.source is openai, and the environment variable {KEY_VARIABLE} is not set",
                next_step=f"export {KEY_VARIABLE}=... with your key; or --base-url (describe.base_url) for a "
                "server that needs none; or --source corpus (describe.source) for written descriptions.",
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(
                f"the environment variable {KEY_VARIABLE} holds characters that no key has",
                next_step="Copy the key again, without quotes, spaces or line breaks.",
            )
        return key

    @property
    def has_login(self) -> bool:
        """Whether the address holds a user; the key is then not sent."""
        return "@" in urlsplit(self.url).netloc

    def secrets(self) -> tuple[str, ...]:
        """What a server may repeat of a request and nobody may read: the key, the address's login and query.

        Raises:
            ConfigError: see ``key``.
        """
        return tuple(filter(None, dict.fromkeys((self.key(), *secrets_in(self.url)))))
