"""Where a ResNet's weights come from: files as torchvision and OpenAI name them, and torchvision's hub."""

import copy
import hashlib
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import open_clip
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from small_model import CONFIGURATION

from fsarctl.errors import ConfigError, InputError
from fsarctl.models import backbone as module
from fsarctl.models.backbone import load_backbone
from fsarctl.models.backbone_catalogue import OF_IMAGENET, architecture
from fsarctl.models.weights import hub

CLIP = {
    **{name: value for name, value in CONFIGURATION.items() if name != "quick_gelu"},
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
}


@pytest.fixture(autouse=True)
def small_architectures(monkeypatch):
    ours = {"small-rn": CLIP, "small-rn-quickgelu": {**CLIP, "quick_gelu": True}, "small": CONFIGURATION}
    known = module.architecture
    monkeypatch.setattr(module, "architecture", lambda name: ours.get(name) or known(name))


@pytest.fixture
def resnet() -> torchvision.models.ResNet:
    torch.manual_seed(0)
    return torchvision.models.resnet18().eval()


def assert_is(name: str, path: Path, resnet: torchvision.models.ResNet) -> None:
    backbone = load_backbone(name, str(path))
    frames = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(resnet.fc(backbone.visual(frames)), resnet(frames))
    assert not backbone.clip.training
    assert not any(each.requires_grad for each in backbone.clip.parameters())
    assert backbone.mean == (0.485, 0.456, 0.406)
    assert backbone.std == (0.229, 0.224, 0.225)
    assert backbone.remarks == ()


