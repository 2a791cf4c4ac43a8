"""describe killed or interrupted while answers are under way: what was answered is never asked again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback_server import Reply, Request, good, loopback

DESCRIBE = """
import signal
import sys
from pathlib import Path

from fsarctl.artifacts.unit import Build
from fsarctl.config.tables import DescribeConfig
from fsarctl.progress import SILENT
from fsarctl.stages import describe

# a test run in the background passes on that it ignores SIGINT
signal.signal(signal.SIGINT, signal.default_int_handler)

root, url, *labels = sys.argv[1:]
config = DescribeConfig(source="openai", base_url=url, template="template.txt")
unit = describe.unit(labels, config, slot="describe", records=Path(root, "records"), root=Path(root))
folder = Path(root, "artifact")
folder.mkdir(exist_ok=True)
unit.build(Build(folder, folder, {}, SILENT, lambda name, value: None))
"""


def start(root: Path, url: str, labels: list[str]) -> subprocess.Popen[bytes]:
    (root / "template.txt").write_text("{label}")
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "OPENAI_API_KEY": "sk-0123456789"}
    return subprocess.Popen(
        [sys.executable, "-c", DESCRIBE, str(root), url, *labels], env=environment, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("blow", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_what_was_answered_is_not_asked_again(tmp_path: Path, blow: signal.Signals) -> None:
    labels = ["a", "b", "c", "hang 1", "hang 2", "hang 3", "hang 4", "last"]
    killed = False

    def reply(asked: Request) -> Reply:
        stuck = asked.prompt.startswith("hang") and not killed
        return Reply(good(asked.prompt).body, delay=60 if stuck else 0)

    with loopback(reply) as server:
        process = start(tmp_path, server.url, labels)
        end = time.monotonic() + 300
        while len(list(tmp_path.glob("records/describe/*.json"))) < 3 or len(server.requests) < 7:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(blow)
        error = process.communicate(timeout=300)[1].decode()
        assert process.returncode == -blow
        assert "KeyboardInterrupt" in error if blow == signal.SIGINT else error == ""
        assert not (tmp_path / "artifact" / "descriptions.json").exists()
        kept = [json.loads(path.read_bytes())["label"] for path in tmp_path.glob("records/describe/*.json")]
        assert sorted(kept) == ["a", "b", "c"]

        killed = True
        server.requests.clear()
        rerun = start(tmp_path, server.url, labels)
        assert rerun.communicate(timeout=300)[1].decode() == ""
        assert sorted(server.prompts) == ["hang 1", "hang 2", "hang 3", "hang 4", "last"]
        finished = (tmp_path / "artifact" / "descriptions.json").read_bytes()

        undisturbed = tmp_path / "undisturbed"
        undisturbed.mkdir()
        assert start(undisturbed, server.url, labels[::-1]).communicate(timeout=300)[1].decode() == ""
        assert (undisturbed / "artifact" / "descriptions.json").read_bytes() == finished
