"""Addresses that hold secrets: what is shown and stored of them."""

import pytest

from fsarctl.errors import ConfigError
from fsarctl.errors.addresses import hidden, public_address, public_text

SECRET = "hunter2"
ADDRESSES = {
    f"http://me:{SECRET}@host:80/v1/": "http://host:80/v1",
    f"https://{SECRET}@host": "https://host",
    f"http://me:a@{SECRET}@host/v1": "http://host/v1",
    f"http://me:a/{SECRET}@host/v1": "http://host/v1",
    f"http://me:a?{SECRET}#@host/v1": "http://host/v1",
    f"http://me:a b {SECRET}@host/v1": "http://host/v1",
    f"http://host/v1?key={SECRET}&v=2": "http://host/v1",
    f"http://host/v1#{SECRET}": "http://host/v1",
    f"http://me:{SECRET}@[::1]:8000/v1?mail=a@b": "http://[::1]:8000/v1",
    f"me:{SECRET}@host/v1": "host/v1",
    "http://host/v1": "http://host/v1",
    "/v2/chat": "/v2/chat",
}


@pytest.mark.parametrize(("address", "public"), ADDRESSES.items())
def test_what_is_left_of_an_address(address: str, public: str) -> None:
    assert public_address(address) == public
    if "://" in address:
        for shown in (hidden(address), hidden(f"--set k={address}"), public_text(f"k={address!r}")):
            assert SECRET not in shown
            assert "host" in shown or "[::1]" in shown


def test_what_is_hidden_is_seen_to_be_and_the_sentence_stays() -> None:
    said = f"wrong: 'http://me:{SECRET}@a/v1?k={SECRET}', and (https://b/v1?{SECRET}); or \"c://d\"."
    assert hidden(said) == "wrong: 'http://***@a/v1?***', and (https://b/v1?***); or \"c://d\"."
    assert hidden("mail me@host? yes") == "mail me@host? yes"


def test_no_error_shows_a_login() -> None:
    error = ConfigError(f"http://me:{SECRET}@host is wrong", next_step=f"Not http://host/?k={SECRET}")
    assert SECRET not in f"{error} {error.args} {error.message} {error.next_step}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a://b@c://d e@f", "a://***@c://***@f"),
        ("a://b?c@d/e", "a://***@d/e"),
        ("a://b ?x. a://c?d).", "a://b ?x. a://c?***)."),
        # A search from each :// to the end of the text would take hours.
        ("://" * 300_000, "://" * 300_000),
        ("://a ?" * 100_000 + "@", "://a ?" * 99_999 + "://***@"),
        ("x://?" + ")" * 300_000, "x://?***" + ")" * 299_999),
    ],
)
def test_several_addresses_in_one_text(text: str, expected: str) -> None:
    assert hidden(text) == expected
