"""Inputs that nobody meant, each a pure function of (reader, seed): files of the corpus, damaged.

What is done to one is what files suffer and what people write who mean harm: bits flip, ends are cut off,
parts stand twice or where others stood, and where a value was is now one that is deep, long or huge, or a
word of a language that the reader speaks.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from words import JSON_VALUES, WORDS

__all__ = ["damaged"]

LARGEST = 2**20
"""Bytes of an input: repetition is to cost the reader, not the disk."""

Change: TypeAlias = Callable[[bytearray, random.Random, Sequence[bytes]], bytes]


def damaged(reader: str, seed: int, corpus: Sequence[bytes], at: int) -> bytes:
    """File ``at`` of a reader's corpus after one to six changes, which the others may lend parts to."""
    lot = random.Random(f"{reader}/{seed}")
    content = bytearray(corpus[at])
    for _ in range(min(1 + int(lot.expovariate(0.8)), 6)):
        change = lot.choice(TEXT if _is_text(content) and lot.random() < 0.8 else BYTES)
        content = bytearray(change(content, lot, corpus)[:LARGEST])
    return bytes(content)


def _is_text(content: bytes) -> bool:
    return b"\0" not in content[:1000]


def _place(content: bytes, lot: random.Random) -> int:
    return lot.randrange(len(content) + 1)


def _span(content: bytes, lot: random.Random) -> tuple[int, int]:
    start = _place(content, lot)
    return start, min(len(content), start + int(lot.paretovariate(0.5)))


def _flip(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    for _i in range(lot.choice((1, 1, 2, 8))):
        if content:
            content[lot.randrange(len(content))] ^= 1 << lot.randrange(8)
    return content


def _overwrite(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    """Numbers of a header, most of them: extreme ones of 1 to 8 bytes, in either order."""
    size = lot.choice((1, 2, 4, 8))
    value = lot.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), lot.randrange(2 ** (8 * size))))
    # what is told of a file stands at its beginning, or at its end
    place = min(_place(content, lot), lot.choice((64, 512, len(content))))
    place = lot.choice((place, max(len(content) - place, 0)))
    content[place : place + size] = value.to_bytes(size, lot.choice(("little", "big")))
    return content


def _cut(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    place = _place(content, lot)
    return content[:place] if lot.random() < 0.7 else content[place:]


def _drop(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(content, lot)
    del content[start:end]
    return content


def _again(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(content, lot)
    times = lot.choice((1, 1, 2, 10, 1000))
    content[start:start] = content[start:end] * min(times, LARGEST // max(end - start, 1) + 1)
    return content


def _splice(content: bytearray, lot: random.Random, corpus: Sequence[bytes]) -> bytes:
    other = lot.choice(corpus)
    return content[: _place(content, lot)] + other[_place(other, lot) :]


def _swap(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    one, end = _span(content, lot)
    other = _place(content, lot)
    part = content[one:end]
    del content[one:end]
    content[other:other] = part
    return content


def _noise(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(content, lot)
    content[start:end] = lot.randbytes(lot.choice((1, 4, 16, 64)))
    return content


def _odd_word(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    place = _place(content, lot)
    content[place:place] = _odd(lot)
    return content


def _odd_value(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    """One of the values of a text (a word, a number, what stands in quotes) becomes another."""
    values = [found.span() for found in VALUE.finditer(content)]
    if not values:
        return _odd_word(content, lot, ())
    start, end = lot.choice(values)
    content[start:end] = _odd(lot)
    return content


def _nested(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    """Brackets around, or instead of, a part, many times."""
    start, end = _span(content, lot)
    opening, closing = lot.choice(BRACKETS)
    deep = lot.choice((2, 20, 200, 2_000, 20_000))
    closed = closing * deep if lot.random() < 0.6 else b""
    content[start:end] = opening * deep + content[start:end] + closed
    return content


def _other_encoding(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(
        lot.choice(("utf-16", "utf-16-le", "utf-32", "cp1252", "utf-8-sig", "cp037")), "replace"
    )


def _other_ends(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    return content.replace(
        b"\n", lot.choice((b"\r\n", b"\r", "\u2028".encode(), "\x85".encode(), b"\0", b""))
    )


def _lines_about(content: bytearray, lot: random.Random, _: Sequence[bytes]) -> bytes:
    lines = content.splitlines(keepends=True)
    lot.shuffle(lines)
    return b"".join(lines[: lot.randrange(len(lines) + 1)] if lot.random() < 0.3 else lines)


def _json_value(content: bytearray, lot: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One value somewhere in JSON becomes another, or its key does: what is wrong is then the sense alone."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _odd_value(content, lot, corpus)
    holder = [document]
    places: list[tuple[list[object] | dict[str, object], int | str]] = [(holder, 0)]
    for inner, key in places:  # it grows as it goes
        value = inner[key]  # type: ignore[index]
        if isinstance(value, dict):
            places += [(value, each) for each in value]
        elif isinstance(value, list):
            places += [(value, each) for each in range(min(len(value), 50))]
    inner, key = lot.choice(places)
    if isinstance(inner, dict) and isinstance(key, str) and lot.random() < 0.3:
        inner[lot.choice((key + "x", "", "\x1b[2J", key.upper()))] = inner.pop(key)
    else:
        inner[key] = lot.choice(JSON_VALUES)  # type: ignore[index]
    return json.dumps(holder[0]).encode()


def _odd(lot: random.Random) -> bytes:
    word = lot.choice(WORDS)
    return word * lot.choice((1, 1, 1, 2, 100)) if len(word) < 1000 else word


VALUE = re.compile(rb"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[\w.+-]+")

BRACKETS = (
    (b"[", b"]"),
    (b"{", b"}"),
    (b"(", b")"),
    (b'{"a":', b"}"),
    (b"a = {", b"}"),
    (b"- ", b""),
    (b"? ", b""),
    (b"a.", b""),
    (b"<think>", b"</think>"),
    (b"```\n", b"\n```"),
    (b'"', b'"'),
    (b"a: {", b"}"),
    (b"-", b""),
    (b"(.", b")*"),
)
"""How values, and quotes and fences, stand in each other."""

BYTES: tuple[Change, ...] = (
    _flip,
    _flip,
    _overwrite,
    _overwrite,
    _cut,
    _drop,
    _again,
    _splice,
    _swap,
    _noise,
    _odd_word,
)
TEXT: tuple[Change, ...] = (
    _odd_word,
    _odd_value,
    _odd_value,
    _odd_value,
    _nested,
    _other_encoding,
    _other_ends,
    _lines_about,
    _json_value,
    _json_value,
    _again,
    _splice,
    _swap,
    _drop,
    _cut,
)
