"""The data of a project: what training and evaluation read of its datasets, and whether it is enough."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from fsarctl.config.dataset_table import SIDED
from fsarctl.config.read_settings import toml_key
from fsarctl.config.settings import Settings
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.episode_size import EpisodeSize
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.labels.spelling import loosely
from fsarctl.errors import ConfigError, InputError

__all__ = ["ProjectData"]

LEAKING = {"ssv2-small", "ssv2-full"}


class ProjectData:
    """The datasets of ``settings``, with ``asked`` as the novel one if it is given.

    ``note`` hears what a user should know of a dataset when it is opened; those who share ``opened``
    open each but once. ``trains`` says whether the method trains anything, and so reads base classes.
    """

    def __init__(
        self,
        settings: Settings,
        asked: str | None,
        note: Callable[[str], None],
        opened: dict[str, Dataset],
        trains: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._config = settings.config
        self._asked = asked
        self._note = note
        self._opened = opened
        self._trains = trains

    @cached_property
    def base(self) -> str:
        """The dataset whose base classes are trained on."""
        return self._settings.only_dataset("train")

    @cached_property
    def novel(self) -> str:
        """The dataset whose novel classes are evaluated: the one asked for, or what the file says."""
        if self._asked is None:
            return self._settings.only_dataset("eval")
        self._settings.dataset(self._asked)
        return self._asked

    @cached_property
    def trains(self) -> bool:
        """Whether the method trains anything, and so reads base classes."""
        return self._trains()

    def dataset(self, name: str) -> Dataset:
        """What a dataset's root holds, looked at once.

        Raises:
            ConfigError, InputError: no such dataset, or it is not as its settings say.
        """
        config = self._settings.dataset(name)
        key = f"{name} {config}"
        if key not in self._opened:
            self._opened[key] = open_dataset(name, config, self._settings.root)
            if remark := self._opened[key].summary():
                self._note(f"{name}: {remark}; `fsarctl data check {shlex.quote(name)}` says more")
        return self._opened[key]

    def require_labels(self, name: str, split: str) -> list[str]:
        """The classes of a split.

        Raises:
            InputError: none has a clip.
        """
        dataset = self.dataset(name)
        labels = dataset.labels(split)
        if labels:
            return labels
        setting = (
            "eval.dataset" if split == self._config.eval.split and name == self.novel else "train.dataset"
        )
        table, other = f"[datasets.{toml_key(name)}]", f"or name another dataset: --set {setting}=NAME"
        if dataset.expected.get(split):
            raise InputError(
                f"dataset {name!r} has no video of any {split} class",
                next_step=f"Put its videos under the root of {table}, {other}.",
            )
        raise InputError(
            f"dataset {name!r} has no {split} classes",
            next_step=f"Say which they are (splits, split_file or split_ratio of {table}), {other}.",
        )

    def require_training(self, shots: Iterable[int]) -> None:
        """Refuse training that the clips found cannot make.

        Raises:
            ConfigError: clips are to be mirrored whose classes differ in left and right.
            InputError: the base or validation classes are too few or too small.
        """
        base = self._settings.dataset(self.base)
        benchmark = base.name or base.kind
        if self._config.train.flip and benchmark in SIDED:
            raise ConfigError(
                f"train.flip mirrors clips, and classes of {benchmark} differ in left and right",
                next_step="Set train.flip = false.",
            )
        for split in ("train", "val"):
            self._require(self.base, split, self._episodes(shots, "train"))

    def require_evaluation(self, shots: Iterable[int]) -> None:
        """Refuse an evaluation that the clips found cannot make.

        Raises:
            InputError: the novel classes are too few or too small.
        """
        self._require(self.novel, self._config.eval.split, self._episodes(shots, "eval"))

    def asked_of(self, name: str, shots: Sequence[int] | None) -> dict[str, list[EpisodeSize]]:
        """Split of dataset ``name`` -> the episodes that training and evaluation would make of it.

        ``shots``: those of --shots, or None for the file's.
        """
        config = self._config
        asked: dict[str, list[EpisodeSize]] = {}
        if self.trains and name == self._if_known("train"):
            # `fsarctl run` trains for the shots that are evaluated.
            trained = shots or sorted({*config.train.shots, *config.eval.shots})
            asked = {split: self._episodes(trained, "train") for split in ("train", "val")}
        if name == (self._asked or self._if_known("eval")):
            evaluated = self._episodes(shots or config.eval.shots, "eval")
            asked[config.eval.split] = [*asked.get(config.eval.split, []), *evaluated]
        return asked

    def seen(self) -> list[str]:
        """Novel labels that are base or validation labels as well, which is possible across datasets."""
        base = {
            loosely(label) for split in ("train", "val") for label in self.dataset(self.base).labels(split)
        }
        novel = self.dataset(self.novel).labels(self._config.eval.split)
        return [label for label in novel if loosely(label) in base]

    def warnings(self) -> list[str]:
        """Why results on the novel classes are not what they seem: a sentence each."""
        seen = self.seen() if self.trains else []
        model, tested = self._config.model, self._config.eval
        random = model.random_if_frozen if tested.frozen or not self.trains else ""
        known = [*self.training_warnings(), *([f"in the frozen model {random}"] if random else [])]
        if not seen:
            return known
        return [
            *known,
            f"{len(seen)} of the classes of {self.novel} are not novel: training on {self.base} sees"
            f" {', '.join(seen)}",
        ]

    def training_warnings(self) -> list[str]:
        """What the settings alone tell of that, before the novel classes are looked at."""
        tested = self._asked or self._config.eval.dataset
        if not self.trains or not tested:
            return []
        if {self._settings.dataset(name).name for name in (self.base, tested)} != LEAKING:
            return []
        return [
            "ssv2-small and ssv2-full share classes across their splits: what is trained on one must not be"
            " tested on the other"
        ]

    def groups(self, name: str, split: str) -> dict[str, str] | None:
        """Clip -> its group, where support and query of an episode are to share none; else None."""
        dataset = self.dataset(name)
        return {clip.name: clip.group for clip in dataset.clips[split]} if dataset.grouped else None

    def _require(self, name: str, split: str, episodes: Iterable[EpisodeSize]) -> None:
        self.require_labels(name, split)
        dataset = self.dataset(name)
        counts = {label: count for label, count in dataset.found[split].items() if count}
        groups = dataset.group_sizes(split) if dataset.grouped else None
        for size in episodes:
            size.check(counts, f"{name}/{split}", groups, dataset.sets.get(split))

    def _episodes(self, shots: Iterable[int], table: str) -> list[EpisodeSize]:
        sizes = []
        for shot in shots:
            config = getattr(self._settings.for_shot(shot).config, table)
            shot = config.episode_shot or shot if table == "train" else shot
            sizes.append(EpisodeSize(table, config.way, shot, config.query))
        return sizes

    def _if_known(self, table: str) -> str | None:
        """The dataset of a table, None where the file leaves it open."""
        try:
            return self._settings.only_dataset(table)
        except ConfigError:
            return None
