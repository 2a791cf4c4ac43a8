"""A first fsarctl.toml for videos that are there: it looks at them, and writes settings that run."""

import json
import os
import re
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from fsarctl.config.dataset_table import BENCHMARKS, DatasetConfig
from fsarctl.config.json_schema import SCHEMA_FILE
from fsarctl.config.methods import TASK_ADAPTER, method_file
from fsarctl.config.paths import located
from fsarctl.config.setting_field import SPLITS
from fsarctl.datasets.benchmark import SPELLINGS, match_videos
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.datasets.class_levels import Level
from fsarctl.datasets.class_splits import draw_splits
from fsarctl.datasets.dataset import Dataset, RootError
from fsarctl.datasets.folder import classes_of, levels_in, list_videos
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.labels.label_map import are_numbers, find_label_map
from fsarctl.datasets.lists.read_list import SPLIT, read_list
from fsarctl.datasets.video_tree import VideoTree, left_out_words, plain_text
from fsarctl.errors import InputError
from fsarctl.progress import counted, first_of
from fsarctl.video.frame_folders.images import frames_of

__all__ = ["project_file"]

SHOTS = (1, 3, 5)
WAY = 5
SHARES = (0.6, 0.2, 0.2)
MOST = 0.5
NAMED = 3
LISTS, MOST_LISTS = (".csv", ".json", ".tsv", ".txt"), 200
FEWEST = 20  # files that must have a benchmark's names before it is believed to be one

HEAD = f"""\
#:schema ./{SCHEMA_FILE}
# An fsarctl project. `fsarctl data check` looks at the videos, `fsarctl run` does everything else,
# and `fsarctl config show` lists all settings with their meanings.
"""
DESCRIBED = """\
# Descriptions of all these classes ship with fsarctl.
[describe]
source = "corpus"
"""
UNDESCRIBED = """\
# What is seen at the beginning, in the process and at the end of each action. Where nobody has written
# that, the class name stands for all three; a file of yours (README) does better.
[describe]
missing = "label"
# files = ["{name}.yaml"]
"""
FROZEN_MODEL = """\
# Nothing is trained: CLIP compares the clips as it is. That needs no base classes and no GPU.
[model]
backbone = "ViT-B-16-quickgelu"  # or "ViT-B-32-quickgelu", four times as fast on a processor
weights = "openai"  # 0.6 GB, fetched once; or the path of a file
strategy = "frozen"
# To try everything out without fetching anything, put these in their place. This CLIP knows drawn shapes
# only: on camera footage it is near chance. The layers are those that adapters are put into.
# backbone = "tiny"
# weights = "shipped"
# visual_layers = 2
# text_layers = 2
"""
TRAINED_MODEL = """\
[model]
backbone = "ViT-B-16-quickgelu"
weights = "openai"  # 0.6 GB, fetched once; or the path of a file
# visual_layers and text_layers are the paper's for {benchmark}: {visual} and {text}.
# To try everything out without fetching anything, put these in their place. This CLIP knows drawn shapes
# only: on camera footage it is near chance.
# backbone = "tiny"
# weights = "shipped"
# visual_layers = 2
# text_layers = 2
"""
TRAIN = """\
# Adapters are trained on the base classes, as in the paper. On a GPU: fsarctl run --device cuda
[train]
dataset = "{name}"
way = {way}
shots = {shots}
epochs = 10
episodes = 1000
val_episodes = 1000
"""
EVAL = """\
# Every number comes with its 95 % interval; more clips make it narrower.
[eval]
dataset = "{name}"
way = {way}
shots = {shots}{why}
episodes = {episodes}
"""
TRAIN_LATER = """\
# To train adapters, which is what Task-Adapter++ is about: take out strategy above; train on a public
# benchmark (README), or say which of your own classes are base and validation classes, for example with
# split_ratio = {shares} in [datasets.{name}] (six classes at least; way in [eval] is then at most
# {few}); and name the dataset here.
# [train]
# dataset = "{name}"
# way = {few}
# shots = {shots}
"""


