"""Fixtures for tests that need a model or clips: both tiny, both made here."""

import atexit
import gc
import os
import signal
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from built import BuiltOnce, built_in
from typed import type_in

# Several test processes share the cores; OpenMP threads on top of them make each other slower, not faster.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Commands are started hundreds of times: without bytecode each of them compiles all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What a shell starts in the background ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests and modules stay to the end: whoever looks for garbage need not look at them over and over."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        atexit.register(gc.unfreeze)  # or what libraries count would seem lost


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those marked ``long`` begin, so that no process is left alone with one when the others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: a sixth of the time of two on two, tests wait for others."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> BuiltOnce:
    """``built_once(name, build)``: the folder that ``build`` filled, for all processes that run tests."""
    return built_in(tmp_path_factory)


SHAPES = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 6
[model]
backbone = "tiny"
weights = "shipped"
visual_layers = 1
text_layers = 1
"""


@pytest.fixture(scope="session")
def shapes(built_once: BuiltOnce) -> Path:
    """A project with six clips of each class of *shapes*, rendered and extracted; others begin as copies."""

    def build(folder: Path) -> None:
        (folder / "fsarctl.toml").write_text(SHAPES)
        type_in(folder, "fsarctl extract")

    return built_once("shapes", build)


@pytest.fixture(scope="session")
def tiny_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of H.264 at 32 x 32, a kilobyte or two, in MP4."""
    import av

    path = tmp_path_factory.mktemp("tiny") / "tiny.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=12, options={"g": "6", "bf": "0"})
        stream.width = stream.height = 32
        for number in range(12):
            picture = np.full((32, 32, 3), 20 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., object]:
    """Write a frame store whose classes get brighter over time by amounts of their own, under noise."""

    def make(classes: int, clips: int, *, size: int = 18, frames: int = 4, name: str = "store") -> object:
        from fsarctl.frames.frame_store import ClipRow, FrameStore, FrameWriter, write_rows

        random = np.random.default_rng(0)
        folder = tmp_path / name
        folder.mkdir()
        labels = [f"class {i}" for i in range(classes) for _ in range(clips)]
        time = np.linspace(0, 1, frames).reshape(1, frames, 1, 1, 1)
        slope = np.repeat(np.linspace(-80, 80, classes), clips).reshape(-1, 1, 1, 1, 1)
        pixels = 128 + slope * time + random.normal(0, 20, (len(labels), frames, size, size, 3))
        pixels = pixels.clip(0, 255).astype(np.uint8)
        writer = FrameWriter(folder, len(labels), frames, size)
        for shard in range(writer.shards):
            rows = writer.rows(shard)
            writer.write(shard, pixels[rows.start : rows.stop])
        facts = [
            ClipRow(f"{label}/{row}", label, True, "made", frames, tuple(range(frames)), ())
            for row, label in enumerate(labels)
        ]
        write_rows(folder, facts)
        return FrameStore(folder)

    return make


@pytest.fixture
def make_model() -> Callable[..., object]:
    """A Task-Adapter++ over a CLIP of random weights, 16 pixels wide, that runs in milliseconds."""

    def make(frames: int = 4, **options: object) -> object:
        import torch

        from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
        from fsarctl.models.backbone import build_backbone

        configuration = {
            "embed_dim": 16,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
            "text_cfg": {"context_length": 40, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = build_backbone("small", configuration, None)
        options = {"visual_layers": 1, "text_layers": 1, **options}
        return TaskAdapterPlusPlus(
            backbone, frames=frames, generator=torch.Generator().manual_seed(0), **options
        )

    return make
