"""The packaged splits are the lists that circulate: counts and digests as MANIFEST.tsv has them."""

import csv
import hashlib
from collections import Counter
from importlib import resources

import pytest

from fsarctl.config.dataset_table import BENCHMARKS
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists, split_text
from fsarctl.datasets.labels.spelling import loosely

MANIFEST = (resources.files("fsarctl.datasets.benchmark_splits") / "MANIFEST.tsv").read_text(encoding="utf-8")
ROWS = list(csv.DictReader(MANIFEST.splitlines(), delimiter="\t"))


def test_the_manifest_covers_all_that_ships() -> None:
    assert {(row["dataset"].replace("_", "-"), row["split"]) for row in ROWS} == {
        (name, split) for name in BENCHMARKS for split in ("train", "val", "test")
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['dataset']}-{row['split']}")
def test_counts_and_digest_are_those_of_the_manifest(row: dict[str, str]) -> None:
    listed = load_split_lists(row["dataset"].replace("_", "-"))[row["split"]]
    sizes = Counter(label for label, _ in listed)
    assert len(listed) == int(row["videos"])
    assert len(sizes) == int(row["classes"])
    assert (min(sizes.values()), max(sizes.values())) == (
        int(row["min_per_class"]),
        int(row["max_per_class"]),
    )
    assert hashlib.sha256(split_text(listed).encode()).hexdigest()[:16] == row["sha256_16"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_video_and_a_class_are_in_one_split_only(name: str) -> None:
    lists = load_split_lists(name)
    videos = [video for listed in lists.values() for _, video in listed]
    assert len(set(videos)) == len(videos)
    classes = [label for listed in lists.values() for label in {label for label, _ in listed}]
    # No two are the same even when case, spaces and underscores do not count.
    assert len({loosely(label) for label in classes}) == len(classes)


def test_small_and_full_ssv2_leak_as_the_readme_says() -> None:
    small, full = load_split_lists("ssv2-small"), load_split_lists("ssv2-full")
    assert len({label for label, _ in full["train"]} & {label for label, _ in small["test"]}) == 7


def test_what_ships_is_small() -> None:
    packed = [
        each
        for each in resources.files("fsarctl.datasets.benchmark_splits").iterdir()
        if each.name.endswith(".xz")
    ]
    assert len(packed) == len(BENCHMARKS)
    assert sum(len(each.read_bytes()) for each in packed) < 500_000
