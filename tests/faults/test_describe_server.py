"""A language-model server that misbehaves: what is retried, what is listed, what stops the run."""

import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from loopback_server import AT_ONCE, Loopback, Reply, Request, completion, failure, good, loopback, sentences

from fsarctl.artifacts.unit import Build
from fsarctl.config import DescribeConfig
from fsarctl.data.corpus import load_descriptions
from fsarctl.describing.server import GIVE_UP_AFTER, Patience
from fsarctl.errors import ConfigError, InputError, PartialError
from fsarctl.reporting import SILENT
from stages import describe

KEY = "sk-secret-0123456789abcdef"
QUICK = Patience(timeout=5, retries=2, attempts=2, deadline=10)


@dataclass
class Notes:
    """A reporter that remembers what was said."""

    said: list[str] = field(default_factory=list)
    task = SILENT.task

    def note(self, message: str) -> None:
        self.said.append(message)


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

    def describe(
        self,
        server: Loopback | str,
        labels: Sequence[str],
        *,
        patience: Patience = QUICK,
        concurrency: int = 4,
        **settings: Any,
    ) -> dict[str, tuple[str, str, str]]:
        unit = describe.unit(
            labels,
            self.config(server, **settings),
            slot="describe",
            records=self.records,
            root=self.root,
            concurrency=concurrency,
            patience=patience,
        )
        self.artifact.mkdir(parents=True, exist_ok=True)
        (self.artifact / "descriptions.json").unlink(missing_ok=True)
        unit.build(Build(self.artifact, self.root, {}, self.notes, self.recorded.__setitem__))
        return load_descriptions(self.artifact)

    def kept(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in sorted((self.records / "describe").glob("*.json"))]

    def everything_written(self) -> str:
        return "\n".join(
            f"{path}\n{path.read_bytes().decode()}"
            for path in self.root.rglob("*")
            if path.is_file() and path.name != "template.txt"
        )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "template.txt").write_text("{label}\n")
    return Project(tmp_path)


def once(reply: Callable[[], Reply]) -> Callable[[Request], Reply]:
    """Misbehave on a label's first request only."""
    return lambda asked: reply() if asked.nth == 0 else good(asked.prompt)


def test_every_label_is_described_and_recorded(project: Project) -> None:
    with loopback() as server:
        found = project.describe(server, ["b", "a", "b"])
    assert found == {label: tuple(sentences(label).values()) for label in ("a", "b")}
    assert sorted(server.prompts) == ["a", "b"]
    assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)
    assert server.requests[0].body["response_format"]["type"] == "json_schema"
    record = next(record for record in project.kept() if record["label"] == "a")
    assert record["stages"] == sentences("a")
    assert (record["model"], record["answered_by"], record["server"]) == ("m", "loopback-2024", server.url)
    assert record["usage"] == {"prompt_tokens": 10, "completion_tokens": 5}
    assert len(record["prompt_digest"]) == 64
    assert record["created"].endswith("+00:00")
    assert project.recorded["answers"] == {
        "found": 0,
        "asked": 2,
        "prompt_tokens": 20,
        "completion_tokens": 10,
    }


def test_artifact_does_not_depend_on_order_server_or_history(project: Project) -> None:
    with loopback() as server:
        project.describe(server, ["a", "b", "c"])
        first = (project.artifact / "descriptions.json").read_bytes()
        project.describe(server, ["c", "b", "a"])
    assert (project.artifact / "descriptions.json").read_bytes() == first


def test_superset_pays_only_for_new_labels(project: Project) -> None:
    with loopback() as server:
        project.describe(server, ["a", "b"])
        project.describe(server, ["c", "b", "a"])
        assert sorted(server.prompts) == ["a", "b", "c"]
        project.describe(server, ["b"])
        assert len(server.requests) == 3
    with loopback() as elsewhere:
        project.describe(elsewhere, ["a", "b", "c"])
        assert elsewhere.requests == []


