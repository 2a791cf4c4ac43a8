"""[datasets.NAME]: where clips come from."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from fsarctl.config.plugins import Part, find_part, require_known
from fsarctl.config.setting_field import SPLITS, default_of, either, require, setting
from fsarctl.errors import ConfigError

__all__ = [
    "Ability",
    "BENCHMARKS",
    "DatasetConfig",
    "KIND_SETTINGS",
    "OWN_KIND_SETTINGS",
    "PROBES",
    "RECORDED_BENCHMARKS",
    "RECORDING",
    "SIDED",
]

Benchmark = Literal["hmdb51", "ucf101", "kinetics100", "ssv2-small", "ssv2-full"]
BENCHMARKS: tuple[Benchmark, ...] = get_args(Benchmark)
"""The public ones, whose splits ship."""

Ability = Literal["order", "task", "stages", "motion"]
PROBES: tuple[Ability, ...] = get_args(Ability)
"""The rendered benchmarks in each of which one ability alone tells the classes."""

SIDED = ("ssv2-small", "ssv2-full", "shapes", *PROBES)
"""Benchmarks, rendered ones too, of which classes differ in left and right ("from left to right")."""

RECORDING = "recording"
RECORDED_BENCHMARKS = ("hmdb51", "ucf101")


@dataclass(frozen=True)
class DatasetConfig:
    """[datasets.NAME]: where clips come from."""

    kind: str = setting(
        "folder",
        "shapes, probe: rendered here; folder: root/<class>/<clip>; benchmark: a public one whose splits "
        "ship; list: a file of paths and labels; or your own, as package.module:name",
        part="datasets",
    )
    name: Literal["", Ability, Benchmark] = setting(
        "", f"benchmark: {either(BENCHMARKS)}; probe, the ability that it asks for: {either(PROBES)}"
    )
    root: str = setting(
        "", "where the videos are; folder: one directory per class; list: what its paths are relative to"
    )
    depth: int = setting(
        0,
        "folder: how deep below the root the directories are that name the classes, e.g. 2 for "
        "person/<action>/<clip>; 0: 1, with a remark where deeper ones look like classes",
    )
    file: str = setting(
        "",
        "list: lines of path,label[,split] as CSV, or of a path and a label, or as other projects have it; "
        "{split} in its name stands for train, val and test",
    )
    label_map: str = setting(
        "", "folder, list: the file that says what labels that are numbers mean: classInd.txt, label_map.txt"
    )
    names: Mapping[str, str] = setting(
        {},
        "label -> what prompts call it, e.g. in English; results and pictures go on showing the label, and "
        "written descriptions are found by either",
    )
    splits: Mapping[str, tuple[str, ...]] = setting(
        {}, "train, val and test, each a list of class names; without splits every class is a test class"
    )
    split_file: str = setting("", "the splits as a CSV file instead: lines of class,split")
    split_ratio: tuple[float, ...] = setting(
        (), "the splits by lot instead: shares of the classes for train, val and test, e.g. [0.6, 0.2, 0.2]"
    )
    group: str = setting(
        "",
        "a pattern on a clip's name (class/file) whose captures are its person, camera or recording, e.g. "
        "'_(g\\d+)_': support and query of an episode share none; hmdb51, ucf101: recording is theirs",
    )
    group_file: str = setting("", "the groups as a CSV file instead: lines of clip,group")
    group_column: str = setting("", "list: the column that holds the groups instead")
    options: Mapping[str, Any] = setting({}, "a kind of your own: what it is given, by name")
    clips_per_class: int = setting(20, "shapes, probe: videos rendered for each class")
    seed: int = setting(
        0, "shapes, probe: every video is a function of this; split_ratio: which lot is drawn"
    )
    film_s: float = setting(
        0.0,
        "shapes: seconds of a film with known events, rendered too; `run` finds the actions in it, with "
        "as many examples as the largest of eval.shots, and the report says how well; 0: none",
    )

    def settings(self) -> tuple[str, ...]:
        """The settings that mean something for this kind."""
        return ("kind", *KIND_SETTINGS.get(self.kind, OWN_KIND_SETTINGS))

    @property
    def own_kind(self) -> Part | None:
        """The part that opens this dataset, if it is not fsarctl's."""
        return find_part("datasets", self.kind, KIND_SETTINGS)

    def __post_init__(self) -> None:
        require_known("datasets", self.kind, KIND_SETTINGS)
        for each in fields(self):
            require(
                each.name in self.settings() or getattr(self, each.name) == default_of(each),
                f"{each.name} is not for kind = {self.kind}; that reads {', '.join(self.settings()[1:])}",
            )
        require(
            self.kind not in ("folder", "benchmark") or bool(self.root), f"a {self.kind} dataset needs root"
        )
        for kind, names in (("benchmark", BENCHMARKS), ("probe", PROBES)):
            require(
                self.kind != kind or self.name in names,
                f"a {kind} dataset needs name, one of {', '.join(names)}",
            )
        require(self.kind != "list" or bool(self.file), "a list dataset needs file")
        require(self.depth >= 0, f"depth is {self.depth}; it must be 1 or more, or 0")
        require(
            set(self.splits) <= set(SPLITS),
            f"splits may name {', '.join(SPLITS)}, not {', '.join(sorted(set(self.splits) - set(SPLITS)))}",
        )
        ways = [way for way in ("splits", "split_file", "split_ratio") if getattr(self, way)]
        require(len(ways) <= 1, f"{' and '.join(ways)} both say what the splits are; keep one")
        for label, name in self.names.items():
            require(bool(name.strip()), f"names calls {label!r} nothing; write what prompts say of it")
        groups = [way for way in ("group", "group_file", "group_column") if getattr(self, way)]
        require(len(groups) <= 1, f"{' and '.join(groups)} both say what the groups are; keep one")
        self._check_group()
        ratio = self.split_ratio
        require(
            not ratio or (len(ratio) == len(SPLITS) and min(ratio) >= 0 < sum(ratio) < math.inf),
            f"split_ratio is {list(ratio)}; it must be three shares, for {', '.join(SPLITS)}",
        )
        require(
            self.film_s == 0 or SHORTEST_FILM_S <= self.film_s < math.inf,
            f"film_s is {self.film_s:g}; it must be {SHORTEST_FILM_S} or more, or 0",
        )
        require(self.clips_per_class >= 1, f"clips_per_class is {self.clips_per_class}; it must be 1 or more")

    def _check_group(self) -> None:
        if not self.group:
            return
        if self.group == RECORDING:
            require(
                self.name in RECORDED_BENCHMARKS,
                f"group = {RECORDING} is for the benchmarks {', '.join(RECORDED_BENCHMARKS)}; elsewhere it is"
                r" a pattern with what tells clips apart in brackets, such as 'person(\d+)'",
            )
            return
        try:
            captures = re.compile(self.group).groups
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"group = {self.group!r} is no pattern: {error}",
                next_step=r"It is a regular expression on the clip's name, such as 'person(\d+)'.",
            ) from None
        require(
            captures > 0,
            f"group = {self.group!r} captures nothing; put what tells persons or recordings apart in"
            r" brackets, such as 'person(\d+)'",
        )


SHORTEST_FILM_S = 10
"""Something happens in every film that lasts so long."""

KIND_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "shapes": ("clips_per_class", "seed", "film_s"),
    "probe": ("name", "clips_per_class", "seed"),
    "folder": (
        "root",
        "splits",
        "split_file",
        "split_ratio",
        "seed",
        "label_map",
        "names",
        "depth",
        "group",
        "group_file",
    ),
    "benchmark": ("name", "root", "names", "group", "group_file"),
    "list": (
        *("file", "root", "splits", "split_file", "split_ratio", "seed", "label_map", "names"),
        *("group", "group_file", "group_column"),
    ),
}

OWN_KIND_SETTINGS = ("root", "file", "names", "options", "group", "group_file")
