"""The content-addressed store: keys, manifests, locks, publishing, verification."""

from fsarctl.artifacts.cache_layout import Verdict
from fsarctl.artifacts.manifest import Artifact, Manifest
from fsarctl.artifacts.store import Outcome, Removal, State, Store
from fsarctl.artifacts.unit import JSON, Build, Earlier, Files, Unit
from fsarctl.artifacts.why import Change

__all__ = [
    "JSON",
    "Artifact",
    "Build",
    "Change",
    "Earlier",
    "Files",
    "Manifest",
    "Outcome",
    "Removal",
    "State",
    "Store",
    "Unit",
    "Verdict",
]