@pytest.mark.parametrize("setting", [{"model": "n"}, {"temperature": 0.5}, {"template": "other.txt"}])
def test_another_question_is_another_answer(project: Project, setting: dict[str, Any]) -> None:
    (project.root / "other.txt").write_text("Please: {label}")
    with loopback() as server:
        project.describe(server, ["a"])
        project.describe(server, ["a"], **setting)
        assert len(server.requests) == 2
        project.describe(server, ["a"])
        project.describe(server, ["a"], **setting)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        lambda: failure(429),
        lambda: failure(500),
        lambda: Reply(b"<html>bad gateway</html>", 502, {**AT_ONCE, "content-type": "text/html"}),
        lambda: failure(503),
        lambda: Reply(b"", reset=True),
        lambda: Reply(b'{"choices": [', headers={"content-length": "100"}),
        lambda: Reply(b"{}", delay=30),
        lambda: Reply(b'{"choices": ['),
        lambda: Reply(b"<html>hello</html>", headers={"content-type": "text/html"}),
        lambda: Reply(b"null"),
        lambda: Reply(b"[]"),
        lambda: Reply(b'{"choices": []}'),
        lambda: Reply(b'{"choices": null, "usage": 3, "model": null}'),
        lambda: Reply(b'{"choices": [{"message": null}]}'),
        lambda: Reply(completion("")),
        lambda: Reply(completion(None)),
        lambda: Reply(completion(["text"])),
        lambda: Reply(completion(None, refusal="I can't.")),
        lambda: Reply(completion('{"beginning": "a', finish_reason="length")),
        lambda: Reply(completion("", finish_reason="content_filter")),
        lambda: Reply(completion('{"beginning": "One.", "end": "Two."}')),
        lambda: Reply(completion("Sure! Here are three stages: one, two, three.")),
    ],
)
def test_trouble_is_retried(project: Project, reply: Callable[[], Reply]) -> None:
    with loopback(once(reply)) as server:
        found = project.describe(server, ["a"], patience=Patience(0.3, retries=1, attempts=2))
    assert found["a"] == tuple(sentences("a").values())
    assert server.prompts == ["a", "a"]


def test_retry_after_is_honoured(project: Project) -> None:
    with loopback(once(lambda: Reply(b"{}", 429, {"retry-after": "1"}))) as server:
        project.describe(server, ["a"])
    assert server.requests[1].time - server.requests[0].time >= 1


def test_slow_server_is_waited_for(project: Project) -> None:
    with loopback(lambda asked: Reply(good(asked.prompt).body, delay=0.5)) as server:
        assert project.describe(server, ["a"])
    assert len(server.requests) == 1


BROKEN: list[tuple[Callable[[], Reply], str, int]] = [
    (lambda: failure(500, "out of memory"), "HTTP 500: out of memory", 3),
    (lambda: failure(429, "slow down"), "HTTP 429: slow down", 3),
    (lambda: failure(400, "bad words"), "HTTP 400: bad words", 3),
    (lambda: Reply(completion(None, refusal="I cannot help.")), "the model refused: 'I cannot help.'", 2),
    (lambda: Reply(completion('["One.", "Two."]')), "has 2 stages instead of 3", 2),
    (lambda: Reply(completion("  ")), "the answer is empty", 2),
    (lambda: Reply(completion('{"beginning": ')), "the answer is not JSON", 2),
    (lambda: Reply(b"{"), "the reply is not JSON", 2),
    (lambda: Reply(b"", reset=True), "the connection failed", 3),
    (lambda: Reply(completion('["A.", "B.", "C."]', finish_reason="length")), "the answer was cut off", 2),
    (lambda: Reply(completion("", finish_reason="content_filter")), "content filter withheld", 2),
    (lambda: Reply(completion('["A.", "a.", "B."]')), "says the same for two stages", 2),
]


@pytest.mark.parametrize(("broken", "reason", "requests"), BROKEN)
def test_a_label_that_keeps_failing_is_listed_and_the_rest_kept(
    project: Project, broken: Callable[[], Reply], reason: str, requests: int
) -> None:
    labels = ["a", "b", "c", "odd one"]
    with loopback(lambda asked: broken() if asked.prompt == "odd one" else good(asked.prompt)) as server:
        with pytest.raises(PartialError) as caught:
            project.describe(server, labels)
        assert server.prompts.count("odd one") == requests
    assert caught.value.exit_code == 7
    assert "1 of 4 labels" in caught.value.message
    assert "'odd one'" in caught.value.message
    assert reason in caught.value.message
    assert not (project.artifact / "descriptions.json").exists()
    assert [record["label"] for record in project.kept()].count("odd one") == 0

    with loopback() as recovered:
        assert set(project.describe(recovered, labels)) == set(labels)
        assert recovered.prompts == ["odd one"]


def test_time_out_is_listed(project: Project) -> None:
    with (
        loopback(
            lambda asked: Reply(b"{}", delay=30) if asked.prompt == "a" else good(asked.prompt)
        ) as server,
        pytest.raises(PartialError, match=r"'a' \(no answer within 0.2 s\)"),
    ):
        project.describe(server, ["a", "b"], patience=Patience(timeout=0.2, retries=0))


