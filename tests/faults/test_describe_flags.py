"""``fsarctl describe`` in an empty folder: flags or the environment alone say whom to ask."""

import json
import re
from pathlib import Path

import pytest
from loopback_server import Reply, Request, failure, good, loopback
from typed import type_in

from fsarctl.text.corpus import parse_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "list.txt").write_text("a\nb\n")
    (tmp_path / "prompt.txt").write_text("{label}")  # what the server answers to
    return tmp_path


LINE = "fsarctl describe --labels list.txt --set describe.template=prompt.txt"


@pytest.mark.parametrize("name", ["made.json", "made.yaml", "made.yml"])
def test_flags_alone_ask_a_server_and_what_they_write_is_read(folder: Path, name: str) -> None:
    with loopback() as server:
        line = f"{LINE} --base-url {server.url} --model 1.5 -o {name}"
        type_in(folder, line)
        assert {request.body["model"] for request in server.requests} == {"1.5"}
    assert set(parse_corpus(name, (folder / name).read_bytes())) == {"a", "b"}
    (folder / "fsarctl.toml").write_text(f'[describe]\nfiles = ["{name}"]\n')
    shown = type_in(folder, "fsarctl describe --labels list.txt --show --json")
    assert [row["source"] for row in json.loads(shown.stdout)["descriptions"]] == ["corpus", "corpus"]


def test_labels_come_through_a_pipe(folder: Path) -> None:
    with loopback() as server:
        line = LINE.replace("list.txt", "-") + f" --base-url {server.url} --model m"
        said = type_in(folder, line, piped="\ufeffc\r\nd\nc\n".encode()).stderr
        assert sorted(server.prompts) == ["c", "d"]
        assert "standard input: dropped the byte order mark" in said
        type_in(folder, f"{line} --dry-run", piped=b"c\nd\n")
        type_in(folder, f"{line} --show c", piped=b"c\nd\n")
        assert len(server.requests) == 2
        for piped, says in (
            (b"", "standard input holds no label"),
            (b"id,name\n0,abseiling\n1,rowing\n", "standard input"),
        ):
            said = type_in(folder, line, piped=piped, expect=3).stderr
            assert says in said
        (advised,) = re.findall(r"Name the column of the labels: (fsarctl [^;]*);", " ".join(said.split()))
        type_in(folder, advised, piped=b"id,name\n0,abseiling\n1,c\n")
        assert server.prompts[2:] == ["abseiling"]


def test_the_environment_alone_asks_a_server(folder: Path) -> None:
    with loopback() as server:
        words = {"FSARCTL_DESCRIBE_SOURCE": "openai", "FSARCTL_DESCRIBE_MODEL": "m"}
        type_in(folder, LINE, OPENAI_BASE_URL=server.url, **words)
        assert {request.body["model"] for request in server.requests} == {"m"}


def test_answers_are_written_though_some_labels_failed(folder: Path) -> None:
    with loopback(lambda asked: failure(400) if asked.prompt == "b" else good(asked.prompt)) as server:
        line = f"{LINE} --base-url {server.url} --model m -o made.json"
        type_in(folder, line, expect=7)
    assert list(json.loads((folder / "made.json").read_text())) == ["a"]


def test_a_rate_limit_is_said_and_what_waits_for_it_works(folder: Path) -> None:
    limited = True

    def reply(asked: Request) -> Reply:
        refuses = limited and asked.prompt == "b"
        return failure(429, "Daily", **{"retry-after-ms": "7200000"}) if refuses else good(asked.prompt)

    with loopback(reply) as server:
        line = f"{LINE} --base-url {server.url} --model m"
        said = " ".join(type_in(folder, line, expect=7).stderr.split())
        assert "next: Run again in 2.0 h: 1 answer is kept" in said
        (advised,) = re.findall(r"`(fsarctl describe --until-done [^`]*)` waits for that, in all about", said)
        limited = False
        server.requests.clear()
        type_in(folder, advised)
        assert server.prompts == ["b"]


def test_nobody_is_paid_for_what_cannot_be_written(folder: Path) -> None:
    with loopback() as server:
        line = f"{LINE} --base-url {server.url} --model m"
        refused = type_in(folder, f"{line} -o no/made.json", expect=3)
        type_in(folder, f"{line} -o made.json --dry-run", expect=2)
        assert server.requests == []
    assert "there is no folder no" in refused.stderr


def test_openai_itself_needs_a_key_and_the_ways_around_are_named(folder: Path) -> None:
    refused = type_in(folder, f"{LINE} --source openai", expect=3)
    for way in ("export OPENAI_API_KEY=", "--base-url", "--source corpus"):
        assert way in refused.stderr
