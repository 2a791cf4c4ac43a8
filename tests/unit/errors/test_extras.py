"""What an extra brings is refused in one way, whoever needs it."""

import importlib.util
import re
from pathlib import Path

import pytest
from typed import type_in

BROUGHT = {"fastapi", "onnx", "tensorboard", "ray", "submitit", "wandb"}
FILE = '[datasets.shapes]\nkind = "shapes"\n'


@pytest.mark.parametrize(
    ("line", "what", "extra"),
    [
        ("serve", "serve", "serve"),
        ("export --support x -o y", "export", "export"),
        ("train --tensorboard boards", "--tensorboard", "tensorboard"),
        ("extract --engine ray", "--engine ray", "ray"),
        ("run --engine slurm --detach", "--engine slurm", "slurm"),
        ("train --set 'tracking.tools=[\"wandb\"]'", "tracking.tools", "wandb"),
    ],
)
def test_who_needs_an_extra_says_so_in_one_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, what: str, extra: str
) -> None:
    (tmp_path / "fsarctl.toml").write_text(FILE)
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in BROUGHT else real(name))
    said = type_in(tmp_path, f"fsarctl {line}", expect=3).stderr
    assert re.match(rf"error: {re.escape(what)} needs [a-z_]+, which is not installed\n", said)
    assert f'next:  Run: pip install "fsarctl[{extra}]"' in said
