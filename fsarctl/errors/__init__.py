"""Every error that fsarctl raises on purpose.

    FsarctlError             1   a bug, or something nobody foresaw
      UsageError             2   the command line itself is wrong
      ConfigError            3   fsarctl.toml, the environment or --set is wrong
      InputError             3   a video, label list, split or weight file is wrong
      UpstreamError          4   an artifact that this stage reads is missing or stale
      IntegrityError         5   bytes on disk are not the bytes that were written
      LockError              6   another process holds what this one needs
      PartialError           7   finished, but some items failed and are listed

The number is the exit code. ``next_step`` says what the user can do about it; the command line
prints it under the message. Messages never hold secrets (an address in them loses its login and query)
and never need a traceback to be understood.
"""

from fsarctl.errors.addresses import hidden

__all__ = [
    "ConfigError",
    "FsarctlError",
    "InputError",
    "IntegrityError",
    "LockError",
    "PartialError",
    "UpstreamError",
    "UsageError",
]


class FsarctlError(Exception):
    """Base of all errors that carry an exit code and a next step."""

    exit_code = 1

    def __init__(self, message: str, *, next_step: str = "") -> None:
        self.message = hidden(message)
        self.next_step = hidden(next_step)
        super().__init__(self.message)


class UsageError(FsarctlError):
    """The words on the command line do not make a command."""

    exit_code = 2


class ConfigError(FsarctlError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""

    exit_code = 3


class InputError(FsarctlError):
    """Something the user supplied (videos, labels, splits, weights) cannot be used."""

    exit_code = 3


class UpstreamError(FsarctlError):
    """A stage was asked for whose upstream artifact is missing or stale."""

    exit_code = 4


class IntegrityError(FsarctlError):
    """An artifact or an input changed underneath us."""

    exit_code = 5


class LockError(FsarctlError):
    """A lock could not be had in the time allowed."""

    exit_code = 6


class PartialError(FsarctlError):
    """The work is finished and kept, but some of its items failed."""

    exit_code = 7
