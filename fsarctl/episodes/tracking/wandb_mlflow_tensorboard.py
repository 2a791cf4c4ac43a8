"""A tracker's process (``python -m`` with its NAME) reads what it is told, by lines.

The first line says what it is (project, folder, key, title, settings, read), others are {"metrics", "step"},
{"result"}, {"attach"} and {"end"}; see ``tracking.trackers``. An exit code that is not 0 says that it
failed, and the last line of its output why. Servers and logins are the tracker's own business, from its own
environment.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from fsarctl.artifacts.sharing.locks import hold
from fsarctl.progress import SILENT

__all__ = ["main"]

UNNAMED = re.compile(r"[^\w .:/-]")
"""What MLflow takes in no name."""
PARAM_LENGTH = 500
"""Characters of a setting that MLflow takes everywhere."""


class Run(Protocol):
    """One tracker's account of a training, a result or a report."""

    def metrics(self, numbers: Mapping[str, float], step: int) -> None: ...

    def result(self, numbers: Mapping[str, Any]) -> None: ...

    def attach(self, path: Path) -> None: ...

    def end(self, *, failed: bool) -> None: ...


class Wandb:
    """A run of Weights & Biases: online where somebody is logged in, else in a folder; WANDB_MODE decides."""

    def __init__(self, hello: Mapping[str, Any]) -> None:
        import wandb

        folder = Path(hello["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        # Neither what is printed nor the command line, the machine, the git remote or code are sent.
        private = wandb.Settings(
            console="off",
            save_code=False,
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
            silent=True,
            init_timeout=30,
        )
        told: dict[str, Any] = {
            "project": hello["project"],
            "id": hello["key"].replace("/", "-"),
            "name": hello["title"],
            "group": hello["key"].partition("/")[0],
            "config": {"key": hello["key"], "read": hello["read"], **hello["settings"]},
            "dir": str(folder),
            "resume": "allow",
            "settings": private,
        }
        try:
            self._run = wandb.init(**told)
        except wandb.errors.UsageError:  # nobody is logged in
            self._run = wandb.init(**told, mode="offline")
        self._wandb = wandb

    def metrics(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def result(self, numbers: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(numbers))

    def attach(self, path: Path) -> None:
        artifact = self._wandb.Artifact(path.stem, type="report")
        artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def end(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class Mlflow:
    """A run of MLflow: on the server of MLFLOW_TRACKING_URI, else in a database in the folder."""

    def __init__(self, hello: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        import mlflow

        place = None
        alone: AbstractContextManager[object] = nullcontext()
        folder = Path(hello["folder"])
        if "MLFLOW_TRACKING_URI" not in os.environ:
            folder.mkdir(parents=True, exist_ok=True)
            mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
            place = (folder / "mlflow").as_uri()
            alone = hold(folder / "mlflow.lock", "making MLflow's database", SILENT)
        with alone:  # several may be the first to make the database, and the experiment
            self._client = mlflow.MlflowClient()
            known = self._client.get_experiment_by_name(hello["project"])
            number = known.experiment_id if known else self._client.create_experiment(hello["project"], place)
        tags = {"fsarctl.key": hello["key"]}
        runs = self._client.search_runs([number], f"tags.`fsarctl.key` = '{hello['key']}'", max_results=1)
        run = runs[0] if runs else self._client.create_run(number, run_name=hello["title"], tags=tags)
        self._run = run.info.run_id
        if runs:
            self._client.update_run(self._run, "RUNNING")
        for name, value in _flat({**hello["settings"], "read": hello["read"]}):
            self._client.log_param(self._run, UNNAMED.sub("_", name), value[:PARAM_LENGTH])

    def metrics(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run, name, value, step=step)

    def result(self, numbers: Mapping[str, Any]) -> None:
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._client.log_metric(self._run, name, value)
            else:
                self._client.set_tag(self._run, name, str(value))

    def attach(self, path: Path) -> None:
        self._client.log_artifact(self._run, str(path))

    def end(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class TensorBoard:
    """A folder of TensorBoard's, which takes no files: of what is attached it has the path's last part."""

    def __init__(self, hello: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(hello["folder"]) / "tensorboard" / hello["key"].replace("/", "-")
        self._writer = SummaryWriter(log_dir=str(folder), purge_step=0)
        for name in ("title", "key", "settings", "read"):
            self._writer.add_text(name, json.dumps(hello[name], indent=1))

    def metrics(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def result(self, numbers: Mapping[str, Any]) -> None:
        self._writer.add_text("result", json.dumps(numbers, indent=1))
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(name, value, 0)

    def attach(self, path: Path) -> None:
        self._writer.add_text("attached", path.name)

    def end(self, *, failed: bool) -> None:
        self._writer.add_text("ended", "failed" if failed else "finished")
        self._writer.close()


TOOLS: dict[str, Callable[[Mapping[str, Any]], Run]] = {
    "wandb": Wandb,
    "mlflow": Mlflow,
    "tensorboard": TensorBoard,
}


def main(name: str) -> None:
    """Be told of something on stdin until it ends."""
    run = TOOLS[name](json.loads(sys.stdin.readline()))
    failed = True  # unless it says otherwise, whoever told it is gone
    for line in sys.stdin:
        message = json.loads(line)
        if "metrics" in message:
            run.metrics(message["metrics"], message["step"])
        elif "result" in message:
            run.result(message["result"])
        elif "attach" in message:
            run.attach(Path(message["attach"]))
        else:
            failed = message["end"] == "failed"
    run.end(failed=failed)


def _flat(settings: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as ("model.metric", "otam")."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{of}{name}.")
        else:
            yield f"{of}{name}", value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    main(sys.argv[1])
