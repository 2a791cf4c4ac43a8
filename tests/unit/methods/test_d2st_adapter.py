"""D2ST-Adapter: its points in the volume, what is trained, where it starts, and what it refuses."""

import math
from itertools import product

import pytest
import torch
from test_every_method import SIDE, SMALL, T, backbone, built, episode
from torch import Tensor

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.training.optimisation import Optimisation
from fsarctl.errors import ConfigError
from fsarctl.methods.d2st_adapter.adapter import DeformableAttention
from fsarctl.methods.d2st_adapter.method import D2STAdapterMethod
from fsarctl.models.backbone import build_backbone
from fsarctl.models.frame_encoder import FrameEncoder


def between(volume: Tensor, place: list[float]) -> Tensor:
    """Trilinear by its definition: (c, T, h, w) at a place of -1 to 1 an axis, zero outside."""
    sizes = volume.shape[1:]
    at = [(p + 1) / 2 * (size - 1) for p, size in zip(place, sizes, strict=True)]
    found = torch.zeros(volume.shape[0])
    for corner in product((0, 1), repeat=3):
        cell = [math.floor(a) + c for a, c in zip(at, corner, strict=True)]
        weight = math.prod(1 - abs(a - c) for a, c in zip(at, cell, strict=True))
        if all(0 <= c < size for c, size in zip(cell, sizes, strict=True)):
            found = found + weight * volume[:, cell[0], cell[1], cell[2]]
    return found


def test_points_are_sampled_between_patches_of_their_own_group_and_clip() -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(8, 2, (2, 3, 3), (2, 1, 1))
    tokens = torch.randn(3, 4, 1 + 25, 8)
    raw = attention.offsets(attention.query(tokens))
    assert raw.shape == (6, 2, 3, 3, 3)  # (4-2)/2+1 frames, 5-3+1 rows and columns
    places = attention.places(10 * raw)
    sampled = attention.sample(tokens, places)
    volumes = tokens[:, :, 1:].reshape(3, 4, 5, 5, 2, 4).permute(0, 4, 5, 1, 2, 3)  # clips, G, c, T, h, w
    for n, point in ((0, (0, 0, 0)), (5, (1, 2, 0)), (3, (0, 1, 1))):
        expected = between(volumes[n // 2, n % 2], places[n][point].tolist())
        torch.testing.assert_close(sampled[n, :, *point], expected, rtol=1e-4, atol=1e-5)


def test_points_start_in_the_middle_of_equal_cells_and_move_two_cells_at_most() -> None:
    attention = DeformableAttention(4, 1, (1, 1, 1), (1, 1, 1))
    still = attention.places(torch.zeros(1, 2, 4, 1, 3))
    assert still[0, :, 0, 0, 0].tolist() == [-0.5, 0.5]
    assert still[0, 0, :, 0, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert still[0, 0, 0, 0, 2].item() == 0
    moved = attention.places(torch.full((1, 2, 4, 1, 3), 50.0)) - still
    assert moved[0, 0, 0, 0].tolist() == [1.0, 0.5, 1.0]


def test_at_the_start_frames_are_what_clip_makes_of_them() -> None:
    model = built("d2st-adapter", started=False)
    frames = episode(model).support
    expected = FrameEncoder(backbone())(frames).token
    torch.testing.assert_close(model.video(frames), expected, rtol=1e-4, atol=1e-5)


def test_the_offset_networks_norms_alone_do_not_decay() -> None:
    model = built("d2st-adapter")
    groups = Optimisation(model, TrainConfig(optimiser="adam", weight_decay=1e-3)).optimiser.param_groups
    kept = {id(each) for group in groups if group["weight_decay"] == 0 for each in group["params"]}
    names = {name for name, each in model.named_parameters() if id(each) in kept}
    assert len(names) == 3 * 2 * 2  # blocks, paths, weight and bias
    assert all(name.endswith((".norm.weight", ".norm.bias")) for name in names)
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert {name.split(".")[1] for name in trained} == {
        "adapted",
        "class_token",
        "ln_post",
        "temporal_position",
    }


@pytest.mark.parametrize(
    ("patch", "spatial", "temporal"),
    [(2, (4, 5, 5), (1, 7, 7)), (4, (4, 4, 4), (1, 4, 4)), (8, (4, 2, 2), (1, 2, 2))],
)
def test_kernels_are_as_published_or_all_of_a_clip(
    patch: int, spatial: tuple[int, ...], temporal: tuple[int, ...]
) -> None:
    """Sides are 16, clips have 4 frames."""
    small = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "patch_size": patch}}
    model = D2STAdapterMethod(build_backbone("small", small, None), frames=T)
    adapter = model.encoder.adapted[0].adapter
    assert adapter.spatial.convolution.kernel_size == spatial
    assert adapter.temporal.convolution.kernel_size == temporal
    assert model.video(torch.randn(1, T, 3, SIDE, SIDE)).isfinite().all()


def test_kernels_that_do_not_fit_are_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"spatial_kernel is \[4, 9, 9\].* a clip is \[4, 8, 8\]") as found:
        built("d2st-adapter", spatial_kernel=[4, 9, 9])
    assert "to [4, 8, 8] or less" in found.value.next_step
    with pytest.raises(ConfigError, match=r"temporal_kernel is \[5, 7, 7\]"):
        built("d2st-adapter", temporal_kernel=[5, 7, 7])
    with pytest.raises(ConfigError, match=r"spatial_stride is \[0, 1, 1\]"):
        built("d2st-adapter", spatial_stride=[0, 1, 1])
    with pytest.raises(ConfigError, match="8 channels wide, which 3 groups cannot divide"):
        built("d2st-adapter", groups=3)


def test_a_resnet_is_refused() -> None:
    small = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": {"context_length": 8, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
    }
    with pytest.raises(ConfigError, match="not a plain ViT CLIP"):
        D2STAdapterMethod(build_backbone("RN", small, None), frames=4)


def test_order_is_seen_by_otam_and_not_by_sets() -> None:
    found = {}
    for metric in ("bi_mhm", "otam"):
        model = built("d2st-adapter", metric=metric)
        generator = torch.Generator().manual_seed(4)
        support, query = (torch.randn(n, 4, 32, generator=generator) for n in (3, 2))
        forwards = model.score_features(support, query, None, way=3).score
        found[metric] = torch.allclose(
            forwards, model.score_features(support, query.flip(-2), None, way=3).score, atol=1e-5
        )
    assert found == {"bi_mhm": True, "otam": False}
