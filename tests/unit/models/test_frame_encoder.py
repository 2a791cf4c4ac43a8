"""A frame's embedding, token and map are what the libraries' own forward passes make of it."""

import pytest
import torch
import torchvision
from small_model import CONFIGURATION, open_clips, small_backbone
from torch import nn
from torch.testing import assert_close

from fsarctl.errors import ConfigError
from fsarctl.models.backbone import Backbone, build_backbone, load_backbone
from fsarctl.models.frame_encoder import FrameEncoder

CLIP_RESNET = {
    **CONFIGURATION,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 8, "patch_size": None},
}
IMAGENET_RESNET = {"vision_cfg": {"block": "Bottleneck", "layers": [1, 2, 1, 1], "image_size": 64}}


def spread(module: nn.Module) -> None:
    """Weights and statistics that leave no part of a ResNet without effect."""
    generator = torch.Generator().manual_seed(1)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            for tensor, least in ((each.weight, 0.5), (each.bias, -0.2), (each.running_var, 0.5)):
                tensor.data.copy_(least + torch.rand(tensor.shape, generator=generator))
            each.running_mean.copy_(0.1 * torch.randn(each.running_mean.shape, generator=generator))


def resnet_backbone(configuration: dict = CLIP_RESNET) -> Backbone:
    torch.manual_seed(0)
    backbone = build_backbone("small-resnet", configuration, None)
    spread(backbone.clip)
    return backbone


def noise(backbone: Backbone, *leading: int) -> torch.Tensor:
    side = backbone.image_size
    return torch.randn(*leading, 3, side, side, generator=torch.Generator().manual_seed(3))


@pytest.fixture(params=["vit", "clip-resnet", "imagenet-resnet"])
def backbone(request) -> Backbone:
    if request.param == "vit":
        return small_backbone()
    return resnet_backbone(CLIP_RESNET if request.param == "clip-resnet" else IMAGENET_RESNET)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_shapes(backbone, leading):
    encoder = FrameEncoder(backbone)
    features = encoder(noise(backbone, *leading))
    assert features.embedding.shape == (*leading, encoder.embed_dim)
    assert features.token.shape == (*leading, encoder.width)
    assert features.patches.shape == (*leading, encoder.rows, encoder.rows, encoder.width)
    assert not any(each.requires_grad for each in features)


def test_a_clips_embedding_is_encode_image():
    vit, resnet = small_backbone(), resnet_backbone()
    for backbone, clip in ((vit, open_clips(vit)), (resnet, resnet.clip)):
        frames = noise(backbone, 5)
        with torch.inference_mode():
            expected = clip.encode_image(frames)
            assert_close(FrameEncoder(backbone)(frames).embedding, expected, rtol=1e-5, atol=1e-6)


def test_a_vits_token_and_patches_are_open_clips():
    backbone = small_backbone()
    vit = open_clips(backbone).visual
    frames = noise(backbone, 2, 3)
    features = FrameEncoder(backbone)(frames)
    # open_clip says what is before the projection: (frames, width) and (frames, N, width).
    vit.output_tokens, vit.proj = True, None
    token, patches = vit(frames.flatten(0, 1))
    assert_close(features.token.flatten(0, 1), token, rtol=1e-5, atol=1e-6)
    assert_close(features.patches.flatten(2, 3).flatten(0, 1), patches, rtol=1e-5, atol=1e-6)


def test_a_clip_resnets_map_is_open_clips():
    backbone = resnet_backbone()
    frames = noise(backbone, 4)
    features = FrameEncoder(backbone)(frames)
    found = backbone.visual.forward_intermediates(frames, indices=[4], intermediates_only=True)
    expected = found["image_intermediates"][0]  # (frames, width, rows, columns)
    assert torch.equal(features.patches, expected.permute(0, 2, 3, 1))
    assert_close(features.token, expected.mean((2, 3)))


