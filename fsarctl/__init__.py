"""fsarctl: few-shot action recognition as a pipeline of content-hashed stages."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Reading package metadata takes a tenth of what `fsarctl --help` may, and few ask for it.
    if name == "__version__":
        from importlib.metadata import version

        return version("fsarctl")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
