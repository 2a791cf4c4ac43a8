"""A metric, method, backbone and dataset kind that somebody else wrote, named as a user names them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from typed import type_in

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.json_schema import schema
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.plugins import _entry_points, _source, find_part
from fsarctl.config.settings import load_settings
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.project import ProjectData
from fsarctl.datasets.shapes.classes import CLASSES
from fsarctl.datasets.shapes.rendering import render_clip, write_video
from fsarctl.episodes.batch_sampler import EpisodeSampler
from fsarctl.errors import ConfigError, InputError
from fsarctl.methods.build import build_model, model_key

MODULES = {
    "__init__.py": "",
    "metrics.py": '''
import torch
import torch.nn.functional as F


def nearest_frame(queries, prototypes):
    """The largest cosine of any two frames."""
    q = F.normalize(queries, dim=-1).unsqueeze(-3)
    p = F.normalize(prototypes, dim=-1).unsqueeze(-4)
    return (q @ p.mT).flatten(-2).amax(-1)


class Weighted(torch.nn.Module):
    def __init__(self, embed, frames, *, generator=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(frames))

    def forward(self, queries, prototypes):
        cosines = F.normalize(queries, dim=-1).unsqueeze(-3) * F.normalize(prototypes, dim=-1).unsqueeze(-4)
        return (cosines.sum(-1) * self.weight).mean(-1)


def wrong(queries, prototypes):
    return queries.mean()


number = 3
''',
    "methods.py": '''
from dataclasses import dataclass

import torch

from fsarctl.methods import FewShotMethod, Scores


@dataclass(frozen=True)
class Options:
    scale: float = 1.0


class Projected(FewShotMethod):
    """Means of CLIP features under a learned projection."""

    Options = Options

    def __init__(self, backbone, *, frames, options, precision, generator):
        super().__init__(backbone, frames)
        self.options = options
        self.vit = backbone.clip.visual
        self.project = torch.nn.Linear(backbone.embed_dim, backbone.embed_dim, bias=False)
        torch.nn.init.eye_(self.project.weight)

    @property
    def prefix_is_constant(self):
        return True

    def prefix(self, frames):
        features = self.vit(frames.flatten(0, -4))
        return features.view(*frames.shape[:-3], -1).mean(-2)

    def alone(self, prefix):
        return torch.nn.functional.normalize(self.project(prefix), dim=-1)

    def score_features(self, support, query, text, *, way=None, query_mode="joint"):
        prototypes = support.unflatten(-2, (way, -1)).mean(-2)
        return Scores(self.options.scale * query @ prototypes.mT)


class Unfinished(FewShotMethod):
    pass
''',
    "backbones.py": """
SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
""",
    "datasets.py": '''
import json
from pathlib import Path


def by_listing(project, settings):
    """{split: [(name, label, file)]} from a JSON file."""
    listed = json.loads((project / settings["file"]).read_text())
    return {s: [(n, label, str(project / f)) for n, label, f in some] for s, some in listed.items()}


def broken(project, settings):
    return {"test": [1, 2]}
''',
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a user's, importable but not installed."""
    folder = tmp_path / "site" / "theirs"
    folder.mkdir(parents=True)
    for name, text in MODULES.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder.parent))
    forget()
    yield folder
    forget()