def test_torchvisions_files_with_a_classifier_or_without(tmp_path, resnet):
    state = resnet.state_dict()
    without = {name: each for name, each in state.items() if not name.startswith("fc.")}
    old = {name: each for name, each in state.items() if not name.endswith("num_batches_tracked")}
    prefixed = {f"module.{name}": each for name, each in state.items()}
    other_head = {**state, "fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    for number, content in enumerate((state, without, old, {"epoch": 3, "state_dict": prefixed}, other_head)):
        torch.save(content, tmp_path / f"{number}.pth")
        assert_is("resnet18-imagenet", tmp_path / f"{number}.pth", resnet)
    save_file(dict(state), tmp_path / "w.safetensors")
    assert_is("resnet18-imagenet", tmp_path / "w.safetensors", resnet)


def test_the_configuration_of_a_clip_beside_a_resnet_says_nothing_of_it(tmp_path, resnet):
    torch.save(resnet.state_dict(), tmp_path / "w.pth")
    (tmp_path / "config.json").write_text('{"model_type": "clip", "text_config": {}, "vision_config": {}}')
    assert_is("resnet18-imagenet", tmp_path / "w.pth", resnet)


def clip_resnet() -> open_clip.CLIP:
    torch.manual_seed(0)
    return open_clip.CLIP(**CLIP).eval()


def test_clips_with_a_resnet(tmp_path):
    clip = clip_resnet()
    torch.save(clip.state_dict(), tmp_path / "w.pt")
    backbone = load_backbone("small-rn", str(tmp_path / "w.pt"))
    frames = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(backbone.clip.encode_image(frames), clip.encode_image(frames))
    assert (backbone.image_size, backbone.visual_blocks, backbone.text_blocks) == (32, 0, 3)


def test_openais_archive_of_a_resnet(tmp_path):
    clip = copy.deepcopy(clip_resnet())
    state = {name: value.clone() for name, value in clip.state_dict().items()}
    for name, size in (("input_resolution", 32), ("context_length", 40), ("vocab_size", 49408)):
        if hasattr(clip, name):
            delattr(clip, name)
        clip.register_buffer(name, torch.tensor(size))
    path = tmp_path / "RN50.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.zeros(1, 3, 32, 32), torch.ones(1, 40, dtype=torch.int64))
        torch.jit.trace(clip, example).save(path)
    backbone = load_backbone("small-rn-quickgelu", str(path))
    assert all(torch.equal(value, state[name]) for name, value in backbone.clip.state_dict().items())
    with pytest.raises(ConfigError, match="trained with QuickGELU; backbone small-rn has the other"):
        load_backbone("small-rn", str(path))


@pytest.mark.parametrize(
    ("name", "content", "said", "step"),
    [
        ("small", "clip", "a CLIP with a ResNet", "RN50"),
        ("small", "resnet", "not read as a CLIP: it holds a ResNet", "resnet50-imagenet"),
        ("small-rn", "resnet", "not read as a CLIP: it holds a ResNet", "resnet50-imagenet"),
        ("resnet18-imagenet", "clip", "not read as a ResNet: it holds a CLIP", "torchvision"),
        ("resnet34-imagenet", "resnet", "layer1.2.bn1.bias is missing", "model.backbone"),
        (
            "resnet50-imagenet",
            "resnet",
            "these weights are not of backbone resnet50-imagenet",
            "model.backbone",
        ),
        ("resnet18-imagenet", "nothing", "torchvision's ResNets\\): it holds x", "torchvision"),
    ],
)
def test_weights_of_something_else_are_refused_by_name(tmp_path, resnet, name, content, said, step):
    contents = {
        "clip": clip_resnet().state_dict(),
        "resnet": resnet.state_dict(),
        "nothing": {"x": torch.zeros(1)},
    }
    torch.save(contents[content], tmp_path / "w.pt")
    with pytest.raises(InputError, match=said) as error:
        load_backbone(name, str(tmp_path / "w.pt"))
    assert step in error.value.next_step


def test_a_vits_weights_for_a_clip_with_a_resnet(tmp_path):
    save_file(open_clip.CLIP(**CONFIGURATION).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="these weights are not of backbone small-rn"):
        load_backbone("small-rn", str(tmp_path / "w.safetensors"))


def test_numbers_that_are_none(tmp_path, resnet):
    resnet.bn1.running_var[3] = float("nan")
    torch.save(resnet.state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"NaN or infinite numbers: visual.bn1.running_var"):
        load_backbone("resnet18-imagenet", str(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_blocks_are_torchvisions(name):
    with torch.device("meta"):
        made = torchvision.models.get_model(name)
    described = architecture(f"{name}{OF_IMAGENET}")
    assert described["vision_cfg"]["layers"] == [len(made.get_submodule(f"layer{n}")) for n in (1, 2, 3, 4)]
    assert described["embed_dim"] == made.fc.in_features


def test_tags_are_torchvisions():
    with pytest.raises(
        InputError, match=r"tag of backbone resnet50-imagenet \(tags: IMAGENET1K_V1, "
    ) as error:
        load_backbone("resnet50-imagenet", "openai")
    assert "resnet50" in error.value.next_step
    tags = {name: hub.published(f"{name}-imagenet") for name in ("resnet18", "resnet50")}
    assert list(tags["resnet18"]) == ["IMAGENET1K_V1"]
    assert list(tags["resnet50"]) == ["IMAGENET1K_V1", "IMAGENET1K_V2"]


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What lies in it is at torchvision's address for resnet18's weights, and nothing is kept yet."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "kept"))
    hub._unreachable.cache_clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def published(name: str) -> dict:
            file = next((each.name for each in folder.iterdir()), "resnet18-00000000.pth")
            address = f"http://127.0.0.1:{server.server_port}/{file}"
            return {
                "IMAGENET1K_V1": {"torchvision": address, "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}
            }

        monkeypatch.setattr(hub, "published_weights", published)
        yield folder
        server.shutdown()
        thread.join()
    hub._unreachable.cache_clear()


def put(folder: Path, resnet: torchvision.models.ResNet, digest: str | None = None) -> Path:
    """The weights under a name that ends in the first digits of their hash, as torchvision's do."""
    part = folder.parent / "part"
    torch.save(resnet.state_dict(), part)
    digest = digest or hashlib.sha256(part.read_bytes()).hexdigest()[:8]
    return part.replace(folder / f"resnet18-{digest}.pth")


def test_a_tag_is_fetched_once_and_read(hub_folder, resnet):
    file = put(hub_folder, resnet)
    with pytest.raises(InputError, match="are not on this machine yet"):
        hub.require_here("resnet18-imagenet", "IMAGENET1K_V1", Path())
    backbone = load_backbone("resnet18-imagenet", "IMAGENET1K_V1")
    assert torch.equal(backbone.visual.conv1.weight, resnet.conv1.weight)
    assert backbone.mean == (0.1, 0.2, 0.3)
    kept = Path(torch.hub.get_dir()) / "checkpoints" / file.name
    assert kept.is_file()
    hub.require_here("resnet18-imagenet", "IMAGENET1K_V1", Path())
    file.write_bytes(b"")  # it is not asked for again
    load_backbone("resnet18-imagenet", "IMAGENET1K_V1")


def test_what_is_fetched_must_have_the_hash_of_its_name(hub_folder, resnet):
    put(hub_folder, resnet, digest="01234567")
    with pytest.raises(InputError, match=r'could not be fetched \(invalid hash value \(expected "01234567"'):
        load_backbone("resnet18-imagenet", "IMAGENET1K_V1")
    assert not list((Path(torch.hub.get_dir()) / "checkpoints").iterdir())


def test_a_file_that_is_gone(hub_folder):
    with pytest.raises(InputError, match=r"could not be fetched \(HTTPError\)"):
        load_backbone("resnet18-imagenet", "IMAGENET1K_V1")


def test_no_network(monkeypatch, tmp_path):
    class Session:
        def head(self, url: str, timeout: float) -> None:
            raise OSError("Network is unreachable")

    monkeypatch.setattr(hub, "get_session", Session)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "kept"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("it is not tried"))
    hub._unreachable.cache_clear()
    with pytest.raises(InputError, match=r"on this machine and could not be fetched \(OSError\)") as error:
        load_backbone("resnet50-imagenet", "IMAGENET1K_V2", root=tmp_path)
    hub._unreachable.cache_clear()
    assert "resnet50-11ad3fa6.pth of torchvision's models" in error.value.message
    assert str(tmp_path / "resnet50-11ad3fa6.pth") in error.value.next_step
