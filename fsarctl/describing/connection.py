"""One connection to a chat API: a question goes out, bytes come back, within bounds of time and size.

Redirects are not followed: the key and the prompts go to the address that was named and nowhere else.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from fsarctl.describing.answers import BadAnswerError

__all__ = ["Connection", "ConnectionLostError", "Reply"]

LARGEST_REPLY = 8_000_000
"""Bytes; three sentences and a long train of thought are some ten thousand."""

_CONNECT_S = 10.0


class ConnectionLostError(Exception):
    """A request without a whole reply; the message says what became of it."""


@dataclass(frozen=True)
class Reply:
    """What a server sent back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes


class Connection:
    """POST requests with JSON bodies to one URL, as an asynchronous context manager.

    ``timeout`` is for one request, from connecting to the last byte, in seconds.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        import httpx2

        self._url = url
        self._timeout = timeout
        self._connect = min(_CONNECT_S, timeout)
        self._client = httpx2.AsyncClient(
            headers={"content-type": "application/json", "user-agent": "fsarctl", **headers},
            timeout=httpx2.Timeout(timeout, connect=self._connect),
            limits=httpx2.Limits(max_connections=None),
            follow_redirects=False,
        )

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, body: Mapping[str, Any]) -> Reply:
        """The reply to one request.

        Raises:
            ConnectionLostError: there is none, or only a part of one.
            BadAnswerError: it is larger than any answer.
        """
        import httpx2

        content = bytearray()
        try:
            # the client's own limits are between two bytes, and a server that trickles keeps within them
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("POST", self._url, content=json.dumps(body).encode()) as response,
            ):
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > LARGEST_REPLY:
                        raise BadAnswerError(f"the reply is larger than {LARGEST_REPLY / 1e6:g} MB")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, headers, bytes(content))
        except httpx2.ConnectTimeout:
            raise ConnectionLostError(f"no connection within {self._connect:g} s") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise ConnectionLostError(f"no answer within {self._timeout:g} s") from None
        except httpx2.HTTPError as error:
            raise ConnectionLostError(f"the connection failed ({type(error).__name__})") from None
