"""A file of results that somebody else wrote: read when it is right, refused in one line when it is not."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchanged import document

from fsarctl.errors import InputError
from fsarctl.results.exchange import reading
from fsarctl.results.exchange.document import file_bytes, public
from fsarctl.results.exchange.reading import choose_pair, parse_results, read_results

Change = Callable[[dict[str, Any]], object]


def written(folder: Path, content: bytes) -> Path:
    path = folder / "theirs.json"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_is_read_back(tmp_path: Path, compressed: bool) -> None:
    content = file_bytes(document(), compressed=compressed)
    assert content == file_bytes(document(), compressed=compressed)
    (found,) = read_results(written(tmp_path, content))
    assert (found.slot, found.record["accuracy"], found.record["shot"]) == ("eval d 1-shot x", 0.75, 1)
    assert found.predictions.episode_accuracies == [1.0, 0.5]
    assert found.predictions.support.tolist() == [[[0], [3]], [[4], [1]]]
    assert [clip.name for clip in found.clips][:2] == ["run/0.mp4", "run/1.mp4"]
    assert found.record["intervals"].keys() == {"episodes", "clips", "classes"}


def test_a_name_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    odd = document()
    odd["clips"][0]["clips"][0][0] = "run/\udcff.mp4"
    assert json.loads(file_bytes(odd, compressed=False))["clips"][0]["clips"][0][0] == "run/\udcff.mp4"


def first(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document[name][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(schema="fsarctl.results/2"), "reads fsarctl.results/1"),
        (lambda d: d.update(schema="fsarctl.results/0"), "reads fsarctl.results/1"),
        (lambda d: d.update(schema="fsarctl.eval/1"), "fsarctl.eval/1"),
        (lambda d: d.update(schema=["\x1b[2J"] * 50), "not of schema"),
        (lambda d: d.pop("schema"), "not of schema"),
        (lambda d: d.update(results=[]), "holds no result"),
        (lambda d: d.update(results={}), "results is not a list"),
        (lambda d: d.pop("clips"), "has no clips"),
        (lambda d: first("results")(d).update(episodes=1), "not a whole number of 0 to 0"),
        (lambda d: first("results")(d).update(episodes=True), "not a whole number"),
        (lambda d: first("results")(d).update(episodes=0.0), "not a whole number"),
        (lambda d: first("results")(d).update(slot=3), "is not text"),
        (lambda d: first("results")(d).update(slot="x" * 5000), "5,000 letters"),
        (lambda d: first("results")(d).update(predicted=[[0, 1]]), "1 episodes, which are 2"),
        (lambda d: first("results")(d).update(predicted=[[0, 1], [0, 2]]), "not from 0 to 1"),
        (lambda d: first("results")(d).update(predicted=[[0, 1], [0, 10**30]]), "not from 0 to 1"),
        (lambda d: first("results")(d).update(predicted=[[0, 1], [0, 1]]), "accuracy of 75.00 %, and its"),
        (lambda d: first("results")(d)["record"].update(accuracy=float("inf")), "Infinity is no number"),
        (lambda d: first("results")(d)["record"].update(accuracy="0.75"), "no number of 0 to 1"),
        (lambda d: first("results")(d)["record"].update(shot=5), "says shot 5, and its episodes 1"),
        (lambda d: first("results")(d).update(record=[]), "is not a table"),
        (lambda d: first("episodes")(d).update(way=10**9), "not a whole number"),
        (lambda d: first("episodes")(d).update(way=3), "not a whole number"),
        (lambda d: first("episodes")(d).update(shot=2), "is not 4 whole numbers"),
        (lambda d: first("episodes")(d).update(classes=[]), "not as many"),
        (lambda d: first("episodes")(d).update(classes=[[0, 1], 7]), "is not 2 whole numbers"),
        (lambda d: first("episodes")(d).update(query=[[], []], targets=[[], []]), "not as many"),
        (lambda d: first("episodes")(d).update(query=[[-1, 4], [5, 2]]), "not from 0 to 5"),
        (lambda d: first("episodes")(d).update(query=[[1, 4], [5, 2.0]]), "is not 2 whole numbers"),
        (lambda d: first("episodes")(d).update(query=[[4, 1], [5, 2]]), "queries of other classes"),
        (lambda d: first("episodes")(d).update(support=[[3, 0], [4, 1]]), "support clips of other classes"),
        (lambda d: first("episodes")(d).update(labels=["run", "run"]), "has one twice"),
        (lambda d: first("episodes")(d).update(groups=[0]), "is not 6 whole numbers"),
        (lambda d: first("clips")(d)["clips"][0].pop(), "not a name, a label and a SHA-256"),
        (lambda d: first("clips")(d)["clips"][0].__setitem__(2, "g" * 64), "not a name, a label"),
        (lambda d: first("clips")(d)["clips"][0].__setitem__(0, "run/1.mp4"), "name twice"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    wrong = document()
    change(wrong)
    with pytest.raises(InputError) as refused:
        read_results(written(tmp_path, json.dumps(wrong).encode()))
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    assert "\x1b" not in refused.value.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"schema": NaN}', "NaN is no number"),
        (b'{"schema": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"null", "not a table"),
        (b"[]", "not a table"),
        (b"\x1f\x8b\x08garbage", "damaged"),
        (file_bytes(document(), compressed=True)[:-30], "cut short"),
        (file_bytes(document(), compressed=True) + b"more", "behind its end"),
        (b"\x80\x04\x95", "not JSON"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_results(written(tmp_path, content))


def test_a_bit_that_flipped_in_a_compressed_file_is_found(tmp_path: Path) -> None:
    content = bytearray(file_bytes(document(), compressed=True))
    content[-6] ^= 1  # of the checksum
    with pytest.raises(InputError, match="damaged"):
        read_results(written(tmp_path, bytes(content)))


def test_a_file_that_swells_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 2**20)
    paths = [written(tmp_path, gzip.compress(b" " * 2**26)), tmp_path / "plain.json"]
    paths[1].write_bytes(b" " * 2**21)
    for path in paths:
        tracemalloc.start()
        with pytest.raises(InputError, match="holds more than 1 MiB"):
            read_results(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
        tracemalloc.stop()


def test_more_scores_than_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_SCORES", 7)
    with pytest.raises(InputError, match="larger than any"):
        read_results(written(tmp_path, json.dumps(document()).encode()))


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    odd = document()
    odd["results"][0]["slot"] = "eval \x1b[31m\nx"
    assert parse_results(odd)[0].slot == "eval \N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}x"


def test_the_one_that_is_meant_is_chosen() -> None:
    many = document()
    for title, key in (("Y", "b"), ("Z", "c")):
        many["results"].append({**many["results"][0], "title": title, "key": key})
    one, several = parse_results(document()), parse_results(many)
    assert choose_pair(one, several)[1].title == "X"
    assert choose_pair(several[1:2], several)[1].title == "Y"
    with pytest.raises(InputError, match="3 results, and which one is meant"):
        choose_pair(several, several)
    of_three_shots = [replace(each, record={**each.record, "shot": 3}) for each in several[1:]]
    with pytest.raises(InputError, match="3 results, and which one is meant"):
        choose_pair(of_three_shots, several)
    with pytest.raises(InputError, match="B has no such result"):
        choose_pair(one, [])


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("/home/me/clips/x.mp4", "x.mp4"),
        ("weights at /home/me/w.pt, read", "weights at w.pt, read"),
        (r"C:\Users\me\w.pt", "w.pt"),
        ("~/w.pt and ~me/v.pt", "w.pt and v.pt"),
        ("https://me:secret@host/v1?key=1", "https://host/v1"),
        ("file:///home/me/w.pt", "w.pt"),
        ("run/1.mp4", "run/1.mp4"),
        ("and/or 1/2", "and/or 1/2"),
        ("ViT-B/16", "ViT-B/16"),
    ],
)
def test_nothing_private_leaves(said: str, seen: str) -> None:
    assert public({said: [said, 1, None, True]}) == {seen: [seen, 1, None, True]}
