"""MoLo: motion and contrast counted out, pixels and their loss, and what it refuses."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_every_method import Episode, T, backbone, built, episode, lesson, scores, tokens_of
from torch import nn

from fsarctl.config.model_table import ModelConfig
from fsarctl.errors import ConfigError
from fsarctl.methods.build import require_frames
from fsarctl.methods.molo.method import LongShort, MoLo, set_logits
from fsarctl.methods.molo.motion import AppearanceAndMotion, ClipTokens, PixelDecoder, picture_sides
from fsarctl.methods.protocol import BaseClasses, FewShotMethod


def prepared(**options: Any) -> FewShotMethod:
    model = built("molo", hidden=24, **options)
    for each in model.modules():
        if isinstance(each, nn.Dropout):
            each.p = 0.0
    model.prepare(BaseClasses(tuple("abcdef"), tokens_of(model, 6)))
    return model


def loss_of(model: FewShotMethod, given: Episode, **changed: Any) -> float:
    return float(model.training_loss(replace(lesson(model, given), **changed)).detach())


def test_motion_is_a_filtered_map_less_the_one_before() -> None:
    torch.manual_seed(0)
    clips = AppearanceAndMotion(3, 8, 2, 16).eval()
    maps = torch.randn(2, 3, 8, 4, 4)
    tokens, motion = clips(maps)
    for clip, of_clip in zip(maps, motion, strict=True):
        reduced = clips.reduce(clip.transpose(0, 1)).transpose(0, 1)
        for t in range(2):
            expected = clips.later(reduced[t + 1]) - reduced[t]
            torch.testing.assert_close(of_clip[t], expected, rtol=1e-4, atol=1e-5)
    moved = torch.stack([clips.enlarge(each).relu().mean((-2, -1)) for each in motion])
    torch.testing.assert_close(tokens.motion, clips.motion(moved), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tokens.appearance, clips.appearance(maps.mean((-2, -1))))
    assert [each.shape for each in tokens] == [(2, 4, 8), (2, 3, 8)]
    again = ClipTokens.apart(tokens.together)
    assert torch.equal(again.appearance, tokens.appearance)
    assert torch.equal(again.motion, tokens.motion)


def test_the_token_of_the_whole_clip_has_no_part_in_matching() -> None:
    query, classes = torch.randn(3, 4, 6), torch.randn(2, 4, 6)
    other = query.clone()
    other[:, 0] += 1
    assert torch.equal(set_logits(query, classes), set_logits(other, classes))
    other[:, 1] += 1
    assert not torch.equal(set_logits(query, classes), set_logits(other, classes))


def test_contrast_is_of_frames_and_the_other_side_s_token() -> None:
    contrast = LongShort()
    with torch.no_grad():
        contrast.scale.fill_(1.5)
    generator = torch.Generator().manual_seed(0)
    query, classes = (torch.randn(n, 4, 6, generator=generator) for n in (3, 2))

    def apart(whole: torch.Tensor, frames: torch.Tensor) -> float:
        return sum(1 - float(whole @ x) / (float(whole.norm() * x.norm()) + 0.01) for x in frames)

    of_classes, of_queries = (each.tolist() for each in contrast(query, classes))
    for j in range(3):
        for c in range(2):
            expected = -1.5 * apart(query[j, 0], classes[c, 1:])
            assert of_classes[j][c] == pytest.approx(expected, rel=1e-4)
            assert of_queries[j][c] == pytest.approx(-1.5 * apart(classes[c, 0], query[j, 1:]), rel=1e-4)


@pytest.mark.parametrize(
    ("rows", "side", "sides"),
    [(7, 224, (14, 56, 224)), (14, 224, (28, 112, 224)), (4, 64, (8, 32, 64)), (8, 16, (16, 16, 16))],
)
def test_pixels_are_as_many_as_a_picture_has(rows: int, side: int, sides: tuple[int, ...]) -> None:
    assert picture_sides(rows, side) == sides
    if side < 100:
        assert PixelDecoder(3, rows, side)(torch.randn(2, 3, rows, rows)).shape == (2, 3, side, side)


def test_the_motion_of_a_clip_goes_along_in_training_alone() -> None:
    model = prepared()
    given = episode(model)
    tokens = (2 * T + 1) * 32
    assert model.video(given.query).shape == (4, tokens)
    trained = model.train().video(given.query)
    assert trained.shape == (4, tokens + (T - 1) * 4 * 8 * 8)
    assert torch.equal(scores(model, given), scores(model.eval(), given))


def test_the_loss_is_a_sum_of_weighted_parts() -> None:
    none = {"base_weight": 0.0, "contrast_weight": 0.0, "pixel_weight": 0.0}
    given = episode(prepared())
    plain = loss_of(prepared(**none).train(), given)
    for weight in none:
        once, twice = (loss_of(prepared(**{**none, weight: by}).train(), given) for by in (1.0, 2.0))
        assert once > plain + 1e-3
        assert twice - once == pytest.approx(once - plain, rel=1e-3)


def test_pixels_are_learnt_from_what_changes_between_frames() -> None:
    model = prepared(base_weight=0.0, contrast_weight=0.0, pixel_weight=1.0).train()
    given = episode(model)
    whole = lesson(model, given)
    assert whole.support_frames is not None
    assert whole.query_frames is not None
    still = [each[:, :1].expand(-1, T, -1, -1, -1) for each in (whole.support_frames, whole.query_frames)]
    videos = torch.cat([whole.support, whole.query])  # type: ignore[list-item]
    motion = videos[:, (2 * T + 1) * 32 :].reshape(-1, 4, 8, 8)
    expected = float((model.heads["pixels"](motion).detach() ** 2).mean())
    plain = loss_of(prepared(base_weight=0.0, contrast_weight=0.0, pixel_weight=0.0).train(), given)
    found = loss_of(model, given, support_frames=still[0], query_frames=still[1])
    assert found - plain == pytest.approx(expected, rel=1e-4)
    brighter = [each // 2 + 100 for each in still]
    assert loss_of(model, given, support_frames=brighter[0], query_frames=brighter[1]) == pytest.approx(found)
    assert loss_of(model, given) > found


def test_the_gradient_of_training_is_that_of_the_loss() -> None:
    """With pixels, which training alone has."""
    model = prepared().double().train()
    given = episode(model)
    given = Episode(given.support.double(), given.query.double(), given.tokens)
    named = {name: each for name, each in model.named_parameters() if name.startswith(("clips.", "heads."))}
    gradients = torch.autograd.grad(model.training_loss(lesson(model, given)), list(named.values()))
    generator = torch.Generator().manual_seed(2)
    along = [torch.randn(each.shape, generator=generator, dtype=torch.float64) for each in named.values()]
    expected = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))

    def moved(step: float) -> float:
        with torch.no_grad():
            for each, direction in zip(named.values(), along, strict=True):
                each.add_(step * direction)
            value = loss_of(model, given)
            for each, direction in zip(named.values(), along, strict=True):
                each.sub_(step * direction)
        return value

    assert (moved(1e-8) - moved(-1e-8)) / 2e-8 == pytest.approx(expected, rel=2e-4)


def test_what_training_alone_needs_is_in_no_artifact_and_makes_no_clips_meet() -> None:
    model = prepared().train()
    assert {name.split(".")[1] for name in model.training_state() if name.startswith("heads.")} == {
        "contrast",
        "contrast_motion",
        "classes",
        "pixels",
    }
    assert not any(name.startswith("heads.") for name in model.adapter_state())
    assert not model.clips_meet


def test_what_cannot_be_is_refused() -> None:
    require_frames(ModelConfig(method="molo"), 0, 0)
    require_frames(ModelConfig(method="otam"), 0, 2)
    with pytest.raises(ConfigError, match=r"train\.prefix_crops keeps no frames"):
        require_frames(ModelConfig(method="molo"), 0, 2)
    with pytest.raises(ConfigError, match="clips have 1 frame, and motion is between two"):
        MoLo(backbone(), frames=1)
    with pytest.raises(ConfigError, match=r"pixel_weight is -1\.0; it must be 0 or more"):
        built("molo", pixel_weight=-1.0)
