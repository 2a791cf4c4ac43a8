"""Telling trackers of a training or a result while it is made. What goes wrong there ends no run.

Each tracker is a process of its own (``wandb_mlflow_tensorboard``) that is told lines of JSON: whatever it
imports, prints, waits for or dies of, this process goes on. It is told settings that enter the key, the key
and those of what was read, numbers, and files that are attached; nothing of the environment, paths or
command lines.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from fsarctl.artifacts import Build
from fsarctl.config.tables import TrackingConfig
from fsarctl.episodes.training.tensorboard import SCALARS
from fsarctl.episodes.training.training_log import Line
from fsarctl.errors.addresses import hidden
from fsarctl.errors.extras import require_extra
from fsarctl.progress import SILENT, Reporter
from fsarctl.text.llm.redaction import Redaction
from fsarctl.video.processes.worker_pool import environment

__all__ = ["UNTRACKED", "Tracked", "Tracking"]

TOOL = "fsarctl.episodes.tracking.wandb_mlflow_tensorboard"
LAST_S, LAST_FAILED_S = 60.0, 5.0
"""How long a tracker may take to send the rest when what it is told of is done, or was ended."""
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


@dataclass(frozen=True)
class Tracking:
    """Who is told, as [tracking] says; ``root`` is the project's folder."""

    config: TrackingConfig = field(default_factory=TrackingConfig)
    root: Path = Path()

    def require(self) -> None:
        """Refuse to begin without what the settings name.

        Raises:
            ConfigError: a tracker is not installed.
        """
        missing = [each for each in self.config.tools if importlib.util.find_spec(each) is None]
        require_extra("tracking.tools", ",".join(missing), *missing, otherwise="; or take it out there.")

    @contextmanager
    def of(self, build: Build, slot: str, settings: Mapping[str, Any]) -> Iterator["Tracked"]:
        """Tell of what a build makes, while this lasts."""
        read = {name: f"{path.parent.name}/{path.name}" for name, path in build.inputs.items()}
        with self.telling(build.of, slot, {"settings": settings, "read": read}, build.reporter) as tracked:
            yield tracked

    @contextmanager
    def telling(
        self, key: str, title: str, facts: Mapping[str, Any], reporter: Reporter = SILENT
    ) -> Iterator["Tracked"]:
        """Tell of what has this key ("stage/key"), while this lasts; a run of that key is gone on with."""
        folder = (self.root / self.config.folder).absolute()
        hello = {"project": self.config.project, "folder": str(folder), "key": key, "title": title, **facts}
        tools = []
        for name in self.config.tools:
            try:
                tools.append(_Tool(name, hello, reporter))
            except OSError as error:
                reporter.note(f"{name} cannot be told of this: {error.strerror}.")
        tracked = Tracked(tools)
        try:
            yield tracked
        except BaseException:
            tracked.end(failed=True)
            raise
        tracked.end(failed=False)


UNTRACKED = Tracking()


class Tracked:
    """What trackers are told of."""

    def __init__(self, tools: "Sequence[_Tool]") -> None:
        self._tools = tools

    def watch(self, line: Line) -> None:
        """A line of the training log; see ``Watch``."""
        numbers = {tag: line[name] for name, tag in SCALARS[line["kind"]].items()}
        self._tell({"metrics": numbers, "step": line["step"]})

    def result(self, numbers: Mapping[str, Any]) -> None:
        """What it came to."""
        self._tell({"result": dict(numbers)})

    def attach(self, path: Path) -> None:
        """A file, which has to be there until the end."""
        self._tell({"attach": str(path.absolute())})

    def end(self, *, failed: bool) -> None:
        for tool in self._tools:
            tool.tell({"end": "failed" if failed else "finished"})
        for tool in self._tools:
            tool.end(LAST_FAILED_S if failed else LAST_S)

    def _tell(self, message: Mapping[str, Any]) -> None:
        for tool in self._tools:
            tool.tell(message)


class _Tool:
    """One tracker's process."""

    def __init__(self, name: str, hello: Mapping[str, Any], reporter: Reporter) -> None:
        self._name, self._reporter = name, reporter
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self._is_lost = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", TOOL, name],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for who started it
        )
        self._thread = Thread(target=self._write, daemon=True)
        self._thread.start()
        self.tell(hello)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Returns at once, whatever the tracker does."""
        if self._process.poll():
            self._give_up()
        self._lines.put(json.dumps(message, default=str))

    def end(self, patience_s: float) -> None:
        """Wait for it to have sent everything, but no longer than that."""
        self._lines.put(None)
        try:
            if self._process.wait(patience_s):
                self._give_up()
        except subprocess.TimeoutExpired:
            self._give_up(f"it has not taken everything within {patience_s:.0f} s")
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._said.close()

    def _write(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as lines:  # it has ended, and its output says why
            while (line := self._lines.get()) is not None:
                lines.write(line.encode() + b"\n")

    def _give_up(self, reason: str = "") -> None:
        if self._is_lost:
            return
        self._is_lost = True
        if not reason:
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").split("\n")
            reason = next((line for line in reversed(lines) if line.strip()), "it ended")
        secrets = [value for name, value in os.environ.items() if SECRET.search(name) and len(value) > 3]
        said = hidden(Redaction(tuple(secrets)).text(reason.strip()))[:300]
        self._reporter.note(f"{self._name} hears no more of this: {said}. The run goes on without it.")
