"""A language-model server that misbehaves: what is retried, what is listed, what stops the run."""

import asyncio
import html
import json
import os
import re
import socket
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from describing_project import KEY, QUICK, Project, make_project
from loopback_server import AT_ONCE, Reply, Request, completion, failure, good, loopback, sentences

from fsarctl.errors import ConfigError, InputError, PartialError
from fsarctl.stages import describe
from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.llm.asking import GIVE_UP_AFTER
from fsarctl.text.llm.retries import Patience


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return make_project(tmp_path, monkeypatch)


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
        "new": 2,
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
        lambda: Reply(good("a").body, torn=True),
        lambda: Reply(good("a").body, headers={"content-encoding": "gzip"}),
        lambda: Reply(b" " * 100_000, huge=True),
        lambda: Reply(b"\xff\xfe\xfa not text"),
        lambda: Reply(completion("").replace(b'"content": ""', b'"content": "\xe9"')),
        lambda: Reply(b"", 204),
        lambda: failure(408),
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
        lambda: Reply(completion(None, tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])),
        lambda: Reply(completion("<think>They want")),
        lambda: Reply(completion(None, refusal="I can't.")),
        lambda: Reply(completion('{"beginning": "a', finish_reason="length")),
        lambda: Reply(completion("", finish_reason="content_filter")),
        lambda: Reply(completion('{"beginning": "One.", "end": "Two."}')),
        lambda: Reply(completion("Sure! Here are three stages: one, two, three.")),
    ],
)
def test_trouble_is_retried(project: Project, reply: Callable[[], Reply]) -> None:
    limit_s = 1 if reply().delay else 60  # the second answer has to come within it, too
    with loopback(once(reply)) as server:
        found = project.describe(server, ["a"], patience=Patience(limit_s, retries=1, attempts=2))
    assert found["a"] == tuple(sentences("a").values())
    assert server.prompts == ["a", "a"]


def test_a_broken_answer_is_shown_to_the_model_with_what_was_wrong(project: Project) -> None:
    with loopback(once(lambda: Reply(completion("Sure: run, leap, land.")))) as server:
        project.describe(server, ["a"])
    question, answer, complaint = server.requests[1].body["messages"]
    assert (question["role"], question["content"]) == ("user", "a")
    assert (answer["role"], answer["content"]) == ("assistant", "Sure: run, leap, land.")
    assert complaint["role"] == "user"
    assert "the answer is not JSON: 'Sure: run, leap, land.'" in complaint["content"]
    assert project.kept()[0]["usage"] == {"prompt_tokens": 20, "completion_tokens": 10}


def test_an_answer_that_is_none_is_asked_for_in_the_same_words(project: Project) -> None:
    with loopback(once(lambda: Reply(completion(None, refusal="No.")))) as server:
        project.describe(server, ["a"])
    assert server.requests[1].body == server.requests[0].body


def test_an_answer_too_long_for_the_text_encoder_is_asked_for_again(project: Project) -> None:
    long = json.dumps(["Run up.", "Leap " + "0123456789 " * 12, "Land."])
    limit = CaptionLimit("ViT-B-16-quickgelu")
    with loopback(once(lambda: Reply(completion(long)))) as server:
        assert project.describe(server, ["a"], limit=limit)["a"] == tuple(sentences("a").values())
        complaint = server.requests[1].body["messages"][2]["content"]
        assert "the process makes " in complaint
        assert "ViT-B-16-quickgelu reads 77" in complaint
    with loopback(lambda _: Reply(completion(long))) as server:
        with pytest.raises(PartialError, match=r"'b'.*the process makes .* tokens with its label"):
            project.describe(server, ["b"], limit=limit)
        # without a limit it is kept, and what is kept is not asked again but refused with a way out
        project.describe(server, ["c"])
        server.requests.clear()
        with pytest.raises(InputError, match=r"1 of 1 description is too long: 'c' .*the process") as caught:
            project.describe(server, ["c"], limit=limit)
        assert "--edit" in caught.value.next_step
        assert server.requests == []


