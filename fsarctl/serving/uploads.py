"""A request's body as a temporary file: no longer, no slower and for no longer than allowed."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect

from fsarctl.datasets.video_tree import plain_text
from fsarctl.errors import InputError
from fsarctl.errors.shown import brief
from fsarctl.video.processes.worker_pool import temporary_folder

__all__ = ["Limits", "Refused", "below", "uploaded"]

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one request may take.

    ``megabytes``: of a video, MiB. ``seconds``: for sending it, and as many again for the answer.
    ``at_once``: requests that are worked on. ``waiting``: others that may wait; more are sent away.
    """

    megabytes: int = 200
    seconds: float = 60.0
    at_once: int = 8
    waiting: int = 64

    @property
    def bytes(self) -> int:
        return self.megabytes * MIB


class Refused(Exception):  # noqa: N818 - no fault of anybody's
    """A request that is not answered: the HTTP status, what is so, and what to do."""

    def __init__(self, status: int, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.next_step = status, message, next_step


@asynccontextmanager
async def uploaded(request: Request, limits: Limits) -> AsyncIterator[Path]:
    """The body as a file, while the block lasts.

    Raises:
        Refused: it is too long, too slow, empty, a form, or ended before it was whole.
    """
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Refused(
            415, "a form is not read here", "Send the video as the body: curl --data-binary @new.mp4"
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.bytes:
        raise _too_long(limits)
    with tempfile.TemporaryDirectory(dir=temporary_folder()) as folder:
        path = Path(folder) / "clip"
        try:
            async with asyncio.timeout(limits.seconds):
                length = await _receive(request, path, limits)
        except TimeoutError:
            raise Refused(
                408,
                f"the video did not arrive within {limits.seconds:g} s",
                "Send it faster, or a shorter one.",
            ) from None
        except ClientDisconnect:
            raise Refused(400, "the connection ended before the video was whole", "Send it again.") from None
        if not length:
            raise Refused(
                400, "there is no video in the request", "Send its bytes as the body, or name a path."
            )
        yield path


async def _receive(request: Request, path: Path, limits: Limits) -> int:
    length = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            length += len(chunk)
            if length > limits.bytes:
                raise _too_long(limits)
            file.write(chunk)
    return length


def _too_long(limits: Limits) -> Refused:
    return Refused(413, f"the video is larger than {limits.megabytes:,} MiB", "Send a shorter one.")


def below(folder: Path | None, name: str) -> Path:
    """The file that is called ``name`` below ``folder``, wherever links lead.

    Raises:
        Refused: no folder is allowed.
        InputError: there is no such file below it.
    """
    if folder is None:
        raise Refused(
            403, "this server reads no files by path", "Start it with --videos FOLDER, or send the video."
        )
    missing = InputError(
        f"there is no video {brief(plain_text(name))!r}", next_step="Name a file below --videos."
    )
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        if path.is_relative_to(root) and path.is_file():
            return path
    except (OSError, RuntimeError, ValueError):  # too long, a circle of links, a zero byte
        pass
    raise missing
