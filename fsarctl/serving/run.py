"""A server on a port of this machine, until it is told to end."""

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

__all__ = ["server_of"]

GRACE_S = 1


def server_of(app: FastAPI, started: Callable[[], None], *, debug: bool = False) -> uvicorn.Server:
    """What answers, once it is run with sockets; ``started`` is called when it does.

    Only to ``debug`` it shows tracebacks, be it of a fault or of what it cuts off when it ends.
    """
    level = "warning" if debug else "critical"
    config = uvicorn.Config(
        app, log_level=level, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    return _Server(config, started)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say()
