"""bf16 changes how products are rounded and nothing else: not what is trained, nor scores, nor float32."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from shapes_loader import shapes_loader
from small_model import episode, small_model
from torch.utils._python_dispatch import TorchDispatchMode

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.scoring import Scorer
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.errors import ConfigError
from fsarctl.execution.device import Machine
from fsarctl.methods import TaskAdapterPlusPlus
from fsarctl.models.backbone import load_backbone
from fsarctl.models.precision import Precision, _fuses, computing, linear, rounded
from fsarctl.progress import SILENT


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> set[torch.dtype]:
    """What torch's fused attention is called with."""
    seen: set[torch.dtype] = set()
    fused = F.scaled_dot_product_attention

    def watched(query: torch.Tensor, *rest: Any, **how: Any) -> torch.Tensor:
        answer = fused(query, *rest, **how)
        seen.add(answer.dtype)
        return answer

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    return seen


@pytest.mark.parametrize(
    ("precision", "computed"), [("float32", {torch.float32}), ("bf16", {torch.bfloat16, torch.float32})]
)
def test_attention_is_fused_and_as_precise_as_asked(
    precision: Any, computed: set[torch.dtype], attended: set[torch.dtype]
) -> None:
    model = small_model(precision=precision)
    scores = model(*episode())
    # Torch's own module is nowhere called; Eq. 15's attention, of features, is float32 in both.
    assert attended == computed
    for value in vars(scores).values():
        assert value.dtype is torch.float32


def test_gradients_of_bf16_are_those_of_float32_roughly() -> None:
    support, query, tokens = episode()
    labels = torch.arange(4) % 3
    gradients = []
    choices: tuple[Precision, ...] = ("float32", "bf16")
    for precision in choices:
        model = small_model(precision=precision, logit_scale=1.0)
        loss = model.loss(model(support, query, tokens), labels)
        assert loss.dtype is torch.float32
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.trainable_parameters()]))
        assert gradients[-1].dtype is torch.float32
        assert gradients[-1].isfinite().all()
    assert not torch.equal(*gradients)
    assert F.cosine_similarity(*gradients, dim=0) > 0.99


def test_a_frozen_matrix_is_rounded_once_and_as_autocast_rounds_it() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(24, 16, generator=generator), requires_grad=False)
    x = torch.randn(5, 16, generator=generator, requires_grad=True)
    assert rounded(weight) is weight, "float32 is read as it is"
    with computing("bf16", torch.device("cpu")):
        with torch.inference_mode():
            kept = rounded(weight)
        assert kept.dtype is torch.bfloat16
        assert rounded(weight) is kept
        product = F.linear(x, kept)
        assert torch.equal(product, F.linear(x, weight))
        product.sum().backward()  # what was rounded while predicting may be trained with
        assert x.grad is not None
        with torch.no_grad():
            weight.mul_(3)
        assert torch.equal(rounded(weight), weight.bfloat16())
        assert copy.deepcopy(weight) is not weight
        assert not vars(copy.deepcopy(weight)), "a copy is trained, and rounds its own"
        weight.requires_grad_(True)
        assert rounded(weight) is weight


@pytest.mark.parametrize("shape", [(24,), (1, 24), (7, 5, 24), (2, 3, 197, 24)])
def test_a_frozen_product_is_of_the_same_bits_with_its_bias_within_it(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*size, generator=generator) for size in (shape, (50, 24), (50,)))
    names: list[str] = []

    class Named(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    with computing("bf16", torch.device("cpu")), torch.no_grad():
        expected = F.linear(x, weight, bias)
        with Named():
            product = linear(x, weight, bias)
    assert product.dtype is torch.bfloat16
    assert torch.equal(product, expected)
    assert ("mkldnn::_linear_pointwise" in names) == _fuses()
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias)), "float32 is as it was"
    weight.requires_grad_(False), x.requires_grad_(True)
    with computing("bf16", torch.device("cpu")):
        linear(x, weight, bias).sum().backward()
    assert x.grad is not None, "a gradient goes through it"


