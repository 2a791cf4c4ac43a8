"""Weight files as they are found: other layouts, wrappers and prefixes, and what is no weight file at all."""

import copy
import json
import os
import pickle
import warnings
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from fsarctl.config.model_table import ModelConfig
from fsarctl.errors import ConfigError, InputError
from fsarctl.methods.build import model_key
from fsarctl.methods.weights import weight_files
from fsarctl.models import backbone
from fsarctl.models.backbone import Weights, build_backbone, fitting, load_backbone
from fsarctl.models.weights import activation
from fsarctl.models.weights.weight_file import plain_name, read_weights

GOLDEN = Path(__file__).parents[2] / "golden" / "transformers_clip.safetensors"
"""A small CLIPModel of transformers 5.24 with random weights; pictures, tokens, and their features."""
SMALL = {
    "embed_dim": 8,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 8, "layers": 2, "width": 16, "head_width": 8, "patch_size": 4},
    "text_cfg": {"context_length": 10, "vocab_size": 32, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture(autouse=True)
def small_architectures(monkeypatch):
    """``small-quickgelu`` and ``small``, which differ in their activation alone."""
    plain = {name: value for name, value in SMALL.items() if name != "quick_gelu"}
    ours = {"small-quickgelu": SMALL, "small": plain}
    known = backbone.architecture
    for module in (backbone, activation):
        monkeypatch.setattr(module, "architecture", lambda name: ours.get(name) or known(name))


@pytest.fixture
def state():
    generator = torch.Generator().manual_seed(0)
    wanted = open_clip.CLIP(**SMALL).state_dict()
    return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in wanted.items()}


def loaded(path, name="small-quickgelu"):
    return load_backbone(name, str(path))


def assert_has(found, state):
    assert all(torch.equal(value, state[name].float()) for name, value in found.clip.state_dict().items())


def in_transformers_layout(state):
    """Our names -> those of CLIPModel, written out by hand."""
    there = {}
    for name, tensor in state.items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        short = name.removeprefix("visual.")
        if short.startswith("transformer.resblocks."):
            _, _, number, rest = short.split(".", 3)
            place = f"{tower}.encoder.layers.{number}"
            if rest.startswith("attn.in_proj_"):
                kind = rest.removeprefix("attn.in_proj_")
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    there[f"{place}.self_attn.{letter}_proj.{kind}"] = part.clone()
                continue
            for ours, theirs in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):
                rest = rest.replace(ours, theirs)
            there[f"{place}.{rest}"] = tensor
        else:
            there[
                {
                    "visual.class_embedding": "vision_model.embeddings.class_embedding",
                    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
                    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
                    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
                    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
                    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
                    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
                    "visual.proj": "visual_projection.weight",
                    "positional_embedding": "text_model.embeddings.position_embedding.weight",
                    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
                    "ln_final.weight": "text_model.final_layer_norm.weight",
                    "ln_final.bias": "text_model.final_layer_norm.bias",
                    "text_projection": "text_projection.weight",
                    "logit_scale": "logit_scale",
                }[name]
            ] = tensor.T.contiguous() if name in ("visual.proj", "text_projection") else tensor
    return there


def custom_text(state):
    visual = ("visual.", "logit_scale")
    return {name if name.startswith(visual) else f"text.{name}": tensor for name, tensor in state.items()}


