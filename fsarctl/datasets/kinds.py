"""From a [datasets.NAME] table to its dataset: one function opens each kind."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from unicodedata import normalize

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.plugins import Part
from fsarctl.config.read_settings import toml_key
from fsarctl.config.setting_field import SPLITS
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.groups import with_groups
from fsarctl.datasets.labels.spelling import nearest_labels
from fsarctl.datasets.well_formed import require_well_formed
from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["open_dataset"]

_SHOWN = 3


def open_dataset(name: str, config: DatasetConfig, project: Path) -> Dataset:
    """What the table [datasets.``name``] stands for; relative paths in it start from ``project``.

    Raises:
        InputError: its videos, lists, splits or groups are not as the settings say, or a kind that is
            somebody else's fails.
    """
    dataset = with_groups(name, config, project, _open(name, config, project))
    part = config.own_kind
    require_well_formed(f"dataset {name}: {part.called}" if part else f"dataset {name!r}", dataset)
    return replace(dataset, remarks=(*dataset.remarks, *_unknown_names(name, config, dataset)))


def _unknown_names(name: str, config: DatasetConfig, dataset: Dataset) -> list[str]:
    """Labels that are called something in prompts, and are none."""
    labels = {label for counts in dataset.found.values() for label in counts}
    unknown = [label for label in config.names if normalize("NFC", label) not in labels]
    if not unknown:
        return []
    near = nearest_labels(unknown[:_SHOWN], sorted(labels))
    meant = {label: f" (did you mean {other!r}?)" for label, other in near.items()}
    named = [f"{label!r}{meant.get(label, '')}" for label in unknown]
    return [f"[datasets.{toml_key(name)}.names] has no class's name: {first_of(named, _SHOWN)}"]


def _open(name: str, config: DatasetConfig, project: Path) -> Dataset:
    if part := config.own_kind:
        return _own(name, part, config, project)
    if config.kind == "shapes":
        return _shapes(config)
    if config.kind == "probe":
        return _probe(config)
    if config.kind == "benchmark":
        from fsarctl.datasets.benchmark import open_benchmark

        return open_benchmark(name, config, project)
    if config.kind == "list":
        from fsarctl.datasets.lists.open_list import open_list

        return open_list(name, config, project)
    from fsarctl.datasets.folder import open_folder

    return open_folder(name, config, project)


def _shapes(config: DatasetConfig) -> Dataset:
    from fsarctl.datasets.shapes.classes import CLASSES

    counts: dict[str, dict[str, int]] = {"train": {}, "val": {}, "test": {}}
    for each in sorted(CLASSES, key=lambda shape: shape.label):
        counts[each.split][each.label] = config.clips_per_class
    return Dataset(found=counts, expected=counts)


def _probe(config: DatasetConfig) -> Dataset:
    from fsarctl.datasets.probes.classes import classes_of

    counts: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    sets: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    for each in classes_of(config.name):
        counts[each.split][each.label] = config.clips_per_class
        sets[each.split][each.label] = each.set
    return Dataset(found=counts, expected=counts, sets=sets)


def _own(name: str, part: Part, config: DatasetConfig, project: Path) -> Dataset:
    """What somebody else's kind gives: split -> its clips, as ``Clip`` or as (name, label, file)."""
    settings = {"root": config.root, "file": config.file, **config.options}
    own = part.load()
    with part.running(
        of=f"dataset {name}: ",
        next_step="It gets the project's folder and the table's settings, and returns {split: clips}.",
    ):
        given = own(project, {key: value for key, value in settings.items() if value != ""})
        clips = {split: [_clip(part, name, each) for each in some] for split, some in given.items()}
    if unknown := sorted(set(clips) - set(SPLITS)):
        raise InputError(
            f"dataset {name}: {part.called} gives a split {unknown[0]!r}",
            next_step=f"Splits are {', '.join(SPLITS)}.",
        )
    found: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    missing: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    repeated: list[str] = []
    for split, some in clips.items():
        repeated += [repr(clip.name) for clip, times in Counter(some).items() if times > 1]
        for clip in dict.fromkeys(some):
            (found if clip.path.exists() else missing)[split].append(clip)
    remarks = [f"clips that are given more than once, and count once: {first_of(repeated, 3)}"]
    return Dataset.of_clips(found, missing, remarks=remarks if repeated else ())


def _clip(part: Part, dataset: str, given: Clip | Sequence[str | None]) -> Clip:
    words = astuple(given) if isinstance(given, Clip) else given
    if isinstance(words, str) or not 3 <= len(words) <= 4:
        raise InputError(
            f"dataset {dataset}: {part.called} gives {given!r}, which is no clip",
            next_step="A clip is (name, label, file), or (name, label, file, group).",
        )
    return Clip(*("" if each is None else str(each) for each in words))
