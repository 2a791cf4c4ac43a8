"""ST-Adapter and AIM: convolutions and adapters from their equations, starts, and refusals."""

import pytest
import torch
from test_every_method import backbone, built, episode
from torch import Tensor, nn

from fsarctl.errors import ConfigError
from fsarctl.methods.aim_matching.method import aim_block
from fsarctl.methods.st_adapter.adapter import STAdapter
from fsarctl.models.attention import attend
from fsarctl.models.bottleneck_adapter import Adapter
from fsarctl.models.frame_encoder import FrameEncoder


def moved(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in module.parameters():
            each.copy_(0.4 * torch.randn(each.shape, generator=generator))
    return module


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_the_convolution_is_over_the_frames_of_one_patch_and_nothing_else() -> None:
    adapter = moved(STAdapter(6, 3))
    x = noise(2, 4, 1 + 9, 6)
    found = adapter(x)
    assert torch.equal(found[:, :, 0], x[:, :, 0])
    narrow = adapter.fc1(x)
    weight = adapter.conv.weight[:, 0, :, 0, 0]  # (hidden, 3)
    for clip, t, n in ((0, 0, 1), (1, 2, 5), (0, 3, 9)):
        total = adapter.conv.bias.clone()
        for k, at in enumerate((t - 1, t, t + 1)):
            if 0 <= at < 4:
                total = total + weight[:, k] * narrow[clip, at, n]
        torch.testing.assert_close(found[clip, t, n], x[clip, t, n] + adapter.fc2(total))


@pytest.mark.parametrize("two", [False, True])
def test_aim_is_its_equations(two: bool) -> None:
    block = backbone().visual.transformer.resblocks[1]
    aim = moved(aim_block(32, hidden=5, two_temporal=two, joint_scale=0.5))
    x = noise(4, 1 + 4, 32)  # T, tokens, width

    def adapted(name: str, u: Tensor) -> Tensor:
        adapter = getattr(aim, name)
        return adapter.up(nn.functional.gelu(adapter.down(u)))

    t = block.ln_1(x).transpose(0, 1)  # each token place over its frames
    if two:
        t = t + adapted("before_temporal", t)
    y = x + adapted("temporal", attend(block.attn, t)).transpose(0, 1)
    a = attend(block.attn, block.ln_1(y))
    y = y + a + adapted("spatial", a)
    z = block.ln_2(y)
    y = y + block.mlp(z) + 0.5 * adapted("joint", z)
    torch.testing.assert_close(aim(block, x), y, rtol=1e-4, atol=1e-5)


def test_st_adapter_starts_as_clip() -> None:
    model = built("st-adapter", started=False)
    frames = episode(model).support
    torch.testing.assert_close(
        model.video(frames), FrameEncoder(backbone())(frames).token, rtol=1e-4, atol=1e-5
    )
    assert model.prefix_is_constant


def test_aim_starts_with_the_frozen_attention_over_time_left_out() -> None:
    model = built("aim-matching", started=False, two_temporal=True)
    frames = episode(model).support
    torch.testing.assert_close(
        model.video(frames), FrameEncoder(backbone())(frames).token, rtol=1e-4, atol=1e-5
    )
    first_layers = [each.down.weight for each in model.modules() if isinstance(each, Adapter)]
    assert len(first_layers) == 3 * 4
    assert 0.01 < torch.cat([each.flatten() for each in first_layers]).std() < 0.03


def test_places_say_how_many_adapters_there_are() -> None:
    counts = {
        places: sum(isinstance(each, STAdapter) for each in built("st-adapter", places=places).modules())
        for places in ("attention", "both")
    }
    assert counts == {"attention": 3, "both": 6}


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"kernel is \[2, 1, 1\]; it must be three odd numbers"):
        built("st-adapter", kernel=[2, 1, 1])
