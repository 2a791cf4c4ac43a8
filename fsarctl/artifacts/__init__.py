"""The content-addressed store: keys, manifests, locks, publishing, verification."""

from fsarctl.artifacts.unit import JSON, Build, Files, Unit

__all__ = ["JSON", "Build", "Files", "Unit"]
