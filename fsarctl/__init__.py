"""fsarctl: few-shot action recognition as a pipeline of content-hashed stages.

In a notebook: ``fsarctl.Project(folder)`` has the stages, results and predictions; ``fsarctl.methods``,
``fsarctl.episodes``, ``fsarctl.datasets`` and ``fsarctl.video`` are the parts that they are made of. All of
it is loaded when it is first used.
"""

import os
import sys


def leave_out_working_directory() -> None:
    """Take the working directory off the import path: a file in it is data, though it be called stages.py.

    ``python -m`` puts it there, and so does an empty entry of PYTHONPATH. It stays where PYTHONPATH names it,
    or fsarctl itself is in it. Until then only modules are imported that Python needs to start.
    """
    try:
        here = os.getcwd()  # noqa: PTH109 - pathlib is not imported yet
    except FileNotFoundError:  # removed meanwhile
        here = ""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    itself = __file__.rsplit(os.sep, 2)[0]
    if here != itself and here not in map(os.path.abspath, filter(None, named)):
        sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]


if sys.argv[:1] == ["-m"] and any(word.partition(".")[0] == "fsarctl" for word in sys.orig_argv):
    leave_out_working_directory()

from typing import TYPE_CHECKING  # noqa: E402

import lazy_loader  # noqa: E402

if TYPE_CHECKING:
    from fsarctl import datasets, episodes, methods, video
    from fsarctl.stages.project import Project

    __version__: str

__all__ = ["Project", "__version__", "datasets", "episodes", "methods", "video"]


_find, __dir__, _ = lazy_loader.attach(
    __name__, ["datasets", "episodes", "methods", "video"], {"stages.project": ["Project"]}
)


def __getattr__(name: str) -> object:
    if name == "__version__":
        # Reading package metadata takes a tenth of what `fsarctl --help` may, and few ask for it.
        from importlib.metadata import version

        return version("fsarctl")
    return _find(name)
