"""What hostile files are refused with, where a bound or a sense is checked that no library checks."""

import hashlib
import io
import json
import os
import pickle
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import own_files
import pytest
import torch

from fsarctl.artifacts.hashes import HashMemory
from fsarctl.artifacts.manifest import ManifestError, Source, Stored, parse_manifest
from fsarctl.artifacts.unfinished.journal import JOURNAL, Entry, Journal
from fsarctl.config import text_file
from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.settings import load_settings
from fsarctl.datasets.labels.label_list import read_labels
from fsarctl.datasets.labels.label_map import read_label_map
from fsarctl.datasets.labels.table import _is_words, table_in
from fsarctl.datasets.video_tree import plain_text
from fsarctl.datasets.yaml_text import LARGEST, read_yaml
from fsarctl.errors import ConfigError, InputError, IntegrityError
from fsarctl.methods.vectors import read_arrays
from fsarctl.models.weights.weight_file import read_weights
from fsarctl.progress import SILENT
from fsarctl.results.result import load_result
from fsarctl.text.corpus import load_corpus, sub_actions_from
from fsarctl.text.llm.wrappings import unwrapped

FOLDER = Path(__file__).parent / "corpus"
LAUGHS = FOLDER / "descriptions" / "laughs.yaml"


# ------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"seed = {'9' * 5000}", r"not valid TOML: a whole number has more than 4,300 digits$"),
        (f"seed = 0x{'f' * 5000}", "whole number of 20000 bits"),
        (f"seed = {2**63}", "whole number of 64 bits"),
        (f"seed = {'[' * 400}{']' * 400}", "nested too deeply"),
        (f"seed = {'[' * 20}{']' * 20}", "nested too deeply"),
        ("group = '(a{99999999999})'", "is no pattern"),
        (f"{'a.' * 50_000}b = 1", "more than 1,000 dots"),
    ],
)
def test_settings_without_an_end_are_refused_and_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "fsarctl.toml").write_text(f'[datasets.a]\nkind = "folder"\nroot = "."\n{line}\n')
    with pytest.raises(ConfigError, match=said) as refused:
        load_settings(tmp_path, environment={})
    assert refused.value.next_step
    assert "fsarctl.toml" in str(refused.value) or "[datasets.a]" in str(refused.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"train.epochs=0x{'f' * 40}", "train.epochs holds a whole number of 160 bits"),
        (f"eval.shots={'[' * 30}{']' * 30}", "eval.shots is nested too deeply"),
        (f"train.epochs={'[' * 3000}", "train.epochs"),
        ("train.epochs=1\neval.way=3", "train.epochs"),
    ],
)
def test_overrides_are_values_and_nothing_more(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(tmp_path, [override], {}, required=False)


def test_the_widest_whole_number_is_one(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, [f"train.seed={2**63 - 1}"], {}, required=False)
    assert settings.config.train.seed == 2**63 - 1


# ---------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: [a, b, c]\na: !!timestamp x", "line 2"),
        ("a: !!int ''", "line 1"),
        ("a: !!bool maybe", "line 1"),
        ("a: !!binary '\u00e9'", "line 1"),
        ("run: &x [a, b, c]\njump: *x", r"an alias .*line 2"),
        ("? [a, b]\n: [a, b, c]", "a label that is no text"),
        ("a: " + "[" * 60 + "]" * 60, "in each other"),
        ('a: "\\U99999999"', "is not YAML"),
        ("a: [" + "x, " * LARGEST, "characters"),
    ],
)
def test_odd_yaml_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as refused:
        load_corpus([file])
    assert str(file) in str(refused.value)
    assert refused.value.next_step


def test_a_table_whose_yaml_laughs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_labels(LAUGHS)
    assert read_yaml("- a\n- b: [1, null]\n") == ["a", {"b": [1, None]}]
    assert read_yaml("") is None


def test_a_table_of_too_many_cells_has_none() -> None:
    rows = [{f"k{number}": number} for number in range(2000)]
    found = table_in(json.dumps(rows))
    assert found is not None
    assert not found.columns
    assert table_in(json.dumps(rows[:100])).columns == tuple(f"k{number}" for number in range(100))  # type: ignore[union-attr]


