"""``python -m fsarctl``: the same as ``fsarctl``."""

from fsarctl.cli import entry

entry()
