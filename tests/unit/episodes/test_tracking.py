"""[tracking]: what trackers are told, and that nothing they do ends a run."""

import json
import os
import shutil
import sqlite3
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from built import copied
from notes import Notes
from typed import plain_environment, type_in

from fsarctl.artifacts.sharing.locks import hold
from fsarctl.config.tables import TrackingConfig
from fsarctl.episodes.tracking import trackers
from fsarctl.episodes.tracking.trackers import UNTRACKED, Tracking
from fsarctl.episodes.tracking.wandb_mlflow_tensorboard import Mlflow, Wandb
from fsarctl.errors import ConfigError, LockError
from fsarctl.progress import SILENT

SECRET = "k3y-that-nobody-may-see"
FACTS = {"settings": {"model": {"metric": "otam"}, "shot": 1}, "read": {"frames": "extract/0123"}}


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Packages of trackers that do this, for processes that are started."""
    folder.mkdir()
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")


def test_a_tracker_is_told_settings_keys_curve_result_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = """
        import json, pathlib
        from types import SimpleNamespace
        said = []
        class errors:
            class UsageError(Exception): pass
        def Settings(**private): return private
        class Artifact:
            def __init__(self, name, type): self.name = name
            def add_file(self, path): self.content = pathlib.Path(path).read_text()
        class Run:
            def log(self, numbers, step): said.append(["log", numbers, step])
            def log_artifact(self, artifact): said.append(["file", artifact.name, artifact.content])
            def finish(self, exit_code):
                said.append(["finish", exit_code])
                pathlib.Path(said[0][1]["dir"], "said.json").write_text(json.dumps(said))
        def init(mode="", **told):
            if not mode: raise errors.UsageError("No API key configured")
            said.append([mode, told])
            run = Run()
            run.summary = SimpleNamespace(update=lambda numbers: said.append(["summary", numbers]))
            return run
    """
    stand_in(tmp_path / "packages", monkeypatch, wandb=wandb)
    (tmp_path / "report.html").write_text("the page")
    tracking = Tracking(TrackingConfig(("wandb",), "mine", "logs"), tmp_path)
    notes = Notes()

    with tracking.telling("train/0123", "train k100 1-shot", FACTS, notes) as tracked:
        tracked.watch({"kind": "interval", "step": 6, "epoch": 1, "loss": 1.5, "accuracy": 0.25})
        tracked.watch({"kind": "epoch", "step": 9, "epoch": 1, "val_accuracy": 0.75, "loss": 1.0})
        tracked.result({"best_epoch": 1})
        tracked.attach(tmp_path / "report.html")
    assert notes.said == []
    (_, hello), *rest = json.loads((tmp_path / "logs" / "said.json").read_text())
    assert hello["id"] == "train-0123"
    assert (hello["project"], hello["name"], hello["resume"]) == ("mine", "train k100 1-shot", "allow")
    assert hello["config"] == {"key": "train/0123", "read": FACTS["read"], **FACTS["settings"]}
    assert {hello["settings"][name] for name in ("x_disable_meta", "disable_git", "disable_code")} == {True}
    assert rest == [
        ["log", {"train/loss": 1.5, "train/accuracy": 0.25}, 6],
        ["log", {"validation/accuracy": 0.75}, 9],
        ["summary", {"best_epoch": 1}],
        ["file", "report", "the page"],
        ["finish", 0],
    ]
    # What fails is told as failed.
    monkeypatch.setattr(trackers, "LAST_FAILED_S", 60.0)
    with pytest.raises(ZeroDivisionError), tracking.telling("train/0123", "t", FACTS, notes):
        raise ZeroDivisionError
    assert json.loads((tmp_path / "logs" / "said.json").read_text())[-1] == ["finish", 1]


def test_a_tracker_s_folder_is_there_when_it_begins_and_may_be_there_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs" / "of mine"
    hello = {"project": "mine", "folder": str(folder), "key": "train/0123", "title": "train", **FACTS}
    began: list[tuple[object, ...]] = []

    class Client(Mock):
        def create_experiment(self, name: str, place: str) -> str:
            with pytest.raises(LockError), hold(folder / "mlflow.lock", "the same", SILENT, patience_s=0):
                pytest.fail("another could make the database at the same time")
            began.append((name, place, folder.is_dir()))
            return "1"

        get_experiment_by_name = search_runs = Mock(return_value=None)

    def init(**told: Any) -> None:
        began.append((told["project"], told["dir"], folder.is_dir()))

    monkeypatch.setitem(sys.modules, "wandb", Mock(init=init, errors=Mock(UsageError=OSError)))
    mlflow = Mock(MlflowClient=Client)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setattr(os, "environ", plain_environment())
    for tool, place in ((Wandb, str(folder)), (Mlflow, (folder / "mlflow").as_uri())):
        for _ in range(2):
            tool(hello)
            assert began.pop() == ("mine", place, True)
        shutil.rmtree(folder.parent)
    mlflow.set_tracking_uri.assert_called_with(f"sqlite:///{folder / 'mlflow.db'}")


def test_no_tracker_ends_a_run_or_tells_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One dies of something, one never answers, one cannot even be imported."""
    stand_in(
        tmp_path / "packages",
        monkeypatch,
        wandb=f"raise RuntimeError('401 for {SECRET} at https://me:pass@host/x?key=1')",
        mlflow="import time; time.sleep(600)",
    )
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setattr(trackers, "LAST_S", 0.5)
    notes = Notes()
    tracking = Tracking(TrackingConfig(("wandb", "mlflow")), tmp_path)
    with tracking.telling("train/0123", "train k100 1-shot", FACTS, notes) as tracked:
        for step in range(20_000):  # more than a pipe holds
            tracked.watch({"kind": "epoch", "step": step, "val_accuracy": 0.75})
    first, second = sorted(notes.said, key=lambda said: said.startswith("mlflow"))
    assert first == (
        "wandb hears no more of this: RuntimeError: 401 for [key] at https://***@host/x?***."
        " The run goes on without it."
    )
    assert second.startswith("mlflow hears no more of this: it has not taken everything within 0 s.")


