"""Where a backbone's weights come from, and what is said when they do not."""

import copy
import warnings
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip import pretrained
from safetensors.torch import save_file
from small_model import CONFIGURATION, open_clips, small_backbone
from torch import nn

from fsarctl.errors import ConfigError, InputError
from fsarctl.models import backbone as module
from fsarctl.models.backbone import load_backbone


@pytest.fixture(autouse=True)
def small_architectures(monkeypatch):
    """``small-quickgelu`` and ``small`` beside open_clip's own names."""
    plain = {name: value for name, value in CONFIGURATION.items() if name != "quick_gelu"}
    ours = {"small-quickgelu": CONFIGURATION, "small": plain}
    known = module.architecture
    monkeypatch.setattr(module, "architecture", lambda name: ours.get(name) or known(name))


def state_of(backbone):
    return {name: value.clone() for name, value in backbone.clip.state_dict().items()}


def assert_has(backbone, state):
    assert all(torch.equal(value, state[name].float()) for name, value in backbone.clip.state_dict().items())
    assert not backbone.clip.training
    assert not any(parameter.requires_grad for parameter in backbone.clip.parameters())


def test_random_weights_are_a_function_of_the_seed():
    torch.manual_seed(5)
    expected_next = torch.rand(1)
    torch.manual_seed(5)
    first, same, other = (load_backbone("small-quickgelu", "random", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected_next), "the global generator is left alone"
    assert_has(same, state_of(first))
    assert not torch.equal(first.clip.visual.proj, other.clip.visual.proj)


def test_safetensors_and_state_dicts(tmp_path):
    state = state_of(small_backbone())
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(wrapped, tmp_path / "training.pt")
    torch.save({name: value.half() for name, value in state.items()}, tmp_path / "half.pt")
    for name in ("w.safetensors", "w.pt", "training.pt"):
        assert_has(load_backbone("small-quickgelu", str(tmp_path / name)), state)
    half = {name: value.half() for name, value in state.items()}
    assert_has(load_backbone("small-quickgelu", str(tmp_path / "half.pt")), half)


def save_torchscript(clip: nn.Module, path: Path, *, sizes: bool) -> dict[str, torch.Tensor]:
    """A half-precision TorchScript module; OpenAI's have three sizes among their weights."""
    clip = copy.deepcopy(clip)
    if sizes:
        for name, size in (("input_resolution", 16), ("context_length", 40), ("vocab_size", 49408)):
            if hasattr(clip, name):
                delattr(clip, name)
            clip.register_buffer(name, torch.tensor(size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(clip, (torch.zeros(1, 3, 16, 16), torch.ones(1, 40, dtype=torch.int64)))
        traced.half().save(path)
    return {name: value.half() for name, value in clip.state_dict().items()}


def test_openai_archives(tmp_path):
    path = tmp_path / "ViT.pt"
    state = save_torchscript(open_clips(small_backbone()), path, sizes=True)
    assert_has(load_backbone("small-quickgelu", str(path)), state)
    with pytest.raises(ConfigError, match=r"trained with QuickGELU; backbone small has the other") as error:
        load_backbone("small", str(path))
    assert "small-quickgelu" in error.value.next_step


def test_other_archives(tmp_path):
    path = tmp_path / "ViT.pt"
    plain = {name: value for name, value in CONFIGURATION.items() if name != "quick_gelu"}
    state = save_torchscript(open_clip.CLIP(**plain), path, sizes=False)
    assert_has(load_backbone("small", str(path)), state)


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="cannot be read as weights") as error:
        load_backbone("small-quickgelu", "evil.pt")
    assert ".safetensors" in error.value.next_step
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_damaged_files(tmp_path, name):
    state = state_of(small_backbone())
    path = tmp_path / name
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_backbone("small-quickgelu", str(path))
    path.write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_backbone("small-quickgelu", str(path))


def test_weights_of_another_model(tmp_path):
    state = state_of(small_backbone())
    del state["ln_final.bias"]
    state["visual.proj"] = torch.zeros(32, 8)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(
        InputError, match=r"ln_final.bias is missing, visual.proj is \(32, 8\), not \(32, 16\)"
    ):
        load_backbone("small-quickgelu", str(tmp_path / "w.safetensors"))
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(InputError, match="holds no state dict"):
        load_backbone("small-quickgelu", str(tmp_path / "list.pt"))


def test_a_missing_file_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="neither a file nor a tag") as error:
        load_backbone("ViT-B-16-quickgelu", "weights/clip.safetensors")
    assert str(tmp_path / "weights" / "clip.safetensors") in error.value.next_step
    assert "model.weights" in error.value.next_step
    assert "openai" in error.value.message


def test_an_unknown_backbone_suggests_the_nearest():
    with pytest.raises(ConfigError) as error:
        load_backbone("ViT-B-16-quikgelu", "random")
    assert "ViT-B-16-quickgelu" in error.value.next_step


@pytest.mark.parametrize(
    "name",
    ["ViT-B-16-SigLIP", "coca_ViT-B-32", "ViT-L-14-CLIPA", "ViT-H-14-worldwide", "ViT-M-16-alt"],
)
def test_other_architectures_are_refused(name):
    with pytest.raises(ConfigError, match="not a plain ViT CLIP"):
        load_backbone(name, "random")


def test_a_tag_with_the_other_activation_is_refused():
    with pytest.raises(ConfigError, match="trained with QuickGELU") as error:
        load_backbone("ViT-B-16", "openai")
    assert "ViT-B-16-quickgelu" in error.value.next_step


def test_no_network(monkeypatch):
    def fail(_):
        raise FileNotFoundError("Failed to download file")

    monkeypatch.setattr(pretrained, "download_pretrained", fail)
    with pytest.raises(InputError, match="could not be fetched") as error:
        load_backbone("ViT-B-16-quickgelu", "openai")
    assert "model.weights" in error.value.next_step


def test_a_tag_is_fetched_and_read(monkeypatch, tmp_path):
    state = state_of(small_backbone())
    save_file(state, tmp_path / "fetched.safetensors")
    tag = {"quick_gelu": True, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    monkeypatch.setattr(pretrained, "get_pretrained_cfg", lambda *_: tag)
    monkeypatch.setattr(pretrained, "download_pretrained", lambda _: str(tmp_path / "fetched.safetensors"))
    backbone = load_backbone("small-quickgelu", "openai")
    assert_has(backbone, state)
    assert backbone.mean == (0.5, 0.5, 0.5)
    assert backbone.std == (0.25, 0.25, 0.25)


def test_tokens_are_open_clips():
    backbone = small_backbone()
    captions = ["A video of action about Jumping: run up for momentum.", "", "naïve café — 42!"]
    expected = open_clip.SimpleTokenizer(context_length=40)(captions)
    assert torch.equal(backbone.tokenize(captions), expected)
    assert backbone.tokenize([]).shape == (0, 40)


def test_a_caption_that_does_not_fit_is_named_not_cut():
    backbone = small_backbone()
    fits = " ".join(["run"] * 38)
    assert backbone.tokenize([fits])[0, -1] == 49407
    with pytest.raises(InputError, match="41 tokens, and backbone small reads 40: 'run run"):
        backbone.tokenize(["short", fits + " run"])


def test_sizes():
    backbone = small_backbone()
    assert (backbone.image_size, backbone.context, backbone.embed_dim) == (16, 40, 16)
    assert (backbone.visual_blocks, backbone.text_blocks) == (3, 3)


def test_the_known_weights_are_those_of_both_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsarctl.models.weights.hub.published", lambda name: {f"of {name}": True})
    assert module._published("ViT-B-16") == {"of ViT-B-16": True, "of ViT-B-16-quickgelu": True}
    assert module._published("tiny") == {"of tiny": True}, "which has no other"
