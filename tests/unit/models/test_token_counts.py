"""Captions are counted without torch as open_clip's tokenizer counts them with it."""

import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsarctl.errors import ConfigError
from fsarctl.models import tiny_clip
from fsarctl.models.token_counts import _letters, context_length, count_tokens
from fsarctl.text.caption_limit import CaptionLimit

CAPTIONS = [
    "",
    "A video of action about long jump: Run up for momentum.",
    "A video of action about Pushing [something] so that it doesn't fall: They're 10,000 metres away!!",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbb abababab",
    "Ünïcödé 体操 ✂️🙂 naïve Γειά  \t tabs\nand lines",
    "&amp;amp; &lt;b&gt; “curly” ‘quotes’ â€™ mojibake",
    "start <start_of_text> middle <end_of_text> <END_OF_TEXT>",
    "x" * 300,
]


@cache
def tokenizer(backbone: str) -> Any:
    import open_clip

    return open_clip.SimpleTokenizer(**({"bpe_path": str(tiny_clip.BPE)} if backbone == "tiny" else {}))


def tokens(backbone: str, caption: str) -> int:
    return len(tokenizer(backbone).encode(caption)) + 2


@pytest.mark.parametrize("backbone", ["ViT-B-16-quickgelu", "tiny"])
@pytest.mark.parametrize("caption", CAPTIONS)
def test_as_many_as_open_clip_makes(backbone: str, caption: str) -> None:
    assert count_tokens(backbone, caption) == tokens(backbone, caption)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_as_many_as_open_clip_makes_of_anything(caption: str) -> None:
    assert count_tokens("ViT-B-16-quickgelu", caption) == tokens("ViT-B-16-quickgelu", caption)


def test_contexts_are_the_configurations_own() -> None:
    assert context_length("ViT-B-16-quickgelu") == context_length("tiny") == 77
    assert context_length("ViT-B-16-SigLIP") == 64
    with pytest.raises(ConfigError, match="no backbone"):
        context_length("ViT-B-17")


def test_another_tokenizer_is_not_counted() -> None:
    assert count_tokens("ViT-B-16-SigLIP", "a caption") is None


def test_counting_loads_no_torch() -> None:
    code = (
        "import sys; from fsarctl.models.token_counts import count_tokens\n"
        "assert count_tokens('ViT-B-16-quickgelu', 'run') == 3\n"
        "print(*{'torch', 'open_clip', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_limit_names_the_stage_that_is_too_long() -> None:
    around = tokens("ViT-B-16-quickgelu", "A video of action about juggling: ")
    fits, long = " ".join("a" * (77 - around)), " ".join("a" * (78 - around))
    limit = CaptionLimit("ViT-B-16-quickgelu")
    assert limit.problem("juggling", (fits, "Throw.", "Catch.")) == ""
    assert limit.problem("juggling", (fits, "Throw.", long)) == (
        "the end makes 78 tokens with its label, and ViT-B-16-quickgelu reads 77"
    )


def test_a_limit_counts_what_the_text_encoder_is_given() -> None:
    sentences = (" ".join("a" * 30), " ".join("b" * 30), " ".join("c" * 30))
    assert CaptionLimit("ViT-B-16-quickgelu", "average").problem("x", sentences) == ""
    assert "the prompt makes" in CaptionLimit("ViT-B-16-quickgelu", "concatenate").problem("x", sentences)
    assert CaptionLimit("ViT-B-16-quickgelu", "none").problem("x", (" ".join("a" * 99),) * 3) == ""
    assert "the prompt makes" in CaptionLimit("ViT-B-16-quickgelu", "none").problem("7" * 80, sentences)
    assert CaptionLimit("ViT-B-16-SigLIP").problem("7" * 80, sentences) == ""


def test_bytes_are_spelled_as_in_gpt_2_s_file_of_merges() -> None:
    spelled = {0: "Ā", 10: "Ċ", 32: "Ġ", 33: "!", 126: "~", 127: "ġ", 160: "ł", 161: "¡", 173: "Ń", 255: "ÿ"}
    letters = _letters.__wrapped__()  # not what an earlier test left in its cache
    assert {byte: letters[byte] for byte in spelled} == spelled
    assert len({*letters}) == len(letters) == 256