def test_tokens_of_labels_that_fail_are_counted_too(project: Project) -> None:
    def reply(asked: Request) -> Reply:
        return Reply(completion("no")) if asked.prompt == "b" else good(asked.prompt)

    with loopback(reply) as server, pytest.raises(PartialError):
        project.describe(server, ["a", "b"], price_in=2.0, price_out=10.0)
    # 10 + 5 tokens a reply: one for a, two attempts for b; 30 x 2 + 15 x 10 a million
    assert project.notes.said[-1] == (
        "0 descriptions were there, 1 is new (30 + 15 tokens, about 0.00021 at 2 and 10 a million), 1 failed"
    )


@pytest.mark.parametrize("usage", [b"null", b"{}", b'{"prompt_tokens": "3", "completion_tokens": 5}', b"[1]"])
def test_a_server_that_counts_no_tokens_says_nothing_of_their_number(project: Project, usage: bytes) -> None:
    counted = b'{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}'
    with loopback(lambda asked: Reply(good(asked.prompt).body.replace(counted, usage))) as server:
        project.describe(server, ["a"], price_in=2.0, price_out=10.0)
    assert "(the server counts no tokens)" in project.notes.said[-1]
    assert project.kept()[0]["usage"] is None


def test_content_in_parts_is_joined(project: Project) -> None:
    parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": json.dumps(sentences("a"))}]
    with loopback(lambda _: Reply(completion(parts))) as server:
        assert project.describe(server, ["a"])["a"] == tuple(sentences("a").values())


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_an_answer_that_a_server_takes_for_a_thought_is_read(project: Project, name: str) -> None:
    told = json.dumps(sentences("a"))
    for content in (None, "", "\n"):
        with loopback(lambda _, content=content: Reply(completion(content, **{name: told}))) as server:
            assert project.describe(server, ["a"])["a"] == tuple(sentences("a").values())


def test_any_content_type_and_a_thinking_models_answer_are_read(project: Project) -> None:
    text = f"<think>Three stages.</think>\n```json\n{json.dumps(sentences('a'))}\n```"
    reply = Reply(completion(text, reasoning_content="Hm."), headers={"content-type": "text/html"})
    with loopback(lambda _: reply) as server:
        assert project.describe(server, ["a"])["a"] == tuple(sentences("a").values())
        assert len(server.requests) == 1


def test_the_library_describes_without_the_pipeline(project: Project) -> None:
    from fsarctl.text.llm import Records, Server, describe, prompt_of, read_template

    template = read_template(project.root / "template.txt")
    with loopback() as loop:
        server = Server(loop.url, "my-model")
        records = Records(project.root / "answers", server.model, server.temperature)
        described = describe({"x": prompt_of(template, "long jump")}, server, records)
    assert described.sub_actions == {"x": tuple(sentences("long jump").values())}
    assert described.failed == {}


def test_within_a_notebooks_event_loop(project: Project) -> None:
    async def cell() -> object:
        return project.describe(server, ["a"])

    with loopback() as server:
        assert asyncio.run(cell()) == {"a": tuple(sentences("a").values())}


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
    (lambda: Reply(b"<!DOCTYPE html><title>Sign in</title>"), "the reply is an HTML page", 2),
    (lambda: Reply(b"<html><title>Bad gateway</title>...", 502, AT_ONCE), "HTTP 502: Bad gateway", 3),
    (lambda: Reply(b'{"error": "busy"}', 503, AT_ONCE), "HTTP 503: busy", 3),
    (lambda: Reply(b'{"detail": "no"}', 503, AT_ONCE), "HTTP 503: no", 3),
    (lambda: Reply(b" " * 100_000, huge=True), "the reply is larger than 8 MB", 2),
    (lambda: Reply(b" " * 100_000, 500, huge=True), "the reply is larger than 8 MB", 2),
    (lambda: Reply(b"\xff\xfe\xfa"), "the reply is not UTF-8 text", 2),
    (lambda: Reply(b"\xff", 500, AT_ONCE), "HTTP 500: ", 3),
    (lambda: Reply(good("a").body, torn=True), "the connection broke off (RemoteProtocolError)", 3),
    (lambda: Reply(completion("<think>Hm")), "a thought without an end", 2),
    (
        lambda: Reply(completion(None, tool_calls=[{"function": {"name": "f"}}])),
        "the model called a tool instead of answering",
        2,
    ),
    (lambda: Reply(b"{}", 429, {"retry-after": "7200"}), "HTTP 429, it asks to wait 7200 s", 1),
    (lambda: Reply(b"", reset=True), "the connection broke off", 3),
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
        pytest.raises(PartialError, match=r"'a' \(no answer within 0.5 s\)"),
    ):
        project.describe(server, ["a", "b"], patience=Patience(timeout=0.5, retries=1))


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
        (failure(402, "Insufficient Balance"), "credit of this key is used up.*Insufficient Balance"),
        (failure(405, "Method Not Allowed"), "is not the right address"),
        (
            failure(400, "'temperature' does not support 0 with this model, only 1"),
            "'m' does not take this temperature: HTTP 400: 'temperature' does not support 0",
        ),
        (
            failure(400, "Unsupported value: 'temperature' does not support 0.", code="unsupported_value"),
            "'m' does not take this temperature",
        ),
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
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        with pytest.raises(ConfigError, match=f"cannot reach {url}: the connection is refused") as caught:
            project.describe(url, ["a", "b"], patience=Patience(retries=0))
    assert caught.value.next_step == "Start the server, or correct describe.base_url."


