"""`fsarctl serve` under load: answers a second, and how long 95 % of them take at most."""

import csv
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from timing import NothingToMeasureError, Options

PROJECT = (
    '[datasets.shapes]\nkind = "shapes"\n[model]\nbackbone = "tiny"\nweights = "shipped"\ntext_layers = 2\n'
)
CLIENTS = (1, 8, 32)
SECONDS = 30
FSARCTL = (sys.executable, "-m", "fsarctl")


def main(options: Options) -> None:
    """Clients that send a clip of a few seconds as soon as they have the answer to the one before."""
    if importlib.util.find_spec("locust") is None:
        raise NothingToMeasureError("it needs locust: pip install locust")
    seconds = 3 if options.quick else SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fsarctl.toml").write_text(PROJECT)
        made = (*FSARCTL, "data", "film", "film", "--seconds", "5", "--shots", "2")
        subprocess.run(made, cwd=folder, check=True, capture_output=True)
        (folder / "supports").mkdir()
        (folder / "film" / "support").rename(folder / "supports" / "shapes")
        clip = next((folder / "supports").rglob("*.mp4"))
        print(f"\nserving: tiny CLIP, frozen, 12 classes, clips of {clip.stat().st_size / 1024:.0f} KiB")
        with subprocess.Popen(
            [*FSARCTL, "serve", "--frozen", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True
        ) as server:
            try:
                address = _address(server)
                request = urllib.request.Request(f"{address}/predict?support=shapes", clip.read_bytes())
                urllib.request.urlopen(request, timeout=600).close()  # the first one reads the examples
                for clients in CLIENTS[: 1 if options.quick else None]:
                    _print(clients, _measured(address, clip, clients, seconds, folder / "load"))
            finally:
                server.terminate()


def _address(server: "subprocess.Popen[str]") -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    raise NothingToMeasureError("the server did not start")


def _measured(address: str, clip: Path, clients: int, seconds: int, stem: Path) -> dict[str, str]:
    load = Path(__file__).with_name("serving_load.py")
    words = ("--headless", "--host", address, "-u", str(clients), "-r", str(clients), "-t", f"{seconds}s")
    subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(load), *words, "--csv", str(stem), "--only-summary"],
        env={**os.environ, "CLIP": str(clip)},
        check=True,
        capture_output=True,
    )
    with Path(f"{stem}_stats.csv").open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["Name"] == "predict")


def _print(clients: int, row: dict[str, str]) -> None:
    print(
        f"{clients:3} clients: {float(row['Requests/s']):6.1f} answers a second,"
        f" half within {row['50%']} ms, 95 % within {row['95%']} ms, {row['Failure Count']} failed",
        flush=True,
    )
