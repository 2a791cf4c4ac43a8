"""Frozen prefixes in the store: the same numbers with and without, and nothing that is of something else."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from built import copied
from notes import Notes
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from typed import type_in

from fsarctl.artifacts import Build, Store, Unit, provenance
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.artifacts.unfinished.shared_parts import SharedParts
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes import kept_prefixes as module
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.kept_prefixes import KeptPrefixes, is_worth_keeping, kept_prefixes
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.scoring import Scorer
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.frames.frame_store import FrameStore
from fsarctl.methods.build import build_model, tokens_of
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.models.backbone_catalogue import TINY
from fsarctl.models.vit_with_task_adapters import VisualBranch
from fsarctl.progress import SILENT

TABLE = ModelConfig(backbone=TINY, weights="shipped", visual_layers=1, text_layers=1)
SETTINGS = """
[train]
epochs = 1
episodes = 3
val_episodes = 2
shots = [1]
prefix_crops = 2
[eval]
episodes = 5
shots = [1]
"""


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes any time at all is kept."""
    monkeypatch.setattr(module, "TIMES", 0)


Numbers: TypeAlias = dict[str, Tensor]


class Learning:
    """A training with fixed crops and an evaluation, small; and how many clips went through the prefix."""

    def __init__(self, frames: FrameStore, make_model: Callable[..., Any]) -> None:
        self.frames, self.make_model = frames, make_model
        self.computed = 0
        self.said = Notes()

    def numbers(self, cache: Path, *, strategy: str = "task-adapter++") -> Numbers:
        """What is trained, and the scores of the evaluation."""
        given: list[Numbers] = []
        self.computed = 0

        def build(build: Build) -> None:
            given.append(self._numbers(replace(build, digests={"frames": {"c/0": "ab"}}), strategy))
            (build.folder / "done").touch()

        unit = Unit("train", 1, "train", Command("train"), {"strategy": strategy}, build)
        Store(cache, reporter=self.said).realise(unit, force=True)
        return given[0]

    def _numbers(self, build: Build, strategy: str) -> Numbers:
        model = self.make_model(strategy=strategy)
        prefix = model.visual.prefix

        def counted(frames: Tensor) -> Tensor:
            self.computed += len(frames)
            return prefix(frames)

        model.visual.prefix = counted
        room = Room(2**20, 2**20, build.scratch)

        def loader(split: str, **how: Any) -> EpisodeLoader:
            texts = dict.fromkeys(self.frames.classes, ("It starts.", "It goes on.", "It ends."))
            shape: dict[str, Any] = {"seed": 0, "way": 3, "shot": 1, "query": 1, "side": 16, **how}
            made = EpisodeLoader(self.frames, tokens_of(model, texts), split, **shape)
            made.lasting = kept_prefixes(build, "frames", model, TABLE, Path(), made, room)
            return made

        config = TrainConfig(epochs=1, episodes=3, val_episodes=2, lr=0.1, prefix_crops=2)
        learning: Any = {"scratch": build.scratch, "reporter": SILENT, "title": "train", "room": room}
        if model.trainable_parameters():
            base, validation = loader("train", crop="clip", crops=2), loader("val", crop="centre")
            train_adapters(model, base, validation, config, **learning)
        scorer = Scorer(model, loader("test", crop="centre", query=2), room=room)
        scores = torch.cat([scores.score for _, scores in scorer.score(range(3))])
        return {**model.adapter_state(), "scores": scores}


def equal(one: Numbers, other: Numbers) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def kept_in(cache: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in cache.glob("work/prefix/*/scratch/*.safetensors")}


