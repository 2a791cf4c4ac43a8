"""Corpus files, the look-up of labels, and the text encoder's prompts."""

import json
from pathlib import Path

import pytest

from fsarctl.errors import ConfigError, InputError, IntegrityError
from fsarctl.text.corpus import (
    Corpus,
    action_prompts,
    load_corpus,
    load_descriptions,
    sub_actions_from,
)

JUMP = ("Run up for momentum.", "Take off with a powerful leap.", "Land and maintain balance.")


def corpus_file(folder: Path, content: object, name: str = "mine.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_prompts_are_the_papers() -> None:
    assert action_prompts("Long Jump", JUMP) == (
        "A video of action about Long Jump: Run up for momentum.",
        "A video of action about Long Jump: Take off with a powerful leap.",
        "A video of action about Long Jump: Land and maintain balance.",
    )


@pytest.mark.parametrize(
    "label", ["long jump", "LongJump", "long_jump", "LONG-JUMP", " long  jump", "long [jump]"]
)
def test_labels_find_each_other_across_spellings(label: str) -> None:
    assert Corpus(({"Long Jump": JUMP},)).find([label, "high jump"]) == {label: JUMP}


def test_composed_and_decomposed_accents_are_one() -> None:
    assert Corpus(({"pirouette e\u0301le\u0301gante": JUMP},)).find(["pirouette \u00e9l\u00e9gante"])


def test_exact_spelling_wins_within_a_place_and_earlier_places_win() -> None:
    exact, loose, other = (("a", "b", mark) for mark in "xyz")
    within = Corpus(({"push_up": loose, "push up": exact, "PUSH UP": other},))
    assert within.find(["push up", "pushup"]) == {"push up": exact, "pushup": loose}
    assert Corpus(({"Push-Up": loose}, {"push up": exact})).find(["push up"]) == {"push up": loose}


def test_users_files_are_looked_up_before_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shipped").mkdir()
    corpus_file(tmp_path / "shipped", {"a": ["1", "2", "3"], "b": ["4", "5", "6"]}, "one.json")
    corpus_file(tmp_path / "shipped", {"b": ["7", "8", "9"], "c": ["7", "8", "9"]}, "two.json")
    corpus_file(tmp_path / "shipped", "no JSON", "sub_actions.txt")
    monkeypatch.setattr("fsarctl.text.corpus.resources.files", lambda _: tmp_path / "shipped")
    mine = corpus_file(tmp_path, "\ufeff" + json.dumps({"A": [" own ", "2", "3"]}))
    assert load_corpus([mine]).find("abcd") == {
        "a": ("own", "2", "3"),
        "b": ("4", "5", "6"),
        "c": ("7", "8", "9"),
    }


def test_every_shipped_file_loads() -> None:
    load_corpus([])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": ["1", "2",\n "3"}', "is not JSON: .* on line 2, column 5"),
        ("", "is not JSON"),
        ('{"a": ' + "1" * 5000 + "}", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ([["a", "b", "c"]], "is not a JSON object"),
        ("3", "is not a JSON object"),
        ({"run": "fast"}, "the value of 'run' is not a list"),
        ({"run": {"beginning": "1", "process": "2", "end": "3"}}, "the value of 'run' is not a list"),
        ({"ok": ["1", "2", "3"], "run": ["1", "2"]}, "description of 'run' has 2 stages instead of 3"),
        ({"run": ["1", "2", "3", "4"]}, "description of 'run' has 4 stages"),
        ({"run": ["1", 2, "3"]}, "description of 'run' has something else than text in its process"),
        ({"run": ["1", " ", "3"]}, "description of 'run' has an empty process"),
        ({"run": ["1", "2", "3\n4"]}, "description of 'run' has several lines in its end"),
        ({"run": ["Step.", "step.", "3"]}, "description of 'run' says the same for two stages"),
        ({"run": ["x" * 241, "2", "3"]}, "description of 'run' has 241 characters in its beginning"),
        ('{"run": ["1", "2", "\\ud83d"]}', "description of 'run' has control characters in its end"),
        ('{"run": ["1", "2", "3"], "run": ["1", "2", "3"]}', "describes 'run' twice"),
    ],
)
def test_broken_files_name_themselves_and_the_label(tmp_path: Path, content: object, message: str) -> None:
    path = corpus_file(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        load_corpus([path])
    assert "mine.json" in caught.value.message
    assert caught.value.next_step


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"describe\.files names .*absent\.json"):
        load_corpus([tmp_path / "absent.json"])


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match=r"binary\.json is not JSON in UTF-8"):
        load_corpus([path])


def test_sentences_are_stripped() -> None:
    assert sub_actions_from([" One. ", "Two.\n", "Three."]) == ("One.", "Two.", "Three.")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"labels": {"a": {"beginning": "x"}}}'])
def test_a_damaged_artifact_is_an_integrity_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "descriptions.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"descriptions\.json"):
        load_descriptions(tmp_path)


def test_a_yaml_file_says_the_same_as_json(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("long jump:\n  - Run up.\n  - Take off.\n  - Land.\n", encoding="utf-8")
    assert load_corpus([path]).find(["long jump"]) == {"long jump": ("Run up.", "Take off.", "Land.")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [one, two, three]\na: [four, five, six]\n", "'a' twice"),
        ("a: [one, two\n", "mine.yml is not YAML"),
        ("- one\n- two\n", "mine.yml is not"),
        ("a: [one, two]\n", "2 stages instead of 3"),
        ("a: !!python/object/apply:os.getcwd []\n", "mine.yml"),
        ("", "mine.yml is not"),
    ],
)
def test_a_wrong_yaml_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_corpus([path])
    assert says in caught.value.message
