"""A training in several processes gives the bytes of one, also when one of them is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import torch.distributed as dist
from built import BuiltOnce, copied
from safetensors import safe_open
from safetensors.torch import load_file
from test_optimisation import Linear
from test_training_extras import Rich
from typed import plain_environment, type_in

from fsarctl.config.setting_field import keyed
from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.ranks import Ranks, _buckets, require_shares
from fsarctl.episodes.training.trainer import _require_shares
from fsarctl.errors import ConfigError
from fsarctl.execution import torchrun
from fsarctl.stages import extract

SCRIPT = Path(__file__).with_name("train_in_ranks.py")


@pytest.fixture(scope="module")
def trained(built_once: BuiltOnce) -> Path:
    """What ``train_in_ranks.py`` leaves, one process that forks the others."""

    def build(folder: Path) -> None:
        path = os.pathsep.join([*sys.path, str(SCRIPT.parent)])
        environment = plain_environment(PYTHONPATH=path, OMP_NUM_THREADS="1")
        subprocess.run([sys.executable, SCRIPT, folder], check=True, env=environment)

    return built_once("ranks", build)


def outcome(trained: Path, name: str) -> list[str]:
    ended: list[str] = json.loads((trained / "outcomes.json").read_text())[name]
    return ended


def checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What it says and holds; a header's fields come in any order."""
    with safe_open(folder / "checkpoint.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["training"]), tensors


def same(one: Path, other: Path) -> bool:
    files = ("adapters.safetensors", "log.json")
    equal = all((one / file).read_bytes() == (other / file).read_bytes() for file in files)
    return equal and checkpoint(one) == checkpoint(other)


@pytest.mark.parametrize(("how", "world"), [("sgd", 2), ("sgd", 3), ("sgd", 4), ("adam", 3)])
def test_bytes_do_not_depend_on_the_number_of_processes(trained: Path, how: str, world: int) -> None:
    assert outcome(trained, f"{how}-{world}") == ["done"] * world
    assert same(trained / f"{how}-1", trained / f"{how}-{world}")
    moved = load_file(trained / f"{how}-1" / "adapters.safetensors")
    torch.manual_seed(7)
    assert not torch.equal(moved["rare"], torch.ones(5))
    assert not torch.equal(moved["project.weight"], Linear().project.weight)


def test_a_killed_process_ends_the_others_and_other_processes_go_on(trained: Path) -> None:
    assert outcome(trained, "dies") == ["lost", "lost", "killed", "lost"]
    assert outcome(trained, "again") == ["done"] * 3
    assert same(trained / "sgd-1", trained / "again")


def test_the_fast_sum_is_the_same_but_for_its_last_bits(trained: Path) -> None:
    ordered, fast = (load_file(trained / name / "adapters.safetensors") for name in ("sgd-1", "fast-2"))
    for name in ordered:
        torch.testing.assert_close(fast[name], ordered[name], rtol=1e-4, atol=1e-5)
    assert "reduction" not in keyed(TrainConfig())
    assert keyed(TrainConfig(reduction="fast"))["reduction"] == "fast"


def test_shares_make_the_step_and_numbers_that_do_not_divide_it_are_refused() -> None:
    assert [n for rank in range(3) for n in Ranks(rank, 3).share(12)] == list(range(12))
    with pytest.raises(ConfigError, match="12, which 5 processes cannot share") as refused:
        require_shares(12, 5)
    assert refused.value.next_step.startswith("2 or 3 or 4 or 6 or 12 processes can; or set")
    with pytest.raises(ConfigError) as refused:
        require_shares(1, 2)
    assert refused.value.next_step.startswith("Set train.episodes_per_step to a multiple of 2")


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A group of torch.distributed with this process in it."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_sums_of_one_process_are_what_it_gave(group: None) -> None:
    gradients = [torch.arange(6.0).view(2, 3), None, torch.tensor(2.5)]
    parameters = [torch.ones(2, 3), torch.ones(4), torch.ones(())]
    ranks = Ranks()
    for sums in (ranks.add_fast(gradients, parameters), ranks.add_in_order([gradients], parameters)):
        for found, given in zip(sums, gradients, strict=True):
            assert found is given is None or torch.equal(found, given)
    assert [ranks.words(said) for said in ("", "grün", "x" * 300)] == [[""], ["grün"], ["x" * 300]]
    assert ranks.total(7) == 7
    assert (ranks.share(6), ranks.beside) == (range(6), 1)


def test_running_statistics_are_for_one_process() -> None:
    with pytest.raises(ConfigError, match="batch normalisation"):
        _require_shares(Rich(), TrainConfig(episodes_per_step=2), Ranks(0, 2))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([3], [range(1)]),
        ([2, 2, 2], [range(2), range(2, 3)]),
        ([9, 1, 3, 4], [range(1), range(1, 3), range(3, 4)]),
    ],
)
def test_parameters_are_gathered_a_few_at_a_time(
    sizes: list[int], expected: list[range], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsarctl.episodes.ranks.NUMBERS_AT_ONCE", 4)
    assert list(_buckets(sizes)) == expected


def test_gpus_that_are_not_there_and_shares_that_are_none_are_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text("[datasets.shapes]\nkind = 'shapes'\n")
    said = type_in(tmp_path, "fsarctl train --gpus 2", expect=3).stderr
    assert "episodes_per_step is 1, which 2 processes cannot share" in said
    if not torch.cuda.is_available():
        said = type_in(tmp_path, "fsarctl train --gpus 2 --set train.episodes_per_step=2", expect=2).stderr
        assert "--gpus 2 needs so many GPUs, and there are 0 here" in said
        assert "--device cpu" in said


def test_gpus_beside_an_engine_that_trains_elsewhere_are_refused_wherever_it_is_set(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text("[datasets.shapes]\nkind = 'shapes'\n")
    set_so = "--set execution.engine=slurm"
    for words, environment in (
        ("--engine slurm", {}),
        ("--engine slurm --detach", {}),  # before a job waits in a queue for it
        (set_so, {}),
        ("", {"FSARCTL_ENGINE": "slurm"}),
    ):
        said = type_in(tmp_path, f"fsarctl train --gpus 2 {words}", expect=2, **environment).stderr
        assert "--gpus shares a training among processes here, and the engine slurm trains elsewhere" in said
        assert "Add --engine local" in said
    said = type_in(tmp_path, f"fsarctl train --gpus 2 {set_so} --engine local", expect=3).stderr
    assert "2 processes cannot share" in said


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_of_torchrun_that_cannot_share_a_step_say_so_before_they_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    """One that was called first found the folder of the first one gone, and said that."""
    (tmp_path / "fsarctl.toml").write_text("[datasets.shapes]\nkind = 'shapes'\n")
    monkeypatch.setattr(torchrun, "joined", lambda device: nullcontext(Ranks(rank, 3)))
    said = type_in(tmp_path, "fsarctl train --set train.episodes_per_step=4", expect=3).stderr
    assert said.startswith("error: train.episodes_per_step is 4, which 3 processes cannot share")


def test_half_an_environment_of_torchrun_is_said(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text("[datasets.shapes]\nkind = 'shapes'\n")
    said = type_in(tmp_path, "fsarctl train", expect=3, WORLD_SIZE="2").stderr
    assert "WORLD_SIZE is 2" in said
    assert "torchrun" in said


FOLDER = """
[datasets.clips]
kind = "folder"
root = "clips"
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 1
visual_layers = 1
[train]
way = 2
shots = [1]
episodes_per_step = 2
[describe]
missing = "label"
"""


@pytest.mark.parametrize("is_seen", [True, False])
def test_the_first_process_alone_looks_at_every_clip(
    tmp_path: Path, tiny_video: Path, monkeypatch: pytest.MonkeyPatch, is_seen: bool
) -> None:
    for place in ("train/one", "train/two", "val/three", "val/four", "test/five", "test/six"):
        (tmp_path / "clips" / place).mkdir(parents=True)
        for number in range(2):
            shutil.copy(tiny_video, tmp_path / "clips" / place / f"{number}.mp4")
    (tmp_path / "fsarctl.toml").write_text(FOLDER)
    looks: list[str] = []
    look_at = extract.look_at
    monkeypatch.setattr(extract, "look_at", lambda path: looks.append(str(path)) or look_at(path))
    heard: list[str] = []

    class Played(Ranks):
        """One whose others agree, and say what it is to hear."""

        def words(self, said: str = "") -> list[str]:
            if not self.rank:
                heard.append(said)
                if said:  # the command takes it away at its end
                    kept.write_bytes(Path(json.loads(said)["sign"]).read_bytes())
                return [said, ""]
            return [order.pop(0), ""]

    kept = tmp_path / "told"
    for rank in (0, 1):
        monkeypatch.setattr(torchrun, "joined", lambda device, rank=rank: nullcontext(Played(rank, 2)))
        if rank:
            sign = kept if is_seen else tmp_path / "elsewhere"
            order = [json.dumps({**json.loads(heard[0]), "sign": str(sign)}), ""]
        type_in(tmp_path, "fsarctl train --device cpu", expect=0 if rank else 4)
        assert len(looks) == (8 if rank and not is_seen else 0 if rank else 8)
        looks.clear()
    assert not order


COMMAND = "train --shots 1 --set train.episodes_per_step=4 --set train.epochs=1 --set train.episodes=8"
MORE = "--set train.val_episodes=6 --device cpu"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["--gpus", "torchrun"])
def test_the_command_trains_in_processes(shapes: Path, tmp_path: Path, launcher: str) -> None:
    words = [*COMMAND.split(), *MORE.split()]
    folder = {name: copied(shapes, tmp_path / name) for name in ("alone", "together")}
    for each in folder.values():
        type_in(each, "fsarctl describe")
    type_in(folder["alone"], *words)
    start = [sys.executable, "-m", "fsarctl", *words, "--gpus", "2"]
    if launcher == "torchrun":
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        start += ["-m", "fsarctl", *words]
    done = subprocess.run(
        start, cwd=folder["together"], env=plain_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = [next(each.glob("cache/artifacts/train/*")) for each in folder.values()]
    assert made[0].name == made[1].name
    for file in ("adapters.safetensors", "log.jsonl", "training.json"):
        assert (made[0] / file).read_bytes() == (made[1] / file).read_bytes()
    facts = json.loads((made[1] / "manifest.json").read_text())["provenance"]["facts"]
    assert facts["processes"] == 2


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a closed pipe ends them, which takes its time")
@pytest.mark.parametrize(
    ("blow", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_its_processes_end_with_the_command(
    shapes: Path, tmp_path: Path, blow: signal.Signals, code: int
) -> None:
    project = copied(shapes, tmp_path / "project")
    type_in(project, "fsarctl describe")
    words = [*COMMAND.split(), *MORE.split(), "--gpus", "2"]
    words += ["--set", "train.episodes=4000", "--set", "train.way=2"]
    with subprocess.Popen(
        [sys.executable, "-m", "fsarctl", *words],
        cwd=project,
        env=plain_environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        end = time.monotonic() + 120
        while not [*project.glob("cache/work/train/*/scratch/checkpoint.safetensors")]:
            assert time.monotonic() < end
            time.sleep(0.1)
        ranks = psutil.Process(command.pid).children(recursive=True)
        assert len(ranks) == 2
        command.send_signal(blow)
        _, alive = psutil.wait_procs(ranks, timeout=120)
        assert alive == []
        _, said = command.communicate(timeout=120)
    assert command.returncode == code
    assert said.count("interrupted") == (blow != signal.SIGKILL)
