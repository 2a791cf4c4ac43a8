"""The command line. It parses, calls a stage and prints; it holds no logic and never imports torch."""

import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from fsarctl import leave_out_working_directory

if TYPE_CHECKING:
    from fsarctl.errors import FsarctlError

__all__ = ["entry", "main"]


def entry() -> NoReturn:
    """What a shell starts: ``main``, and the end of this process with its exit code."""
    from fsarctl.cli.terminal.signals import end

    try:
        main()
        sys.exit()
    except SystemExit as ended:
        end(ended)


def main() -> None:
    """Run the command of ``sys.argv``, and turn what went wrong into one message and an exit code.

    Raises:
        SystemExit: with that code.
    """
    leave_out_working_directory()
    from fsarctl.cli.terminal.signals import ending_by_signals
    from fsarctl.video.processes.lifetime import end_with_whoever_started

    end_with_whoever_started()
    try:
        with ending_by_signals():
            _run()
    except KeyboardInterrupt:  # before the command took over, which says more
        sys.exit(130)


def _run() -> None:
    import traceback

    # Threads that spin while they wait make a busy machine several times slower; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from fsarctl.cli.terminal.console import print_error, say
    from fsarctl.cli.terminal.streams import forgive_streams
    from fsarctl.config.plugins import fault_of_part
    from fsarctl.errors import FsarctlError, InputError

    forgive_streams()
    debug = "--debug" in sys.argv or os.environ.get("FSARCTL_DEBUG", "") not in ("", "0")
    try:
        _command_tree()(prog_name="fsarctl")
    except FsarctlError as error:
        if debug:
            traceback.print_exc()
        print_error(_gone() or error)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if gone := _gone():
            print_error(gone)
            sys.exit(gone.exit_code)
        if fault := fault_of_part(error):
            print_error(fault)
            sys.exit(fault.exit_code)
        if trouble := _trouble(error):
            print_error(InputError(trouble[0], next_step=trouble[1]))
            sys.exit(InputError.exit_code)
        say(f"error: {type(error).__name__}: {error}")
        say("next:  this is a bug in fsarctl; run the command again with --debug and report what it prints")
        sys.exit(1)


@cache
def _command_tree() -> Callable[..., object]:
    """What ``app`` comes to, which Typer would build anew at each call: for whoever runs several commands."""
    from typer.main import get_command

    from fsarctl.cli.app import app

    return get_command(app)


def _gone() -> "FsarctlError | None":
    """What is wrong in a working directory that was removed, whatever it looks like; None in any other."""
    from fsarctl.errors import InputError

    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return InputError("the working directory was removed", next_step="cd to a folder that is there: cd ~")
    return None


def _trouble(error: Exception) -> tuple[str, str] | None:
    """What nobody foresaw of a disk, a path or this machine, which is no bug, and what to do."""
    if isinstance(error, MemoryError):
        return (
            "the memory of this machine is used up",
            "End other programs, or use fewer --jobs or --workers.",
        )
    if not isinstance(error, OSError) or not (error.filename or error.errno in OF_THE_MACHINE):
        return None
    said = error.strerror or str(error)
    return (
        f"{error.filename}: {said}" if error.filename else said,
        "Check the path, its permissions and the disk; --debug says where it happened.",
    )


OF_THE_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.EFBIG),
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN),
}
"""Errors that name no file, as those of writing to one that is open."""