@pytest.mark.parametrize(
    ("reply", "secure", "says", "step"),
    [
        (
            Reply(b"", reset=True),
            False,
            "but gives no whole answer: the connection broke off",
            "http or https",
        ),
        (
            Reply(b"{}", torn=True),
            False,
            "but gives no whole answer: the connection broke off",
            "server's log",
        ),
        (Reply(b"{}", delay=30), False, "but there is no answer within 0.5 s", "--time-limit"),
        (Reply(b"{}"), True, "but gives no whole answer: https fails", "http or https"),
    ],
)
def test_a_server_that_takes_the_connection_is_there(
    project: Project, reply: Reply, secure: bool, says: str, step: str
) -> None:
    patience = Patience(timeout=0.5 if reply.delay else 60, retries=0)
    with loopback(lambda _: reply) as server:
        url = server.url.replace("http", "https") if secure else server.url
        with pytest.raises(ConfigError, match=f"^{url} takes the connection, {says}") as caught:
            project.describe(url, ["a", "b"], patience=patience)
    assert step in caught.value.next_step
    assert "Start the server" not in caught.value.next_step


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


ECHOES: list[Callable[[str], Reply]] = [
    lambda header: failure(500, header),
    lambda header: failure(401, header),
    lambda header: failure(400, f"headers were {{'authorization': {header!r}}}"),
    lambda header: Reply(f"<html><title>{header}</title>".encode(), 502, AT_ONCE),
    lambda header: Reply(json.dumps({"error": header}).encode(), 503, AT_ONCE),
    lambda header: Reply(json.dumps({"error": {"message": {"you": header}, "code": header}}).encode(), 422),
    lambda header: Reply(header.encode(), 200),
    lambda header: Reply(b"", 307, {"location": f"/v2/chat/completions?key={header}"}),
    lambda header: Reply(b"", 307, {"location": f"http://{header.split()[1]}/v1"}),
    lambda header: Reply(completion(None, refusal=header)),
    lambda header: Reply(completion(header)),
    lambda header: Reply(completion(json.dumps({header: 1}))),
    lambda header: Reply(completion(json.dumps([header, "Go.", "Stop."]))),
    lambda header: Reply(
        completion("".join(f"\\u{ord(letter):04x}" for letter in header).join(['["', '","B.","C."]']))
    ),
]


