"""The notebook of the documents runs as it stands, in an empty folder, and gives what it is stored with."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT

pytest.importorskip("ipykernel", reason="pip install ipykernel nbclient")
nbclient = pytest.importorskip("nbclient", reason="pip install ipykernel nbclient")

NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_is_stored_with(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat

    monkeypatch.setenv("FSARCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "work").mkdir()
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        iopub_timeout=60,  # a busy machine prints late, and what is late is left out
        kernel_name="python3",
        resources={"metadata": {"path": tmp_path / "work"}},
    )
    client.execute()
    before = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for stored, cell in zip(before, notebook.cells, strict=True):
        assert _words(stored) == _words(cell)


def _words(cell: dict[str, Any]) -> list[str]:
    """What a cell printed or gave, without the last digits of numbers; no pictures, no progress."""
    shown = [each for each in cell.get("outputs", []) if each.get("name") != "stderr"]
    texts = ["".join(each.get("text", each.get("data", {}).get("text/plain", ""))) for each in shown]
    return re.sub(r"(\d\.\d)\d+", r"\1", "".join(texts)).split()