@pytest.mark.parametrize("value", ['{"a": ' * 990 + "1" + "}" * 990, "{'a': {(1, 2): 3}, 'b': [{4}]}"])
def test_values_that_no_cell_holds_are_program_text(value: str) -> None:
    found = table_in(value)
    assert found is not None
    assert "cannot be read" in found.kind


def test_lines_longer_than_any_label_cost_no_time(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("a" + " " * 200_000 + "b\nc\n")
    with pytest.raises(InputError, match="more than 300 characters on line 1"):
        read_labels(file)


def test_a_number_of_thousands_of_digits_is_a_name(tmp_path: Path) -> None:
    file = tmp_path / "map.txt"
    file.write_text(f"{'9' * 5000} run\n2 jump\n")
    found = read_label_map(file)
    assert found.label("9" * 5000) == "run"
    assert found.label("02") == "jump"


def test_a_file_of_protocol_buffers_with_comments_and_braces() -> None:
    found = table_in("# map\nitem {\n  id: 1\n  name: 'bend'\n}\n\n# two\nitem { id: 2 name: 'bow' }\n")
    assert found is not None
    assert found.rows == ((1, ("1", "bend")), (2, ("2", "bow")))


def test_many_blocks_that_end_in_garbage_are_told_at_once() -> None:
    table_in("item {\n}\n  \n" * 5000 + "}{")  # two to the power of the blocks, once


def test_a_file_without_an_end_is_not_read_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "LARGEST", 100)
    file = tmp_path / "labels.txt"
    file.write_text("run\n" * 26)
    with pytest.raises(InputError, match="larger than any label list"):
        read_labels(file)


# ------------------------------------------------------------------------------------------- weights


def test_an_archive_that_would_unpack_to_much_more_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "small.pt")
    with (
        zipfile.ZipFile(tmp_path / "small.pt") as small,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in small.namelist():
            bomb.writestr(name, bytes(10**7) if name.endswith("data/0") else small.read(name))
    assert (tmp_path / "bomb.pt").stat().st_size < 20_000
    with pytest.raises(InputError, match="unpack to 10 MiB"):
        read_weights(tmp_path / "bomb.pt")


@pytest.mark.parametrize(
    "state",
    [
        {"a": torch.zeros(1).expand(10**12)},
        {f"a{number}": part for number, part in enumerate([torch.zeros(1000)] * 20)},
    ],
)
def test_tensors_that_are_more_than_the_file_are_refused(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weights(tmp_path / "x.pt")


def test_tied_weights_are_read(tmp_path: Path) -> None:
    tied = torch.ones(5)
    torch.save({"a": tied, "b": tied, "c": tied[:3]}, tmp_path / "x.pt")
    assert read_weights(tmp_path / "x.pt").state["c"].tolist() == [1, 1, 1]


def archive(path: Path, module: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("x/constants.pkl", b"")
        out.writestr("x/data.pkl", module)
    return path


def test_a_pickle_that_asks_for_a_place_beyond_its_end_is_refused(tmp_path: Path) -> None:
    memo = pickle.PROTO + b"\x02}" + pickle.LONG_BINPUT + (2**31 - 1).to_bytes(4, "little") + b"."
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weights(archive(tmp_path / "x.pt", memo))


def test_modules_that_hold_each_other_twice_are_refused(tmp_path: Path) -> None:
    """Each holds the next one as two attributes: as many names as two to their number."""
    new = b"c__torch__\nM\n)\x81"
    whole = b"}" + b"".join(
        # a new module, whose state is {"a": the one before, "b": the same}
        pickle.BINPUT + b"\x01" + new + b"}(U\x01a" + b"h\x01" + b"U\x01b" + b"h\x01" + b"ub"
        for _ in range(60)
    )
    with pytest.raises(InputError, match="its modules hold each other"):
        read_weights(archive(tmp_path / "x.pt", b"\x80\x02" + whole + b"."))


def test_names_that_are_no_text_are_no_weights(tmp_path: Path) -> None:
    torch.save({("a", 1): torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="its entries are a tuple"):
        read_weights(tmp_path / "x.pt")


def test_vectors_that_would_fill_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsarctl.methods.vectors.MOST_BYTES", 10_000)
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(20_000, np.uint8))
    with pytest.raises(InputError, match="unpacks to"):
        read_arrays(tmp_path / "x.npz")
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as out:
        out.writestr("a.npy", head.getvalue())
    with pytest.raises(InputError, match="cannot be read"):
        read_arrays(tmp_path / "y.npz")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda text: sub_actions_from([text, "Leap.", "Land."]), "Lean f" + "- " * 40_000 + "x"),
        (_is_words, "<think></think>" * 20_000),
        (unwrapped, "`" * 4_000 + " " * 3_999 + "x"),
        (_is_words, f"a/{'1' * 200_000} b"),
    ],
)
def test_a_text_of_one_thing_over_and_over_is_read_at_once(read: Callable[[str], object], text: str) -> None:
    begun = time.process_time()
    with suppress(ValueError):
        read(text)
    assert time.process_time() - begun < 5, "a time that grows with the square would take minutes"