def forget() -> None:
    """Import the package anew: other tests have one of that name too."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "theirs"]:
        del sys.modules[name]
    for remembered in (_source, _entry_points):
        remembered.cache_clear()


@pytest.fixture
def installed(package: Path) -> Path:
    """The same package with entry points, as pip leaves it."""
    info = package.parent / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[fsarctl.metrics]\nnearest = theirs.metrics:nearest_frame\n"
        "[fsarctl.methods]\nprojected = theirs.methods:Projected\n"
        "[fsarctl.backbones]\nsmall = theirs.backbones:SMALL\n"
        "[fsarctl.datasets]\nlisting = theirs.datasets:by_listing\n"
    )
    return package


TINY = {"backbone": "tiny", "weights": "shipped", "visual_layers": 1, "text_layers": 1}


def made(**settings: object) -> torch.nn.Module:
    table = ModelConfig(**{**TINY, **settings})  # type: ignore[arg-type]
    return build_model(table, Path(), frames=4, adapters=True, seed=0, device=torch.device("cpu"))


def test_a_metric_scores_and_its_weights_train(package: Path) -> None:
    frames = torch.randn(3, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain = made(metric="theirs.metrics:nearest_frame", score="video")
    scores = plain(frames, frames, way=3)
    assert torch.allclose(scores.score.diagonal(), torch.ones(3), atol=1e-5)  # a video has its own frames
    weighted = made(metric="theirs.metrics:Weighted", score="video")
    assert "metric.metric.weight" in weighted.adapter_state()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("theirs.metrics:wrong", "gave ()"),
        ("theirs.metrics:number", "cannot be called"),
        ("theirs.metrics:absent", "holds no absent"),
        ("nowhere.at.all:thing", "no module nowhere.at.all"),
        ("a b:c", "package.module:name"),
        ("otamm", "there is no metric 'otamm'; there are protonet"),
    ],
)
def test_a_metric_that_is_none(package: Path, name: str, words: str) -> None:
    frames = torch.zeros(2, 4, 3, 64, 64)
    with pytest.raises(ConfigError) as refused:
        made(metric=name, score="video")(frames, frames, way=2)
    assert words in refused.value.message


def test_an_entry_point_is_the_same_part(installed: Path) -> None:
    known = ("protonet",)
    assert find_part("metrics", "nearest", known) == find_part(
        "metrics", "theirs.metrics:nearest_frame", known
    )
    by_name, by_target = (
        model_key(ModelConfig(**{**TINY, "metric": name}), Path(), adapters=True)  # type: ignore[arg-type]
        for name in ("nearest", "theirs.metrics:nearest_frame")
    )
    assert by_name == by_target
    with pytest.raises(ConfigError, match=r"there are .*trx, nearest"):
        find_part("metrics", "neares", ("protonet", "trx"))


def test_an_edit_of_its_source_changes_the_key_and_of_another_file_does_not(package: Path) -> None:
    table = ModelConfig(**{**TINY, "metric": "theirs.metrics:nearest_frame"})  # type: ignore[arg-type]
    before = model_key(table, Path(), adapters=True)
    (package / "methods.py").write_text(MODULES["methods.py"] + "# a remark\n")
    assert model_key(table, Path(), adapters=True) == before
    (package / "metrics.py").write_text(MODULES["metrics.py"].replace("amax", "amin"))
    assert model_key(table, Path(), adapters=True) != before


def test_a_version_takes_the_digests_place(package: Path) -> None:
    table = ModelConfig(**{**TINY, "metric": "theirs.metrics:nearest_frame"})  # type: ignore[arg-type]
    keys = []
    for text in ("VERSION = 1\n", "VERSION = 1\n# a remark\n", "VERSION = 2\n"):
        (package / "metrics.py").write_text(text + MODULES["metrics.py"])
        keys.append(model_key(table, Path(), adapters=True))
    assert keys[0] == keys[1] != keys[2]


def test_method_options_and_shared_settings_are_all_that_enter_a_methods_key(package: Path) -> None:
    def key(**settings: object) -> object:
        own = {"backbone": "tiny", "weights": "shipped", "method": "theirs.methods:Projected"}
        return model_key(ModelConfig(**{**own, **settings}), Path(), adapters=True)[0]  # type: ignore[arg-type]

    assert key().keys() == {"method", "options", "backbone", "weights", "precision"}
    assert key() == key(visual_layers=6)  # follows the dataset, and is Task-Adapter++'s
    assert (
        len({json.dumps(each) for each in (key(), key(options={"scale": 2.0}), key(precision="bf16"))}) == 3
    )


def test_our_own_names_leave_keys_as_they_were() -> None:
    settings, _ = model_key(ModelConfig(**TINY), Path(), adapters=True)  # type: ignore[arg-type]
    assert not settings.keys() & {"method", "options"}
    assert settings["metric"] == "protonet"


def test_a_backbone_is_a_configuration(package: Path) -> None:
    table = {"backbone": "theirs.backbones:SMALL", "weights": "random"}
    model = made(**table)
    assert model.backbone.image_size == 32
    scores = model(torch.zeros(2, 4, 3, 32, 32), torch.zeros(2, 4, 3, 32, 32), torch.ones(2, 3, 77).long())
    assert scores.score.shape == (2, 2)
    key, _ = model_key(ModelConfig(**table), Path(), adapters=False)  # type: ignore[arg-type]
    assert key["backbone"]["part"] == "theirs.backbones:SMALL"  # type: ignore[call-overload, index]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "theirs.methods:Unfinished"}, "does not define alone, prefix, score_features"),
        ({"method": "theirs.methods:Options"}, "no class of fsarctl.methods.FewShotMethod"),
        ({"method": "theirs.methods:Projected", "options": {"scael": 2}}, "no option 'scael'; it has scale"),
        ({"method": "theirs.methods:Projected", "strategy": "aim"}, "strategy is for method"),
        ({"options": {"scale": 2}}, "options are for another method"),
    ],
)
def test_a_method_that_is_not_as_it_should_be(package: Path, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        made(**settings)
    assert words in refused.value.message


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str, str]]]:
    """A few rendered clips of six classes, and which split each is of."""
    folder = tmp_path_factory.mktemp("videos")
    chosen: dict[str, str] = {}
    for split in ("train", "val", "test"):
        chosen |= {each.label: split for each in [c for c in CLASSES if c.split == split][:2]}
    listed: dict[str, list[tuple[str, str, str]]] = {"train": [], "val": [], "test": []}
    for label, split in chosen.items():
        for number in range(2):
            path = folder / f"{label}-{number}.mp4"
            write_video(path, render_clip(label, number, 0))
            listed[split].append((f"{label}/{number}", label, str(path)))
    return listed


def test_all_four_train_evaluate_and_are_in_the_report(
    installed: Path,
    videos: dict[str, list[tuple[str, str, str]]],
    tmp_path: Path,
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "clips.json").write_text(json.dumps(videos))
    (project / "fsarctl.toml").write_text(
        '[datasets.mine]\nkind = "listing"\nfile = "clips.json"\n'
        '[model]\nmethod = "theirs.methods:Projected"\noptions = {scale = 2.0}\n'
        'backbone = "tiny"\nweights = "shipped"\n'
        "[train]\nway = 2\nepochs = 1\nepisodes = 3\nval_episodes = 2\nshots = [1]\n"
        "[eval]\nway = 2\nepisodes = 4\nshots = [1]\n"
    )

    def run(*words: str) -> str:
        return type_in(project, *words).stdout

    assert "theirs.methods:Projected" in run("run", "--workers", "1")
    states = json.loads(run("status", "--json"))["units"]
    assert {each["state"] for each in states} == {"done"}
    run("report", "--output", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    for part in ("theirs.methods:Projected", "theirs.datasets:by_listing"):
        assert part in page
    (installed / "methods.py").write_text(MODULES["methods.py"] + "# edited\n")
    states = {each["slot"]: each["state"] for each in json.loads(run("status", "--json"))["units"]}
    assert states["train mine 1-shot"] == "stale"
    assert states["eval mine 1-shot frozen"] == "done"


def test_a_dataset_kind_that_fails(package: Path, tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text('[datasets.mine]\nkind = "theirs.datasets:broken"\n')
    config = load_settings(tmp_path).dataset("mine")
    with pytest.raises(InputError, match=r"'theirs.datasets:broken' failed: TypeError"):
        open_dataset("mine", config, tmp_path)


GIVEN = """
from fsarctl.datasets.clips import Clip

