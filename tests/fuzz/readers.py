"""Everything that reads what others wrote: how to call it, what it may refuse with, and where its corpus is.

A reader gets a file, in a folder of its own, and gives whatever it makes of it, or raises one of ``refuses``.
Anything else that happens is a fault: another exception, a wait of seconds, memory without bounds, a file
outside its folder. What is read is also used as far as that is cheap, since much fails only then.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import own_files

from fsarctl.errors import FsarctlError

__all__ = ["CORPUS", "READERS", "Reader"]

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Reader:
    """``read`` of a file; ``short``: how many inputs `make test` gives it."""

    name: str
    read: Callable[[Path], object]
    refuses: tuple[type[Exception], ...] = (FsarctlError,)
    short: int = 40

    @property
    def corpus(self) -> list[Path]:
        """Its files, in an order that is the same everywhere."""
        return sorted(path for path in (CORPUS / self.name).iterdir())


def _settings(path: Path) -> None:
    from fsarctl.config.settings import load_settings, rows

    (path.parent / "fsarctl.toml").write_bytes(path.read_bytes())
    settings = load_settings(path.parent, environment={})
    rows(settings.for_shot(5))


PROJECT = (
    '[datasets.a]\nkind = "folder"\nroot = "."\n[datasets."b c"]\nkind = "shapes"\n[train]\ndataset = "a"\n'
)


def _in_project(path: Path) -> Path:
    (path.parent / "fsarctl.toml").write_text(PROJECT, encoding="utf-8")
    return path.parent


def _overrides(path: Path) -> None:
    """A line is an argument, as the operating system hands it over: without zero bytes."""
    from fsarctl.config.settings import load_settings, rows

    arguments = [os.fsdecode(line.replace(b"\0", b"")) for line in path.read_bytes().split(b"\n")]
    rows(load_settings(_in_project(path), [each for each in arguments if each], environment={}))


def _environment(path: Path) -> None:
    from fsarctl.config.settings import load_settings, rows

    lines = [os.fsdecode(line.replace(b"\0", b"")) for line in path.read_bytes().split(b"\n")]
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    rows(load_settings(_in_project(path), environment=variables))


def _labels(path: Path) -> None:
    from fsarctl.datasets.labels.label_list import read_labels

    refusal = None
    for column in (None, ("line", "1", "label")[path.stat().st_size % 3]):
        try:
            read_labels(path, column)
        except FsarctlError as error:
            refusal = error
    if refusal:
        raise refusal


def _label_map(path: Path) -> None:
    from fsarctl.datasets.labels.label_map import read_label_map

    found = read_label_map(path)
    for written in ("1", "01", "\N{ARABIC-INDIC DIGIT THREE}", "\N{SUPERSCRIPT TWO}", "juggling", "9" * 5000):
        found.label(written)


def _split_file(path: Path) -> None:
    from fsarctl.config.dataset_table import DatasetConfig
    from fsarctl.datasets.class_splits import split_classes

    config = DatasetConfig(kind="folder", root=".", split_file=path.name)
    split_classes("x", config, path.parent, ("run", "jump", "long jump"))


def _clip_list(path: Path) -> None:
    from fsarctl.config.dataset_table import DatasetConfig
    from fsarctl.datasets.kinds import open_dataset

    clip = path.parent / "clips" / "1.mp4"
    clip.parent.mkdir(exist_ok=True)
    clip.touch()
    open_dataset("x", DatasetConfig(kind="list", file=path.name), path.parent).summary()


def _group_file(path: Path) -> None:
    from fsarctl.config.dataset_table import DatasetConfig
    from fsarctl.datasets.clips import Clip
    from fsarctl.datasets.dataset import Dataset
    from fsarctl.datasets.groups import with_groups

    clips = {"test": tuple(Clip(f"run/{n}.mp4", "run", f"{n}.mp4") for n in range(3))}
    config = DatasetConfig(kind="folder", root=".", group_file=path.name)
    with_groups("x", config, path.parent, Dataset({}, {}, clips))


def _descriptions(path: Path) -> None:
    from fsarctl.text.corpus import corpus_text, load_corpus, prompts_of

    corpus = load_corpus([path])
    found = corpus.find(["run", "long jump", *corpus.places[0]])
    corpus_text("x.yaml", found)
    corpus_text("x.json", found)
    for label, sub_actions in found.items():
        prompts_of("stages", label, sub_actions)


def _edited(path: Path) -> None:
    """What an editor leaves; it may be anything that is text."""
    from fsarctl.text.edits import as_text, from_text, keep_edit

    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if (sub_actions := from_text(text)) is not None:
        keep_edit(path.parent, text[:100], sub_actions)
        as_text(text[:100], sub_actions)


def _reply(path: Path) -> None:
    """A reply's body, taken for an answer and for an error; and what is said of either holds no key."""
    from fsarctl.text.llm.answers import answer_text, parse_answer, read_reply, usage_of
    from fsarctl.text.llm.connection import Reply
    from fsarctl.text.llm.failures import Failures
    from fsarctl.text.llm.redaction import Redaction
    from fsarctl.text.llm.refusals import refusal_in

    content, redaction = path.read_bytes(), Redaction(("sk-secret",))
    failures = Failures("http://host/v1", "model", True, False, redaction, 1.0)
    for status in (200, 302, 400, 429, 500):
        headers = {"retry-after": os.fsdecode(content[:40]), "date": os.fsdecode(content[-40:])}
        refused = refusal_in(Reply(status, headers, content), redaction)
        if refused:
            assert "sk-secret" not in failures.reason(refused) + str(
                failures.stops_the_run(refused, reached=True)
            )
    if path.suffix == ".json":
        reply = read_reply(content)
        usage_of(reply)
        parse_answer(answer_text(reply))
    else:
        parse_answer(content.decode("utf-8", "replace"))


