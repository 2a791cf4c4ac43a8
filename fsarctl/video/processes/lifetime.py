"""Processes that end when the one that started them does, whatever ended that; imported by all of them.

Where the kernel sends a signal at a parent's death (Linux), it kills: nothing that a process is busy with
delays that. Elsewhere a process listens to its standard input, a pipe that its parent never writes to.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

__all__ = ["LEFT_BEHIND", "STDIN", "end_with_parent", "end_with_whoever_started", "named_parent"]

PARENT = "_FSARCTL_PARENT"
HAS_DEATH_SIGNAL = sys.platform == "linux"
PR_SET_PDEATHSIG = 1

STDIN = subprocess.DEVNULL if HAS_DEATH_SIGNAL else subprocess.PIPE
"""What a process that is to ``end_with_whoever_started`` it is given to read."""

LEFT_BEHIND: set[Path] = set()
"""Temporary folders of this process, which a normal end removes and a sudden one has to."""


def named_parent() -> Mapping[str, str]:
    """What to add to the environment of a process that is to ``end_with_whoever_started`` it.

    The kernel takes the thread that starts a process for its parent: that thread has to live as long.
    """
    return {PARENT: str(os.getpid())}


def end_with_whoever_started(*, listens: bool = True) -> None:
    """End when this process' parent does, if that named itself; what it starts does not inherit that.

    Without ``listens`` it reads its standard input itself, and ends where that does.
    """
    parent = os.environ.pop(PARENT, "")
    if not parent:
        return
    if not end_with_parent():
        if listens:
            threading.Thread(target=_listen, daemon=True).start()
    elif os.getppid() != int(parent):  # it was gone before this was asked for
        os._exit(1)


def end_with_parent() -> bool:
    """Whether the kernel will kill this process when the thread ends that started it."""
    if not HAS_DEATH_SIGNAL:
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)


def _listen() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
