"""describe against a real server program: llama.cpp's, with a tiny random model that is made here.

It needs xllamacpp (llama.cpp with its server, in one wheel) and gguf, which `pip install ".[dev]"` brings.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typed import type_in

from fsarctl.artifacts.unfinished.sealed import read_sealed_json, sealed_json
from fsarctl.errors import ConfigError
from fsarctl.text.corpus import STAGES, sub_actions_from
from fsarctl.text.llm.language_model import Described, describe
from fsarctl.text.llm.records import Records
from fsarctl.text.llm.retries import Patience
from fsarctl.text.llm.server import Server

MISSING = [name for name in ("gguf", "xllamacpp") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no llama.cpp here: pip install {' '.join(MISSING)}"),
]

KEY = "sk-real-0123456789"
LABELS = [f"label {n}" for n in range(8)]
PATIENT = Patience(timeout=60, retries=1, attempts=6)
"""The model's sentences are random letters: now and then one is too long, or two are the same."""


@contextmanager
def llama(folder: Path, key: str = "") -> Iterator[str]:
    """The address of a server that ends with the block."""
    script = Path(__file__).with_name("llama_server.py")
    words = [sys.executable, str(script), str(folder), *([key] if key else [])]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(folder: Path, url: str, prompts: Mapping[str, str], patience: Patience = PATIENT) -> Described:
    records = Records(folder / "records", "babble", 1.0)
    return describe(prompts, Server(url, "babble", 1.0), records, concurrency=2, patience=patience)


def kept(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in (folder / "records").glob("*.json")]


def remembered(folder: Path) -> list[str]:
    return [json.loads(path.read_bytes())["form"] for path in (folder / "records" / "servers").glob("*.json")]


def test_every_label_is_described_by_a_schema(tmp_path: Path) -> None:
    with llama(tmp_path) as url:
        described = ask(tmp_path, url, {label: f"Describe {label}." for label in LABELS})
    assert described.failed == {}
    assert described.new == len(LABELS)
    assert remembered(tmp_path) == ["json_schema"]
    for record in kept(tmp_path):
        # a random model says in JSON, with these keys, what it says: the schema was obeyed, not ignored
        assert sub_actions_from([record["stages"][stage] for stage in STAGES])
        assert record["form"] == "json_schema"
        assert record["answered_by"] == "babble"
        assert record["usage"]["prompt_tokens"] > len("Describe label 0.")
        assert record["usage"]["completion_tokens"] > len("".join(record["stages"].values()))
    assert described.tally.uncounted == 0
    assert described.tally.prompt_tokens >= sum(record["usage"]["prompt_tokens"] for record in kept(tmp_path))


def test_a_server_that_died_is_named_and_another_goes_on_from_there(tmp_path: Path) -> None:
    prompts = {label: f"Describe {label}." for label in LABELS}
    with llama(tmp_path) as first:
        ask(tmp_path, first, dict(list(prompts.items())[:3]))
    with pytest.raises(ConfigError, match="cannot reach"):
        ask(tmp_path, first, prompts, Patience(retries=0))
    with llama(tmp_path) as second:
        described = ask(tmp_path, second, prompts)
    assert (described.found, described.new) == (3, len(LABELS) - 3)


def test_the_wrong_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with llama(tmp_path, KEY) as url:
        assert ask(tmp_path, url, {"a": "Describe a."}).new == 1
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789")
        with pytest.raises(ConfigError, match="refuses the key"):
            ask(tmp_path, url, {"b": "Describe b."})
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(ConfigError, match="wants a key, and there is none"):
            ask(tmp_path, url, {"b": "Describe b."})


def test_a_prompt_beyond_the_context_fails_alone(tmp_path: Path) -> None:
    with llama(tmp_path) as url:
        described = ask(tmp_path, url, {"a": "Describe a.", "long": "word " * 2000, "b": "Describe b."})
    assert set(described.sub_actions) == {"a", "b"}
    assert "HTTP 400" in described.failed["long"]
    assert "context" in described.failed["long"]
    assert remembered(tmp_path) == ["json_schema"]


def test_other_json_than_was_asked_for_is_no_answer(tmp_path: Path) -> None:
    """In JSON mode the random model answers some object: strict parsing refuses it, and says why."""
    with llama(tmp_path) as url:
        ask(tmp_path, url, {"a": "Describe a."})
        (path,) = (tmp_path / "records" / "servers").glob("*.json")
        known = read_sealed_json(path.read_bytes(), path.name)
        path.write_bytes(sealed_json({**known, "form": "json_object"}, path.name))
        described = ask(tmp_path, url, {"b": "Describe b."}, Patience(timeout=60, attempts=1))
    assert "the answer" in described.failed["b"]


def test_the_command_describes_with_it(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join(LABELS))
    with llama(tmp_path) as url:
        (tmp_path / "fsarctl.toml").write_text(
            f'[datasets.shapes]\nkind = "shapes"\n[describe]\nsource = "openai"\nbase_url = "{url}"\n'
            'model = "babble"\ntemperature = 1.0\n[model]\nbackbone = "tiny"\nweights = "shipped"\n'
        )
        for _ in range(5):  # a label may fail by chance; the next run asks for it alone
            done = type_in(tmp_path, "fsarctl describe --labels list.txt", expect=None, OPENAI_API_KEY=KEY)
            assert done.returncode in (0, 7), done.stderr
            if done.returncode == 0:
                break
    assert done.returncode == 0, done.stderr
    (artifact,) = (tmp_path / "cache" / "artifacts" / "describe").glob("*/descriptions.json")
    assert set(json.loads(artifact.read_bytes())["labels"]) == set(LABELS)