def _reply_refusals() -> tuple[type[Exception], ...]:
    from fsarctl.text.llm.answers import BadAnswerError

    return (BadAnswerError, FsarctlError)


def _results(path: Path) -> None:
    from fsarctl.results.exchange.comparison import compare_exported
    from fsarctl.results.exchange.reading import choose_pair, read_results

    found = read_results(path)
    compare_exported(*choose_pair(found, found))


def _support(path: Path) -> None:
    from fsarctl.predict.support_set import load_support

    support = load_support(path)
    _ = support.prototypes, support.shots, support.contradictions
    support.save(path.with_name("again.safetensors"))


def _weights(path: Path) -> None:
    import torch

    from fsarctl.models.weights.weight_file import read_weights, require_finite

    state = read_weights(path).state
    require_finite(state, path)
    for tensor in state.values():
        tensor.to(torch.float32, copy=True)


def _vectors(path: Path) -> None:
    from fsarctl.methods.vectors import read_arrays

    read_arrays(path)


def _video(path: Path) -> None:
    from fsarctl.video.decode_clip import decode_clip

    decode_clip(path, 4, 16, "aspect")


def _images(path: Path) -> None:
    from fsarctl.video.decode_clip import decode_clip

    folder = path.parent / "clip"
    folder.mkdir(exist_ok=True)
    (folder / "1.jpg").write_bytes(path.read_bytes())
    decode_clip(folder, 1, 16, "aspect")


READERS: Mapping[str, Reader] = {
    each.name: each
    for each in (
        Reader("settings", _settings),
        Reader("overrides", _overrides),
        Reader("environment", _environment),
        Reader("labels", _labels, short=120),
        Reader("label_maps", _label_map, short=80),
        Reader("split_files", _split_file),
        Reader("clip_lists", _clip_list),
        Reader("group_files", _group_file),
        Reader("descriptions", _descriptions, short=120),
        Reader("edited", _edited, (ValueError, FsarctlError)),
        Reader("replies", _reply, _reply_refusals(), short=80),
        Reader("results", _results),
        Reader("support", _support),
        Reader("weights", _weights),
        Reader("vectors", _vectors),
        Reader("video", _video),
        Reader("images", _images),
        *(Reader(name, read, refuses) for name, read, refuses in own_files.readers()),
    )
}
