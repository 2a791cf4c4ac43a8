"""The descriptions in prompts/: whole, legible, within CLIP's reach, and telling the classes apart."""

import json
import re
from collections import Counter, defaultdict
from importlib import resources
from pathlib import Path

import pytest

from fsarctl.config.dataset_table import BENCHMARKS
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.text.corpus import PROMPT_MAKERS, STAGES, load_corpus, prompts_of

BENCHMARKS = {
    name.replace("-", "_"): sorted({label for rows in load_split_lists(name).values() for label, _ in rows})
    for name in BENCHMARKS
}
FILES = {
    "hmdb51.json": {"hmdb51"},
    "kinetics100.json": {"kinetics100"},
    "ssv2.json": {"ssv2_full", "ssv2_small"},
    "ucf101.json": {"ucf101"},
}
SHIPPED = {
    resource.name: json.loads(resource.read_text(encoding="utf-8"))
    for resource in resources.files("fsarctl.prompts").iterdir()
    if resource.name.endswith(".json")
}
DESCRIBED = {label: stages for file in FILES for label, stages in SHIPPED[file].items()}

MIRROR_PAIRS = [
    line.split("\t")
    for line in (Path(__file__).parent / "mirror_pairs.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]

CONTEXT = 77
LONGEST = 15
"""Words in a sentence, as the shipped prompt asks of a language model."""

SAME_ACTION = {"skate boarding", "skateboarding"}
"""UCF101's and Kinetics' spelling of one action: the loose look-up may answer with either."""


def words(sentence: str) -> list[str]:
    return re.findall(r"[a-z]+", sentence.lower())


def test_the_label_lists_are_whole() -> None:
    sizes = {name: len(set(labels)) for name, labels in BENCHMARKS.items()}
    assert sizes == {"hmdb51": 51, "kinetics100": 100, "ssv2_full": 100, "ssv2_small": 100, "ucf101": 101}
    assert len(set().union(*BENCHMARKS.values())) == 392


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_label_is_described(benchmark: str) -> None:
    assert [label for label in BENCHMARKS[benchmark] if label not in DESCRIBED] == []


def test_every_description_stands_once_in_the_first_file_that_may_hold_it() -> None:
    assert set(SHIPPED) == {*FILES, "shapes.json", "probes.json"}
    home = {}
    for file, benchmarks in sorted(FILES.items()):
        for label in set().union(*(BENCHMARKS[benchmark] for benchmark in benchmarks)):
            home.setdefault(label, file)
    assert [(label, file) for file in FILES for label in SHIPPED[file] if home.get(label) != file] == []
    assert sum(len(SHIPPED[file]) for file in FILES) == len(DESCRIBED)


def test_three_different_stages_of_one_sentence_each() -> None:
    # one full stop, at the end; no digits, no signs that a tokenizer splits oddly, no stray spaces
    plain = re.compile(r"[A-Z][a-z]*(?:[,;]? [A-Za-z]+(?:[-'][a-z]+)*)+\.")
    wrong = {
        label: stages
        for label, stages in DESCRIBED.items()
        if len(stages) != len(STAGES)
        or len({tuple(words(sentence)) for sentence in stages}) != len(STAGES)
        or not all(plain.fullmatch(sentence) for sentence in stages)
        or not all(4 <= len(sentence.split()) <= LONGEST for sentence in stages)
    }
    assert wrong == {}


@pytest.mark.parametrize("use", PROMPT_MAKERS)
def test_prompts_fit_into_clips_context(use: str) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    ends = 2  # start and end of text
    too_long = {
        prompt: length
        for label, stages in DESCRIBED.items()
        for prompt in prompts_of(use, label, tuple(stages))
        if (length := len(tokenizer.encode(prompt)) + ends) > CONTEXT
    }
    assert too_long == {}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_no_two_classes_of_a_benchmark_share_a_sentence(benchmark: str) -> None:
    users = defaultdict(set)
    for label in BENCHMARKS[benchmark]:
        for sentence in DESCRIBED[label]:
            users[tuple(words(sentence))].add(label)
    assert [labels for labels in users.values() if len(labels) > 1] == []


def test_no_two_classes_anywhere_share_a_description() -> None:
    count = Counter(
        tuple(" ".join(words(sentence)) for sentence in stages)
        for name, file in SHIPPED.items()
        if name != "probes.json"  # whose texts are to tell nothing, but in one of them
        for stages in file.values()
    )
    assert [stages for stages, times in count.items() if times > 1] == []


@pytest.mark.parametrize(("stage", "one", "seen_of_one", "other", "seen_of_other"), MIRROR_PAIRS)
def test_mirror_pairs_part_where_it_shows(
    stage: str, one: str, seen_of_one: str, other: str, seen_of_other: str
) -> None:
    of_one = DESCRIBED[one][STAGES.index(stage)].lower()
    of_other = DESCRIBED[other][STAGES.index(stage)].lower()
    assert re.search(rf"\b{seen_of_one}\b", of_one), of_one
    assert re.search(rf"\b{seen_of_other}\b", of_other), of_other
    assert not re.search(rf"\b{seen_of_one}\b", of_other), of_other
    assert not re.search(rf"\b{seen_of_other}\b", of_one), of_one


def test_no_two_labels_are_the_same_to_the_look_up() -> None:
    spellings = defaultdict(set)
    for file in SHIPPED.values():
        for label in file:
            spellings[re.sub(r"[\s_-]", "", label.casefold())].add(label)
    assert [labels for labels in spellings.values() if len(labels) > 1] == [SAME_ACTION]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_look_up_finds_the_label_itself(benchmark: str) -> None:
    labels = BENCHMARKS[benchmark]
    corpus = load_corpus([])
    assert corpus.find(labels) == {label: tuple(DESCRIBED[label]) for label in labels}
    folders = {label.title().replace(" ", "_"): label for label in labels if label not in SAME_ACTION}
    assert corpus.find(folders) == {name: tuple(DESCRIBED[label]) for name, label in folders.items()}
