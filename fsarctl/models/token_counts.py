"""How many tokens a caption has, counted without loading torch.

The text encoders read captions through open_clip's tokenizer, whose package loads torch. Whether a caption
fits is asked where descriptions are made, long before a model is: here its byte pairs are only counted,
from the same file of merges. ``Backbone.tokenize`` is what a model reads, and has the last word.
"""

import gzip
import html
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from fsarctl.models import tiny_clip
from fsarctl.models.backbone_catalogue import TINY, architecture, has_text_encoder, without_text_encoder
from fsarctl.models.open_clip_parts import open_clip_folder

__all__ = ["context_length", "count_tokens", "reads_english"]

_START_AND_END = 2
_MERGES = 49152 - 256 - 2
"""Lines of a file of merges that are read: CLIP's vocabulary without its bytes and its two specials."""
_WORDS = (
    r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d"  # specials, and English endings
    r"|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"  # letters, one digit, anything else that is no space
)
_SPECIAL = {"<start_of_text>", "<end_of_text>"}


def context_length(backbone: str) -> int:
    """Tokens that the text encoder of ``backbone`` reads, start and end of text included.

    Raises:
        ConfigError: no such backbone, or it has no text encoder.
    """
    return int(_text(backbone).get("context_length", 77))


def reads_english(backbone: str) -> bool:
    """Whether its tokenizer is CLIP's own, of English captions; others are of many languages.

    Raises:
        ConfigError: no such backbone, or it has no text encoder.
    """
    return _merges(backbone) is not None


def count_tokens(backbone: str, caption: str) -> int | None:
    """Tokens of a caption, start and end of text included; None where the backbone has another tokenizer.

    Raises:
        ConfigError: no such backbone, or it has no text encoder.
    """
    merges = _merges(backbone)
    if merges is None:
        return None
    import ftfy
    import regex

    text = html.unescape(html.unescape(ftfy.fix_text(caption))).lower()
    return _START_AND_END + sum(
        1 if word in _SPECIAL else _pieces(word, merges)
        for word in regex.findall(_WORDS, text, regex.IGNORECASE)
    )


def _text(backbone: str) -> Mapping[str, Any]:
    if not has_text_encoder(backbone):
        raise without_text_encoder(backbone)
    described: Mapping[str, Any] = architecture(backbone)["text_cfg"]
    return described


@cache
def _merges(backbone: str) -> Mapping[tuple[str, str], int] | None:
    """A pair of pieces -> its rank; the pair of lowest rank is joined first."""
    if {"hf_tokenizer_name", "hf_model_name", "tokenizer_kwargs"} & _text(backbone).keys():
        return None
    file = tiny_clip.BPE
    if backbone != TINY:
        file = open_clip_folder() / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(file.read_bytes()).decode().split("\n")[1 : _MERGES + 1]
    pairs = (line.split() for line in lines)
    return {(pair[0], pair[1]): rank for rank, pair in enumerate(pairs) if len(pair) == 2}


def _pieces(word: str, merges: Mapping[tuple[str, str], int]) -> int:
    letters = _letters()
    pieces = [letters[byte] for byte in word.encode("utf-8", "surrogatepass")]
    pieces[-1] += "</w>"
    while len(pieces) > 1:
        pair = min(pairwise(pieces), key=lambda each: merges.get(each, _MERGES))
        if pair not in merges:
            break
        joined: list[str] = []
        for piece in pieces:
            if joined and (joined[-1], piece) == pair:
                joined[-1] += piece
            else:
                joined.append(piece)
        pieces = joined
    return len(pieces)


@cache
def _letters() -> tuple[str, ...]:
    """How a file of merges spells each byte: printable ones as themselves, the others from code point 256."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return tuple(chr(byte) if byte in printable else chr(next(others)) for byte in range(256))
