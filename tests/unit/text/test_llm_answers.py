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
        f"```json\n{OBJECT}",
        f"{OBJECT}\n```",
        OBJECT.replace("beginning", "Beginning").replace("end", "END"),
        f"<think>\nThe user wants {{three}} stages.\n</think>\n{OBJECT}",
        f"<think></think>```json\n{OBJECT}\n```",
        f"They want three.\n</think>\n{OBJECT}",
        f"<thinking>{OBJECT}</thinking>{OBJECT}",
        f"Here you are:\n```json\n{OBJECT}\n```\nAnything else?",
        f"```json\r\n{OBJECT}\r\n```",
        f"```JSON5 title='x'\n{OBJECT}\n```",
        f"```json {OBJECT} ```",
        f"```{OBJECT}```",
        f"~~~json\n{OBJECT}\n~~~",
        f"````\n{OBJECT}\n````",
        f"   ```json\n   {OBJECT}\n   ```",
        f"`{OBJECT}`",
        f"> ```json\n> {OBJECT}\n> ```",
        f"{OBJECT} <end_of_utterance>",
        f"{OBJECT}<eot>",
        f"【think】Three.【/think】{OBJECT}",
        f"«thought»Three.«/thought»{OBJECT}",
        f"<|begin_of_box|>{OBJECT}<|end_of_box|>",
        f"json\n{OBJECT}",
        f"<json>{OBJECT}</json>",
        f"<answer>\n```json\n{OBJECT}\n```\n</answer>",
        "\ufeff" + OBJECT,
        f"\ufeff```json\n\ufeff{OBJECT}\n```",
        f"\u200b{OBJECT}\u2060\xa0\0",
        *(
            f"{OBJECT}{end}"
            for end in ("</s>", "<|im_end|>", "<|eot_id|>", "<eos>", "<end_of_turn>", "[EOS]")
        ),
        f"{OBJECT}<｜end▁of▁sentence｜>",
        f"{OBJECT}<|im_end|>\n<|im_start|>user\nThanks",
        f"<|im_start|>assistant\n{OBJECT}<|im_end|>",
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{OBJECT}<|eot_id|>",
        f"<s>[INST] {OBJECT} [/INST]</s>",
        *(
            f"<{tag}>Three {{stages}}.</{tag}>\n{OBJECT}"
            for tag in (
                "thought",
                "thoughts",
                "reasoning",
                "reflection",
                "seed:think",
                "longcat_think",
                "Think",
            )
        ),
        f'<details type="reasoning"><summary>Thinking</summary>Three.</details>{OBJECT}',
        f"[THINK]Three.[/THINK]{OBJECT}",
        f"◁think▷Three.◁/think▷{OBJECT}",
        f"<|begin_of_thought|>Three.<|end_of_thought|><|begin_of_solution|>{OBJECT}<|end_of_solution|>",
        f"<|START_THINKING|>Three.<|END_THINKING|><|START_RESPONSE|>{OBJECT}<|END_RESPONSE|>",
        f"<|inner_prefix|>Three.<|inner_suffix|>{OBJECT}",
        f"<unused94>thought\nThree.<unused95>{OBJECT}",
        f"<|channel>thought\nThree.<channel|>{OBJECT}<turn|>",
        f"<|channel|>analysis<|message|>Three.<|end|><|start|>assistant<|channel|>final<|message|>{OBJECT}",
        f"<|channel|>final <|constrain|>json<|message|>{OBJECT}<|return|>",
        f"<|start|>assistant<|channel|>analysis<|message|>{OBJECT}?<|end|>"
        f"<|start|>assistant<|channel|>final<|message|>{OBJECT}<|return|>",
        f"analysisThree stages.assistantfinal{OBJECT}",
        f"<think>Three.</think><answer>{OBJECT}</answer></s>",
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
        ("[THINK]Three.", "is a thought without an end"),
        ("<|channel|>analysis<|message|>Three.", "is a thought without an end"),
        ("</s>", "is empty"),
        ("\ufeff", "is empty"),
        ('["\u200b", "Leap.", "Land."]', "has no word in its beginning"),
        ('["...", "Leap.", "Land."]', "has no word in its beginning"),
        ('["Run up.", "\u3164", "Land."]', "has no word in its process"),
        ('["Run up.", "🏃 — !", "Land."]', "has no word in its process"),
        ('["Run up.", "2", "Land."]', "has no word in its process"),
        ('["Sentence 1", "Sentence 2", "Sentence 3"]', "has a placeholder for its beginning: Sentence 1"),
        ('["Run up.", "Process: ...", "Land."]', "has a placeholder for its process"),
        ('["Run up.", "Leap.", "[end sentence]"]', "has a placeholder for its end"),
        ('["Run up.", "Leap.", "A short description of the end stage."]', "has a placeholder for its end"),
        ('["Run up.", "Leap.", "N/A"]', "has a placeholder for its end: N/A"),
        ('["Run up.", "Leap.", "<string>"]', "has a placeholder for its end"),
        ('["TODO.", "Leap.", "Land."]', "has a placeholder for its beginning"),
        ('["Beginning.", "process", "<end>"]', "names the stages"),
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
