"""Which backbones Task-Adapter++ can use, and the frozen model that every method is compared with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from small_model import CONFIGURATION, small_backbone
from torch import nn
from typed import type_in

from fsarctl.config.model_table import ModelConfig
from fsarctl.errors import ConfigError
from fsarctl.methods.build import build_model, model_key, require_backbone, text_use, tokens_of
from fsarctl.methods.protocol import FewShotMethod, Scores
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.models.backbone import Backbone, build_backbone
from fsarctl.models.backbone_catalogue import image_side, known_backbones, stored_side
from fsarctl.models.frame_encoder import FrameEncoder
from fsarctl.models.token_counts import context_length, count_tokens

CLIP_RESNET = {
    **CONFIGURATION,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
}
RESNET = {"vision_cfg": {"block": "BasicBlock", "layers": [1, 1, 1, 1], "image_size": 64}}
FROZEN_RESNET = ModelConfig(backbone="resnet18-imagenet", weights="random", strategy="frozen")
CPU = torch.device("cpu")


def small(configuration: dict) -> Backbone:
    torch.manual_seed(0)
    return build_backbone("small-resnet", configuration, None)


def noise(videos: int) -> torch.Tensor:
    return torch.randn(videos, 4, 3, 64, 64, generator=torch.Generator().manual_seed(videos))


def protonet(queries: torch.Tensor, prototypes: torch.Tensor, formulation: str) -> torch.Tensor:
    """Shapes: (queries, T, embed), (way, T, embed) -> (queries, way)."""
    if formulation == "paper":
        return F.cosine_similarity(queries[:, None], prototypes[None], dim=-1).mean(-1)
    return F.cosine_similarity(queries.mean(1)[:, None], prototypes.mean(1)[None], dim=-1)


@pytest.mark.parametrize("formulation", ["paper", "released"])
def test_a_frozen_resnet_is_scored_by_its_own_features(formulation: str) -> None:
    backbone = small(RESNET)
    model = TaskAdapterPlusPlus(backbone, strategy="frozen", score="video", frames=4, formulation=formulation)
    support, query = noise(4), noise(3)
    with torch.inference_mode():
        scores = model(support, query, way=2)
        features = [backbone.visual(each.flatten(0, 1)).view(-1, 4, 512) for each in (support, query)]
    prototypes = features[0].view(2, 2, 4, 512).mean(1)
    torch.testing.assert_close(scores.score, protonet(features[1], prototypes, formulation))
    assert scores.text is None
    assert model.trainable_parameters() == []
    looked, maps = model.look(query)
    assert maps is None
    torch.testing.assert_close(looked, features[1])


def test_a_frozen_clip_with_a_resnet_is_scored_by_video_and_text() -> None:
    backbone = small(CLIP_RESNET)
    clip = backbone.clip
    options = {"strategy": "frozen", "frames": 4, "sub_actions": "none", "alignment": "none"}
    model = TaskAdapterPlusPlus(backbone, **options)
    support, query = noise(4), noise(3)
    tokens = backbone.tokenize(["jump", "sit down"])
    with torch.inference_mode():
        scores = model(support, query, tokens.unsqueeze(1))
        features = [clip.encode_image(each.flatten(0, 1)).view(-1, 4, 16) for each in (support, query)]
        text = clip.encode_text(tokens)
    video = protonet(features[1], features[0].view(2, 2, 4, 16).mean(1), "paper")
    torch.testing.assert_close(scores.video, video, rtol=1e-4, atol=1e-5)
    said = F.cosine_similarity(features[1].mean(1)[:, None], text[None], dim=-1)
    torch.testing.assert_close(scores.text, said, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scores.score, scores.video * scores.text)


@pytest.mark.parametrize("configuration", [CLIP_RESNET, RESNET])
@pytest.mark.parametrize("strategy", ["task-adapter++", "task-adapter", "aim", "full"])
def test_adapters_need_a_vit(configuration: dict, strategy: str) -> None:
    with pytest.raises(ConfigError, match="not a plain ViT CLIP, which the adapters need"):
        TaskAdapterPlusPlus(small(configuration), strategy=strategy, score="video", frames=4)


@pytest.mark.parametrize("score", ["both", "text"])
def test_text_needs_a_text_encoder(score: str) -> None:
    with pytest.raises(ConfigError, match="backbone small-resnet has no text encoder; "):
        TaskAdapterPlusPlus(small(RESNET), strategy="frozen", score=score, frames=4)


def test_a_backbone_without_a_text_encoder_reads_nothing() -> None:
    backbone = small(RESNET)
    assert (backbone.context, backbone.text_blocks, backbone.has_text) == (0, 0, False)
    assert (backbone.image_size, backbone.embed_dim, backbone.visual_blocks) == (64, 512, 0)
    assert backbone.tokenize([]).shape == (0, 0)
    with pytest.raises(ConfigError, match="backbone small-resnet has no text encoder"):
        backbone.tokenize(["jump"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backbone": "RN50"}, "RN50 is not a plain ViT CLIP, which the adapters need"),
        ({"backbone": "resnet50-imagenet"}, "not a plain ViT CLIP, which the adapters need"),
        ({"backbone": "resnet50-imagenet", "strategy": "aim", "score": "video"}, "which the adapters need"),
        ({"backbone": "RN50", "strategy": "full"}, "not a plain ViT CLIP, which strategy full needs"),
        ({"backbone": "resnet50-imagenet", "strategy": "frozen", "score": "text"}, "has no text encoder"),
        ({"backbone": "ViT-B-16-SigLIP"}, "not a plain ViT CLIP"),
        ({"backbone": "ViT-B-16-SigLIP", "strategy": "frozen"}, "not a plain ViT CLIP"),
        ({"backbone": "convnext_base", "strategy": "frozen"}, "not a plain ViT CLIP"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        require_backbone(ModelConfig(weights="random", **settings))
    assert error.value.next_step


@pytest.mark.parametrize("backbone", ["RN50", "RN101-quickgelu", "resnet50-imagenet", "resnet18-imagenet"])
def test_a_frozen_resnet_is_not_refused(backbone: str) -> None:
    require_backbone(ModelConfig(backbone=backbone, weights="random", strategy="frozen"))


def test_without_a_text_encoder_the_frozen_model_is_that_of_the_video_score() -> None:
    root = Path()
    video = replace(FROZEN_RESNET, score="video")
    for adapters in (True, False):
        assert model_key(FROZEN_RESNET, root, adapters=adapters) == model_key(video, root, adapters=adapters)
    assert text_use(FROZEN_RESNET) is None
    assert text_use(replace(FROZEN_RESNET, backbone="RN50")) == "stages"
    clips = model_key(replace(FROZEN_RESNET, backbone="RN50"), root, adapters=False)[0]
    assert clips["score"] == "both"
    model = build_model(FROZEN_RESNET, root, frames=4, adapters=False, seed=0, device=CPU)
    assert not model.reads_text
    assert model.needs_support
    assert tokens_of(model, {"jump": ("a", "b", "c")})["jump"].shape == (0, 0)


class FrameMeans(FewShotMethod):
    """Means of embeddings of a backbone, frozen or trained: ProtoNet, as a method of one's own."""

    trained = False

    def __init__(self, backbone: Backbone, *, frames: int = 4, options=None, **_: object) -> None:
        super().__init__(backbone, frames)
        self.encoder = FrameEncoder(backbone, trained=self.trained)
        self.scale = nn.Parameter(torch.ones(()))

    def prefix(self, frames: torch.Tensor) -> torch.Tensor:
        return self.encoder(frames).embedding

    def alone(self, prefix: torch.Tensor) -> torch.Tensor:
        return prefix.mean(-2)

    def score_features(self, support, query, text, *, way=None, query_mode="joint") -> Scores:
        prototypes = support.unflatten(-2, (way, -1)).mean(-2)
        return Scores(self.scale * F.normalize(query, dim=-1) @ F.normalize(prototypes, dim=-1).mT)


