"""What the environment says of the way to a server: a proxy, and whose certificates are trusted.

The variables are read here and not by the client, so that one that is not used for this server does no
harm, and one that is wrong is named.
"""

import ipaddress
import os
import re
import shlex
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx2

from fsarctl.errors import ConfigError
from fsarctl.errors.addresses import hidden, public_address

__all__ = ["Proxy", "certificates", "proxy_of", "trusted_from"]

_SCHEMES = ("http", "https", "socks5", "socks5h")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True)
class Proxy:
    """What a server is asked through."""

    url: str
    variable: str
    """The environment variable that names it."""
    past: str
    """The command that goes past it, for this server."""

    @property
    def named(self) -> str:
        """Its address, without a login, and where it is from."""
        return f"the proxy {public_address(self.url)} ({self.variable})"


def proxy_of(url: str) -> Proxy | None:
    """The proxy that the environment sets for a server, if any: by its scheme, or for all but NO_PROXY.

    Raises:
        ConfigError: it can be none; the variable is named.
    """
    server = urlsplit(url)
    host = (server.hostname or "").lower()
    names = [f"{server.scheme}_proxy", "all_proxy"]
    variable = next((each for name in names for each in (name, name.upper()) if os.environ.get(each)), "")
    value = os.environ.get(variable) or getproxies().get(server.scheme) or ""
    unused = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if not value or any(_covers(each, host, server.port) for each in re.split(r"[,\s]+", unused) if each):
        return None
    variable = variable or "the system's settings"
    past = f"export NO_PROXY={shlex.quote(','.join(filter(None, [unused.strip(), host])))}"
    value = value if "://" in value else f"http://{value}"
    _check(value, variable, past)
    return Proxy(value, variable, past)


def _check(url: str, variable: str, past: str) -> None:
    steps = f"Correct {variable} (http://HOST:PORT), or unset it; or go past it: {past}"
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"{variable} is no address of a proxy: {hidden(url)!r}", next_step=steps)
    kind = parts.scheme.lower()
    if kind not in _SCHEMES:
        raise ConfigError(
            f"{variable} names a proxy of a kind that cannot be used, {hidden(url)}; "
            f"these can: {', '.join(_SCHEMES)}",
            next_step=steps,
        )
    if kind.startswith("socks") and not _has_socks():
        raise ConfigError(
            f"{variable} names a SOCKS proxy, {hidden(url)}, and the package for these is not installed",
            next_step=f"pip install 'httpx2[socks]'; or go past it: {past}",
        )


def _has_socks() -> bool:
    return find_spec("socksio") is not None


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY is of a host: *, a name and what ends in it, an address, a network."""
    entry = entry.lower().rpartition("://")[2]
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    if match := re.fullmatch(r"(\[.*\]|[^:]*):(\d+)", entry):
        if port != int(match[2]):
            return False
        entry = match[1]
    entry = entry.strip("[]").lstrip("*").lstrip(".")
    return not entry or host == entry or host.endswith(f".{entry}")


def certificates() -> ssl.SSLContext:
    """Whom to trust: the certificates of SSL_CERT_FILE or SSL_CERT_DIR, else the machine's.

    Raises:
        ConfigError: they cannot be read; the variable is named.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        variable = trusted_from()
        if variable is None:
            raise
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"{variable} names {os.environ[variable]}, which cannot be read: {reason}",
            next_step=f"Name a file of certificates (PEM) in {variable}, or do without it: unset {variable}",
        ) from None


def trusted_from() -> str | None:
    """The environment variable that says whom to trust, if one does."""
    return next((variable for variable in _CERTIFICATES if os.environ.get(variable)), None)
