"""fsarctl: few-shot action recognition as a pipeline of content-hashed stages."""

from importlib.metadata import version as _version

__all__ = ["__version__"]

__version__ = _version("fsarctl")
