"""A real HTTP server on loopback that speaks just enough of the chat API, and misbehaves on demand."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

AT_ONCE = {"retry-after-ms": "1"}
"""A header that makes the client's retry take no time."""


@dataclass
class Reply:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    reset: bool = False
    trickle: bool = False
    huge: bool = False
    """The body over and over, in chunks, until the client has had enough."""
    torn: bool = False
    """A chunked reply without its last chunk."""


@dataclass
class Request:
    prompt: str
    nth: int
    body: dict[str, Any]
    headers: dict[str, str]
    time: float
    query: str = ""

    @property
    def authorization(self) -> str:
        """The header of this name, whatever its capitals."""
        return {name.lower(): value for name, value in self.headers.items()}.get("authorization", "")


def completion(content: Any, **message: Any) -> bytes:
    """A chat completion with this content."""
    finish = message.pop("finish_reason", "stop")
    return json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "loopback-2024",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish,
                    "message": {"role": "assistant", "content": content, **message},
                }
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
    ).encode()


def sentences(label: str) -> dict[str, str]:
    return {"beginning": f"Start {label}.", "process": f"Go on {label}.", "end": f"Stop {label}."}


def good(label: str) -> Reply:
    return Reply(completion(json.dumps(sentences(label))))


def failure(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    return Reply(
        json.dumps({"error": {"message": message, "code": code}}).encode(), status, {**AT_ONCE, **headers}
    )


class Loopback:
    """``reply`` answers each request, and ``requests`` has them all; ``nth`` counts from 0 per prompt."""

    def __init__(self, reply: Callable[[Request], Reply]) -> None:
        self.requests: list[Request] = []
        self.most_at_once = 0
        self.closing = threading.Event()
        self._reply = reply
        self._asked: Counter[str] = Counter()
        self._at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, *args: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def prompts(self) -> list[str]:
        return [request.prompt for request in self.requests]

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        prompt = body["messages"][0]["content"]
        with self._lock:
            query = handler.path.partition("?")[2]
            request = Request(
                prompt, self._asked[prompt], body, dict(handler.headers), time.monotonic(), query
            )
            self.requests.append(request)
            self._asked[prompt] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self._send(handler, self._reply(request))
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        finally:
            with self._lock:
                self._at_once -= 1

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        self.closing.wait(reply.delay)
        handler.close_connection = True
        if reply.reset:
            return
        handler.send_response(reply.status)
        length = (
            {"transfer-encoding": "chunked"}
            if reply.huge or reply.torn
            else {"content-length": str(len(reply.body))}
        )
        headers = {"content-type": "application/json", **length, "connection": "close"}
        for name, value in {**headers, **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if reply.huge or reply.torn:
            for _ in range(10_000 if reply.huge else 1):
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(reply.body), reply.body))
            return
        for _ in range(250 if reply.trickle else 0):
            if self.closing.wait(0.02):
                break
            handler.wfile.write(b" ")
        handler.wfile.write(reply.body)


@contextmanager
def loopback(reply: Callable[[Request], Reply] = lambda asked: good(asked.prompt)) -> Iterator[Loopback]:
    server = Loopback(reply)
    try:
        yield server
    finally:
        server.close()
