"""The command line. It parses, calls a stage and prints; it holds no logic and never imports torch."""

import os
import sys
from typing import TYPE_CHECKING

from fsarctl import leave_out_working_directory

if TYPE_CHECKING:
    from fsarctl.errors import FsarctlError

__all__ = ["main"]


def main() -> None:
    """Entry point: run a command, and turn what went wrong into one message and an exit code."""
    leave_out_working_directory()
    from fsarctl.cli.terminal.signals import ending_by_signals
    from fsarctl.video.lifetime import end_with_whoever_started

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

    from fsarctl.cli.app import app
    from fsarctl.cli.terminal.console import print_error, say
    from fsarctl.cli.terminal.streams import forgive_streams
    from fsarctl.errors import FsarctlError, InputError

    forgive_streams()
    debug = "--debug" in sys.argv or os.environ.get("FSARCTL_DEBUG", "") not in ("", "0")
    try:
        app(prog_name="fsarctl")
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
        if isinstance(error, OSError) and error.filename is not None:
            # What nobody foresaw of a disk or a path is no bug as long as it names the file.
            print_error(
                InputError(
                    f"{error.filename}: {error.strerror}",
                    next_step="Check the path, its permissions and the disk; --debug says where it happened.",
                )
            )
            sys.exit(InputError.exit_code)
        say(f"error: {type(error).__name__}: {error}")
        say("next:  this is a bug in fsarctl; run the command again with --debug and report what it prints")
        sys.exit(1)


def _gone() -> "FsarctlError | None":
    """What is wrong in a working directory that was removed, whatever it looks like; None in any other."""
    from fsarctl.errors import InputError

    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return InputError("the working directory was removed", next_step="cd to a folder that is there: cd ~")
    return None