class TrainedFrameMeans(FrameMeans):
    trained = True


def test_beside_a_method_of_ones_own_the_frozen_model_is_the_same() -> None:
    own = ModelConfig(backbone="resnet18-imagenet", weights="random", method=f"{__name__}:FrameMeans")
    require_backbone(own)
    root = Path()
    assert model_key(own, root, adapters=False) == model_key(FROZEN_RESNET, root, adapters=False)
    model = build_model(own, root, frames=4, adapters=False, seed=0, device=CPU)
    assert isinstance(model, TaskAdapterPlusPlus)
    assert not model.reads_text


OWN_RESNET = {"vision_cfg": {"block": "BasicBlock", "layers": [1, 1, 1, 1]}}
WRONG_RESNET = {"vision_cfg": {"block": "Basic", "layers": [1, 1, 1, 1]}}


def test_a_resnet_of_ones_own() -> None:
    own = replace(FROZEN_RESNET, backbone=f"{__name__}:OWN_RESNET")
    require_backbone(own)
    model = build_model(own, Path(), frames=4, adapters=False, seed=0, device=CPU)
    assert not model.reads_text
    assert (model.backbone.image_size, model.backbone.embed_dim) == (224, 512)
    with pytest.raises(ConfigError, match=r"nor a plain ResNet \(block Basic\)"):
        require_backbone(replace(own, backbone=f"{__name__}:WRONG_RESNET"))


