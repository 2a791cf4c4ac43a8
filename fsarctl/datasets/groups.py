"""Groups of clips that are not independent: of one person, camera or recording.

Support and query of an episode never share a group; which clip is of which is said by a pattern on its name,
by a column of a list, or by a file.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fsarctl.config.dataset_table import RECORDING, DatasetConfig
from fsarctl.config.paths import located
from fsarctl.config.text_file import read_csv
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset
from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["grouped_by", "groups_key", "with_groups"]

HMDB51 = re.compile(
    r"[^/]+/(?P<source>.+)_[fhlu]_(?:cm|nm)_np\d+_(?:ba|fr|le|ri)_(?:bad|goo|med)_\d+", re.IGNORECASE
)
UCF101 = re.compile(r"(?P<label>[^/]+)/v_.+_(?P<group>g\d+)_c\d+", re.IGNORECASE)
PATTERN = "It is a regular expression that captures who or what a clip is of: for anna_03.mp4, '([a-z]+)_'."
SHAPE = "A group file has a clip and its group on each line: waving/7.mp4,anna"


def with_groups(name: str, config: DatasetConfig, project: Path, dataset: Dataset) -> Dataset:
    """The same dataset, whose clips know their groups if [datasets.``name``] says what these are.

    Raises:
        InputError: a clip is in no group, or the group file cannot be read.
    """
    group_of = _group_of(config, project)
    if group_of is None:
        return dataset
    clips = {
        split: tuple(replace(clip, group=clip.group or group_of(clip)) for clip in some)
        for split, some in dataset.clips.items()
    }
    without = [clip for some in clips.values() for clip in some if not clip.group]
    if without:
        named = first_of([repr(clip.name) for clip in without], 1)
        raise InputError(
            f"dataset {name!r}: {_said(config)} gives no group for {named}",
            next_step=f"Correct {_setting(config)} of the table, so that each clip is in a group.",
        )
    return replace(dataset, clips=clips)


def grouped_by(pattern: str, clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Clips that know their groups: what ``pattern`` captures of each one's name.

    Raises:
        InputError: it is no pattern, captures nothing, or does not match a name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--group {pattern!r} is no pattern: {error}", next_step=PATTERN) from None
    if not compiled.groups:
        raise InputError(f"--group {pattern!r} captures nothing", next_step=PATTERN)
    found = tuple(replace(clip, group=_captured(compiled.search(clip.name))) for clip in clips)
    without = [repr(clip.name) for clip in found if not clip.group]
    if without:
        raise InputError(f"--group {pattern!r} gives no group for {first_of(without, 1)}", next_step=PATTERN)
    return found


def groups_key(groups: Mapping[str, str] | None) -> dict[str, str]:
    """What of the groups (clip name -> group) enters a key: nothing where there are none."""
    if groups is None:
        return {}
    listing = json.dumps(sorted(groups.items()), ensure_ascii=False)
    return {"groups": hashlib.sha256(listing.encode()).hexdigest()}


def _group_of(config: DatasetConfig, project: Path) -> Callable[[Clip], str] | None:
    if config.group == RECORDING:
        return {"hmdb51": _of_hmdb51, "ucf101": _of_ucf101}[config.name]
    if config.group:
        pattern = re.compile(config.group)
        return lambda clip: _captured(pattern.search(clip.name))
    if config.group_file:
        listed = _read(located(config.group_file, project))
        return lambda clip: listed.get(clip.name, "") or listed.get(clip.name.rpartition("/")[2], "")
    if config.group_column:
        return lambda clip: ""  # the list has said it
    return None


def _of_hmdb51(clip: Clip) -> str:
    """The film, as the file is named after it: FILM_action_f_cm_np1_fr_med_3."""
    found = HMDB51.fullmatch(clip.name)
    return found["source"].removesuffix("_" + clip.label.replace(" ", "_")) if found else ""


def _of_ucf101(clip: Clip) -> str:
    """One of the 25 groups of its class; g01 of another class is another group."""
    return _captured(UCF101.fullmatch(clip.name))


def _captured(found: re.Match[str] | None) -> str:
    return "/".join(part for part in found.groups() if part) if found else ""


def _read(file: Path) -> dict[str, str]:
    """Clip -> group. A clip is named as in the dataset (class/file), or by its file alone."""
    listed: dict[str, str] = {}
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    for line, cells in read_csv(file, "group file", SHAPE, delimiter=delimiter):
        if len(cells) != 2 or not all(cells):
            raise InputError(
                f"{file}, line {line}: {','.join(cells)!r} is not a clip and a group", next_step=SHAPE
            )
        clip, group = cells
        if listed.setdefault(clip, group) != group:
            raise InputError(
                f"{file}, line {line}: {clip!r} is in group {listed[clip]!r} and in {group!r}",
                next_step="Keep one of the two lines.",
            )
    return listed


def _setting(config: DatasetConfig) -> str:
    return next(name for name in ("group", "group_file", "group_column") if getattr(config, name))


def _said(config: DatasetConfig) -> str:
    name = _setting(config)
    return f"{name} = {getattr(config, name)!r}"
