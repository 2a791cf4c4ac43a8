"""The few-shot splits of five public benchmarks, as they circulate: which videos, of which class.

One file per benchmark, NAME.txt.xz, holds four lines for each of train, val and test: the split's name;
its class names, with tabs between them; one character per video, "0" for the first class, "1" for the
second and so on in ASCII; and the videos' ids, with spaces between them. An id is the stem of the file.
MANIFEST.tsv counts them; its digest is that of ``split_text``. README.md says where they come from.
"""

import lzma
from functools import cache
from importlib import resources

__all__ = ["load_split_lists", "split_text"]

FIRST = ord("0")
LINES = 4


@cache
def load_split_lists(benchmark: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Split -> (class name, video id) of every video, in the order in which the list circulates.

    Raises:
        FileNotFoundError: no such benchmark.
    """
    packed = (resources.files(__package__) / f"{benchmark}.txt.xz").read_bytes()
    lines = iter(lzma.decompress(packed).decode("utf-8").splitlines())
    splits = {}
    for split, names, letters, ids in zip(*[lines] * LINES, strict=True):
        classes = names.split("\t")
        splits[split] = tuple(
            (classes[ord(letter) - FIRST], video)
            for letter, video in zip(letters, ids.split(" "), strict=True)
        )
    return splits


def split_text(rows: tuple[tuple[str, str], ...]) -> str:
    """A split as a text file: class name, tab, video id, a video a line."""
    return "".join(f"{label}\t{video}\n" for label, video in rows)
