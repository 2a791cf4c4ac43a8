"""The state of a training run, and the file that an interrupted one goes on from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.artifacts.unfinished.sealed import EMPTY_SEAL, SEAL, is_there, seal_file
from fsarctl.episodes.ranks import Ranks
from fsarctl.episodes.training.optimisation import Optimisation
from fsarctl.episodes.training.training_log import TrainingLog
from fsarctl.errors import InputError
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.progress import Reporter

__all__ = ["Checkpoint", "Epoch", "Training"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: mean training loss, and accuracies from 0 to 1."""

    epoch: int
    loss: float
    accuracy: float
    val_accuracy: float


@dataclass
class Training:
    """The state of a training run, all of it in the checkpoint."""

    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    log: TrainingLog = field(default_factory=TrainingLog)

    @property
    def best_val_accuracy(self) -> float:
        """Validation accuracy of the adapters that are kept, 0 to 1."""
        return self.epochs[self.best_epoch - 1].val_accuracy if self.best_epoch else -1.0


class Checkpoint:
    """The file of a training in ``scratch``, sealed for the build ``of``; the first of ``ranks`` writes it.

    Args:
        model, optimisation: what is written, and put back.
    """

    def __init__(
        self, scratch: Path, of: str, model: FewShotMethod, optimisation: Optimisation, ranks: Ranks
    ) -> None:
        self._path = scratch / "checkpoint.safetensors"
        self._seal = f"{of} {self._path.name}"
        self._model, self._optimisation, self._ranks = model, optimisation, ranks

    def resumed(self, reporter: Reporter) -> Training:
        """The state to go on from, and the weights with it; at the start where no whole file is there.

        Raises:
            InputError: a file system shows another machine an older one.
        """
        ranks = self._ranks
        begun = not ranks.rank and is_there(self._path, self._seal, reporter, "The training starts anew.")
        state = self._load() if ranks.total(begun) else Training()
        if ranks.total(state.step) != ranks.world * state.step:
            raise InputError(
                f"not every machine sees the same {self._path}",
                next_step="Run it again in a minute; all of them have to share the cache's file system.",
            )
        return state

    def save(self, state: Training) -> None:
        """Write it whole."""
        if self._ranks.rank:
            return
        tensors = {f"adapters/{name}": tensor for name, tensor in self._model.training_state().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
        tensors |= {f"optimiser/{name}": tensor for name, tensor in self._optimisation.state().items()}
        facts = {
            "step": state.step,
            "loss_sum": state.loss_sum,
            "correct": state.correct,
            "best_epoch": state.best_epoch,
            "epochs": [asdict(epoch) for epoch in state.epochs],
            "log": asdict(state.log),
        }
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with replacing(self._path) as partial:
            save_file(contiguous, partial, metadata={"training": json.dumps(facts), SEAL: EMPTY_SEAL})
            seal_file(partial, self._seal)

    def _load(self) -> Training:
        with safe_open(self._path, framework="pt") as file:
            facts = json.loads(file.metadata()["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self._model.load_training_state(_under("adapters/", tensors))
        self._optimisation.load_state(_under("optimiser/", tensors))
        epochs = [Epoch(**epoch) for epoch in facts.pop("epochs")]
        log = TrainingLog(**facts.pop("log"))
        return Training(**facts, epochs=epochs, log=log, best=_under("best/", tensors))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
