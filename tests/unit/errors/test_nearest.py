"""What may have been meant, among few names and among very many."""

import difflib
import random

import pytest

from fsarctl.errors.nearest import COMPARED, did_you_mean, nearest


@pytest.mark.parametrize("asked", ["trian", "train", "evla", "no such thing at all", ""])
def test_among_few_names_it_is_what_difflib_says(asked: str) -> None:
    known = ["train", "eval", "extract", "describe", "report", "status"]
    assert nearest(asked, known, 3) == difflib.get_close_matches(asked, known, 3)


def test_a_misspelt_clip_is_found_and_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    names = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=14)) for _ in range(5_000)]
    compared: list[int] = []
    real = difflib.get_close_matches

    def count(word: str, possibilities: list[str], n: int, cutoff: float) -> list[str]:
        compared.append(len(possibilities))
        return real(word, possibilities, n, cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", count)
    for meant in draw.sample(names, 3):
        asked = f"{meant[:5]}{meant[6]}{meant[5]}{meant[7:-1]}"  # two letters swapped, one missing
        assert nearest(asked, names) == [meant]
    assert compared == [COMPARED] * 3


def test_the_question_is_put_only_where_something_is_near() -> None:
    assert did_you_mean("lrr", ["lr", "epochs"]) == "; did you mean lr?"
    assert did_you_mean("zzz", ["lr", "epochs"]) == "."