@pytest.mark.parametrize("strategy", ["task-adapter++", "frozen"])
def test_numbers_are_the_same_to_the_bit_with_and_without(
    make_store: Callable[..., Any], make_model: Callable[..., Any], tmp_path: Path, strategy: str
) -> None:
    learning = Learning(make_store(4, 4), make_model)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TIMES", 1000)
        without = learning.numbers(tmp_path / "without", strategy=strategy)
        assert not list((tmp_path / "without").glob("work/prefix/*"))
        assert learning.computed > 0
    for computed in (True, False):
        assert equal(learning.numbers(tmp_path / "with", strategy=strategy), without)
        assert (learning.computed > 0) is computed
    kept = kept_in(tmp_path / "with")
    damaged = next(iter(kept))
    damaged.write_bytes(kept[damaged][:-1] + bytes([kept[damaged][-1] ^ 1]))
    assert equal(learning.numbers(tmp_path / "with", strategy=strategy), without)
    assert learning.computed == 1
    assert [each for each in learning.said.said if each.startswith(f"DAMAGED: {damaged.name}")]
    assert kept_in(tmp_path / "with") == kept


def test_another_row_of_a_sweep_computes_none_of_it_again(
    make_store: Callable[..., Any], make_model: Callable[..., Any], tmp_path: Path
) -> None:
    learning = Learning(make_store(4, 4), make_model)
    learning.numbers(tmp_path / "cache", strategy="task-adapter++")
    row = learning.numbers(tmp_path / "cache", strategy="task-adapter")
    assert learning.computed == 0
    assert equal(row, learning.numbers(tmp_path / "fresh", strategy="task-adapter"))


def test_a_full_room_keeps_no_more(
    make_store: Callable[..., Any], make_model: Callable[..., Any], tmp_path: Path
) -> None:
    learning = Learning(make_store(4, 4), make_model)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(KeptPrefixes, "bound", lambda self, most: None)
        without = learning.numbers(tmp_path / "cache")
    assert not kept_in(tmp_path / "cache"), "no byte was allowed"
    assert equal(learning.numbers(tmp_path / "cache"), without)


def results(project: Path) -> dict[str, str]:
    """The digest of everything that was trained and evaluated."""
    listing = json.loads(type_in(project, "fsarctl cache ls --json").stdout)["artifacts"]
    return {each["slot"]: each["digest"] for each in listing if each["stage"] in ("train", "evaluate")}


