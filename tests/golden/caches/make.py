"""A small cache as an earlier version wrote it, for `tests/end_to_end/test_cache_of_an_earlier_version.py`.

    python tests/golden/caches/make.py REVISION FILE.tar.xz

``first.tar.xz`` was made from ba47961, the last commit of the first build: the cache's layout had no leases,
no projects and no seals then, and stages had other versions. A released version's is made from its tag. It
holds a project: twelve clips, a fsarctl.toml, answers of a language model (a stand-in's), descriptions,
frames, adapters, a result, and a training that was interrupted.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[3]
LABELS = {"train": ("walk", "run"), "val": ("jump", "sit down"), "test": ("wave", "pour water")}
SETTINGS = """
[datasets.mine]
kind = "folder"
root = "clips"
[describe]
source = "openai"
base_url = "http://127.0.0.1:18080/v1"
model = "stand-in"
template = "template.txt"
[extract]
frames = 2
[model]
backbone = "tiny"
weights = "shipped"
visual_layers = 1
text_layers = 1
[train]
epochs = 1
episodes = 4
val_episodes = 2
way = 2
shots = [1]
[eval]
episodes = 10
way = 2
shots = [1]
frozen = false
"""
# The names of this machine have no place in it.
PROGRAM = """
import os, platform
platform.node = lambda: "host"
os.environ.setdefault("USER", "user")
from fsarctl.cli import main
main()
"""


class StandIn(BaseHTTPRequestHandler):
    """Answers any chat request with three sentences about the label between quotation marks."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        label = re.findall(r'"([^"]*)"', asked["messages"][-1]["content"])[0]
        says = {part: f"{word} to {label}." for part, word in SENTENCES.items()}
        message = {"role": "assistant", "content": json.dumps(says)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "stand-in", "usage": usage}
        body = json.dumps({**reply, "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


SENTENCES = {"beginning": "Begin", "process": "Go on", "end": "Cease"}


def write_clips(folder: Path) -> None:
    """Two flat clips of each label, which get brighter or darker over twelve frames."""
    for at, (split, label) in enumerate((split, label) for split, pair in LABELS.items() for label in pair):
        for number in range(2):
            path = folder / split / label / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            with av.open(str(path), "w") as output:
                stream = output.add_stream("libx264", rate=12, options={"g": "6", "bf": "0"})
                stream.width = stream.height = 32
                for moment in range(12):
                    light = 12 * moment if at % 2 else 132 - 12 * moment
                    picture = np.full((32, 32, 3), light + 16 * at + 5 * number, np.uint8)
                    output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                output.mux(stream.encode(None))


def main(revision: str, packed: Path) -> None:
    """Check out, run, interrupt, pack."""
    with tempfile.TemporaryDirectory(prefix="fsarctl-") as place:
        code, project = Path(place, "code"), Path(place, "project")
        code.mkdir()
        project.mkdir()
        archive = subprocess.run(
            ["git", "archive", revision], cwd=REPOSITORY, capture_output=True, check=True
        )
        subprocess.run(["tar", "x"], cwd=code, input=archive.stdout, check=True)
        (project / "fsarctl.toml").write_text(SETTINGS)
        (project / "template.txt").write_text('Describe "{label}".\n')
        write_clips(project / "clips")
        server = HTTPServer(("127.0.0.1", 18080), StandIn)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [sys.executable, "-P", "-c", PROGRAM]
        environment = {
            **os.environ,
            "PYTHONPATH": str(code),
            "OPENAI_API_KEY": "none",
            "NO_PROXY": "127.0.0.1",
        }
        subprocess.run([*command, "run"], cwd=project, env=environment, check=True)
        longer = ["train", "--set", "train.episodes=4000", "--set", "train.seed=1"]
        with subprocess.Popen([*command, *longer], cwd=project, env=environment) as process:
            while process.poll() is None and not [*project.glob("cache/work/train/*/scratch/checkpoint*")]:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        server.shutdown()
        with tarfile.open(packed, "w:xz", preset=9) as tar:
            for path in sorted(project.rglob("*")):
                tar.add(path, path.relative_to(project), recursive=False, filter=nameless)


def nameless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whose it was plays no part."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