@pytest.mark.parametrize("echo", ECHOES)
def test_a_key_that_a_server_repeats_is_shown_and_written_nowhere(
    project: Project, echo: Callable[[str], Reply], capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""
    with loopback(lambda asked: echo(asked.headers["authorization"])) as server:
        try:
            project.describe(server, ["a"], patience=Patience(retries=0, attempts=2))
        except (ConfigError, PartialError) as error:
            said = "".join(traceback.format_exception(error)) + error.next_step
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    for text in (said, project.everything_written(), *project.notes.said, *capfd.readouterr()):
        assert KEY not in text


def test_a_redirect_is_named_and_not_followed(project: Project) -> None:
    with loopback() as elsewhere:
        location = {"location": f"{elsewhere.url}/chat/completions?token=x"}
        for status in (301, 302, 303, 307, 308):
            with loopback(lambda _, status=status: Reply(b"", status, location)) as server:
                with pytest.raises(
                    ConfigError, match=f"redirects to another address: {elsewhere.url}$"
                ) as caught:
                    project.describe(server, ["a", "b"])
                assert "describe.base_url" in caught.value.next_step
                assert len(server.requests) == 1
        assert elsewhere.requests == []


def test_password_in_the_address_is_written_nowhere(project: Project) -> None:
    with loopback() as server:
        url = server.url.replace("://", "://someone:hunter2@")
        project.describe(f"{url}?token=hunter2", ["a"])
        assert project.kept()[0]["server"] == server.url
    assert "hunter2" not in project.everything_written()
    with pytest.raises(ConfigError) as caught:
        project.describe(url, ["b"], patience=Patience(retries=0))
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_not_taken_for_a_missing_key(
    project: Project, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    for key in ("", KEY):  # where there is a login no key is sent
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with (
            loopback(lambda _: failure(status)) as server,
            pytest.raises(ConfigError, match=r"the login in describe\.base_url") as caught,
        ):
            project.describe(server.url.replace("://", "://me:hunter2@"), ["a"])
        assert "OPENAI_API_KEY" not in caught.value.next_step
        assert "in describe.base_url" in caught.value.next_step


LOGINS = ["tok3n", "tok3n:", "me:pw1", "me:p%40ss%2Fw%C3%BCrd", "me:a+b", "t0k%2b%22%3Cn:x-oauth"]


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("query", ["api-key=abc12&v=2", "api-key=a%2Bb%20c9", "s3cret"])
def test_what_the_address_holds_is_repeated_in_no_spelling(project: Project, login: str, query: str) -> None:
    user, _, password = login.partition(":")
    fields = [field.partition("=")[2] or field for field in query.split("&")]
    written = [each for each in (user, password, *fields) if each and each != "2"]
    meant = {*map(unquote, (user, password)), *map(unquote_plus, fields)} - {"", "2"}
    spelled = {way(each) for each in meant for way in (str, quote, quote_plus, html.escape)}
    spelled |= {each.lower() for each in spelled} | set(written)
    echoes: list[Callable[[Request], Reply]] = [
        lambda asked: failure(400, f"no access: {' , '.join(spelled)}; {asked.authorization} ?{asked.query}"),
        lambda asked: Reply(completion(json.dumps([" ".join(spelled)[:50], "Go.", asked.authorization]))),
        lambda asked: Reply(b"", 307, {"location": f"/x/{quote(user)}/{quote_plus(password)}?{query}"}),
        lambda asked: Reply(completion(None, refusal=" ".join(spelled))),
    ]
    for number, told in enumerate(echoes):
        said = ""
        with loopback(told) as server:
            url = server.url.replace("://", f"://{login}@") + f"?{query}"
            try:
                project.describe(url, [f"label {number}"], patience=Patience(retries=0, attempts=1))
            except (ConfigError, PartialError) as error:
                said = f"{error} {error.next_step}"
            sent = server.requests[0].authorization.removeprefix("Basic ")
        for text in (said, project.everything_written(), *project.notes.said):
            words = set(re.split(r"[ ,;()'?&=/]+", text))
            assert sent not in text
            # a description may say "me"
            assert not words & (spelled - {"me"}), text


def test_a_word_of_the_address_stays_a_word_in_a_description(project: Project) -> None:
    told = ["Someone stands.", "Someone raises 2 arms.", "Someone is done."]
    with loopback(lambda _: Reply(completion(json.dumps(told)))) as server:
        url = server.url.replace("://", "://Someone:arms@") + "?v=2"
        assert project.describe(url, ["a"])["a"] == tuple(told)


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
        if len(synced) > 5:  # a record and its folder each, and the form of answers once
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
