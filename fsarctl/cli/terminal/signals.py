"""What ends a command from outside: Ctrl-C, a closed terminal, a shutdown. All end it as Ctrl-C does."""

import atexit
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from fsarctl.cli.terminal.console import say
from fsarctl.video.processes.lifetime import LEFT_BEHIND

__all__ = ["LAST_WORDS", "EndedBySignal", "end", "ending_by_signals"]

LIKE_CTRL_C = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
ENDING = [signal.SIGINT, *LIKE_CTRL_C]

GRACE_S = 1.2
"""How long a command may take to end in good order. Native code that is at work hears of no signal, and
whatever is cut off here is what a kill would have cut off."""

SHOW_CURSOR = "\x1b[?25h"
NO_ESCAPES = ("dumb", "unknown")
"""Terminals that take none."""

LAST_WORDS: list[str] = []
"""What a command says that is cut off, unless it has said so itself."""


class EndedBySignal(SystemExit):
    """The code says which signal it was; nothing is waited for."""


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """Until the block ends a signal raises ``KeyboardInterrupt``; the exit code is then 128 and its number.

    What is ignored stays so (nohup). After ``GRACE_S`` the process is gone, whatever it does.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    over = threading.Event()
    # Python writes the number of a signal here at once, whatever the main thread is doing.
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)

    def watch() -> None:
        while number := os.read(read_end, 1)[0]:
            if number in ENDING and not heard:
                heard.append(number)
                if not over.wait(GRACE_S):
                    for folder in LEFT_BEHIND:
                        shutil.rmtree(folder, ignore_errors=True)
                    _leave(1, 2)
                    os._exit(128 + number)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    before = {each: signal.getsignal(each) for each in LIKE_CTRL_C}
    wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for each, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(each, _interrupt)
    try:
        yield
    finally:
        over.set()
        for each, handler in before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(wakeup)
        os.write(write_end, b"\0")
        watcher.join()
        os.close(read_end)
        os.close(write_end)
        if heard:
            raise EndedBySignal(128 + heard[0])


def _leave(out: int, err: int) -> None:
    """What is cut off leaves its last words, and a terminal with the cursor that bars and panels hide."""
    terminals = [each for each in (err, out) if os.isatty(each)]
    shown = f"{SHOW_CURSOR}\n" if terminals and os.environ.get("TERM") not in NO_ESCAPES else ""
    for stream, words in ((terminals[0] if shown else err, shown), (err, "\n".join([*LAST_WORDS[:1], ""]))):
        if words and select.select([], [stream], [], 0)[1]:  # a pipe that is full would wait
            os.write(stream, words.encode())


def end(ended: SystemExit) -> NoReturn:
    """End this process as ``sys.exit`` does, but for the interpreter's own end.

    To take libraries apart costs half a second where torch is among them. It can abort what is through: where
    a thread of theirs is at work, or an interrupt left one half loaded. And after an interrupt within
    ``exec`` Python takes its own end for one by SIGINT.
    """
    if not isinstance(ended, EndedBySignal):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for those that are no daemons
    atexit._run_exitfuncs()
    if isinstance(ended.code, str):
        say(ended.code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(ended.code if isinstance(ended.code, int) else int(ended.code is not None))


def _interrupt(_number: int, frame: FrameType | None) -> None:
    for each in LIKE_CTRL_C:  # a terminal that closes sends several
        signal.signal(each, _nothing)  # were it SIG_IGN, Python would complain of one that comes just then
    ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(ctrl_c):  # asyncio's own ends its tasks first
        ctrl_c(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """What was heard before is being done."""
