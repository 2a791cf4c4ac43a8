"""Pauses between requests, from what a server asks for and from nothing."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fsarctl.text.llm.retries import pause
from fsarctl.text.llm.waits import asked_to_wait, until_renewed

NOON = "Wed, 21 Oct 2015 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Mon, 99999999999999999999 Jan 2020 00:00:00"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "in a minute"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 21 Oct 2015 12:01:30 GMT", "date": NOON}, 90),
        ({"retry-after": "Wed, 21 Oct 2015 14:01:30 +0200", "date": NOON}, 90),
        ({"retry-after": "Wednesday, 21-Oct-15 12:01:30 GMT", "date": NOON}, 90),
        ({"retry-after": "Wed, 21 Oct 2015 11:59:59 GMT", "date": NOON}, None),
        ({"retry-after": NOON, "date": "noon"}, None),
        ({"retry-after": "Wed, 99 Oct 2015 12:00:00 GMT"}, None),
    ],
)
def test_what_a_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_to_wait(headers) == seconds


@pytest.mark.parametrize(
    ("body", "words", "seconds"),
    [
        ([{"error": {"details": [{"@type": "x"}, {"retryDelay": "37s"}]}}], "", 37),
        ({"error": {"details": [{"retryDelay": {"seconds": "12", "nanos": 0}}]}}, "", 12),
        ({"retry_after": 2.5}, "", 2.5),
        ({"error": {"retry_after_ms": 1500}}, "", 1.5),
        ({"error": "Model m is currently loading", "estimated_time": 20.0}, "", 20),
        (
            {},
            "Rate limit reached for m on requests per min. Limit: 3 / min. Please try again in 20s. More.",
            20,
        ),
        ({}, "Limit 30000, Used 29000. Please try again in 1m26.4s.", 86.4),
        ({}, "Please try again in 850ms.", 0.85),
        ({}, "Please retry in 37.5s.", 37.5),
        ({}, "Please retry after 2 minutes", 120),
        ({}, "Too many requests, wait 1 hour and 5 minutes before the next", 3900),
        ({}, "Your limit resets in 1 day", 86400),
        ({}, "Rate limit: 15 requests per minute", None),
        ({}, "You made 30 retries in this session", None),
        (
            {"error": {"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}}}},
            "",
            9,
        ),
        ("no object", "", None),
        ({"retryDelay": "soon", "retry_after": None, "retryAfter": [1]}, "", None),
        ({"retryDelay": 10**400}, "", None),
    ],
)
def test_what_an_error_asks_for(body: Any, words: str, seconds: float | None) -> None:
    assert asked_to_wait({}, body, words) == (None if seconds is None else pytest.approx(seconds))
    # what is asked for in a header stands above
    assert asked_to_wait({"retry-after": "3"}, body, words) == 3


@pytest.mark.parametrize(
    ("headers", "used_up", "refused"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360, 360),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "6m0s"}, None, 360),
        (
            {
                **{"x-ratelimit-remaining-requests": "14000", "x-ratelimit-reset-requests": "2h"},
                **{"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s"},
            },
            7.66,
            7.66,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1445428890", "date": NOON}, 90, 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1445428890000", "date": NOON}, 90, 90),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2015-10-21T12:00:30Z",
                "date": NOON,
            },
            30,
            30,
        ),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "5"}, 5, 5),
        ({"ratelimit": "limit=10, remaining=0, reset=30"}, 30, 30),
        ({"ratelimit": '"default";r=0;t=30'}, 30, 30),
        ({"x-ratelimit-reset-requests": "1s"}, None, 1),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0s"}, None, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "nan"}, None, None),
        ({"x-ratelimit-limit-requests": "15"}, None, None),
    ],
)
def test_when_a_limit_is_renewed(
    headers: dict[str, str], used_up: float | None, refused: float | None
) -> None:
    assert until_renewed(headers) == (None if used_up is None else pytest.approx(used_up))
    assert asked_to_wait(headers) == (None if refused is None else pytest.approx(refused))


def test_a_date_counts_from_now_where_the_reply_has_none() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < (asked_to_wait({"retry-after": until}) or 0) <= 60


def test_pauses_double_up_to_a_minute() -> None:
    assert [pause(retry, None, 0.0) for retry in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(10_000, None, 0.0) == 60


def test_chance_takes_up_to_a_half() -> None:
    assert [pause(2, None, chance) for chance in (0.0, 0.5, 1.0)] == [2, 1.5, 1]


def test_a_server_is_given_what_it_asked_for() -> None:
    assert pause(5, 3.5, 0.9) == 3.5
