"""CLIP's modules under open_clip's names, and what is not imported for them."""

import subprocess
import sys

import open_clip
import pytest
import torch
from small_model import CONFIGURATION, episode, open_clips, small_backbone

from fsarctl.models.backbone_catalogue import architecture
from fsarctl.models.clip_towers import CLIP

NAMES = ("tiny", "ViT-B-16-quickgelu", "ViT-B-32-256", "ViT-L-14", "ViT-g-14")


def test_names_shapes_and_order_are_open_clips() -> None:
    says_little = {"embed_dim": 512, "vision_cfg": {}, "text_cfg": {}}
    for configuration in (CONFIGURATION, says_little, *map(architecture, NAMES)):
        with torch.device("meta"):
            ours, other = CLIP(configuration), open_clip.CLIP(**configuration)
        for each, there in (
            (ours.named_parameters(), other.named_parameters()),
            (ours.state_dict().items(), other.state_dict().items()),
        ):
            assert [(n, p.shape) for n, p in each] == [(n, p.shape) for n, p in there]


@pytest.mark.parametrize("quick", [True, False])
def test_features_are_open_clips(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGURATION, "quick_gelu", quick)
    backbone = small_backbone()
    other = open_clips(backbone)
    support, _, tokens = episode()
    images, captions = support.flatten(0, 1), tokens.flatten(0, 1)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.clip.encode_image(images), other.encode_image(images))
        torch.testing.assert_close(backbone.clip.encode_text(captions), other.encode_text(captions))


def test_random_weights_are_those_that_open_clip_starts_from() -> None:
    from fsarctl.models.backbone import build_backbone

    torch.manual_seed(3)
    ours = build_backbone("small", CONFIGURATION, None).clip.state_dict()
    torch.manual_seed(3)
    other = open_clip.CLIP(**CONFIGURATION).state_dict()
    assert ours.keys() == other.keys()
    assert all(torch.equal(ours[name], other[name]) for name in other)


@pytest.mark.slow
def test_a_clip_is_named_without_the_packages_that_take_longest() -> None:
    code = (
        "import sys, fsarctl.predict.predictor\n"
        "from fsarctl.models.backbone import load_backbone\n"
        "backbone = load_backbone('tiny', 'shipped')\n"
        "assert backbone.tokenize(['run']).any()\n"
        "print(*{'open_clip', 'timm', 'torchvision', 'torch._dynamo', 'sympy', 'zarr'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
