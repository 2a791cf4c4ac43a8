"""Where files are, as a setting says it."""

from pathlib import Path

from fsarctl.errors import ConfigError

__all__ = ["CACHE_TAG", "located"]

CACHE_TAG = "CACHEDIR.TAG"
"""The file that marks a directory of things that can be made again, such as our own cache."""


def located(text: str, base: Path) -> Path:
    """The path ``text``: ``~`` is a home directory, and a relative path starts at ``base``.

    Raises:
        ConfigError: it begins with a ``~user`` that this machine does not know.
    """
    try:
        return base / Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"whose home is {text!r}? There is no such user here",
            next_step="Write the whole path, or ~/ for your own home.",
        ) from None
