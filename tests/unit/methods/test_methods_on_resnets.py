"""Every method on frame features is trained on ResNets, too: CLIP's with its text encoder, and ImageNet's."""

from typing import Any

import pytest
import torch
from small_model import CONFIGURATION
from test_every_method import METHODS, T, tokens_of

from fsarctl.config.model_table import ModelConfig
from fsarctl.errors import ConfigError
from fsarctl.methods.build import method_class, require_backbone
from fsarctl.methods.frame_method import FrameMethod
from fsarctl.methods.protocol import BaseClasses, FewShotMethod, Lesson
from fsarctl.models.backbone import build_backbone

WAY, SHOT, SIDE = 2, 1, 32
RESNETS: dict[str, dict[str, Any]] = {
    "CLIP": {
        **CONFIGURATION,
        "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    },
    "ImageNet": {"vision_cfg": {"block": "BasicBlock", "layers": [1, 1, 1, 1], "image_size": SIDE}},
}


ALWAYS = ("clip-fsar", "otam", "molo")
"""Of embeddings with text, of embeddings, of maps; the rest takes half a minute, and is slow."""


def frame_methods() -> list[Any]:
    """Each with the tower that it can use and that knows less of text."""
    found = []
    for name in METHODS:
        part = ModelConfig(method=name).other_method
        assert part is not None
        own: Any = method_class(part)
        if issubclass(own, FrameMethod):
            marks = [] if name in ALWAYS else [pytest.mark.slow]
            found.append(pytest.param(name, "CLIP" if own.reads_text else "ImageNet", marks=marks))
    return found


def made(name: str, tower: str) -> FewShotMethod:
    torch.manual_seed(0)
    part = ModelConfig(method=name).other_method
    assert part is not None
    backbone = build_backbone("small-resnet", RESNETS[tower], None)
    return method_class(part)(backbone, frames=T, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "tower"), frame_methods())
def test_a_step_moves_the_tower_and_an_evaluation_gives_numbers(name: str, tower: str) -> None:
    model = made(name, tower)
    tokens = tokens_of(model, 4) if model.reads_text else torch.zeros(4, 0, 8, dtype=torch.int64)
    generator = torch.Generator().manual_seed(2)
    model.prepare(BaseClasses(tuple("abcd"), tokens))
    pixels = torch.randint(0, 256, (WAY * SHOT + 2, T, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
    frames = model.normalise(pixels)
    model.train()
    support, query = model.video(frames[: WAY * SHOT]), model.video(frames[WAY * SHOT :])
    text = model.text_features(tokens[:WAY]) if model.reads_text else None
    scores = model.score_features(support, query, text, way=WAY)
    lesson = Lesson(
        scores,
        targets=torch.tensor([0, 1]),
        classes=torch.tensor([3, 1]),
        support=support,
        query=query,
        support_frames=pixels[: WAY * SHOT],
        query_frames=pixels[WAY * SHOT :],
    )
    model.training_loss(lesson).backward()  # type: ignore[no-untyped-call]
    of_tower = {id(each) for each in model.pretrained_parameters()}
    moved = [p for p in model.trainable_parameters() if p.grad is not None and p.grad.any()]
    assert all(bool(each.grad.isfinite().all()) for each in moved if each.grad is not None)
    if getattr(model.options, "backbone", "") == "trained":  # type: ignore[union-attr]
        assert any(id(each) in of_tower for each in moved)
    assert any(id(each) not in of_tower for each in model.trainable_parameters()) == any(
        id(each) not in of_tower for each in moved
    )
    with torch.no_grad():
        found = model.eval()(
            frames[: WAY * SHOT], frames[WAY * SHOT :], tokens[:WAY] if model.reads_text else None, way=WAY
        )
    assert found.score.shape == (2, WAY)
    assert bool(found.score.isfinite().all())


@pytest.mark.parametrize("name", METHODS)
def test_what_cannot_be_made_on_a_resnet_is_refused_before_anything_is_loaded(name: str) -> None:
    def refusal(act: Any) -> str:
        try:
            act()
        except ConfigError as error:
            return error.next_step if "not a plain ViT CLIP, which this method needs" in error.message else ""
        return ""

    planned = refusal(lambda: require_backbone(ModelConfig(method=name, backbone="RN50", weights="openai")))
    assert planned == refusal(lambda: made(name, "CLIP"))
    assert bool(planned) == (name in ("aim-matching", "d2st-adapter", "st-adapter", "ts-fsar"))
    assert not planned or "another model.method" in planned