@dataclass(frozen=True)
class Sight:
    """What is there: the [datasets.NAME] table to write, what it stands for, and the splits to use."""

    name: str
    config: DatasetConfig
    dataset: Dataset
    remark: str
    splits: tuple[str, ...] = ("test",)


def project_file(
    place: Path,
    project: Path,
    described: Callable[[Sequence[str]], bool],
    note: Callable[[str], None],
    root: Path | None = None,
    choose: Callable[[Sequence[Level]], int] = lambda levels: 1,
) -> str:
    """The text of a commented fsarctl.toml in ``project`` for the videos at ``place``.

    ``place`` is a directory of class directories, a public benchmark's videos in any layout, or a list
    file. A benchmark is trained on and tested; other classes are all novel ones, and a frozen CLIP
    compares them, which needs no base classes and no GPU. ``described`` says whether the shipped descriptions
    hold all of some labels. ``note`` hears which files are left out, as no videos.

    ``root`` is what a list's paths are relative to, if not to the list. ``choose`` is asked at what depth the
    directories name the classes, where several may.

    Raises:
        InputError: there are no videos, or not two classes with two videos each.
    """
    sight = _look(place, project, root, choose)
    _require_episodes(sight)
    if left_out := left_out_words(sight.dataset.left_out):
        note(left_out)
    trains = sight.splits == SPLITS
    counts = [n for split in sight.splits for n in sight.dataset.found[split].values() if n]
    labels = [label for split in sight.splits for label in sight.dataset.labels(split)]
    shots = [shot for shot in SHOTS if shot < min(counts)]
    facts: dict[str, object] = {
        "name": sight.name,
        "way": min(WAY, *(len(sight.dataset.labels(split)) for split in sight.splits)),
        "shots": shots,
        "why": f"  # the smallest class has {min(counts)} clips" if len(shots) < len(SHOTS) else "",
        "episodes": 10000 if trains else 1000,
        "shares": list(SHARES),
        "few": _fewest(labels),
    }
    describe = DESCRIBED if described(labels) else UNDESCRIBED
    if not trains:
        parts = (describe, FROZEN_MODEL, EVAL, TRAIN_LATER)
    else:
        parts = (describe, TRAINED_MODEL, TRAIN, EVAL)
        published = method_file(TASK_ADAPTER).presets[sight.config.name].settings
        visual, text = published["model.visual_layers"], published["model.text_layers"]
        facts |= {"benchmark": sight.config.name, "visual": visual, "text": text}
    return "\n".join([HEAD, _table(sight), *(part.format(**facts) for part in parts)])


def _fewest(labels: Sequence[str]) -> int:
    """The classes of the smallest of three splits, as many as an episode has."""
    shared = draw_splits("", labels, SHARES, 0) if len(labels) >= len(SPLITS) else {}
    return min([WAY, *(max(2, len(each)) for each in shared.values())])


