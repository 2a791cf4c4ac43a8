"""A support set as features: all that classifying a clip needs of it, kept in a file if wanted.

The file is safetensors: ``features``, ``classes`` and, where every class has a description, ``text``; names
and what made them are JSON in its metadata. Nothing is unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fsarctl.artifacts import JSON
from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.artifacts.unfinished.sealed import EMPTY_SEAL, SEAL, require_sealed, sealed
from fsarctl.errors import InputError
from fsarctl.progress import shortened
from fsarctl.results.calibration import Known, Sigmoid
from fsarctl.text.corpus import SubActions

__all__ = ["Support", "load_support"]

SCHEMA = "fsarctl.support/1"
AGAIN = "Make it again from its clips: --support FOLDER --save-support FILE."


@dataclass(frozen=True)
class Support:
    """The support set of two or more classes, with any number of clips each.

    ``labels``: way names. ``classes`` (videos,): which of them each clip shows, class-major. ``features``
    (videos, T, embed): of all clips as one set. ``text`` (way, 3, embed): of the descriptions, or None where
    a class has none. ``clips`` and ``pictures`` (videos,): names, and digests of the frames that were read.
    ``undescribed``: classes that nobody described. ``longest``: frames of the longest clip, 0 where unknown.
    ``made_by``: all that the features depend on but the clips; a model with another ``made_by`` must not
    score them. ``negatives`` (n, T, embed): clips that show none of the classes, each a set of its own, and
    ``negative_pictures`` theirs. ``known``: how likely a clip shows any of the classes, where the support
    set itself can tell.
    """

    labels: tuple[str, ...]
    classes: Tensor
    features: Tensor
    text: Tensor | None
    clips: tuple[str, ...]
    pictures: tuple[str, ...]
    made_by: Mapping[str, JSON]
    descriptions: Mapping[str, SubActions] = field(default_factory=dict)
    undescribed: tuple[str, ...] = ()
    longest: int = 0
    negatives: Tensor | None = None
    negative_pictures: tuple[str, ...] = ()
    known: Known | None = None

    @property
    def shots(self) -> dict[str, int]:
        """Clips of each class."""
        counts = torch.bincount(self.classes.cpu(), minlength=len(self.labels)).tolist()
        return dict(zip(self.labels, counts, strict=True))

    @property
    def digest(self) -> str:
        """Of all that its features are made of, but the model."""
        parts = [
            self.labels,
            self.classes.tolist(),
            self.pictures,
            {label: list(text) for label, text in self.descriptions.items()},
            self.text is not None,
            *([self.negative_pictures] if self.negatives is not None else []),
        ]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()

    @cached_property
    def prototypes(self) -> Tensor:
        """(way, T, embed): the mean over a class's clips, however many (Eq. 10)."""
        return torch.stack(
            [self.features[self.classes == number].mean(dim=0) for number in range(len(self.labels))]
        )

    @property
    def contradictions(self) -> list[tuple[str, str]]:
        """Pairs of clips that are the same video in different classes."""
        first: dict[str, int] = {}
        numbers = self.classes.tolist()
        return [
            (self.clips[first[picture]], self.clips[clip])
            for clip, picture in enumerate(self.pictures)
            if numbers[first.setdefault(picture, clip)] != numbers[clip]
        ]

    @property
    def examples_among_negatives(self) -> list[str]:
        """Clips of a class whose frames are those of a negative, too: they are said to show none of them."""
        strange = {*self.negative_pictures}
        return [name for name, picture in zip(self.clips, self.pictures, strict=True) if picture in strange]

    def require_made_by(self, model: Mapping[str, JSON], name: str) -> None:
        """Refuse a support, called ``name``, whose features are another model's.

        Raises:
            InputError: something differs; it is named.
        """
        here = json.loads(json.dumps(dict(model)))
        for key in dict.fromkeys((*self.made_by, *here)):
            then, now = self.made_by.get(key), here.get(key)
            if then != now:
                raise InputError(
                    f"{name} was made with other settings: {key} was {_short(then)} and is {_short(now)}",
                    next_step=f"{AGAIN} Or use the settings that it was made with.",
                )

    def save(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        tensors = {
            "features": self.features,
            "classes": self.classes,
            "text": self.text,
            "negatives": self.negatives,
        }
        words = {
            "schema": SCHEMA,
            "labels": self.labels,
            "clips": self.clips,
            "pictures": self.pictures,
            "descriptions": self.descriptions,
            "made_by": self.made_by,
            **({"undescribed": self.undescribed} if self.undescribed else {}),
            **({"longest": self.longest} if self.longest else {}),
            **({"negatives": self.negative_pictures} if self.negative_pictures else {}),
            **({"known": asdict(self.known)} if self.known else {}),
        }
        content = save(
            {name: tensor.cpu().contiguous() for name, tensor in tensors.items() if tensor is not None},
            metadata={"fsarctl": json.dumps(words, ensure_ascii=False), SEAL: EMPTY_SEAL},
        )
        try:
            write_whole(path, sealed(content, SCHEMA))
        except OSError as error:
            raise InputError(
                f"the support cannot be saved to {path}: {error.strerror}", next_step="Name another place."
            ) from None


def load_support(path: Path, device: torch.device | None = None) -> Support:
    """Read what :meth:`Support.save` wrote.

    Raises:
        InputError: it holds something else, or only a part.
    """
    try:
        require_sealed(path.read_bytes(), SCHEMA)
        with safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            words: Any = json.loads((file.metadata() or {})["fsarctl"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if words["schema"] != SCHEMA:
            raise ValueError(f"its schema is {words['schema']}, not {SCHEMA}")
        support = Support(
            labels=tuple(words["labels"]),
            classes=tensors["classes"],
            features=tensors["features"],
            text=tensors.get("text"),
            clips=tuple(words["clips"]),
            pictures=tuple(words["pictures"]),
            made_by=words["made_by"],
            descriptions={label: (a, b, c) for label, (a, b, c) in words["descriptions"].items()},
            undescribed=tuple(words.get("undescribed", ())),
            longest=int(words.get("longest", 0)),
            negatives=tensors.get("negatives"),
            negative_pictures=tuple(words.get("negatives", ())),
            known=_known(words.get("known")),
        )
        _check(support)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or (
            f"it has no {error}" if isinstance(error, KeyError) else str(error)
        )
        raise InputError(f"{path} is no saved support: {reason}", next_step=AGAIN) from None
    return support


def _known(words: Any) -> Known | None:
    if words is None:
        return None
    return Known(**{**words, "sigmoid": Sigmoid(**words["sigmoid"])})


def _check(support: Support) -> None:
    videos, way = len(support.clips), len(support.labels)
    if support.features.dim() != 3 or not videos == len(support.features) == len(support.pictures):
        raise ValueError(f"{tuple(support.features.shape)} features of {videos} clips")
    classes = support.classes.tolist()
    if len(classes) != videos or classes != sorted(classes) or set(classes) != set(range(way)):
        raise ValueError("its clips are not of its classes")
    negatives = support.negatives
    if negatives is not None and (
        negatives.shape[1:] != support.features.shape[1:] or len(negatives) != len(support.negative_pictures)
    ):
        raise ValueError(f"{tuple(negatives.shape)} features of {len(support.negative_pictures)} negatives")
    if support.text is not None and (support.text.dim() != 3 or len(support.text) != way):
        raise ValueError(f"{tuple(support.text.shape)} text features of {way} classes")


def _short(value: JSON) -> str:
    """A value for people; a digest by its beginning."""
    text = "not set" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else shortened(text, 15)
