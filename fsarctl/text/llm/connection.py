"""One connection to a chat API: a question goes out, bytes come back, within bounds of time and size.

Redirects are not followed: the key and the prompts go to the address that was named and nowhere else.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import httpx2

from fsarctl.text.llm.answers import BadAnswerError
from fsarctl.text.llm.environment import Proxy, certificates
from fsarctl.text.llm.server import Server

__all__ = ["Connection", "ConnectionLostError", "Reply"]

LARGEST_REPLY = 8_000_000
"""Bytes; three sentences and a long train of thought are some ten thousand."""

_CONNECT_S = 10.0


class ConnectionLostError(Exception):
    """A request without a whole reply; the message says what became of it.

    ``kind``: unreached, nobody took the connection; broken, it was taken and then broken off; late, there
    was no whole reply in time; untrusted, the server's certificate is not trusted; barred, the proxy does
    not let it through.
    """

    def __init__(
        self, message: str, kind: Literal["unreached", "broken", "late", "untrusted", "barred"]
    ) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Reply:
    """What a server sent back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes


class Connection:
    """Chat completions of one server, as an asynchronous context manager; nothing is tried twice.

    ``timeout`` is for one request, from connecting to the last byte, in seconds.

    Raises:
        ConfigError: see ``Server.key``; or the certificates to trust cannot be read.
    """

    def __init__(self, server: Server, timeout: float, proxy: Proxy | None = None) -> None:
        import openai

        self._timeout = timeout
        self._connect = min(_CONNECT_S, timeout)
        key = server.key()
        # a compressed reply would be bounded before it swells
        self._headers: dict[str, Any] = {"Accept-Encoding": "identity"}
        if not key:
            # the client insists on hearing that none is meant
            self._headers["Authorization"] = openai.Omit()
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=server.base,
            default_query=dict(server.query),
            max_retries=0,
            timeout=httpx2.Timeout(timeout, connect=self._connect),
            http_client=httpx2.AsyncClient(
                # reading the certificates takes 40 ms, and without TLS there is none to check
                verify=certificates() if server.base.startswith("https:") else False,
                proxy=proxy.url if proxy else None,
                trust_env=False,
                limits=httpx2.Limits(max_connections=None),
                follow_redirects=False,
                event_hooks={"response": [_bound]},
            ),
        )
        if not server.is_openai:
            # the client reads them from the environment, and they are nobody else's business
            self._client.organization = self._client.project = None

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def post(self, body: Mapping[str, Any]) -> Reply:
        """The reply to one request, whatever its status.

        Raises:
            ConnectionLostError: there is none, or only a part of one.
            BadAnswerError: it is larger than any answer.
        """
        import openai

        completions = self._client.chat.completions.with_raw_response
        try:
            # the client's own limits are between two bytes, and a server that trickles keeps within them
            async with asyncio.timeout(self._timeout):
                raw = await completions.create(**body, extra_headers=self._headers)
            return _reply(raw.http_response)
        except openai.APIStatusError as error:
            return _reply(error.response)
        except (TimeoutError, httpx2.TimeoutException, openai.APITimeoutError) as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise ConnectionLostError(f"no connection within {self._connect:g} s", "unreached") from None
            raise ConnectionLostError(f"no answer within {self._timeout:g} s", "late") from None
        except (httpx2.HTTPError, openai.APIConnectionError) as error:
            raise _lost(error) from None


def _lost(error: Exception) -> ConnectionLostError:
    """What became of a connection, as the errors beneath tell it."""
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    name = type(next((each for each in causes if isinstance(each, httpx2.HTTPError)), error)).__name__
    for each in causes:
        if isinstance(each, socket.gaierror):
            return ConnectionLostError("there is no host of this name", "unreached")
        if isinstance(each, ConnectionRefusedError):
            return ConnectionLostError("the connection is refused", "unreached")
        if isinstance(each, httpx2.ProxyError):
            return ConnectionLostError(f"it answers {each}", "barred")
        if isinstance(each, ssl.SSLCertVerificationError):
            return ConnectionLostError(f"its certificate is not trusted: {each.verify_message}", "untrusted")
        if isinstance(each, ssl.SSLError):
            reason = str(each.reason or "no reason given").lower().replace("_", " ")
            return ConnectionLostError(f"https fails ({reason})", "broken")
        if isinstance(each, ConnectionResetError):
            return ConnectionLostError(f"the connection broke off ({name})", "broken")
    if name == "ConnectError":
        return ConnectionLostError("the connection failed", "unreached")
    return ConnectionLostError(f"the connection broke off ({name})", "broken")


async def _bound(response: httpx2.Response) -> None:
    # the client reads the bodies of errors by itself, and whole: the bound has to be beneath it
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    """A reply's bytes, of which there may be so many."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > LARGEST_REPLY:
                raise BadAnswerError(f"the reply is larger than {LARGEST_REPLY / 1e6:g} MB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _reply(response: httpx2.Response) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.content)