@pytest.mark.parametrize("block", ["BasicBlock", "Bottleneck"])
def test_an_imagenet_resnets_classes_are_torchvisions(block):
    torch.manual_seed(0)
    reference = torchvision.models.ResNet(getattr(torchvision.models.resnet, block), [1, 2, 1, 1]).eval()
    spread(reference)
    backbone = resnet_backbone({"vision_cfg": {**IMAGENET_RESNET["vision_cfg"], "block": block}})
    state = {name: each for name, each in reference.state_dict().items() if not name.startswith("fc.")}
    backbone.visual.load_state_dict(state)
    frames = noise(backbone, 4)
    features = FrameEncoder(backbone)(frames)
    with torch.inference_mode():
        expected = reference(frames)
        assert_close(reference.fc(features.token), expected, rtol=1e-6, atol=1e-6)
        assert_close(reference.fc(features.patches.mean((1, 2))), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(features.embedding, features.token)


def test_bf16_is_near_and_its_features_are_float32(backbone):
    frames = noise(backbone, 3)
    near, exact = FrameEncoder(backbone, precision="bf16")(frames), FrameEncoder(backbone)(frames)
    for ours, expected in zip(near, exact, strict=True):
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, expected)
        assert (ours - expected).norm() < 0.03 * expected.norm()


def test_an_unknown_precision_is_refused(backbone):
    with pytest.raises(ConfigError, match="precision is 'fp8'"):
        FrameEncoder(backbone, precision="fp8")  # type: ignore[arg-type]


def test_a_trained_tower_is_a_copy_with_gradients_everywhere(backbone):
    before = {name: each.clone() for name, each in backbone.clip.state_dict().items()}
    encoder = FrameEncoder(backbone, trained=True).train()
    features = encoder(noise(backbone, 4))
    (features.embedding.square().sum() + features.patches.square().sum()).backward()
    assert all(each.grad is not None and each.grad.any() for each in encoder.parameters())
    torch.optim.SGD(encoder.parameters(), lr=0.1).step()
    assert not any(each.requires_grad for each in backbone.clip.parameters())
    after = backbone.clip.state_dict()
    assert all(torch.equal(each, after[name]) for name, each in before.items())


def test_a_frozen_tower_is_the_backbones_own(backbone):
    encoder = FrameEncoder(backbone)
    assert encoder.tower is backbone.visual
    assert not any(each.requires_grad for each in encoder.parameters())


def test_train_without_a_word_is_for_training(backbone):
    """As of any torch.nn.Module."""
    assert FrameEncoder(backbone, trained=True).train().tower.training
    assert not FrameEncoder(backbone).train().tower.training


def statistics(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in module.named_buffers()}


@pytest.mark.parametrize("configuration", [CLIP_RESNET, IMAGENET_RESNET])
@pytest.mark.parametrize("trained", [False, True])
def test_batch_normalisation_follows_train_where_the_tower_is_trained(configuration, trained):
    backbone = resnet_backbone(configuration)
    encoder = FrameEncoder(backbone, trained=trained)
    around = nn.Sequential(encoder)
    normalisations = [each for each in encoder.modules() if isinstance(each, nn.BatchNorm2d)]
    frames = noise(backbone, 4)
    start, features = statistics(encoder), encoder(frames)
    assert not any(each.training for each in normalisations), "it starts in evaluation mode"

    around.train()
    assert all(each.training is trained for each in normalisations)
    moved = around(frames)
    assert torch.equal(moved.embedding, features.embedding) is not trained
    same = all(torch.equal(each, start[name]) for name, each in statistics(encoder).items())
    assert same is not trained, "a frozen tower's statistics stay"

    around.eval()
    assert not any(each.training for each in normalisations)
    alone = torch.cat([around(frame.unsqueeze(0)).embedding for frame in frames])
    assert_close(around(frames).embedding, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("ViT-B-32-quickgelu", (512, 768, 7)),
        ("ViT-B-16-quickgelu", (512, 768, 14)),
        ("ViT-L-14", (768, 1024, 16)),
        ("RN50", (1024, 2048, 7)),
        ("RN50x4-quickgelu", (640, 2560, 9)),
        ("resnet18-imagenet", (512, 512, 7)),
        ("resnet50-imagenet", (2048, 2048, 7)),
    ],
)
def test_real_architectures(name, sizes):
    backbone = load_backbone(name, "random")
    encoder = FrameEncoder(backbone)
    assert (encoder.embed_dim, encoder.width, encoder.rows) == sizes
    frames = noise(backbone, 2)
    features = encoder(frames)
    assert features.patches.shape[1:] == (sizes[2], sizes[2], sizes[1])
    own = backbone.clip.encode_image if backbone.has_text else backbone.visual
    with torch.inference_mode():
        expected = own(frames)
    assert_close(features.embedding, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
