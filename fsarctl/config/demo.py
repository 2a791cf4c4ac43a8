"""The embedded default: a project of drawn shapes and a tiny CLIP, which needs nothing that is not here."""

from importlib import resources

__all__ = ["demo_file"]


def demo_file() -> str:
    """The text of its fsarctl.toml, which is this repository's own."""
    return resources.files("fsarctl.config").joinpath("demo.toml").read_text(encoding="utf-8")
