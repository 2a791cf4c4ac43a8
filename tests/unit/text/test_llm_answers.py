"""What counts as an answer of a language model."""

import json

import pytest

from fsarctl.text.llm.answers import BadAnswerError, parse_answer

GOOD = ("Run up.", "Leap.", "Land.")
OBJECT = json.dumps(dict(zip(("beginning", "process", "end"), GOOD, strict=True)))


@pytest.mark.parametrize(
    "text",
    [
        OBJECT,
        f"\n {OBJECT} \n",
        '{"end": "Land.", "beginning": "Run up.", "process": "Leap."}',
        '["Run up.", "Leap.", "Land."]',
        f"```json\n{OBJECT}\n```",
        f"```\n{OBJECT}\n```\n",
        f"<think>\nThe user wants {{three}} stages.\n</think>\n{OBJECT}",
        f"<think></think>```json\n{OBJECT}\n```",
        f"They want three.\n</think>\n{OBJECT}",
        f"<thinking>{OBJECT}</thinking>{OBJECT}",
        f"Here you are:\n```json\n{OBJECT}\n```\nAnything else?",
    ],
)
def test_three_sentences_are_read(text: str) -> None:
    assert parse_answer(text) == GOOD


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("<think>hm</think>", "is empty"),
        (OBJECT[:-3], "is not JSON"),
        (f"<think>{OBJECT}", "is a thought without an end"),
        (f"```json\n{OBJECT}\n```\nOr:\n```json\n{OBJECT}\n```", "is not JSON"),
        (f"```json\n{OBJECT}", "is not JSON"),
        (
            '{"name": "sub_actions", "arguments": {"beginning": "A", "process": "B", "end": "C"}}',
            "other keys",
        ),
        (f"Here you are: {OBJECT}", "is not JSON: 'Here you are"),
        (f"{OBJECT}\nAnything else?", "is not JSON"),
        ("I'm sorry, but I can't assist with that.", "is not JSON: \"I'm sorry"),
        ("[" * 100_000, "is not JSON"),
        ('"Run up."', "neither an object nor a list"),
        ("null", "neither an object nor a list"),
        ("{}", "has other keys than beginning, process, end: none"),
        ('{"beginning": "Run up.", "end": "Land."}', "has other keys"),
        (f'{OBJECT[:-1]}, "note": "x"}}', "has other keys"),
        (
            '{"beginning": "Run up.", "process": ["Leap."], "end": "Land."}',
            "has something else than text in its process",
        ),
        ('["Run up.", "Land."]', "has 2 stages instead of 3"),
        ('["Run up.", "", "Land."]', "has an empty process"),
        ('["Run up.", "Leap.\\nFly.", "Land."]', "has several lines in its process"),
        ('["Run up.", "Run up.", "Land."]', "says the same for two stages"),
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(BadAnswerError, match=reason) as caught:
        parse_answer(text)
    assert len(str(caught.value)) < 200
