"""A port of this machine, had before anything is loaded that takes seconds."""

import errno
import socket

from fsarctl.errors import InputError

__all__ = ["bound"]

BACKLOG = 128


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
