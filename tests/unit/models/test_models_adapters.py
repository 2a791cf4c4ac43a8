"""The adapter, its starts, and how many weights the real model trains."""

import pytest
import torch
from torch.testing import assert_close

from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.models.backbone import load_backbone
from fsarctl.models.bottleneck_adapter import Adapter


@pytest.mark.parametrize("skip", [False, True])
def test_adapter_is_its_formula(skip):
    adapter = Adapter(16, skip=skip, zero=False)
    x = torch.randn(2, 3, 16)
    w1, b1, w2, b2 = adapter.down.weight, adapter.down.bias, adapter.up.weight, adapter.up.bias
    hidden = x @ w1.T + b1
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    assert w1.shape == (4, 16)
    assert_close(adapter(x), hidden @ w2.T + b2 + (x if skip else 0))


def test_a_zero_start_is_nothing_and_can_leave_it():
    adapter = Adapter(16)
    x = torch.randn(3, 16)
    assert not adapter(x).any()
    adapter(x).sum().backward()
    assert adapter.up.weight.grad.any()


def test_the_generator_decides_the_start():
    def start(seed):
        return Adapter(16, zero=False, generator=torch.Generator().manual_seed(seed)).state_dict()

    first, same, other = start(0), start(0), start(1)
    for name in first:
        assert torch.equal(first[name], same[name])
        assert not torch.equal(first[name], other[name])
        assert first[name].abs().max() <= (0.25 if name.startswith("down") else 0.5)


# 295,872 for each of four adapters in a visual block, 131,712 for a text layer.
PER_BLOCK, PER_LAYER = 4 * 295_872, 131_712


@pytest.fixture(scope="module")
def vit_b_16():
    with torch.device("meta"):
        return load_backbone("ViT-B-16-quickgelu", "random")


@pytest.mark.parametrize(
    ("visual", "text", "millions"),
    [(2, 8, 2.37 + 1.05), (6, 2, 7.10 + 0.263), (12, 0, 14.20), (2, 0, 2.37), (0, 2, 0.263), (0, 0, 0)],
)
def test_trainable_parameters_of_the_real_model(vit_b_16, visual, text, millions):
    model = TaskAdapterPlusPlus(vit_b_16, visual_layers=visual, text_layers=text)
    count = sum(parameter.numel() for parameter in model.trainable_parameters())
    assert count == visual * PER_BLOCK + text * PER_LAYER
    assert count / 1e6 == pytest.approx(millions, abs=0.01)
    assert count == sum(tensor.numel() for tensor in model.adapter_state().values())


def test_trainable_parameters_of_the_released_formulation(vit_b_16):
    model = TaskAdapterPlusPlus(vit_b_16, formulation="released", alignment_norm=True)
    count = sum(parameter.numel() for parameter in model.trainable_parameters())
    assert count == 2 * PER_BLOCK + 8 * PER_LAYER + 8 * 768 + 2 * 512


def test_adapters_are_float32_whatever_the_default():
    torch.set_default_dtype(torch.float64)
    try:
        assert {parameter.dtype for parameter in Adapter(16).parameters()} == {torch.float32}
    finally:
        torch.set_default_dtype(torch.float32)
