"""A server on a port of this machine, until it is told to end."""

import errno
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from fsarctl.errors import InputError

__all__ = ["LOOPBACK", "bound", "server_of"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
BACKLOG = 128
GRACE_S = 1


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free.

    Raises:
        InputError: another program has that port, or it is not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} of {host} is taken, perhaps by another `fsarctl serve`",
                next_step="End that one, or choose another: --port 0 takes any that is free.",
            ) from None
        raise InputError(
            f"port {port} of {host} cannot be had: {error.strerror or error}",
            next_step="Choose another: --host 127.0.0.1 --port 8000",
        ) from None
    return found


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