CLIP = ("0.mp4", "run", __file__)


def named(*names, label="run", group=()):
    return [(name, label, __file__, *group) for name in names]


def shared(project, settings):
    return {"train": named("a"), "test": named("b")}


def nameless(project, settings):
    return {"test": named("a", label=" ")}


def same(project, settings):
    return {"test": [*named("a"), ("a", "jump", __file__)]}


def unnamed(project, settings):
    return {"test": named(None)}


def text(project, settings):
    return {"test": ["abc"]}


def long(project, settings):
    return {"test": [(*CLIP, "anna", 5)]}


def half(project, settings):
    return {"test": [*named("a", group=["anna"]), *named("b")]}


def twice(project, settings):
    return {"test": [*named("a", "b", "a", group=[None]), Clip("b", "run", __file__)]}


def grouped(project, settings):
    return {"test": [*named("a", "b", group=["anna"]), *named("c", "d", label="jump", group=["ben"])]}
"""


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("shared", "class 'run' is in train and in test, and few-shot splits share no class"),
        ("nameless", "a test class has no name"),
        ("same", "have the same name, 'a'"),
        ("unnamed", "has no name"),
        ("text", "gives 'abc', which is no clip"),
        ("long", "which is no clip"),
        ("half", "'b' is in no group, and others are in one"),
    ],
)
def test_a_dataset_kind_gives_what_every_dataset_is(
    package: Path, tmp_path: Path, kind: str, words: str
) -> None:
    (package / "given.py").write_text(GIVEN)
    with pytest.raises(InputError) as refused:
        open_dataset("mine", DatasetConfig(kind=f"theirs.given:{kind}"), tmp_path)
    assert f"dataset mine: dataset kind 'theirs.given:{kind}'" in refused.value.message
    assert words in refused.value.message


def test_a_clip_that_a_dataset_kind_gives_twice_counts_once(package: Path, tmp_path: Path) -> None:
    (package / "given.py").write_text(GIVEN)
    found = open_dataset("mine", DatasetConfig(kind="theirs.given:twice"), tmp_path)
    assert found.found["test"] == {"run": 2}
    assert "clips that are given more than once, and count once: 'a', 'b'" in found.remarks
    assert not found.grouped


def test_groups_that_a_dataset_kind_gives_are_kept_apart(package: Path, tmp_path: Path) -> None:
    (package / "given.py").write_text(GIVEN)
    (tmp_path / "fsarctl.toml").write_text(
        '[datasets.mine]\nkind = "theirs.given:grouped"\n[eval]\nway = 2\nquery = 1\n'
    )
    datasets = ProjectData(load_settings(tmp_path), None, print, {}, lambda: False)
    assert datasets.groups("mine", "test") == {"a": "anna", "b": "anna", "c": "ben", "d": "ben"}
    with pytest.raises(InputError, match="class 'jump' has 1 group"):
        datasets.require_evaluation([1])


def test_what_there_is_is_listed(installed: Path, tmp_path: Path) -> None:
    points = installed.parent / "theirs-1.0.dist-info" / "entry_points.txt"
    more = "nearest = theirs.metrics:nearest_frame\notam = theirs.metrics:Weighted\ngone = theirs.gone:M\n"
    points.write_text(points.read_text().replace("nearest = theirs.metrics:nearest_frame\n", more))
    parts = json.loads(type_in(tmp_path, "fsarctl methods --json").stdout)["parts"]
    faults = {each["name"]: each["fault"] for each in parts if each["fault"]}
    assert faults.keys() == {"gone", "otam"}
    assert "there is no module" in faults["gone"]
    assert "the name means fsarctl's own" in faults["otam"]
    named = {(each["kind"], each["name"]): each["source"] for each in parts if not each["fault"]}
    assert named["metric", "otam"] == "fsarctl"
    assert named["metric", "nearest"] == "theirs.metrics:nearest_frame (fsarctl.metrics)"
    assert {kind for kind, name in named if name in ("projected", "small", "listing")} == {
        "method",
        "backbone",
        "dataset kind",
    }


OF_A_PROJECT = """
[model]
method = "theirs.methods:Projected"
metric = "theirs.metrics:absent"
backbone = "theirs.backbones:SMALL"
weights = "C:clip.pt"
options = { metric = "theirs.metrics:number" }
[datasets.mine]
kind = "theirs.datasets:by_listing"
options = { kind = "theirs.datasets:given" }
[datasets.listed]
kind = "listing"
[ablate.kinds]
values = { "model.metric" = ["otam", "theirs.metrics:Weighted"] }
[ablate.rows]
rows = [{ name = "a", set = { "model.metric" = "broken\\u001b[31m.part:Metric" } }, { name = "b" }]
datasets = { other = { kind = "theirs.datasets:broken", options = { kind = "theirs.datasets:given" } } }
"""


def test_what_a_project_names_is_listed(package: Path, tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text(OF_A_PROJECT)
    (package / "late.py").write_text("import theirs.nothing\n")
    late = {"FSARCTL_MODEL_METRIC": "theirs.late:Metric"}
    listed = {
        (each["kind"], each["name"], each["setting"], each["source"]): each["fault"]
        for each in json.loads(type_in(tmp_path, "fsarctl methods --json", **late).stdout)["parts"]
        if ":" in each["name"]
    }
    broken = ("metric", "broken\x1b[31m.part:Metric", "ablate.rows.rows.set.model.metric", "fsarctl.toml")
    imported = ("metric", "theirs.late:Metric", "model.metric", "FSARCTL_MODEL_METRIC")
    assert "is not of the form package.module:name" in listed.pop(broken)
    assert "cannot be imported: ModuleNotFoundError: No module named" in listed.pop(imported)
    assert listed == {
        ("method", "theirs.methods:Projected", "model.method", "fsarctl.toml"): "",
        ("backbone", "theirs.backbones:SMALL", "model.backbone", "fsarctl.toml"): "",
        ("dataset kind", "theirs.datasets:by_listing", "datasets.mine.kind", "fsarctl.toml"): "",
        ("dataset kind", "theirs.datasets:broken", "ablate.rows.datasets.other.kind", "fsarctl.toml"): "",
        ("metric", "theirs.metrics:Weighted", "ablate.kinds.values.model.metric", "fsarctl.toml"): "",
    }
    table = type_in(tmp_path, "methods", "--project", str(tmp_path)).stdout
    assert r"broken\x1b[31m.part:Metric" in table
    assert "holds no absent" in " ".join(table.split())
    assert "\x1b" not in table


@pytest.mark.parametrize("file", [None, "[model\n", "[model]\nmethhod = 1\n"])
def test_a_project_that_says_nothing_hides_no_part_of_others(tmp_path: Path, file: str | None) -> None:
    if file is not None:
        (tmp_path / "fsarctl.toml").write_text(file)
    typed = type_in(tmp_path, "fsarctl methods --json --project .")
    assert "parts that a project names are not listed: " in typed.stderr
    assert "otam" in {each["name"] for each in json.loads(typed.stdout)["parts"]}


def test_without_a_project_parts_named_in_the_environment_are_listed(tmp_path: Path) -> None:
    typed = type_in(tmp_path, "fsarctl methods --json", FSARCTL_MODEL_METRIC="theirs.late:Metric")
    assert typed.stderr == ""
    named = {each["name"]: each["source"] for each in json.loads(typed.stdout)["parts"]}
    assert named["theirs.late:Metric"] == "FSARCTL_MODEL_METRIC"


def test_a_data_loader_takes_the_sampler() -> None:
    labels = [f"class {place % 7}" for place in range(70)]
    sampler = EpisodeSampler(labels, way=3, shot=2, query=4, episodes=5, seed=9)
    data = TensorDataset(torch.arange(70))
    batches = [batch[0].tolist() for batch in DataLoader(data, batch_sampler=sampler, num_workers=0)]
    assert len(batches) == len(sampler) == 5
    for number, batch in enumerate(batches):
        episode = sampler.episode(number)
        assert len(set(batch)) == 3 * (2 + 4)
        assert [labels[place] for place in batch[:6]] == [c for c in episode.classes for _ in range(2)]
        assert [labels[place] for place in batch[6:]] == [episode.classes[t] for t in episode.targets]
    again = [batch[0].tolist() for batch in DataLoader(data, batch_sampler=sampler, num_workers=0)]
    assert np.array_equal(batches, again)
    with pytest.raises(InputError):
        EpisodeSampler(labels, way=8)


def test_the_schema_holds_every_setting_with_its_meaning() -> None:
    found = schema()
    model = found["$defs"]["ModelConfig"]["properties"]
    assert model["logit_scale"]["default"] == 64.0
    assert "cross-entropy" in model["logit_scale"]["description"]
    assert "otam" in model["metric"]["anyOf"][0]["enum"]
    assert found["$defs"]["TrainConfig"]["additionalProperties"] is False
    tables = {"datasets", "describe", "extract", "model", "train", "eval", "cache", "execution", "tracking"}
    tables.add("ablate")
    assert set(found["properties"]) == tables


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"shot": 0}, "shot is 0; it must be a whole number, 1 or more"),
        ({"query": 0}, "query is 0; it must be"),
        ({"way": "5"}, "way is '5'; it must be a whole number, 2 or more"),
        ({"way": 2.0}, "way is 2.0; it must be"),
        ({"episodes": -1}, "episodes is -1; it must be"),
        ({"seed": -1}, "seed is -1; it must be"),
        ({"stream": "foo"}, "stream is 'foo'; it must be one of train, val, test"),
        ({"groups": ["a"] * 69}, "groups are 69 and labels 70"),
    ],
)
def test_a_sampler_of_what_cannot_be(given: dict[str, Any], words: str) -> None:
    labels = [f"class {place % 7}" for place in range(70)]
    with pytest.raises(ConfigError) as refused:
        EpisodeSampler(labels, **{"way": 3, **given})
    assert words in refused.value.message


def test_a_sampler_takes_numbers_of_numpy() -> None:
    sampler = EpisodeSampler(["a", "a", "b", "b"], way=np.int64(2), shot=np.int64(1), episodes=np.int64(2))  # type: ignore[arg-type]
    assert len(list(sampler)) == len(sampler) == 2
