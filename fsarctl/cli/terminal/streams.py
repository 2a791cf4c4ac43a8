"""What is printed into a pipe whose reader has gone (head, less): as for any program, that is the end."""

import io
import os
import sys
from contextlib import suppress
from typing import Any

from fsarctl.errors import InputError

__all__ = ["forgive_streams"]

BY_SIGPIPE = 128 + 13


def forgive_streams() -> None:
    """Make stdout and stderr forgive.

    A letter that a terminal cannot show becomes a question mark. A pipe that nobody reads any longer ends
    the process without a word, with what a shell calls a death by SIGPIPE. The signal itself stays ignored:
    it would also kill for a server or a worker that is gone. A stream that was never open swallows all.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
            if stream is getattr(sys, f"__{name}__"):  # no test's own
                setattr(sys, name, _over(_Pipe(stream.fileno(), "wb", closefd=False), stream))


class _Pipe(io.FileIO):
    """A descriptor that ends the process when its reader has gone, or its disk is full."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            os._exit(BY_SIGPIPE)  # from any thread, and with nothing that could complain once more
        except OSError as error:
            if self.fileno() != 1:
                return len(data)  # remarks have no other place to go
            said = f"error: stdout cannot be written: {error.strerror}\nnext:  Write it where there is room\n"
            with suppress(OSError):
                os.write(2, said.encode())
            os._exit(InputError.exit_code)


def _over(raw: io.FileIO, stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
