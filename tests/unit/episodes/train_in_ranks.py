"""Trains one small model in 1 to 4 processes, and with one killed: a process of its own, which forks them.

``python train_in_ranks.py FOLDER`` leaves in FOLDER/NAME the checkpoint, the adapters and the log of each,
and in FOLDER/outcomes.json how each process ended.
"""

import json
import os
import signal
import socket
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # an optimiser imports it: once here, not in each process, whose longest part it is
from safetensors.torch import save_file
from test_optimisation import CONFIG, Linear, loader
from torch import Tensor, nn

from fsarctl.episodes.ranks import RankLostError, Ranks
from fsarctl.episodes.training import trainer
from fsarctl.execution.torchrun import joined
from fsarctl.methods.protocol import Lesson
from fsarctl.progress import SILENT

THREADS_LEFT = 20
TOGETHER = 12
EPISODES = 2 * TOGETHER
CONFIGS = {
    "sgd": replace(
        CONFIG,
        epochs=2,
        episodes=EPISODES,
        val_episodes=70,
        episodes_per_step=TOGETHER,
        momentum=0.9,
        weight_decay=0.1,
        clip_norm=0.5,
    )
}
CONFIGS["adam"] = replace(CONFIGS["sgd"], optimiser="adam", momentum=0.0)
CONFIGS["fast"] = replace(CONFIGS["sgd"], reduction="fast")


class Sometimes(Linear):
    """With draws, and a weight that only episodes of some classes learn from."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.rare = nn.Parameter(torch.ones(5))

    def alone(self, prefix: Tensor) -> Tensor:
        return self.drop(super().alone(prefix))

    def training_loss(self, lesson: Lesson) -> Tensor:
        loss = super().training_loss(lesson)
        if int(lesson.classes[0]) == 3 and int(lesson.classes[1]) == 0:
            loss = loss + (self.rare * lesson.query.mean(0)).sum()
        return loss


def train(folder: Path, how: str, ranks: Ranks, dies_at: int | None) -> None:
    torch.manual_seed(7)
    model, base = Sometimes(), loader()
    load = base.load

    def until(number: int) -> Any:
        if dies_at is not None and number >= dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return load(number)

    base.load = until  # type: ignore[method-assign]
    state = trainer.train_adapters(
        model,
        base,
        loader("centre"),
        CONFIGS[how],
        scratch=folder,
        reporter=SILENT,
        title="train",
        ranks=ranks,
        of="this",
    )
    if not ranks.rank:
        save_file(model.adapter_state(), folder / "adapters.safetensors")
        (folder / "log.json").write_text(json.dumps(state.log.lines))


def together(folder: Path, how: str, world: int, dies: tuple[int, int] | None = None) -> list[str]:
    """Train in ``world`` processes, of which ``dies`` (rank, episode) kills itself; how each ended."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as kept:  # bound to the end: nobody else is given this port meanwhile
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # and rank 0 may still listen there
        kept.bind(("127.0.0.1", 0))
        place = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(kept.getsockname()[1]),
            "WORLD_SIZE": str(world),
        }
        children = []
        for rank in range(world):
            child = os.fork()
            if not child:
                os.environ.update(place, RANK=str(rank))
                os._exit(_in_rank(folder, how, dies))
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return [
        {0: "done", 7: "lost", -9: "killed", THREADS_LEFT: "threads"}.get(code, f"exit code {code}")
        for code in codes
    ]


def _in_rank(folder: Path, how: str, dies: tuple[int, int] | None) -> int:
    try:
        with joined("cpu") as ranks:
            train(folder, how, ranks, dies[1] if dies and dies[0] == ranks.rank else None)
    except RankLostError as error:
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 1
    return THREADS_LEFT if _gloo_threads() else 0


def _gloo_threads() -> list[str]:
    """Those of this process, where they can be seen, by their names."""
    names = [each.read_text() for each in Path("/proc/self/task").glob("*/comm")]
    return [each for each in names if "gloo" in each]


def main() -> None:
    folder = Path(sys.argv[1])
    trainer.CHECKPOINT_EPISODES = 1
    outcomes = {}
    # What an optimiser does is done with the same sum.
    for how, worlds in (("sgd", (1, 2, 3, 4)), ("adam", (1, 3))):
        for world in worlds:
            outcomes[f"{how}-{world}"] = together(folder / f"{how}-{world}", how, world)
    outcomes["fast-2"] = together(folder / "fast-2", "fast", 2)
    outcomes["dies"] = together(folder / "again", "sgd", 4, dies=(2, 30))
    outcomes["again"] = together(folder / "again", "sgd", 3)
    (folder / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
