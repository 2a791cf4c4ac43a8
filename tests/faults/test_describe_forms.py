"""Which form of answer a server has: how servers say no, and what is remembered of it."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from describing_project import Project, make_project
from loopback_server import AT_ONCE, Loopback, Reply, Request, completion, good, loopback, sentences

from fsarctl.artifacts.unfinished.sealed import sealed_json
from fsarctl.errors import ConfigError, PartialError
from fsarctl.text.llm.retries import Patience

SCHEMA, OBJECT, TEXT = "json_schema", "json_object", "text"
ONE_TRY = Patience(timeout=5, retries=1)
THREE_ANSWERS = Patience(timeout=5, attempts=3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return make_project(tmp_path, monkeypatch)


def form_of(asked: Request) -> str:
    return str(asked.body.get("response_format", {"type": TEXT})["type"])


def forms(server: Loopback) -> list[str]:
    """The form of each request, in order; the server is then as if never asked."""
    asked = [form_of(request) for request in server.requests]
    server.requests.clear()
    return asked


def refusing(refusal: Callable[[], Reply], *refused: str) -> Callable[[Request], Reply]:
    """Answer like ``good``, in a fence where plain text is asked for, and refuse some forms."""

    def reply(asked: Request) -> Reply:
        if form_of(asked) in refused:
            return refusal()
        answer = json.dumps(sentences(asked.prompt))
        return Reply(completion(f"```json\n{answer}\n```" if form_of(asked) == TEXT else answer))

    return reply


def says(status: int, body: Any) -> Callable[[], Reply]:
    return lambda: Reply(json.dumps(body).encode(), status, AT_ONCE)


# How each kind of server words it that it has no such form.
REFUSALS = {
    "vllm": says(400, {"object": "error", "message": "guided decoding is off", "code": 400}),
    "openai": says(
        400,
        {
            "error": {
                "message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported.",
                "type": "invalid_request_error",
                "param": "response_format",
                "code": None,
            }
        },
    ),
    "lm studio": says(400, {"error": "'response_format.type' must be 'text'"}),
    "llama.cpp": says(400, {"error": {"code": 400, "message": "response_format type must be one of"}}),
    "tgi": says(422, {"error": "unknown variant", "error_type": "validation"}),
    "fastapi": says(422, {"detail": [{"loc": ["body", "response_format"], "msg": "Input should be 'text'"}]}),
    "a proxy": says(
        404, {"error": {"message": "No endpoints found that can handle the requested parameters"}}
    ),
    "its own fault": says(500, {"error": {"message": "json_schema conversion failed", "code": 500}}),
    "not implemented": says(501, {}),
    "no body": lambda: Reply(b"", 400),
}


@pytest.mark.parametrize("refused", [(SCHEMA,), (SCHEMA, OBJECT)])
@pytest.mark.parametrize("words", REFUSALS)
def test_a_refused_form_is_found_out_once(project: Project, words: str, refused: tuple[str, ...]) -> None:
    settled = (SCHEMA, OBJECT, TEXT)[len(refused)]
    with loopback(refusing(REFUSALS[words], *refused)) as server:
        project.describe(server, [f"label {n}" for n in range(6)], concurrency=3)
        assert forms(server) == [*refused, *[settled] * 6]
    assert project.forms() == [settled]
    assert {record["form"] for record in project.kept()} == {settled}


def test_what_was_found_out_is_remembered_across_runs(project: Project) -> None:
    with loopback(refusing(REFUSALS["openai"], SCHEMA)) as server:
        project.describe(server, ["a"])
        assert forms(server) == [SCHEMA, OBJECT]
        project.describe(server, ["b"])
        assert forms(server) == [OBJECT]
        project.describe(server, ["b"], model="another")
        assert forms(server) == [SCHEMA, OBJECT]
    with loopback() as elsewhere:
        project.describe(elsewhere, ["c"])
        assert forms(elsewhere) == [SCHEMA]
    assert sorted(project.forms()) == [OBJECT, OBJECT, SCHEMA]


@pytest.mark.parametrize(("before", "after"), [((), (SCHEMA,)), ((SCHEMA,), (SCHEMA, OBJECT))])
def test_a_server_that_lost_a_form_is_found_out(
    project: Project, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    had, has = ((SCHEMA, OBJECT, TEXT)[len(refused)] for refused in (before, after))
    refused = before
    with loopback(lambda asked: refusing(REFUSALS["vllm"], *refused)(asked)) as server:
        project.describe(server, ["a"])
        forms(server)
        refused = after
        project.describe(server, ["b", "c"], concurrency=1)
        assert forms(server) == [had, has, has]
    assert project.forms() == [has]


def found_out(path: Path, days: float) -> str:
    """Make what is remembered so many days old; when that was."""
    known = json.loads(path.read_bytes())
    known.pop("seal")
    known["found"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    path.write_bytes(sealed_json(known, path.name))
    return str(known["found"])


def test_a_server_that_got_better_is_found_out_after_a_week(project: Project) -> None:
    refused: tuple[str, ...] = (SCHEMA,)
    with loopback(lambda asked: refusing(REFUSALS["vllm"], *refused)(asked)) as server:
        project.describe(server, ["a"])
        refused = ()
        forms(server)
        (path,) = (project.records / "describe" / "servers").glob("*.json")
        for days, asked in ((6.9, OBJECT), (7.1, SCHEMA)):
            found_out(path, days)
            project.describe(server, [f"after {days} days"])
            assert forms(server) == [asked]
    assert project.forms() == [SCHEMA]


def test_using_a_remembered_form_does_not_make_it_younger(project: Project) -> None:
    with loopback(refusing(REFUSALS["vllm"], SCHEMA)) as server:
        project.describe(server, ["a"])
        (path,) = (project.records / "describe" / "servers").glob("*.json")
        old = found_out(path, 5)
        project.describe(server, ["b"])
    assert json.loads(path.read_bytes())["found"] == old


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b'{"form": "json_object"}', b"[" * 100_000]
)
def test_a_broken_memory_is_no_more_than_forgotten(project: Project, content: bytes) -> None:
    with loopback() as server:
        project.describe(server, ["a"])
        (path,) = (project.records / "describe" / "servers").glob("*.json")
        path.write_bytes(content)
        project.describe(server, ["b"])
        assert forms(server) == [SCHEMA, SCHEMA]
    assert project.forms() == [SCHEMA]


def test_a_memory_that_cannot_be_written_stops_nothing(project: Project) -> None:
    (project.records / "describe").mkdir(parents=True)
    (project.records / "describe" / "servers").write_text("a file where the folder should be")
    with loopback() as server:
        assert project.describe(server, ["a"])


def test_a_server_that_pays_no_attention_to_the_form_is_asked_in_another(project: Project) -> None:
    def reply(asked: Request) -> Reply:
        """As servers do that break on a schema: an empty answer, whatever is asked."""
        return good(asked.prompt) if form_of(asked) == OBJECT else Reply(completion(""))

    with loopback(reply) as server:
        project.describe(server, ["a", "b", "c"], concurrency=1, patience=THREE_ANSWERS)
        assert forms(server) == [SCHEMA, SCHEMA, OBJECT, OBJECT, OBJECT]
    assert project.forms() == [OBJECT]


def test_a_model_that_is_no_good_in_any_form_is_asked_in_all(project: Project) -> None:
    with loopback(lambda _: Reply(completion("no"))) as server, pytest.raises(PartialError):
        project.describe(server, ["a", "b"], concurrency=1, patience=THREE_ANSWERS)
    assert forms(server) == [SCHEMA, SCHEMA, OBJECT, OBJECT, OBJECT, TEXT]
    assert project.forms() == []


def test_one_broken_answer_does_not_lower_the_form(project: Project) -> None:
    def reply(asked: Request) -> Reply:
        return Reply(completion("no")) if asked.prompt == "b" else good(asked.prompt)

    with loopback(reply) as server, pytest.raises(PartialError):
        project.describe(server, ["a", "b", "c"], concurrency=1, patience=THREE_ANSWERS)
    assert forms(server) == [SCHEMA] * (1 + 3 + 1)


def test_a_server_that_falls_over_a_form_is_asked_in_the_next(project: Project) -> None:
    with loopback(refusing(says(500, {}), SCHEMA)) as server:
        project.describe(server, ["a", "b"], concurrency=1, patience=ONE_TRY)
        assert forms(server) == [SCHEMA, SCHEMA, OBJECT, OBJECT]


def test_a_server_that_is_busy_is_not_asked_in_a_lesser_form(project: Project) -> None:
    with loopback(refusing(says(503, {}), SCHEMA)) as server, pytest.raises(PartialError, match="HTTP 503"):
        project.describe(server, ["a"], patience=ONE_TRY)
    assert forms(server) == [SCHEMA, SCHEMA]


def test_one_refused_prompt_does_not_lower_the_form(project: Project) -> None:
    def reply(asked: Request) -> Reply:
        return REFUSALS["no body"]() if asked.prompt == "b" else good(asked.prompt)

    with loopback(reply) as server, pytest.raises(PartialError, match="'b'"):
        project.describe(server, ["a", "b", "c"], concurrency=1)
    assert forms(server) == [SCHEMA, SCHEMA, OBJECT, TEXT, SCHEMA]


def test_labels_that_need_a_lesser_form_one_after_the_other_lower_it(project: Project) -> None:
    def reply(asked: Request) -> Reply:
        refuses = asked.prompt > "a" and form_of(asked) == SCHEMA
        return REFUSALS["no body"]() if refuses else good(asked.prompt)

    with loopback(reply) as server:
        project.describe(server, ["a", "b", "c", "d"], concurrency=1)
    assert forms(server) == [SCHEMA, SCHEMA, OBJECT, SCHEMA, OBJECT, OBJECT]
    assert project.forms() == [OBJECT]


def test_a_missing_model_is_not_taken_for_a_missing_form(project: Project) -> None:
    missing = says(404, {"error": {"message": "The model 'm' does not exist"}})
    with loopback(lambda _: missing()) as server, pytest.raises(ConfigError, match="has no model 'm'"):
        project.describe(server, ["a"])
    assert forms(server) == [SCHEMA]


UNTAKEN = {
    "openai": (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'temperature' is not supported with this model.",
                "param": "temperature",
                "code": "unsupported_parameter",
            }
        },
    ),
    "fastapi": (
        422,
        {"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]},
    ),
    "words": (400, {"error": "unknown field: temperature"}),
    "deprecated": (400, {"error": {"message": "`temperature` is deprecated for this model."}}),
    "within 200": (200, {"error": {"message": "temperature may not be set: unexpected argument"}}),
}


@pytest.mark.parametrize("words", UNTAKEN)
def test_a_parameter_that_must_not_be_sent_is_left_out_and_that_is_remembered(
    project: Project, words: str
) -> None:
    refusal = says(*UNTAKEN[words])
    reply = lambda asked: refusal() if "temperature" in asked.body else good(asked.prompt)  # noqa: E731
    with loopback(reply) as server:
        project.describe(server, ["a", "b", "c"], concurrency=3)
        assert ["temperature" in asked.body for asked in server.requests] == [True, False, False, False]
        assert {form_of(asked) for asked in server.requests} == {SCHEMA}
        assert any("takes no temperature" in note for note in project.notes.said)
        server.requests.clear()
        project.describe(server, ["d"])
        assert ["temperature" in asked.body for asked in server.requests] == [False]
        project.describe(server, ["a"])  # the same question as before
        assert len(server.requests) == 1


def test_labels_in_flight_are_asked_again_without_what_another_found_out(project: Project) -> None:
    """A server that starts to refuse a parameter in the middle: each label under way meets that."""
    refusal = says(*UNTAKEN["openai"])

    def reply(asked: Request) -> Reply:
        refused = asked.prompt > "a" and "temperature" in asked.body
        return Reply(refusal().body, 400, delay=0.05) if refused else good(asked.prompt)

    with loopback(reply) as server:
        assert len(project.describe(server, ["a", "b", "c", "d"], concurrency=3)) == 4


def test_a_temperature_of_none_is_not_sent_and_is_another_question(project: Project) -> None:
    with loopback() as server:
        project.describe(server, ["a"])
        project.describe(server, ["a"], temperature="none")
        assert ["temperature" in asked.body for asked in server.requests] == [True, False]
        project.describe(server, ["a"], temperature="none")
        assert len(server.requests) == 2


def test_the_longest_answer_is_asked_for_by_the_name_that_the_server_knows(project: Project) -> None:
    instead = says(
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                "param": "max_tokens",
            }
        },
    )

    def names(server: Loopback) -> list[list[str]]:
        sent = [[name for name in asked.body if "tokens" in name] for asked in server.requests]
        server.requests.clear()
        return sent

    with loopback(lambda asked: instead() if "max_tokens" in asked.body else good(asked.prompt)) as server:
        project.describe(server, ["a", "b"], max_tokens=900, concurrency=1)
        assert server.requests[-1].body["max_completion_tokens"] == 900
        assert names(server) == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]
        project.describe(server, ["c"], max_tokens=900)
        assert names(server) == [["max_completion_tokens"]]
        project.describe(server, ["a", "d"])  # an answer that was kept does not depend on it
        assert names(server) == [[]]
    large = says(400, {"error": {"message": "max_tokens is too large: 900. At most 512 are supported."}})
    with loopback(lambda _: large()) as server, pytest.raises(ConfigError, match=r"describe\.max_tokens"):
        project.describe(server, ["x"], max_tokens=900)


def test_an_answer_that_is_always_cut_off_is_helped_by_a_setting(project: Project) -> None:
    def reply(asked: Request) -> Reply:
        enough = asked.body.get("max_tokens", 100) >= 4000
        return good(asked.prompt) if enough else Reply(completion('{"begin', finish_reason="length"))

    with loopback(reply) as server:
        with pytest.raises(ConfigError, match="cut off") as caught:
            project.describe(server, [f"label {n}" for n in range(9)])
        (setting,) = re.findall(r"--set describe\.(max_tokens)=(\d+)", caught.value.next_step)
        assert project.describe(server, ["label 1"], **{setting[0]: int(setting[1])})


def test_the_form_is_in_no_key(project: Project) -> None:
    def key() -> str:
        return json.dumps(project.unit(server, ["a"]).config)

    with loopback(refusing(REFUSALS["vllm"], SCHEMA, OBJECT)) as server:
        before = key()
        project.describe(server, ["a"])
        assert key() == before
    assert project.forms() == [TEXT]


def test_labels_after_the_first_do_not_wait_for_one_that_is_in_trouble(project: Project) -> None:
    """A first label whose requests fail holds up nobody: the others are answered meanwhile."""
    order: list[str] = []

    def reply(asked: Request) -> Reply:
        if asked.prompt == "a" and asked.nth == 0:
            return Reply(b"{}", 503, {"retry-after": "1"})
        order.append(asked.prompt)
        return good(asked.prompt)

    with loopback(reply) as server:
        project.describe(server, ["a", "b", "c"], concurrency=2)
    assert order == ["b", "c", "a"]