def test_a_server_that_trickles_for_ever_meets_the_deadline(project: Project) -> None:
    with (
        loopback(lambda _: Reply(b"{}", trickle=True, headers={"content-length": "9999"})) as server,
        pytest.raises(PartialError, match=r"no answer within 0.5 s, all retries included"),
    ):
        project.describe(server, ["a"], patience=Patience(timeout=5, deadline=0.5))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (failure(401, f"Incorrect API key provided: {KEY}"), "refuses the key"),
        (failure(403, f"{KEY} is not yours"), "does not allow 'm'.*\\[key\\] is not yours"),
        (failure(404, "model 'm' not found"), "has no model 'm'.*model 'm' not found"),
        (failure(429, "pay", code="insufficient_quota"), "credit of this key is used up"),
    ],
)
def test_what_meets_every_label_stops_at_once(project: Project, reply: Reply, words: str) -> None:
    with loopback(lambda _: reply) as server:
        with pytest.raises(ConfigError, match=words) as caught:
            project.describe(server, [f"label {n}" for n in range(100)], concurrency=2)
        assert len(server.requests) <= 2 * (QUICK.retries + 1)
    assert caught.value.next_step
    assert KEY not in caught.value.message + caught.value.next_step


def test_answers_before_a_refusal_are_kept(project: Project) -> None:
    with loopback(lambda asked: failure(401) if asked.prompt == "c" else good(asked.prompt)) as server:
        with pytest.raises(ConfigError):
            project.describe(server, ["a", "b", "c", "d"], concurrency=1)
        assert server.prompts == ["a", "b", "c"]
    assert sorted(record["label"] for record in project.kept()) == ["a", "b"]


def test_no_server_at_all(project: Project) -> None:
    with loopback() as server:
        url = server.url
    with pytest.raises(ConfigError, match=f"cannot reach {url}") as caught:
        project.describe(url, ["a", "b"], patience=Patience(retries=0))
    assert "describe.base_url" in caught.value.next_step


def test_a_server_that_dies_is_not_asked_for_ever(project: Project) -> None:
    labels = [f"{n:03}" for n in range(100)]
    with (
        loopback(lambda asked: good(asked.prompt) if asked.prompt < "005" else failure(503)) as server,
        pytest.raises(PartialError, match="95 of 100 labels") as caught,
    ):
        project.describe(server, labels, concurrency=1, patience=Patience(retries=0))
    assert len(server.requests) == 5 + GIVE_UP_AFTER
    assert " and 90 more" in caught.value.message
    assert sum("not asked" in note for note in project.notes.said) == 85


def test_labels_that_fail_here_and_there_do_not_stop_the_run(project: Project) -> None:
    labels = [f"{n:03}" for n in range(3 * GIVE_UP_AFTER)]
    with (
        loopback(lambda asked: good(asked.prompt) if int(asked.prompt) % 3 == 0 else failure(500)) as server,
        pytest.raises(PartialError),
    ):
        project.describe(server, labels, concurrency=1, patience=Patience(retries=0))
    assert server.prompts == labels


@pytest.mark.parametrize("refused", [{"json_schema"}, {"json_schema", "json_object"}])
@pytest.mark.parametrize("status", [400, 422])
def test_the_form_that_a_server_has_is_found_once(project: Project, refused: set[str], status: int) -> None:
    def reply(asked: Request) -> Reply:
        form = asked.body.get("response_format", {"type": "text"})["type"]
        if form in refused:
            return failure(status, "response_format is not supported")
        return Reply(completion(f"```json\n{json.dumps(sentences(asked.prompt))}\n```"))

    with loopback(reply) as server:
        project.describe(server, ["a", "b", "c"], concurrency=1)
    assert server.prompts == ["a"] * (1 + len(refused)) + ["b", "c"]


def test_one_refused_prompt_does_not_lower_the_form(project: Project) -> None:
    with loopback(lambda asked: failure(400) if asked.prompt == "a" else good(asked.prompt)) as server:
        with pytest.raises(PartialError):
            project.describe(server, ["a", "b"], concurrency=1)
        assert server.requests[-1].body["response_format"]["type"] == "json_schema"


def test_at_most_so_many_requests_at_once(project: Project) -> None:
    with loopback(lambda asked: Reply(good(asked.prompt).body, delay=0.05)) as server:
        project.describe(server, [f"label {n}" for n in range(12)], concurrency=3)
    assert server.most_at_once == 3