@pytest.mark.slow
def test_commands_share_what_is_kept(shapes: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TIMES", 1000)
        without = copied(shapes, tmp_path / "without")
        (without / "fsarctl.toml").write_text((without / "fsarctl.toml").read_text() + SETTINGS)
        type_in(without, "fsarctl run")
        assert not list(without.glob("cache/work/prefix/*"))
    project = copied(shapes, tmp_path / "with")
    (project / "fsarctl.toml").write_text((project / "fsarctl.toml").read_text() + SETTINGS)
    type_in(project, "fsarctl run")
    assert results(project) == results(without)
    assert len(results(project)) == 3
    kept = kept_in(project / "cache")
    # Two fixed crops, validation, and the test split through the frozen model and through the adapted one.
    assert len({path.parent for path in kept}) == 4
    for stage in ("train", "evaluate"):
        shutil.rmtree(project / "cache" / "artifacts" / stage)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(VisualBranch, "prefix", lambda self, frames: pytest.fail("it is computed again"))
        type_in(project, "fsarctl run")
    assert results(project) == results(without)
    said = type_in(project, "fsarctl cache gc --dry-run").stdout
    assert said.count("shared prefix: it is computed again where it is needed") == 4


@pytest.fixture
def unit_of(make_store: Callable[..., Any]) -> Callable[..., dict[str, Any] | None]:
    """The key's settings of what would be kept, None if nothing; for changes of one thing or another.

    ``said``: the table that the model is said to be of, where that is another.
    """
    store = make_store(3, 3, size=74)

    def unit_of(
        table: ModelConfig = TABLE,
        *,
        said: ModelConfig | None = None,
        stream: str = "test",
        digests: Any = None,
        model_seed: int = 0,
        room: Room | None = None,
        changed: Callable[[FewShotMethod], object] = lambda model: None,
        adapters: bool = True,
        **how: Any,
    ) -> dict[str, Any] | None:
        model = build_model(
            table, Path(), frames=4, adapters=adapters, seed=model_seed, device=torch.device("cpu")
        )
        changed(model)
        texts = dict.fromkeys(store.classes, ("It starts.", "It goes on.", "It ends."))
        side = model.backbone.image_size
        shape: dict[str, Any] = {"seed": 0, "way": 3, "shot": 1, "query": 1, "side": side, "crop": "centre"}
        loader = EpisodeLoader(store, tokens_of(model, texts), stream, **(shape | how))
        asked: list[Unit] = []
        build = Build(
            Path(), Path(), {}, SILENT, lambda name, value: None,
            {"frames": digests or {"c/0/0": "ab"}}, shared=asked.append,
        )  # fmt: skip
        kept_prefixes(build, "frames", model, said or table, Path(), loader, room or Room(disk=1))
        return {"": (asked[0].stage, asked[0].version), **asked[0].config} if asked else None

    return unit_of


def nudge(model: FewShotMethod) -> None:
    with torch.no_grad():
        model.backbone.visual.conv1.weight.view(-1)[0] += 1e-6


def normalised_by(model: FewShotMethod, **other: Any) -> None:
    model.backbone = replace(model.backbone, **other)


def test_what_the_bytes_depend_on_is_in_the_key(
    unit_of: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crops: dict[str, Any] = {"crop": "clip", "crops": 2}
    monkeypatch.syspath_prepend(str(tmp_path))
    others = {
        "plain": unit_of(),
        "weights": unit_of(changed=nudge),
        "depth": unit_of(replace(TABLE, visual_layers=2)),
        "precision": unit_of(replace(TABLE, precision="bf16")),
        "frames": unit_of(digests={"c/0/0": "cd"}),
        "crops": unit_of(**crops),
        "other crops": unit_of(**crops, seed=1),
        "more crops": unit_of(crop="clip", crops=3),
        "crops of another split": unit_of(**crops, stream="val"),
        "crops of each frame": unit_of(crop="frame", crops=2),
        "frozen": unit_of(adapters=False),
        "size": unit_of(side=32),
        "mirrored": unit_of(**crops, flip=True),
        "mean": unit_of(changed=partial(normalised_by, mean=(0.5, 0.5, 0.5))),
        "std": unit_of(changed=partial(normalised_by, std=(0.5, 0.5, 0.5))),
        "activation": unit_of(said=replace(TABLE, backbone="ViT-B-16", weights="random")),
        "precision of a method that does not name it": unit_of(said=replace(TABLE, precision="bf16")),
    }
    for code in ("one", "another"):
        (tmp_path / "own_part.py").write_text(f"Mine = {code!r}")
        others[f"{code} method of one's own"] = unit_of(said=replace(TABLE, method="own_part:Mine"))
    with monkeypatch.context() as patched:
        patched.setattr(torch, "__version__", "2.99.0")
        others["torch"] = unit_of()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        others["threads"] = unit_of()
    finally:
        torch.set_num_threads(threads)
    module._processor.cache_clear()
    monkeypatch.setattr(provenance, "CPU_FACTS", Path(__file__))
    others["processor"] = unit_of()
    module._processor.cache_clear()
    keys = {name: json.dumps(each, sort_keys=True) for name, each in others.items()}
    assert all(others.values())
    assert len(set(keys.values())) == len(keys), keys


@pytest.mark.parametrize(
    "same",
    [
        {"table": replace(TABLE, alignment="none", sub_actions="none")},
        {"table": replace(TABLE, strategy="task-adapter")},
        {"table": replace(TABLE, strategy="aim")},
        {"model_seed": 5, "seed": 5, "shot": 2, "query": 2},
    ],
)
def test_rows_of_a_sweep_that_read_the_same_share_it(
    unit_of: Callable[..., dict[str, Any]], same: dict[str, Any]
) -> None:
    assert unit_of(**same) == unit_of()


@pytest.mark.parametrize("why", ["a prefix that is trained", "a GPU", "tiny"])
def test_nothing_is_kept_where_it_would_be_of_no_use(
    unit_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "a GPU":
        monkeypatch.setattr(FewShotMethod, "device", property(lambda self: torch.device("cuda")))
    if why == "tiny":
        monkeypatch.setattr(module, "TIMES", 4)
    assert unit_of(replace(TABLE, temporal_embedding=why.startswith("a prefix"))) is None


def test_what_is_worth_keeping_is_read_sooner_than_computed() -> None:
    tokens = 8 * 197
    block = 2 * tokens * 12 * 768**2
    prefix = tokens * 768 * 4
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TIMES", 4)
        assert is_worth_keeping(10 * block, prefix)
        assert is_worth_keeping(block, prefix)
        assert not is_worth_keeping(0, prefix)
        assert not is_worth_keeping(block, 1000 * prefix)


def kept_below(folder: Path, flop: int) -> KeptPrefixes:
    def taken(most: int) -> int:
        return sum(path.stat().st_size for path in folder.iterdir())

    blocks = Blocks(sys.maxsize, 1, folder, "these", ".safetensors", "It is made again.")
    return KeptPrefixes(SharedParts(blocks, Notes(), taken), flop)


def test_what_is_not_worth_it_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMES", 4)
    for flop, size, written in (
        (0, 1, False),
        (10**9, 1, True),
        (10**9, 10**6, False),
        (10**10, 10**6, True),
    ):
        kept = kept_below(tmp_path, flop)
        kept.bound(10**9)
        assert kept.write(size, torch.zeros(size)) is written
        assert (kept.read(size) is not None) is written
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()


def test_so_many_bytes_are_kept_and_no_more(tmp_path: Path) -> None:
    kept = kept_below(tmp_path, 1)
    kept.bound(10**4)
    assert [kept.write(number, torch.zeros(1000)) for number in range(4)] == [True, True, False, False]


def test_what_is_read_at_every_episode_has_room_before_it(
    make_store: Callable[..., Any],
    make_model: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The videos' features, on which the disk's room is spent first where there is no memory for them."""
    frames, model, bounds = make_store(4, 4), make_model(), []
    tokens = tokens_of(model, dict.fromkeys(frames.classes, ("It starts.", "It goes on.", "It ends.")))
    loader = EpisodeLoader(frames, tokens, "test", seed=0, way=3, shot=1, query=1, side=16, crop="centre")
    loader.lasting = kept_below(tmp_path, 1)
    monkeypatch.setattr(KeptPrefixes, "bound", lambda self, most: bounds.append(most))
    scorer = Scorer(model, loader, room=Room(0, 10**6))
    assert list(scorer.score([0]))
    assert bounds == [10**6 - 16 * scorer.videos([0]).nbytes]


def test_what_is_read_begins_where_a_tensor_of_its_own_begins(tmp_path: Path) -> None:
    """Not where the file's header happens to end."""
    kept = kept_below(tmp_path, 1)
    kept.bound(10**9)
    tensors = [torch.arange(6.0).view(2, 3).T * number for number in range(16)]
    for number, tensor in enumerate(tensors):
        assert kept.write(number, tensor)
    for number, tensor in enumerate(tensors):
        read = kept.read(number)
        assert read is not None
        assert torch.equal(read, tensor)
        assert read.data_ptr() % 64 == 0


@pytest.mark.parametrize("method", ["task-adapter++", "bi-mhm", "ts-fsar"])
def test_operations_are_counted(method: str) -> None:
    table = replace(TABLE, method=method)
    model = build_model(table, Path(), frames=4, adapters=True, seed=0, device=torch.device("cpu"))
    side = model.backbone.image_size
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        model.prefix(torch.zeros(1, 4, 3, side, side))
    if model.prefix_is_constant:
        assert model.prefix_flop == pytest.approx(counted.get_total_flops(), rel=0.3)