def test_a_pytorch_without_onednn_multiplies_in_bf16_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = torch.randn(5, 24), torch.randn(50, 24), torch.randn(50)
    with computing("bf16", torch.device("cpu")), torch.no_grad():
        expected = F.linear(x, weight, bias)
        monkeypatch.setattr(torch.ops, "mkldnn", torch.ops.nothing, raising=False)
        assert torch.equal(linear(x, weight, bias), expected)


def test_bf16_rounds_no_matrix_of_the_encoders_again() -> None:
    model = small_model(precision="bf16").eval()
    support, query, tokens = episode()
    seen: list[tuple[int, ...]] = []

    class Rounded(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten._to_copy.default and args[0].dim() == 2:
                seen.append(tuple(args[0].shape))
            return func(*args, **(kwargs or {}))

    with torch.no_grad():  # in inference mode nobody is told of what autocast does
        first = model(support, query, tokens).score
        with Rounded():
            assert torch.equal(model(support, query, tokens).score, first)
    own = {tuple(each.shape) for each in model.backbone.clip.parameters() if each.dim() == 2}
    trained = {tuple(each.shape) for each in model.trainable_parameters()}
    assert seen, "the adapters' own matrices"
    assert not (own - trained) & set(seen)


@pytest.mark.slow
def test_predictions_on_shapes_are_those_of_float32(tmp_path: Path) -> None:
    backbone = load_backbone("tiny", "shipped")
    model, rounded = (
        TaskAdapterPlusPlus(backbone, visual_layers=2, text_layers=2, precision=precision)
        for precision in ("float32", "bf16")
    )
    generator = torch.Generator().manual_seed(0)
    state = model.adapter_state()
    for tensor in state.values():
        tensor.add_(0.02 * torch.randn(tensor.shape, generator=generator))
    model.load_adapter_state(state)
    rounded.load_adapter_state(state)
    loader = shapes_loader(model, tmp_path, "test", 3)
    correct, same, count = [0, 0], 0, 0
    for (group, exact), (_, close) in zip(
        *(Scorer(each, loader).score(range(60)) for each in (model, rounded)), strict=True
    ):
        assert (exact.score - close.score).abs().max() < 0.02
        targets = torch.stack([torch.from_numpy(each.targets) for each in group])
        answers = [scores.score.argmax(-1) for scores in (exact, close)]
        correct = [
            before + int((each == targets).sum()) for before, each in zip(correct, answers, strict=True)
        ]
        same += int((answers[0] == answers[1]).sum())
        count += targets.numel()
    assert same / count > 0.95
    assert abs(correct[0] - correct[1]) / count < 0.03


def test_what_is_kept_of_training_in_bf16_is_float32(
    make_model: Callable[..., Any], tmp_path: Path, make_store: Callable[..., Any]
) -> None:
    from fsarctl.episodes.loader import EpisodeLoader
    from fsarctl.methods.build import tokens_of

    model = make_model(precision="bf16")
    made = []
    for split, crop in (("train", "clip"), ("val", "centre")):
        store = make_store(4, 6, name=split)
        tokens = tokens_of(model, dict.fromkeys(store.classes, ("It starts.", "It goes on.", "It ends.")))
        made.append(EpisodeLoader(store, tokens, split, seed=0, way=3, shot=1, query=1, side=16, crop=crop))
    config = TrainConfig(epochs=1, episodes=10, val_episodes=5, lr=0.05, momentum=0.9)
    frozen = model.frozen_digest()
    training = train_adapters(model, *made, config, scratch=tmp_path, reporter=SILENT, title="train")
    assert model.frozen_digest() == frozen
    with safe_open(tmp_path / "checkpoint.safetensors", framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert json.loads(file.metadata()["training"])["step"] == 10
    assert any(name.endswith("/momentum_buffer") for name in kept)
    for tensor in [*kept.values(), *training.best.values(), *model.parameters()]:
        assert tensor.dtype is torch.float32


def test_another_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="precision is 'fp16'"):
        small_model(precision="fp16")


def test_float32_means_float32_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32 keeps 10 bits of a product's factors, and torch allows it in convolutions unless told."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    torch.set_float32_matmul_precision("medium")
    Machine("cpu").choose_device()
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.deterministic
    assert torch.get_float32_matmul_precision() == "highest"