def test_the_key_is_written_nowhere(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    def reply(asked: Request) -> Reply:
        if asked.prompt == "echo":
            content = json.dumps([f"Say {KEY}.", "Go.", "Stop."])
            return Reply(completion(content).replace(b"loopback", KEY.encode()))
        return failure(500, f"you sent Bearer {KEY}") if asked.prompt == "leak" else good(asked.prompt)

    with loopback(reply) as server, pytest.raises(PartialError) as caught:
        project.describe(server, ["echo", "leak", "a"])
    assert "Say [key]." in project.everything_written()
    shown = "".join(capfd.readouterr())
    for text in (project.everything_written(), str(caught.value), *project.notes.said, shown):
        assert KEY not in text


def test_password_in_the_address_is_written_nowhere(project: Project) -> None:
    with loopback() as server:
        url = server.url.replace("://", "://someone:hunter2@")
        project.describe(f"{url}?token=hunter2", ["a"])
        assert project.kept()[0]["server"] == server.url
    assert "hunter2" not in project.everything_written()
    with pytest.raises(ConfigError) as caught:
        project.describe(url, ["b"], patience=Patience(retries=0))
    assert "hunter2" not in caught.value.message


def test_no_key_is_needed_where_the_server_needs_none(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with loopback() as server:
        assert project.describe(server, ["a"])
    with loopback(lambda _: failure(401)) as server:
        with pytest.raises(ConfigError, match="wants a key, and there is none") as caught:
            project.describe(server, ["b"])
        assert "OPENAI_API_KEY" in caught.value.next_step


def test_openai_itself_needs_a_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        project.describe("", ["a"])


@pytest.mark.parametrize("key", ["sk-two words-0123", "sk-line\nbreak-0123", "sk-schlüssel-0123"])
def test_a_mangled_key_is_not_repeated(project: Project, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with loopback() as server, pytest.raises(ConfigError, match="characters that no key has") as caught:
        project.describe(server, ["a"])
    assert "sk-" not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_corrupt_record_is_set_aside_and_asked_again(project: Project, content: bytes) -> None:
    with loopback() as server:
        project.describe(server, ["a", "b"])
        path = next(
            path
            for path in (project.records / "describe").glob("*.json")
            if json.loads(path.read_bytes())["label"] == "a"
        )
        whole = path.read_bytes()
        path.write_bytes(content)
        project.describe(server, ["a", "b"])
        assert sorted(server.prompts) == ["a", "a", "b"]
    assert json.loads(path.read_bytes())["stages"] == json.loads(whole)["stages"]
    assert path.with_name(f"{path.name}.corrupt-1").read_bytes() == content
    assert any("'a' is corrupt" in note and "asked again" in note for note in project.notes.said)


def test_a_record_under_another_name_is_not_believed(project: Project) -> None:
    with loopback() as server:
        project.describe(server, ["a", "b"])
        one, other = (project.records / "describe").glob("*.json")
        one.write_bytes(other.read_bytes())
        assert project.describe(server, ["a", "b"])["a"] == tuple(sentences("a").values())
        assert len(server.requests) == 3


def test_two_runs_at_once_pay_once(project: Project) -> None:
    other = Project(project.root, artifact_name="elsewhere")
    with loopback(lambda asked: Reply(good(asked.prompt).body, delay=0.1)) as server:
        labels = [f"label {n}" for n in range(6)]
        thread = threading.Thread(target=other.describe, args=(server, labels))
        thread.start()
        project.describe(server, labels[::-1])
        thread.join()
        assert sorted(server.prompts) == labels


def test_nothing_is_asked_when_answers_cannot_be_kept(project: Project) -> None:
    project.records.parent.mkdir()
    project.records.write_text("a file where the folder should be")
    with loopback() as server, pytest.raises(InputError, match="cannot keep answers"):
        project.describe(server, ["a"])
    assert server.requests == []


def test_a_disk_that_fills_up_stops_the_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def fsync(handle: int) -> None:
        synced.append(handle)
        if len(synced) > 4:  # a record and its folder each
            raise OSError(28, "No space left on device")

    with loopback() as server:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(InputError, match="No space left on device"):
            project.describe(server, [f"label {n}" for n in range(50)], concurrency=1)
        assert len(server.requests) == 3
        assert len(project.kept()) == 2
        assert not list(project.records.rglob("*.partial"))
        monkeypatch.undo()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        project.describe(server, [f"label {n}" for n in range(4)])
        assert len(server.requests) == 3 + 2


def test_plan_names_the_calls_and_sends_nothing(project: Project) -> None:
    with loopback() as server:
        project.describe(server, ["a"])
        (damaged,) = (project.records / "describe").glob("*.json")
        plan = describe.plan(
            ["b", "a", "b"], project.config(server), records=project.records, root=project.root
        )
        assert (dict(plan.calls), plan.kept) == ({"b": "b"}, 1)
        damaged.write_text("{")
        plan = describe.plan(["a"], project.config(server), records=project.records, root=project.root)
        assert list(plan.calls) == ["a"]
        assert damaged.read_text() == "{"
        assert len(server.requests) == 1