def test_features_are_those_of_transformers():
    held = load_file(GOLDEN)
    weights = {name.removeprefix("weights/"): t for name, t in held.items() if name.startswith("weights/")}
    fitted = fitting("small-quickgelu", SMALL, weights, what="golden")
    clip = build_backbone("small-quickgelu", SMALL, Weights(fitted)).clip
    with torch.no_grad():
        image, text = clip.encode_image(held["input/pictures"]), clip.encode_text(held["input/tokens"])
    torch.testing.assert_close(image, held["output/image"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(text, held["output/text"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("ending", ["pt", "bin", "safetensors"])
def test_transformers_layout(tmp_path, state, dtype, ending):
    there = {name: tensor.to(dtype) for name, tensor in in_transformers_layout(state).items()}
    for tower in ("vision", "text"):  # kept by versions before 4.31
        there[f"{tower}_model.embeddings.position_ids"] = torch.arange(5).unsqueeze(0)
    path = tmp_path / f"w.{ending}"
    save_file(there, path) if ending == "safetensors" else torch.save(there, path)
    assert_has(loaded(path), {name: tensor.to(dtype) for name, tensor in state.items()})


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_shards_and_their_index(tmp_path, state, ending):
    names = sorted(there := in_transformers_layout(state))
    parts = {f"model-0000{i}-of-00002.{ending}": {n: there[n] for n in names[i - 1 :: 2]} for i in (1, 2)}
    for file, content in parts.items():
        path = tmp_path / file
        save_file(content, path) if ending == "safetensors" else torch.save(content, path)
    index = tmp_path / f"model.{ending}.index.json"
    index.write_text(json.dumps({"weight_map": {n: f for f, content in parts.items() for n in content}}))
    assert_has(loaded(index), state)
    model = ModelConfig(backbone="ViT-B-16", weights=index.name)
    assert set(weight_files(model, tmp_path).values()) == {index, *(tmp_path / file for file in parts)}
    assert set(model_key(model, tmp_path, adapters=False)[1]["weights"].paths) == {
        "weights",
        *(f"weights/{file}" for file in parts),
    }
    with pytest.raises(InputError, match="one of 2 files") as error:
        loaded(tmp_path / next(iter(parts)))
    assert index.name in error.value.next_step
    (tmp_path / list(parts)[1]).unlink()
    with pytest.raises(InputError, match=r"1 are not there: model-00002-of-00002"):
        loaded(index)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": "../x.bin"}}',
        "[" * 10**5,
    ],
)
def test_an_index_that_is_none(tmp_path, content):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(content)
    with pytest.raises(InputError, match="no index of weight files"):
        loaded(path)


def test_custom_text_layout(tmp_path, state):
    save_file(custom_text(state), tmp_path / "w.safetensors")
    assert_has(loaded(tmp_path / "w.safetensors"), state)


PREFIXES = ["_orig_mod.", "module.", "model.", "clip.", "clip_model."]
NESTED = ["module._orig_mod.", "_orig_mod.module.model.", "model.clip_model.", "module.clip.model."]


@pytest.mark.parametrize(
    "layout", [dict, custom_text, in_transformers_layout], ids=lambda each: each.__name__
)
@pytest.mark.parametrize("prefix", [*PREFIXES, *NESTED])
def test_prefixes(tmp_path, state, layout, prefix):
    save_file({prefix + name: tensor for name, tensor in layout(state).items()}, tmp_path / "w.safetensors")
    assert_has(loaded(tmp_path / "w.safetensors"), state)


def test_prefixes_within_names():
    assert plain_name("visual._orig_mod.transformer.resblocks.0.module.ln_1.bias") == (
        "visual.transformer.resblocks.0.ln_1.bias"
    )
    assert plain_name("model") == "model"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda s: {"model": s},
        lambda s: {"model_state_dict": s, "loss": 0.5},
        lambda s: {"state_dict_ema": s},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {"state_dict": {"model_state_dict": OrderedDict(s)}},
        lambda s: {"state_dict": {f"module.model.{name}": tensor for name, tensor in s.items()}},
    ],
)
def test_wrappers(tmp_path, state, wrap):
    torch.save(wrap(state), tmp_path / "w.pt")
    found = loaded(tmp_path / "w.pt")
    assert_has(found, state)
    assert not any("is read" in each for each in found.remarks)


