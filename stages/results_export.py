"""results export: finished results with all that another person needs to compare with them, as one document.

Everything comes from manifests and files of the store; nothing is computed but places in lists.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fsarctl import __version__
from fsarctl.artifacts import Artifact, Store
from fsarctl.artifacts.manifest import read_sources
from fsarctl.config.methods import TASK_ADAPTER
from fsarctl.episodes.training.training_log import ADAPTERS
from fsarctl.errors import IntegrityError, UpstreamError
from fsarctl.models.strategies import FROZEN
from fsarctl.results.evaluated import called
from fsarctl.results.exchange.document import SCHEMA, public
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import load_result
from fsarctl.stages import describe, extract, train
from fsarctl.stages.slots import Slot

__all__ = ["collect"]

FRAMES = ("frames", "frames_test")
TEXT = ("text", "text_test")
EPISODE_FIELDS = ("classes", "episodes_digest")


def collect(store: Store, results: Sequence[Artifact]) -> dict[str, Any]:
    """The document of these results, in the order of their slots and keys.

    Raises:
        UpstreamError: the clips of one are no longer in the store.
        IntegrityError: what is there is damaged.
    """
    listing = _Listing(store)
    unique = {each.key: each for each in results}.values()
    entries = [listing.entry(each) for each in sorted(unique, key=lambda e: (e.manifest.slot, e.key))]
    return {
        "schema": SCHEMA,
        "fsarctl": __version__,
        "clips": listing.clips,
        "episodes": listing.episodes,
        "results": entries,
    }


@dataclass
class _Listing:
    """The lists that results share, filled as they are asked for."""

    store: Store
    clips: list[dict[str, Any]] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _rows: dict[int, "np.ndarray[Any, np.dtype[np.int64]]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._artifacts = {each.key: each for each in self.store.artifacts()}

    def entry(self, artifact: Artifact) -> dict[str, Any]:
        """One result."""
        manifest = artifact.manifest
        result = load_result(artifact.path)
        frames = self._upstream(artifact, FRAMES)
        if frames is None:
            raise UpstreamError(
                f"the clips of {manifest.slot} ({artifact.key[:12]}) are no longer in the store",
                next_step="Run `fsarctl extract` with the settings of that result, and export it again.",
            )
        clips = self._clips(frames)
        trained = self._upstream(artifact, ("adapters",))
        text = self._upstream(artifact, TEXT)
        record = {k: v for k, v in result.record.items() if k not in EPISODE_FIELDS}
        stages = {
            each.manifest.stage: each.manifest.version for each in (artifact, frames, trained, text) if each
        }
        return {
            "slot": public(manifest.slot),
            "key": artifact.key,
            "title": called(result.record["model"], manifest.config),
            "episodes": self._episodes(result.predictions, clips),
            "record": public(record),
            "settings": public(
                {
                    "eval": {k: v for k, v in manifest.config.items() if k != "model"},
                    "model": manifest.config.get("model"),
                    "train": trained and _training(trained),
                    "extract": {k: v for k, v in frames.manifest.config.items() if k != "clips"},
                    "describe": text and dict(text.manifest.config),
                }
            ),
            "method": public(_method(manifest.config, str(result.record["model"]))),
            "weights": public(_weights(artifact, trained)),
            "versions": {
                "python": manifest.provenance.get("python"),
                "packages": manifest.provenance.get("packages"),
                "stages": stages,
                "training": trained and {"packages": trained.manifest.provenance.get("packages")},
            },
            "predicted": result.predictions.predictions.tolist(),
        }

    def _upstream(self, artifact: Artifact, names: Sequence[str]) -> Artifact | None:
        source = next((artifact.manifest.inputs[n] for n in names if n in artifact.manifest.inputs), None)
        found = self._artifacts.get(source.key) if source is not None and source.key else None
        if found is None or source is None or found.digest != source.digest:
            return None
        if found.manifest.stage not in (extract.STAGE, train.STAGE, describe.STAGE):
            return None
        return found

    def _clips(self, frames: Artifact) -> int:
        """The place of a split's clips; those without frames are in no episode, and stand apart."""
        if frames.key in self._places:
            return self._places[frames.key]
        try:
            rows = json.loads((frames.path / "clips.json").read_text(encoding="utf-8"))
            decoding = json.loads((frames.path / "decoding.json").read_text(encoding="utf-8"))["clips"]
            listed = [
                (bool(row["valid"]), [public(row["name"]), row["label"], how["video"]])
                for row, how in zip(rows, decoding, strict=True)
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{frames.manifest.slot} ({frames.key[:12]}) cannot be read: {error}",
                next_step="Run `fsarctl cache verify`, which moves damaged artifacts away.",
            ) from None
        slot = Slot.read(frames.manifest.slot)
        valid = [row for is_valid, row in listed if is_valid]
        text = json.dumps(sorted(row[2] or row[0] for row in valid))
        place = self._places[frames.key] = len(self.clips)
        self._rows[place] = np.cumsum([is_valid for is_valid, _ in listed], dtype=np.int64) - 1
        self.clips.append(
            {
                "dataset": public(slot.dataset),
                "split": slot.split,
                "digest": hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest(),
                "clips": valid,
                "failed": [row[:2] for is_valid, row in listed if not is_valid],
            }
        )
        return place

    def _episodes(self, made: Predictions, clips: int) -> int:
        """The place of these episodes: one for all results on them."""
        rows = self._rows[clips]
        way, shot = made.support.shape[1:]
        valid = len(self.clips[clips]["clips"])
        groups = None
        if made.groups is not None:
            groups = [0] * valid
            for row, group in zip(rows.tolist(), made.groups.tolist(), strict=False):
                groups[row] = group
        entry = {
            "clips": clips,
            "way": way,
            "shot": shot,
            "labels": list(made.labels),
            "classes": made.classes.tolist(),
            "support": rows[made.support].reshape(len(made.support), -1).tolist(),
            "query": rows[made.query].tolist(),
            "targets": made.targets.tolist(),
            "groups": groups,
        }
        for place, each in enumerate(self.episodes):
            if each == entry:
                return place
        self.episodes.append(entry)
        return len(self.episodes) - 1


def _training(artifact: Artifact) -> dict[str, Any]:
    base = Slot.read(artifact.manifest.inputs["frames_train"].slot).dataset
    return {"dataset": base, **{k: v for k, v in artifact.manifest.config.items() if k != "model"}}


def _method(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Which method, and whose version of it: a number, or the digest of somebody's source."""
    own = config.get("model", {}).get("method") if isinstance(config.get("model"), Mapping) else None
    if model == FROZEN:
        return {"name": FROZEN}
    if isinstance(own, Mapping):
        return {"name": own.get("part"), **{k: v for k, v in own.items() if k != "part"}}
    return {"name": own or (model if "oracle" in config else TASK_ADAPTER)}


def _weights(artifact: Artifact, trained: Artifact | None) -> dict[str, Any]:
    """The backbone's weights by digest where they are files, and those of the adapters."""
    model = artifact.manifest.config.get("model")
    sources = read_sources(artifact)
    adapters = None
    if trained is not None:
        adapters = trained.manifest.files[ADAPTERS].sha256
    elif "adapters" in sources:
        adapters = next(iter(sources["adapters"].values()), None)
    return {
        "backbone": {
            "name": model.get("backbone") if isinstance(model, Mapping) else None,
            "weights": model.get("weights") if isinstance(model, Mapping) else None,
            "files": dict(sources.get("weights", {})),
        },
        "adapters": adapters,
    }
