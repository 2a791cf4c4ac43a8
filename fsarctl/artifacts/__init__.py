"""The content-addressed store: keys, manifests, locks, publishing, verification."""

from fsarctl.artifacts.agenda import Agenda, Due
from fsarctl.artifacts.cache_layout import Verdict
from fsarctl.artifacts.manifest import Artifact, Manifest
from fsarctl.artifacts.removal import Kept, Removal, Unfinished
from fsarctl.artifacts.store import Outcome, State, Store
from fsarctl.artifacts.unit import JSON, Build, Earlier, Files, Parts, Unit
from fsarctl.artifacts.why_stale import Change

__all__ = [
    "JSON",
    "Agenda",
    "Artifact",
    "Build",
    "Change",
    "Due",
    "Earlier",
    "Files",
    "Kept",
    "Manifest",
    "Outcome",
    "Parts",
    "Removal",
    "State",
    "Store",
    "Unfinished",
    "Unit",
    "Verdict",
]