@pytest.mark.parametrize("configuration", [CLIP_RESNET, RESNET])
def test_statistics_are_weights(configuration: dict) -> None:
    frozen, trained = FrameMeans(small(configuration)), TrainedFrameMeans(small(configuration))
    digest = frozen.frozen_digest()
    assert digest == FrameMeans(small(configuration)).frozen_digest()
    # Training around a frozen tower leaves its statistics as they are.
    frozen.train()
    assert frozen.loss(frozen(noise(4), noise(2), way=2), torch.tensor([0, 1])).isfinite()
    assert frozen.frozen_digest() == digest
    assert list(frozen.adapter_state()) == ["scale"]
    frozen.encoder.tower.bn1.running_mean += 1
    assert frozen.frozen_digest() != digest

    # Those of a trained one move with it, and are kept with what was trained.
    before, frozen_part = trained.adapter_state(), trained.frozen_digest()
    trained.train()
    trained.loss(trained(noise(4), noise(2), way=2), torch.tensor([0, 1])).backward()
    after = trained.adapter_state()
    name = "encoder.tower.bn1.running_mean"
    assert not torch.equal(before[name], after[name])
    assert trained.frozen_digest() == frozen_part
    assert all(each.grad is not None for each in trained.encoder.tower.layer1.parameters())
    other = TrainedFrameMeans(small(configuration))
    other.load_adapter_state(after)
    trained.eval()
    assert torch.equal(other(noise(4), noise(2), way=2).score, trained(noise(4), noise(2), way=2).score)


def test_the_digest_of_a_vit_is_that_of_its_parameters() -> None:
    import hashlib

    model = TaskAdapterPlusPlus(small_backbone(), frames=4, visual_layers=2, text_layers=2)
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().numpy().tobytes())
    assert model.frozen_digest() == digest.hexdigest()


def test_sides_and_names() -> None:
    sides = {"RN50": 224, "RN50x4-quickgelu": 288, "RN50x64": 448, "resnet50-imagenet": 224}
    assert {name: image_side(name) for name in sides} == sides
    assert stored_side("resnet50-imagenet") == 257
    known = known_backbones()
    assert known[0] == "tiny"
    assert {*sides, "ViT-L-14", "RN101", "resnet18-imagenet"} <= {*known}
    assert not {"ViT-B-16-SigLIP", "coca_ViT-B-32"} & {*known}
    listed = [name for name in known if "imagenet" in name]
    assert all(hasattr(torchvision.models, name.removesuffix("-imagenet")) for name in listed)


def test_tokens_are_counted_where_there_is_a_text_encoder() -> None:
    assert context_length("RN50") == 77
    assert count_tokens("RN50", "jump") == 3
    for count in (context_length, lambda name: count_tokens(name, "jump")):
        with pytest.raises(ConfigError, match="resnet50-imagenet has no text encoder"):
            count("resnet50-imagenet")


SETTINGS = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 2
[model]
backbone = "resnet18-imagenet"
weights = "w.pth"
strategy = "frozen"
[eval]
shots = [1]
episodes = 2
way = 3
query = 1
"""


def test_a_project_on_an_imagenet_resnet(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text(SETTINGS)
    torch.manual_seed(0)
    torch.save({"state_dict": torchvision.models.resnet18().state_dict()}, tmp_path / "w.pth")
    adapters = type_in(tmp_path, "fsarctl run --set model.strategy=task-adapter++", expect=3)
    assert "not a plain ViT CLIP, which the adapters need" in adapters.stderr
    assert "frozen ResNet" in type_in(tmp_path, "fsarctl run").stdout
    document = json.loads(type_in(tmp_path, "fsarctl eval --json").stdout)
    [result] = document["results"]
    assert (result["model"], result["trainable_parameters"], result["clips"]) == ("frozen", 0, 24)
    assert document["warnings"] == []
    refused = type_in(tmp_path, "fsarctl eval --set model.score=text", expect=3)
    assert "backbone resnet18-imagenet has no text encoder" in refused.stderr