def test_of_two_wrappers_it_is_said_which_is_read(tmp_path, state):
    torch.save({"state_dict_ema": {}, "state_dict": state}, tmp_path / "w.pt")
    found = loaded(tmp_path / "w.pt")
    assert_has(found, state)
    assert any("holds state_dict and state_dict_ema; state_dict is read" in each for each in found.remarks)


def endless():
    content = {}
    content["model"] = content
    return content


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"state_dict": {}},
        {"epoch": 3},
        {"visual": {"proj": torch.zeros(1)}},
        [torch.zeros(1)],
        torch.zeros(3),
        endless(),
        {"state_dict": 5},
    ],
    ids=str,
)
def test_no_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match="holds no state dict"):
        loaded(tmp_path / "w.pt")


def test_two_models_in_one_file(tmp_path, state):
    both = {**state, **{f"module.{name}": tensor for name, tensor in state.items()}}
    save_file({name: tensor.clone() for name, tensor in both.items()}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="holds more than one"):
        loaded(tmp_path / "w.safetensors")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("layout", [dict, in_transformers_layout], ids=lambda each: each.__name__)
def test_numbers_that_are_none(tmp_path, state, number, layout):
    state["visual.ln_post.bias"][2] = number
    save_file(layout(state), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"NaN or infinite numbers: visual.ln_post.bias"):
        loaded(tmp_path / "w.safetensors")


def test_numbers_that_overflow(tmp_path, state):
    state["visual.ln_post.bias"] = state["visual.ln_post.bias"].double().fill_(1e300)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match="NaN or infinite"):
        loaded(tmp_path / "w.pt")


def test_packed_numbers(tmp_path, state):
    name = "visual.transformer.resblocks.0.mlp.c_fc.weight"
    state[name] = state[name].to(torch.int8)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=f"{name} is of int8"):
        loaded(tmp_path / "w.safetensors")
    state[name] = torch.zeros(state[name].shape).to_sparse()
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match="no plain tensor"):
        loaded(tmp_path / "w.pt")


def names(*listed):
    return {name: torch.zeros(1) for name in listed}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (names("visual.proj", "visual.conv1.weight"), "image tower alone, in the layout of open_clip"),
        (names("conv1.weight", "class_embedding", "transformer.resblocks.0.ln_1.bias"), "image tower alone"),
        (names("token_embedding.weight", "ln_final.bias", "text_projection"), "text tower alone"),
        (names("text.token_embedding.weight"), "text tower alone, in open_clip's custom-text layout"),
        (
            names("vision_model.post_layernorm.bias", "visual_projection.weight"),
            "image tower alone, in the layout",
        ),
        (
            names("text_model.final_layer_norm.bias"),
            "text tower alone, in the layout of transf",
        ),
        (
            names("embeddings.class_embedding", "encoder.layers.0.self_attn.q_proj.bias"),
            "one tower of a CLIP",
        ),
        (names("vision_model.head.probe", "text_model.head.bias", "logit_bias"), "SigLIP"),
        (names("visual.trunk.patch_embed.proj.weight", "text.ln_final.bias"), "timm's"),
        (names("module.patch_embed.proj.weight", "module.blocks.0.attn.qkv.weight"), "a timm ViT"),
        (names("vit.embeddings.patch_embeddings.projection.bias"), "a ViT in the layout of transformers"),
        (names("visual.layer1.0.conv1.weight", "ln_final.bias"), "a CLIP with a ResNet"),
        (names("text_decoder.ln_final.bias", "visual.proj"), "CoCa"),
        (names("mit.position_embedding", "vision_model.embeddings.class_embedding"), "X-CLIP"),
        (names("base_model.model.visual_projection.lora_A.weight"), "LoRA"),
        (names("visual.transformer.resblocks.0.t_adapter.D_fc1.bias"), "a released Task-Adapter"),
        (names("visual.adapters.0.temporal.down.weight"), "adapters that fsarctl trained"),
        (names("layer1.0.conv1.weight"), "a ResNet"),
        (names("fc.weight", "fc.bias"), "none of the layouts that are read .*: it holds fc.bias, fc.weight"),
    ],
)
def test_other_layouts_are_refused_by_name(tmp_path, content, said):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=said) as error:
        loaded(tmp_path / "w.pt")
    assert error.value.next_step


