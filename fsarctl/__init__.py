"""fsarctl: few-shot action recognition as a pipeline of content-hashed stages.

In a notebook: ``fsarctl.Project(folder)`` has the stages, results and predictions; ``fsarctl.methods``,
``fsarctl.episodes``, ``fsarctl.datasets`` and ``fsarctl.video`` are the parts that they are made of. All of
it is loaded when it is first used.
"""

from typing import TYPE_CHECKING

import lazy_loader

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