@pytest.mark.parametrize(
    ("cell", "is_words"),
    [
        *(("high jump", True), ("on/off switch", True), ("pick up / put down 2 cups", True), ("a/b", True)),
        *(("a/b1", False), ("a1/b", True), ("a/b/3", False), ("a/b 3", True), ("/a b", False)),
    ],
)
def test_a_path_with_a_number_is_no_label(cell: str, is_words: bool) -> None:
    assert _is_words(cell) == is_words


def test_half_a_character_is_in_no_file_s_name() -> None:
    assert plain_text("\ud800a") == r"\xed\xa0\x80a"
    assert plain_text(os.fsdecode(b"caf\xe9")) == r"caf\xe9"


# ------------------------------------------------------------------------------------ what it wrote itself


def consistent(**changed: object) -> bytes:
    """A manifest whose seal, key and digest are right, with some fields changed."""
    fields = json.loads((FOLDER / "manifests" / "train.json").read_bytes()) | changed
    del fields["seal"]
    return own_files._consistent(json.dumps(fields).removesuffix("}").encode())


def test_a_sealed_manifest_is_read_as_far_as_it_makes_sense() -> None:
    assert parse_manifest(consistent()).inputs["videos"] == Source("e" * 64, files=3)
    for changed in (
        {"files": {"../../x": {"bytes": 1, "sha256": "a"}}},
        {"files": {"/dev/zero": {"bytes": 1, "sha256": "a"}}},
        {"slot": ["x"]},
        {"provenance": []},
        {"sources": {"bytes": "x", "sha256": "a"}},
        {"files": {"a": {"bytes": -1, "sha256": "a"}}},
        {"files": {"a": {"bytes": 10**400, "sha256": "a"}}},
    ):
        with pytest.raises(ManifestError, match="makes no sense"):
            parse_manifest(consistent(**changed))
    assert parse_manifest(consistent(files={"a/b..c": {"bytes": 1, "sha256": "a"}})).files[
        "a/b..c"
    ] == Stored(1, "a")


def test_a_sealed_line_of_a_journal_names_no_file_elsewhere(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "x")
    journal.begin([Entry({"a": "1"}), Entry({"../a": "1"}), Entry({"/dev/zero": "1"})])
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(own_files._sealed(b'{"files": [], "facts": {}}\n', b"x journal.jsonl"))
    entries, lost = journal.read()
    assert [each.files for each in entries] == [{"a": "1"}]
    assert lost == 3


@pytest.mark.parametrize("name", ["case.sqlite", "one.sqlite"])
def test_a_damaged_hash_memory_is_forgotten(tmp_path: Path, name: str) -> None:
    clip, memory = tmp_path / "clip", tmp_path / "hashes.sqlite"
    clip.write_bytes(b"clip")
    memory.write_bytes((FOLDER / "hashes" / name).read_bytes().replace(b"clip.mp4", b"cl\xffp.mp4"))
    (found,) = HashMemory(memory, SILENT).sha256([str(clip)]).values()
    assert found == hashlib.sha256(b"clip").hexdigest()


@pytest.mark.parametrize("content", [b"[]", b'{"classes": 3}', b"\xff", b"[" * 5000])
def test_a_result_that_is_none_is_an_integrity_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(IntegrityError, match="not what fsarctl writes") as refused:
        load_result(tmp_path)
    assert str(tmp_path) in refused.value.next_step


def test_a_pattern_of_groups_without_an_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no pattern"):
        DatasetConfig(kind="folder", root=".", group="(a{99999999999})")