def _look(place: Path, project: Path, root: Path | None, choose: Callable[[Sequence[Level]], int]) -> Sight:
    written = _as_written(place, project)
    if place.is_file():
        leads = _as_written(root, project) if root else ""
        if (several := _list_of_each_split(place)) is not None:
            name = _table_name(several.stem.replace(SPLIT, ""))
            config = DatasetConfig(kind="list", file=_as_written(several, project), root=leads)
            with suppress(InputError):  # they share classes, say
                return _novel(name, config, project)
        name = _table_name(place.stem)
        try:
            return _novel(name, DatasetConfig(kind="list", file=written, root=leads), project)
        except RootError as error:
            here = f"fsarctl init {shlex.quote(str(place))} --root FOLDER"
            raise InputError(
                error.message, next_step=f"Say which directory its paths are relative to: {here}"
            ) from None
    tree = list_videos(place.name, place)
    if not tree.videos and len(frames := frames_of(place)) > 1:
        above = place.absolute().parent.parent
        raise InputError(
            f"{place} holds the frames of one clip: {frames[0]} and {counted(len(frames) - 1, 'other')}",
            next_step=f"Name the directory of its class's directory: fsarctl init {shlex.quote(str(above))}",
        )
    if not tree.videos and (beside := _a_list_in(place)):
        here = f"fsarctl init {shlex.quote(str(beside))} --root FOLDER"
        raise InputError(
            f"there are no videos under {place}, but a list of some, {beside.name}",
            next_step=f"Say which directory its paths are relative to: {here}",
        )
    if not tree.videos:
        raise InputError(
            f"there are no videos under {place}" + _but(tree),
            next_step="fsarctl init --demo (drawn shapes, to try it without clips); with clips: fsarctl init "
            "FOLDER, the directory that holds one directory of clips per class.",
        )
    if benchmark := _benchmark(tree):
        return _public(DatasetConfig(kind="benchmark", name=benchmark, root=written), project)  # type: ignore[arg-type]
    levels = levels_in(tree)
    depth = choose(levels)
    classes, by_directory = classes_of(place.name, tree, depth)
    if not classes:
        raise InputError(
            f"the {len(tree.videos)} videos under {place} are in no class directories"
            + (f" {depth} deep" if depth > 1 else ""),
            next_step="Sort them into one directory per class; or list them in a file, a path and a label a"
            " line, and name that: fsarctl init clips.csv",
        )
    config = DatasetConfig(kind="folder", root=written, depth=depth if len(levels) > 1 or depth > 1 else 0)
    # Directories named train and test share their classes as a rule, for ordinary classification.
    shared = len(classes) < sum(map(len, by_directory.values()))
    if by_directory and (shared or "test" not in by_directory):
        config = replace(config, split_ratio=(0, 0, 1))
    return _novel(_table_name(place.resolve().name), config, project)


def _a_list_in(folder: Path) -> Path | None:
    """The first file of a directory that is a list of clips."""
    for path in sorted(folder.iterdir())[:MOST_LISTS]:
        if path.suffix.lower() in LISTS and path.is_file():
            with suppress(InputError):
                read_list(path, "")
                return path
    return None


def _list_of_each_split(place: Path) -> Path | None:
    """The list's path with {split} for its split, if the other splits have such a list beside it."""
    for split in SPLITS:
        if split in place.name:
            several = place.with_name(place.name.replace(split, SPLIT, 1))
            there = [each for each in SPLITS if Path(str(several).replace(SPLIT, each)).is_file()]
            if "test" in there and len(there) > 1:
                return several
    return None


def _but(tree: VideoTree) -> str:
    return f" ({left_out_words(tree.left_out)})" if tree.left_out else ""


def _benchmark(tree: VideoTree) -> str | None:
    """The benchmark whose videos these are, by their names; the one with the most of them."""
    found: dict[str, int] = {}
    for name in BENCHMARKS:
        labels = {video: label for rows in load_split_lists(name).values() for label, video in rows}
        matched = len(match_videos(labels, tree.videos, SPELLINGS[name], tree.folders).files)
        if matched >= MOST * len(labels) or FEWEST <= matched >= MOST * len(tree.videos):
            found[name] = matched
    return max(found, key=lambda name: found[name], default=None)


def _public(config: DatasetConfig, project: Path) -> Sight:
    dataset = open_dataset(config.name, config, project)
    found = sum(map(len, dataset.clips.values()))
    expected = found + sum(map(len, dataset.missing.values()))
    splits = SPLITS if all(_has_episodes(dataset, split) for split in SPLITS) else ("test",)
    return Sight(config.name, config, dataset, f"{found:,} of its {expected:,} videos are there.", splits)