def test_what_is_missing_bears_the_name_that_the_file_would_have_for_it(tmp_path, state):
    there = in_transformers_layout(state)
    del there["text_model.encoder.layers.1.self_attn.k_proj.bias"]
    save_file(there, tmp_path / "w.safetensors")
    with pytest.raises(InputError) as error:
        loaded(tmp_path / "w.safetensors")
    assert "text_model.encoder.layers.1.self_attn.k_proj.bias is missing" in error.value.message
    assert "the layout of transformers' CLIPModel" in error.value.message


class Program(torch.nn.Module):
    """Writes a file when it is restored, unless nothing is run."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.weight = torch.nn.Parameter(torch.zeros(2))

    @torch.jit.export
    def __getstate__(self):
        return (self.weight, self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]):
        self.weight = state[0]
        self.path = state[1]
        self.training = state[2]
        torch.save(state[0], state[1])

    def forward(self, x):
        return x + self.weight


def test_no_program_of_an_archive_is_run(tmp_path):
    trace = tmp_path / "ran.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Program(str(trace))).save(tmp_path / "w.pt")
        torch.jit.load(tmp_path / "w.pt")
    assert trace.exists(), "torch itself runs it"
    trace.unlink()
    with pytest.raises(InputError, match="cannot be read as weights: it holds more than tensors"):
        loaded(tmp_path / "w.pt")
    assert not trace.exists()


def test_an_archive_is_what_torch_says_of_it(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2).half())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(tmp_path / "w.pt")
    found, expected = read_weights(tmp_path / "w.pt").state, module.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[n], t) and found[n].dtype == t.dtype for n, t in expected.items())


class Touch:
    def __reduce__(self):
        return (os.mkdir, ("ran",))


def cut(content):
    return content[: len(content) // 2]


def test_garbage_is_no_traceback(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(state, "whole.pt")
    torch.save(state, "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, "whole.safetensors")
    whole, old, safe = (Path(name).read_bytes() for name in ("whole.pt", "old.pt", "whole.safetensors"))
    middle = len(whole) // 2
    garbage = {
        "empty": b"",
        "zeros": bytes(1000),
        "text": b"hello\n",
        "json": b'{"a": 1}',
        "web page": b"<!DOCTYPE html><html></html>",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
        "cut archive": cut(whole),
        "archive without its end": whole[:-30],
        "archive with a hole": whole[:middle] + bytes(100) + whole[middle + 100 :],
        "cut old file": cut(old),
        "cut safetensors": cut(safe),
        "long header": (2**62).to_bytes(8, "little") + b"{}",
        "pickle of a number": pickle.dumps(5),
        "pickle of a program": pickle.dumps(Touch()),
        "pickle of a class": pickle.dumps({"state_dict": Path("x")}),
        "end of an archive alone": b"PK\x05\x06" + bytes(18),
        "gguf": b"GGUF" + bytes(100),
        "hdf5": b"\x89HDF\r\n" + bytes(100),
    }
    for name, content in garbage.items():
        for ending in ("pt", "bin", "safetensors"):
            path = tmp_path / f"{name}.{ending}"
            path.write_bytes(content)
            if name == "archive with a hole" and ending != "safetensors":
                continue  # zeros in the middle of a tensor are numbers
            with pytest.raises(InputError) as error:
                loaded(path)
            said = error.value.message
            assert "cannot be read as weights" in said or "holds no state dict" in said, (name, said)
            assert "\n" not in said, (name, said)
    assert not Path("ran").exists()


def test_many_flipped_and_cut_files(tmp_path, state):
    """Each is read, or refused in words: nothing else comes out."""
    torch.save(state, tmp_path / "new")
    torch.save(state, tmp_path / "old", _use_new_zipfile_serialization=False)
    random = torch.Generator().manual_seed(0)
    for kind in ("new", "old"):
        content = (tmp_path / kind).read_bytes()
        for _ in range(60):
            place = int(torch.randint(min(len(content), 3000), (1,), generator=random))
            spoiled = bytearray(content if kind == "old" else content[-3000:] if place % 3 == 0 else content)
            spoiled[place % len(spoiled)] ^= 1 << (place % 8)
            path = tmp_path / "spoiled.pt"
            path.write_bytes(bytes(spoiled))
            with suppress(InputError):
                loaded(path)


def test_a_file_that_fits_two_backbones(tmp_path, state):
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    for name, called in (("small", "GELU"), ("small-quickgelu", "QuickGELU")):
        (remark,) = loaded(path, name).remarks
        assert "fits both" in remark
        assert "small-quickgelu" in remark
        assert f"{name} takes it for {called}" in remark
        assert "model.backbone decides" in remark
        assert "config.json" in remark


def test_the_published_weights_of_both_are_named():
    from fsarctl.models.weights import hub

    published = hub.published("ViT-B-16") | hub.published("ViT-B-16-quickgelu")
    (said,) = activation.settle_activation("ViT-B-16", {}, Path("w.pt"), (), lambda: published)
    quick, _, plain = said.partition("; GELU for ")
    assert "openai" in quick
    assert "metaclip" in quick
    assert "laion2b" in plain
    assert activation.settle_activation("tiny", {}, Path("w.pt"), (), dict) == []


@pytest.mark.parametrize(
    ("file", "content", "quick"),
    [
        ("config.json", {"model_type": "clip", "vision_config": {"hidden_act": "quick_gelu"}}, True),
        (
            "config.json",
            {
                "model_type": "clip",
                "vision_config": {"hidden_act": "gelu"},
                "text_config": {"hidden_act": "gelu"},
            },
            False,
        ),
        ("open_clip_config.json", {"model_cfg": {"quick_gelu": True, "embed_dim": 16}}, True),
        ("open_clip_config.json", {"model_cfg": {"embed_dim": 16}}, False),
    ],
)
def test_a_configuration_beside_it_decides(tmp_path, state, file, content, quick):
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    (tmp_path / file).write_text(json.dumps(content))
    right, wrong = ("small-quickgelu", "small") if quick else ("small", "small-quickgelu")
    assert loaded(path, right).remarks == ()
    with pytest.raises(ConfigError, match=f"backbone {wrong} has the other") as error:
        loaded(path, wrong)
    assert f'"{right}"' in error.value.next_step


@pytest.mark.parametrize("content", ["", "[]", '{"model_type": "siglip"}', '{"model_cfg": 3}', "\ud800"])
def test_a_configuration_that_says_nothing(tmp_path, state, content):
    save_file(state, tmp_path / "w.safetensors")
    for file in ("config.json", "open_clip_config.json"):
        (tmp_path / file).write_text(content, encoding="utf-8", errors="surrogatepass")
    assert len(loaded(tmp_path / "w.safetensors").remarks) == 1


def test_openais_sizes_decide(tmp_path, state):
    with_sizes = copy.copy(state) | {
        name: torch.tensor(16) for name in ("input_resolution", "context_length", "vocab_size")
    }
    save_file(with_sizes, tmp_path / "w.safetensors")
    assert loaded(tmp_path / "w.safetensors").remarks == ()
    with pytest.raises(ConfigError, match="trained with QuickGELU"):
        loaded(tmp_path / "w.safetensors", "small")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "clip").mkdir()
    with pytest.raises(InputError, match="that is a folder") as error:
        weight_files(ModelConfig(backbone="ViT-B-16", weights="./clip"), tmp_path)
    assert "model.weights" in error.value.next_step
