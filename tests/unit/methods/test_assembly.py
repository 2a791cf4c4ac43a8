from dataclasses import fields, replace
from inspect import signature
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fsarctl.artifacts import Files
from fsarctl.config.model_table import ModelConfig
from fsarctl.errors import ConfigError, InputError
from fsarctl.execution.device import Machine
from fsarctl.methods.build import build_model, model_key
from fsarctl.methods.task_adapter_plus_plus.formulation import Formulation
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.methods.weights import weight_files
from fsarctl.models.backbone_catalogue import image_side, stored_side

TINY = ModelConfig(backbone="tiny", weights="shipped", visual_layers=1, text_layers=1)


def test_sides_are_those_of_the_backbone() -> None:
    assert image_side("ViT-B-16-quickgelu") == 224
    assert stored_side("ViT-B-16-quickgelu") == 257  # as the released code: int(1.15 * 224)
    assert image_side("ViT-L-14-336-quickgelu") == 336


@pytest.mark.parametrize("name", ["ViT-B-17", "../../x", "/etc/passwd", ""])
def test_an_unknown_backbone_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no backbone") as caught:
        image_side(name)
    assert "ViT-B-16" in caught.value.next_step


def test_a_path_never_enters_the_key_but_the_bytes_do(tmp_path: Path) -> None:
    keys = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(b"x")
        model = replace(TINY, backbone="ViT-B-16-quickgelu", weights=f"{name}/weights.safetensors")
        settings, files = model_key(model, tmp_path, adapters=True)
        assert files == {"weights": Files({"weights": tmp_path / name / "weights.safetensors"})}
        keys.append(settings)
    assert keys[0] == keys[1]
    assert "here" not in str(keys[0])


def test_the_frozen_model_does_not_depend_on_adapter_settings() -> None:
    other = replace(TINY, visual_layers=2, text_layers=3, logit_scale=1.0)
    root = Path()
    assert model_key(TINY, root, adapters=False) == model_key(other, root, adapters=False)
    assert model_key(TINY, root, adapters=True) != model_key(other, root, adapters=True)


def test_a_hub_tag_is_keyed_by_name() -> None:
    settings, files = model_key(ModelConfig(), Path(), adapters=True)
    assert settings["weights"] == "openai"
    assert files == {}


@pytest.mark.parametrize(
    ("backbone", "weights", "error", "says"),
    [
        ("ViT-B-16-quickgelu", "shipped", ConfigError, "no weights ship"),
        ("tiny", "openai", ConfigError, "no OpenAI weights"),
        ("ViT-B-16-quickgelu", "gone.pt", InputError, "gone.pt"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    backbone: str, weights: str, error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        weight_files(replace(TINY, backbone=backbone, weights=weights), tmp_path)


def test_a_local_file_gives_the_same_model_as_the_shipped_one(tmp_path: Path) -> None:
    device = torch.device("cpu")
    build = {"frames": 8, "adapters": True, "seed": 3, "device": device}
    shipped = build_model(TINY, tmp_path, **build)
    save_file(shipped.backbone.clip.state_dict(), tmp_path / "mine.safetensors")
    local = build_model(replace(TINY, weights="mine.safetensors"), tmp_path, **build)
    assert local.frozen_digest() == shipped.frozen_digest()
    other = build_model(TINY, tmp_path, **{**build, "seed": 4})
    assert {k: v.tolist() for k, v in local.adapter_state().items()} == {
        k: v.tolist() for k, v in shipped.adapter_state().items()
    }
    assert {k: v.tolist() for k, v in other.adapter_state().items()} != {
        k: v.tolist() for k, v in shipped.adapter_state().items()
    }


def test_a_model_without_adapters_has_nothing_to_train(tmp_path: Path) -> None:
    model = build_model(TINY, tmp_path, frames=8, adapters=False, seed=0, device=torch.device("cpu"))
    assert model.trainable_parameters() == []


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        Machine("abacus").choose_device()


def test_every_option_of_the_table_reaches_the_constructor_under_its_own_name(tmp_path: Path) -> None:
    """None is passed by hand, so none can be forgotten: what is new in [model] has a place or fails here."""
    taken = set(signature(TaskAdapterPlusPlus).parameters) | {each.name for each in fields(Formulation)}
    elsewhere = {"backbone", "weights", "method", "options", "metric"}
    assert {each.name for each in fields(ModelConfig)} - taken <= elsewhere

    seen: dict[str, object] = {}

    class Recorder(TaskAdapterPlusPlus):
        def __init__(self, *parts: object, **options: object) -> None:
            seen.update(options)
            super().__init__(*parts, **options)  # type: ignore[arg-type]

    model = replace(TINY, visual_position="bottom", order_position="before", logit_scale=3.0, metric="otam")
    for adapters in (True, False):
        build_model(
            model, tmp_path, frames=4, adapters=adapters, seed=0, device=torch.device("cpu"), kind=Recorder
        )
        given = {name: getattr(model, name) for name in seen if hasattr(model, name)}
        alone = {} if adapters else {"strategy": "frozen"}
        assert {name: seen[name] for name in given} == {**given, "adapters": None, **alone}
        assert seen["video_metric"] == "otam"
