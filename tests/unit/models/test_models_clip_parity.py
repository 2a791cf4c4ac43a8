"""A fresh model in the paper's formulation is CLIP itself, frame by frame and caption by caption."""

import pytest
import torch
from small_model import episode, open_clips, small_backbone
from torch.testing import assert_close

from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.models.backbone import Backbone, build_backbone
from fsarctl.models.backbone_catalogue import architecture


def assert_is_clip(backbone: Backbone, clip, support, tokens, **layers: int) -> None:
    model = TaskAdapterPlusPlus(backbone, frames=support.shape[1], **layers)
    with torch.inference_mode():
        for features in (
            model.support_features(model.visual.video(support)),
            model.query_features(model.visual.video(support), query_mode="independent"),
        ):
            expected = clip.encode_image(support.flatten(0, 1)).view_as(features)
            assert_close(features, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        texts = model.text_features(tokens)
        expected = clip.encode_text(tokens.flatten(0, 1)).view_as(texts)
        assert_close(texts, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(("visual_layers", "text_layers"), [(0, 0), (1, 1), (3, 3)])
def test_fresh_adapters_change_nothing(visual_layers, text_layers):
    support, _, tokens = episode()
    backbone = small_backbone()
    clip = open_clips(backbone)
    assert_is_clip(backbone, clip, support, tokens, visual_layers=visual_layers, text_layers=text_layers)


def test_released_formulation_does_change_something():
    # Its Task-MSA adapter starts as any linear layer, so this is what the test above must be able to see.
    support, _, _ = episode()
    backbone = small_backbone()
    model = TaskAdapterPlusPlus(backbone, visual_layers=2, text_layers=2, frames=4, formulation="released")
    features = model.support_features(model.visual.video(support))
    expected = open_clips(backbone).encode_image(support.flatten(0, 1)).view_as(features)
    assert (features - expected).abs().max() > 1e-3 * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocks"),
    # The blocks of a tower are alike; all 24 of ViT-L are tried by the frame encoder.
    [("ViT-B-32-quickgelu", 2), ("ViT-B-16-quickgelu", 12), ("ViT-B-16", 2), ("ViT-L-14-quickgelu", 2)],
)
def test_real_architectures(name, blocks):
    known = architecture(name)
    torch.manual_seed(0)
    configuration = {**known, "vision_cfg": {**known["vision_cfg"], "layers": blocks}}
    backbone = build_backbone(name, configuration, None)
    frames = torch.randn(2, 2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    tokens = backbone.tokenize(
        ["a person runs up for momentum", "takes off with a powerful leap", "lands and keeps the balance"]
    )
    clip = open_clips(backbone, configuration)
    assert_is_clip(backbone, clip, frames, tokens.unsqueeze(0), visual_layers=2, text_layers=8)
