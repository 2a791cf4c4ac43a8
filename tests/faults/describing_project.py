"""A project folder that describes labels with a server on loopback; its prompt is the bare label."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Loopback
from notes import Notes

from fsarctl.artifacts.unit import Build, Unit
from fsarctl.config.tables import DescribeConfig
from fsarctl.stages import describe
from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.corpus import load_descriptions
from fsarctl.text.llm.retries import Patience

KEY = "sk-secret-0123456789abcdef"
QUICK = Patience(timeout=60, retries=2, attempts=2, deadline=300)


@dataclass
class Project:
    """A project folder whose prompt is the bare label."""

    root: Path
    artifact_name: str = "artifact"
    notes: Notes = field(default_factory=Notes)
    recorded: dict[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> Path:
        return self.root / "cache" / "records"

    @property
    def artifact(self) -> Path:
        return self.root / "cache" / self.artifact_name

    def config(self, server: Loopback | str, **settings: Any) -> DescribeConfig:
        url = server if isinstance(server, str) else server.url
        defaults = {"source": "openai", "model": "m", "base_url": url, "template": "template.txt"}
        return DescribeConfig(**{**defaults, **settings})

    def unit(self, server: Loopback | str, labels: Sequence[str], **options: Any) -> Unit:
        how = {name: options.pop(name) for name in ("patience", "concurrency", "limit") if name in options}
        return describe.unit(
            labels,
            self.config(server, **options),
            slot="describe",
            records=self.records,
            root=self.root,
            **how,
        )

    def describe(
        self,
        server: Loopback | str,
        labels: Sequence[str],
        *,
        patience: Patience = QUICK,
        concurrency: int = 4,
        limit: CaptionLimit | None = None,
        **settings: Any,
    ) -> dict[str, tuple[str, str, str]]:
        unit = self.unit(server, labels, patience=patience, concurrency=concurrency, limit=limit, **settings)
        self.artifact.mkdir(parents=True, exist_ok=True)
        (self.artifact / "descriptions.json").unlink(missing_ok=True)
        unit.build(Build(self.artifact, self.root, {}, self.notes, self.recorded.__setitem__))
        return load_descriptions(self.artifact)

    def kept(self) -> list[dict[str, Any]]:
        folder = self.records / "describe"
        return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]

    def forms(self) -> list[str]:
        """What is remembered of servers."""
        folder = self.records / "describe" / "servers"
        return [json.loads(path.read_bytes())["form"] for path in sorted(folder.glob("*.json"))]

    def everything_written(self) -> str:
        return "\n".join(
            f"{path}\n{path.read_bytes().decode()}"
            for path in self.root.rglob("*")
            if path.is_file() and path.name != "template.txt"
        )


def make_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a key in the environment; retries come soon, unless the server asks for a pause."""
    monkeypatch.setattr("fsarctl.text.llm.retries.FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (folder / "template.txt").write_text("{label}\n")
    return Project(folder)