def _novel(name: str, config: DatasetConfig, project: Path) -> Sight:
    """Every class that has two videos is a test class."""
    dataset = open_dataset(name, config, project)
    config = _with_label_map(config, project, [label for split in dataset.found.values() for label in split])
    dataset = open_dataset(name, config, project) if config.label_map else dataset
    counts = {label: count for split in dataset.found.values() for label, count in split.items()}
    least, most, total = min(counts.values()), max(counts.values()), sum(counts.values())
    each = f"{least} in each class" if least == most else f"{least} to {most} in a class"
    remark = f"{len(counts)} classes, {total:,} clips: {each}."
    kept = sorted(label for label, count in counts.items() if count > 1)
    if least < 2 and kept and set(dataset.found) == {"test"}:
        config = replace(config, split_ratio=(), splits={"test": tuple(kept)})
        dataset = open_dataset(name, config, project)
        remark += f" Left out, since they have no two clips: {_some(sorted(counts.keys() - kept))}."
    return Sight(name, config, dataset, remark)


def _with_label_map(config: DatasetConfig, project: Path, labels: Sequence[str]) -> DatasetConfig:
    """With the file beside the videos or their list that says what labels that are numbers mean, if any."""
    if not are_numbers(labels):
        return config
    place = located(config.file, project).parent if config.file else located(config.root, project)
    found = find_label_map(place, labels)
    return replace(config, label_map=_as_written(found, project)) if found else config


def _table(sight: Sight) -> str:
    config = sight.config
    lines = [f"# {sight.remark}", f"[datasets.{sight.name}]", f'kind = "{config.kind}"']
    if config.name:
        lines.append(f'name = "{config.name}"')
    if config.name.startswith("ssv2"):
        other = "ssv2-small" if config.name == "ssv2-full" else "ssv2-full"
        lines[-1] += f"  # {other} has other classes and splits of the same videos"
    if config.file:
        base = "the root" if config.root else "it"
        stands = f", and {SPLIT} stands for train, val and test" if SPLIT in config.file else ""
        lines.append(f"file = {_quoted(config.file)}  # its paths are relative to {base}{stands}")
    if config.root:
        lines.append(f"root = {_quoted(config.root)}")
    if config.kind == "folder":
        lines[-1] += f"  # {'*/' * (config.depth - 1)}<class>/<clip>"
    if config.depth:
        lines.append(f"depth = {config.depth}  # how deep the directories are that name the classes")
    if config.depth > 1:
        lines.append(
            "# group = '([^/]+)/'  # keeps clips of one directory above them on one side of an episode"
        )
    if config.label_map:
        lines.append(f"label_map = {_quoted(config.label_map)}  # what the numbers mean that the labels are")
    elif are_numbers([label for split in sight.dataset.found.values() for label in split]):
        lines.append(
            '# label_map = "classInd.txt"  # the labels are numbers: a file of lines such as "0 abseiling"'
        )
    if config.split_ratio:
        lines.append("split_ratio = [0, 0, 1]  # every class is a novel one, whichever directories it is in")
    if config.splits:
        lines.append(f"splits.test = [{', '.join(map(_quoted, config.splits['test']))}]")
    return "\n".join(lines) + "\n"


def _has_episodes(dataset: Dataset, split: str) -> bool:
    """Whether it has two classes with clips, and two clips of every one."""
    counts = [count for count in dataset.found.get(split, {}).values() if count]
    return len(counts) > 1 and min(counts) > 1


def _require_episodes(sight: Sight) -> None:
    if "test" not in sight.dataset.found:
        raise InputError(
            f"all classes of {sight.name} are in {' and '.join(sight.dataset.found)}, none in test",
            next_step="An evaluation needs test classes: say which they are.",
        )
    if not _has_episodes(sight.dataset, "test"):
        raise InputError(
            "there are no two classes with two videos each, and an episode needs as many",
            next_step="Add clips: five or more of each class are good, and two classes the least.",
        )


def _as_written(place: Path, project: Path) -> str:
    """A path as the file has it: relative to the project where it is inside."""
    place, project = place.absolute(), project.absolute()
    text = (place.relative_to(project) if place.is_relative_to(project) else place).as_posix()
    if plain_text(text).encode() != os.fsencode(text):
        raise InputError(
            f"{plain_text(text)} is not a name that a text file can hold", next_step="Rename it."
        )
    return text


def _table_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "clips"


def _quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _some(labels: Sequence[str]) -> str:
    return first_of([" ".join(label.split()) for label in labels], NAMED)
