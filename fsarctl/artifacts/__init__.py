"""The content-addressed store: keys, manifests, locks, publishing, verification."""

from fsarctl.artifacts.cache_layout import Verdict
from fsarctl.artifacts.manifest import Artifact, Manifest
from fsarctl.artifacts.removal import Kept, Removal
from fsarctl.artifacts.store import Outcome, State, Store
from fsarctl.artifacts.unit import JSON, Build, Earlier, Files, Unit
from fsarctl.artifacts.why_stale import Change

__all__ = [
    "JSON",
    "Artifact",
    "Build",
    "Change",
    "Earlier",
    "Files",
    "Kept",
    "Manifest",
    "Outcome",
    "Removal",
    "State",
    "Store",
    "Unit",
    "Verdict",
]
