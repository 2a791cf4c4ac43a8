"""Pauses between requests, from what a server asks for and from nothing."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fsarctl.text.llm.retries import asked_to_wait, pause

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
