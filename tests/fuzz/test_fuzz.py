"""What `make fuzz` tries for hours, for a few seconds: the corpus as it is, and a few inputs damaged."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from damage import damaged
from readers import READERS, Reader
from run import HANG_S, Watch, attempt, inputs

WATCH = Watch()
SLOW_MACHINE = 12
"""Times ``HANG_S`` that an input may compute here, where whatever machine runs the tests is to pass them."""


@contextmanager
def limited() -> Iterator[None]:
    """Whatever computes for longer than any input may is a fault; a busy machine is none."""

    def end(*_: object) -> None:
        raise TimeoutError(f"silent for {HANG_S * SLOW_MACHINE:.0f} s")

    before = signal.signal(signal.SIGVTALRM, end)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_whatever_a_file_holds_is_read_or_refused_in_words(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    attempt(reader, *inputs(reader, 0), tmp_path, WATCH)  # imports what it needs, which may start programs
    with limited():
        for seed in range(len(reader.corpus) + reader.short):
            signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S * SLOW_MACHINE)
            fault, how = attempt(reader, *inputs(reader, seed), tmp_path, WATCH)
            assert not fault, f"python tests/fuzz/run.py {name} --only {seed}: {fault}\n{how}"


def test_the_same_seed_gives_the_same_input_and_another_seed_another() -> None:
    corpus = [b'{"a": [1, 2], "b": "c"}', b"run,train\njump,test\n"]
    some = [damaged("labels", seed, corpus, seed % 2) for seed in range(200)]
    assert some == [damaged("labels", seed, corpus, seed % 2) for seed in range(200)]
    assert len({*some}) > 180
    assert damaged("labels", 0, corpus, 0) != damaged("settings", 0, corpus, 0)
    assert max(map(len, some)) <= 2**20


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (lambda path: [][1], "IndexError at test_fuzz.py"),
        (lambda path: np.empty(2**60, np.uint8), "memory"),
        (lambda path: path.parent.parent.joinpath("elsewhere").touch(), "elsewhere"),
        (lambda path: __import__("os").system("true"), "elsewhere"),
        (lambda path: path.with_name("beside").write_text("x"), ""),
        (lambda path: int(path.read_text()), ""),
    ],
)
def test_the_harness_sees_what_a_reader_must_not_do(read: object, fault: str, tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    reader = Reader("made", read, (ValueError,))  # type: ignore[arg-type]
    found, _ = attempt(reader, "input", b"no number", folder, WATCH)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)