def test_what_is_not_installed_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"tracking\.tools needs mlflow, which is not installed") as caught:
        Tracking(TrackingConfig(("mlflow", "wandb"))).require()
    assert caught.value.next_step.startswith('Run: pip install "fsarctl[mlflow,wandb]"')
    UNTRACKED.require()


@pytest.mark.slow
@pytest.mark.long
def test_the_real_ones_take_it_without_a_server(
    tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no key changes by it, nor does a run fail whose server does not answer."""
    tools = [name for name in ("wandb", "mlflow", "tensorboard") if find_spec(name)]
    if not {"wandb", "mlflow"} <= {*tools}:
        pytest.skip('pip install "fsarctl[wandb,mlflow]"')
    project = copied(shapes, tmp_path / "project")
    small = "--set train.episodes=20 --set train.epochs=2 --set train.val_episodes=10 --set eval.episodes=20"
    secrets = {"WANDB_MODE": "offline", "WANDB_API_KEY": SECRET * 2, "OPENAI_API_KEY": SECRET}
    type_in(project, "fsarctl describe")
    for command, hear in (
        ("train", tools),
        ("eval --set model.strategy=frozen", ["wandb"]),  # each process of MLflow takes seconds to begin
        ("report --no-pictures", tools),
    ):
        told_of = f"--set 'tracking.tools={json.dumps(hear)}'"
        said = type_in(project, f"fsarctl {command} --shots 1 {small} {told_of}", **secrets).stderr
        assert "hears no more" not in said
    keys = {each.name for each in (project / "cache" / "artifacts" / "train").iterdir()}
    assert len(keys) == 1
    folder = project / "tracking"
    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not [path for path, content in written.items() if SECRET.encode() in content]
    everything = b"".join(content for path, content in written.items() if path.suffix == ".wandb")
    for part in ("train/loss", "validation/accuracy", "half_width", "report.html", *keys):
        assert part.encode() in everything
    with sqlite3.connect(folder / "mlflow.db") as database:
        rows = database.execute("SELECT key, COUNT(*) FROM metrics GROUP BY key").fetchall()
        tags = {key for (key,) in database.execute("SELECT value FROM tags WHERE key = 'fsarctl.key'")}
        params = {*database.execute("SELECT key, value FROM params")}
    database.close()
    assert dict(rows)["validation/accuracy"] == 2
    assert {f"train/{key}" for key in keys} < tags
    assert {("shot", "1"), ("epochs", "2")} < params
    assert [*folder.glob("mlflow/*/artifacts/report.html")]
    assert [*folder.glob("tensorboard/train-*/events*")] or "tensorboard" not in tools
    # Nothing of it is in a key; and a server that is not there is a remark.
    assert "nothing to do" in type_in(project, f"fsarctl train --shots 1 {small}").stderr
    nobody = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    line = f"fsarctl eval --shots 1 --force {small} --set model.strategy=frozen"
    line += ' --set tracking.tools=[\\"mlflow\\"]'
    assert "mlflow hears no more of this" in type_in(project, line, **nobody).stderr
