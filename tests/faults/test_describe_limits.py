"""Servers that refuse: errors wherever they stand in a reply, rate limits on a clock of the test's own."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from describing_project import QUICK, Project, make_project
from loopback_server import Loopback, Reply, Request, completion, good, loopback

from fsarctl.errors import ConfigError, PartialError
from fsarctl.text.llm import asking, rate_limit
from fsarctl.text.llm.asking import GIVE_UP_AFTER
from fsarctl.text.llm.retries import Patience

LABELS = [f"label {n:02}" for n in range(40)]
MINUTELY = "Rate limit exceeded: 15 per minute"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return make_project(tmp_path, monkeypatch)


@dataclass
class Clock:
    """Time that passes when somebody waits, and by itself ten milliseconds a request."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limit, "now", clock.now)
    for module in (rate_limit, asking):
        monkeypatch.setattr(module, "sleep", clock.sleep)
    return clock


def says(body: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps(body).encode(), status, named)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


SAYS: dict[str, tuple[Reply, str]] = {
    "a string": (
        says({"error": "Unexpected endpoint or method. (POST /v1)"}),
        "Unexpected endpoint or method",
    ),
    "no reason that is known": (says(error("The gateway is misconfigured")), "The gateway is misconfigured"),
    "an error of fastapi": (says({"detail": "Unknown tenant"}), "Unknown tenant"),
    "a list of errors": (
        says({"errors": [{"code": 7003, "message": "No route for that URI"}]}),
        "No route for",
    ),
    "codes of its own": (
        says({"error_code": 6, "error_msg": "No permission to access data"}),
        "No permission",
    ),
    "a code beside": (
        says({"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}),
        "invalid params",
    ),
    "a fault": (says({"fault": {"faultstring": "Policy violated"}}), "Policy violated"),
    "beside no choices": (says({"choices": None, **error("Backend is gone")}), "Backend is gone"),
    "in the choice": (
        says({"choices": [{"error": {"message": "Provider failed"}, "message": {"content": ""}}]}),
        "Provider failed",
    ),
    "with its status": (says(error("No endpoints for m", code=404)), "No endpoints for m"),
    "a status as text": (
        says({"code": "401", "message": "Token is not known"}),
        "refuses the key.*Token is not",
    ),
    "of the model": (
        says(error("m is not a valid model ID", code=400), 400),
        "has no model 'm'.*not a valid",
    ),
    "a key, in a list": (
        says([error("API key not valid. Pass another.", status="INVALID_ARGUMENT", code=400)], 400),
        "refuses the key.*: API key not valid",
    ),
    "words with 401": (
        says(error("You must be a member of an organization", code="no_org"), 401),
        "be a member",
    ),
    "a page": (Reply(b"<!doctype html><title>Web UI</title>"), r"an HTML page \('Web UI'\)"),
    "nothing": (Reply(b"{}"), "the reply holds no message"),
    "complaints about fields": (
        says({"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}, 422),
        "body.messages: Field required",
    ),
    "passed on": (
        says(error("Provider returned error", code=502, metadata={"raw": "upstream is down"})),
        "Provider returned error: upstream is down",
    ),
    "no JSON from the model": (Reply(completion("I am a poem.")), "not JSON: 'I am a poem.'"),
}


@pytest.mark.parametrize("name", SAYS)
def test_what_meets_every_label_stops_after_a_few_in_the_servers_words(
    name: str, project: Project, clock: Clock
) -> None:
    reply, words = SAYS[name]
    with loopback(lambda _: reply) as server:
        with pytest.raises(ConfigError, match=words) as caught:
            project.describe(server, LABELS, patience=QUICK)
        assert len(set(server.prompts)) <= 6
    assert caught.value.next_step


def test_a_label_list_that_was_described_before_is_not_given_up_so_soon(project: Project) -> None:
    with loopback(
        lambda asked: good(asked.prompt) if asked.prompt == "a" else Reply(completion("no"))
    ) as server:
        with pytest.raises(PartialError, match="7 of 8 labels"):
            project.describe(server, ["a", *LABELS[:7]])
        with pytest.raises(PartialError, match="7 of 8 labels"):
            project.describe(server, ["a", *LABELS[:7]])


@dataclass
class Limited:
    """A server that takes ``most`` requests in each minute of the clock, or as a bucket that refills."""

    clock: Clock
    refusal: Callable[[float], Reply]
    """Given the seconds until it takes the next request."""
    most: int = 15
    bucket: bool = False
    headers: Callable[[int, float], dict[str, str]] = lambda left, reset: {}
    tokens: float = 15.0
    since: float = 0.0
    refused: int = 0

    def __call__(self, asked: Request) -> Reply:
        clock = self.clock
        clock.seconds += 0.01
        if self.bucket:
            self.tokens = min(self.most, self.tokens + (clock.seconds - self.since) * self.most / 60)
            self.since, wait = clock.seconds, (1 - self.tokens) * 60 / self.most
        elif clock.seconds - self.since >= 60:
            self.tokens, self.since, wait = self.most, clock.seconds, 0.0
        else:
            wait = self.since + 60 - clock.seconds
        if self.tokens < 1:
            self.refused += 1
            return self.refusal(wait)
        self.tokens -= 1
        return Reply(good(asked.prompt).body, headers=self.headers(int(self.tokens), wait))


LIMITS: dict[str, Callable[[float], Reply]] = {
    "nothing": lambda wait: says(error("slow down"), 429),
    "Retry-After": lambda wait: says(error("slow down"), 429, retry_after=f"{wait:.0f}"),
    "Google's field": lambda wait: says(
        [error("Quota exceeded.", code=429, details=[{"@type": "RetryInfo", "retryDelay": f"{wait:.1f}s"}])],
        429,
    ),
    "words": lambda wait: says(error(f"{MINUTELY}. Please try again in {wait:.3f}s."), 429),
    "headers": lambda wait: says(
        error("slow down"), 429, x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests=f"{wait:.2f}s"
    ),
    "an error in 200": lambda wait: says(error(MINUTELY, code=429), retry_after=f"{wait + 1:.0f}"),
    "an error in 200 without a code": lambda wait: says({"error": MINUTELY}),
    "403": lambda wait: says({"message": "API rate limit exceeded for user"}, 403),
}


@pytest.mark.parametrize(
    ("name", "bucket"),
    # How long to wait is said in many ways; a bucket differs where it is said, or not.
    [*((name, False) for name in LIMITS), *((name, True) for name in ("nothing", "Retry-After", "headers"))],
)
def test_a_rate_limit_is_waited_for_however_it_is_said(
    name: str, bucket: bool, project: Project, clock: Clock
) -> None:
    labels = [f"label {n}" for n in range(35)]
    limited = Limited(clock, LIMITS[name], bucket=bucket)
    with loopback(limited) as server:
        assert len(project.describe(server, labels, patience=Patience(timeout=5), concurrency=8)) == 35
    assert clock.seconds < 20 * 60
    assert limited.refused < 35
    if name == "Retry-After" and not bucket:
        (first, *_) = (note for note in project.notes.said if "rate limit" in note)
        # Fifteen in a minute, so twenty in four thirds of one; fewer where an answer is still under way.
        found = re.match(
            r"the server's rate limit \(slow down\): going on in 60 s; (\d+) labels more will take", first
        )
        assert found
        assert 20 <= int(found[1]) <= 20 + 8
        assert first.endswith("will take about 80 s") or int(found[1]) > 20


def test_a_limit_that_is_used_up_is_not_run_into(project: Project, clock: Clock) -> None:
    def headers(left: int, reset: float) -> dict[str, str]:
        return {"X-RateLimit-Remaining-Requests": str(left), "X-RateLimit-Reset-Requests": f"{reset:.3f}s"}

    limited = Limited(clock, LIMITS["nothing"], headers=headers)
    with loopback(limited) as server:
        project.describe(server, [f"label {n}" for n in range(35)], concurrency=1)
    assert limited.refused == 0


def test_a_limit_of_hours_ends_the_run_and_says_when_to_come_back(project: Project, clock: Clock) -> None:
    daily = says(error("Daily quota used up"), 429, retry_after="7200")
    with loopback(lambda asked: good(asked.prompt) if asked.prompt < "label 10" else daily) as server:
        with pytest.raises(
            PartialError, match=r"30 of 40 labels.*Daily quota used up, it asks to wait 7200 s"
        ) as caught:
            project.describe(server, LABELS, concurrency=4)
        assert len(server.requests) <= 10 + 4
    assert sum("not asked: the server asks to wait 7200 s" in note for note in project.notes.said) >= 26
    assert "Run again in 2.0 h: 10 answers are kept, and only what failed is asked" in caught.value.next_step
    assert "--until-done" in caught.value.next_step


def test_until_done_waits_for_hours(project: Project, clock: Clock) -> None:
    limited = Limited(clock, lambda wait: says(error("Daily"), 429, retry_after="7200"), most=10)
    with loopback(limited) as server:
        project.describe(server, LABELS, patience=Patience(until_done=True))
    # Once at least; whether the pace that it keeps from then on meets the limit again is a matter of threads.
    assert 7200 <= clock.seconds < 5 * 7200


def test_a_server_that_is_always_at_its_limit_is_given_up(project: Project, clock: Clock) -> None:
    with loopback(lambda _: LIMITS["nothing"](0)) as server:
        with pytest.raises(ConfigError, match=r"the rate limit of .* stays.*HTTP 429: slow down"):
            project.describe(server, LABELS, patience=Patience())
        assert clock.seconds > 60  # most limits are by the minute
        assert len(server.requests) < 12
    seconds = clock.seconds
    with loopback(lambda _: LIMITS["Retry-After"](30)) as server:
        with pytest.raises(ConfigError, match="stays"):
            project.describe(server, LABELS, patience=Patience())
        assert len(server.requests) < 8
    assert clock.seconds - seconds < 61


def test_a_limit_that_stays_from_some_label_on_is_given_up(project: Project, clock: Clock) -> None:
    refusal = LIMITS["Retry-After"](30)
    with loopback(lambda asked: good(asked.prompt) if asked.prompt < "label 10" else refusal) as server:
        with pytest.raises(PartialError, match=r"30 of 40 labels.*slow down") as caught:
            project.describe(server, LABELS, patience=Patience())
        assert len(server.requests) < 10 + 12
    assert "--until-done" in caught.value.next_step


def test_a_gateway_that_fails_in_the_middle_is_given_up(project: Project, clock: Clock) -> None:
    page = Reply(b"<html><title>Maintenance</title></html>")
    with loopback(lambda asked: good(asked.prompt) if asked.prompt < "label 05" else page) as server:
        with pytest.raises(PartialError, match="35 of 40 labels"):
            project.describe(server, LABELS, concurrency=1, patience=Patience(attempts=1))
        assert len(server.requests) == 5 + GIVE_UP_AFTER


def forms_asked(server: Loopback) -> list[bool]:
    return ["response_format" in request.body for request in server.requests]


def test_a_form_that_is_refused_within_200_is_left(project: Project) -> None:
    refusal = says({"error": "'response_format.type' must be 'text'"})
    with loopback(lambda asked: refusal if "response_format" in asked.body else good(asked.prompt)) as server:
        project.describe(server, ["a", "b"], concurrency=1)
        assert forms_asked(server) == [True, True, False, False]
