"""Names that would move a cursor, forge a line or turn the text around them: shown, and never followed."""

import json
import re
import unicodedata
from pathlib import Path

import pytest
from typed import Typed, type_in

from fsarctl.cli import main
from fsarctl.cli.terminal import console
from fsarctl.errors import InputError
from fsarctl.errors.shown import brief, escaped, escaped_json, shown

ESCAPE, TURNED, FORGED = "\x1b[31mred\x07", "left\u202etfel", "run\nerror: all is lost"
NAMES = (ESCAPE, TURNED, "\x9b31mC1", FORGED)
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dataset of such classes, each with two files that are no videos."""
    for name in NAMES:
        for clip in range(2):
            file = tmp_path / "clips" / name / f"{clip}\x1b]0;title\x07.mp4"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode() + bytes([clip]))
    (tmp_path / "fsarctl.toml").write_text(
        '[datasets."d\\u001b[1m\\u202e"]\nkind = "folder"\nroot = "clips"\nsplit_ratio = [1, 1, 2]\n'
        '[describe]\nmissing = "label"\n'
        '[model]\nbackbone = "tiny"\nweights = "shipped"\ntext_layers = 1\nvisual_layers = 1\n'
    )
    return tmp_path


def assert_harmless(done: Typed) -> None:
    for stream in (done.stdout, done.stderr):
        hidden = [each for each in stream if each != "\n" and unicodedata.category(each) in HIDDEN]
        assert not hidden, f"{hidden}: {stream}"
        assert "error: all is lost" not in stream.splitlines()
    assert "bug in fsarctl" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "data ls",
        "data ls --json",
        "data check",
        "data check --json",
        "describe",
        "describe --show",
        "describe --show --json",
        "run --dry-run",
        "status --why",
        "status --json",
        "config show --origin",
        "cache ls",
        "report",
        "extract",
        "eval --dry-run",
        "ablate --list",
        "predict --support clips clips",
    ],
)
def test_no_command_prints_what_a_name_would_do(project: Path, words: str) -> None:
    done = type_in(project, *words.split(), expect=None)
    assert_harmless(done)
    if words.startswith(("data check", "describe --show")):
        said = (done.stdout + done.stderr).lower()
        assert "\\x1b[31mred\\x07" in said or "\\u001b[31mred\\u0007" in said
        assert "left\\u202etfel" in said


@pytest.mark.parametrize(
    "words",
    [
        ("describe", "--show", ESCAPE),
        ("describe", "--labels", "\x1b[2Jlist\u202e.txt"),
        ("extract", "--set", "extract.frames=\x1b[2J"),
        ("extract", "--set", "\u202ex.y=1"),
        ("extract", "--project", "no\x1b[2J"),
        ("predict", "--support", "no\x1b[2J", "x"),
        ("cache", "show", "\x1b[2J"),
    ],
)
def test_no_error_follows_what_was_typed(project: Path, words: tuple[str, ...]) -> None:
    assert_harmless(type_in(project, *words, expect=None))


def test_a_label_of_ten_thousand_characters_is_shown_by_sixty(project: Path) -> None:
    label = "wave the left hand " * 526 + "endless"
    (project / "fsarctl.toml").write_text('[datasets.d]\nkind = "list"\nfile = "list.csv"\n')
    clips = f"clips/run/0.mp4,{label},test\nclips/run/1.mp4,run,train\nclips/run/2.mp4,jump,val\n"
    (project / "list.csv").write_text(f"path,label,split\n{clips}")
    (project / "clips" / "run").mkdir()
    for number in range(3):
        (project / "clips" / "run" / f"{number}.mp4").write_bytes(b"%d" % number)
    for words in ("data check", "describe", "describe --show", "run --dry-run", "extract"):
        done = type_in(project, *words.split(), expect=None)
        assert "endless" not in done.stdout + done.stderr
        assert len(done.stdout + done.stderr) < 5_000
    assert label[:60] in type_in(project, "describe", "--show").stdout


def test_json_says_the_same_with_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": f"{ESCAPE}{TURNED}\x9b\U000e0001 \N{OM SYMBOL} \u200d", "half": "\ud800"}
    console.print_json(value)
    written = capsys.readouterr().out
    assert json.loads(written) == value
    assert "\N{OM SYMBOL} \u200d" in written
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\U000e0001\ud800]", written)


def test_what_can_be_seen_is_left_as_it_is() -> None:
    for text in (
        "correr r\u00e1pido",
        "\u8d70\u308b",
        "\u062f\u0648\u06cc\u062f\u0646\u200c\u0647\u0627",
        "a\\nb [red]x[/red]",
    ):
        assert shown(text) == escaped(text) == text
    assert escaped("a\tb\x7f\u2028\ud800") == r"a\tb\x7f\u2028\ud800"
    assert escaped_json('{\n "a": "\x7f"\n}') == '{\n "a": "\\u007f"\n}'


def test_names_longer_than_any_label_are_shortened_and_paths_are_not() -> None:
    path = "/".join(["folder with a name"] * 40)
    assert shown(f"there is no clip {path}") == f"there is no clip {path}"
    assert (
        shown(f"class {'y, ' * 1000!r} is in two splits")
        == f"class '{('y, ' * 20)}'... (3,000 characters) is in two splits"
    )
    assert shown("x" * 300) == brief("x" * 300) == "x" * 300
    typed = f"'one' and 2 more; describe {'x' * 280} 'two'"
    assert shown(typed) == typed, "what is between two names is none"
    assert brief("x" * 301) == f"{'x' * 60}... (301 characters)"


def test_all_that_is_printed_leaves_through_one_place() -> None:
    """Whoever prints past it prints what a name says."""
    folder = Path(console.__file__).parents[1]
    past = re.compile(
        r"typer\.echo|typer\.secho|sys\.stdout\.write|(?<![\w.])print\(|(?<!\w)Text\(|rich\.print"
    )
    files = [each for each in folder.rglob("*.py") if each != Path(console.__file__)]
    assert len(files) > 30
    assert [
        f"{each.name}: {line}"
        for each in files
        for line in each.read_text().splitlines()
        if past.search(line)
    ] == []


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (OSError(28, "No space left on device"), "No space left on device", 3),
        (OSError(13, "Permission denied", "/x\x1b"), r"/x\x1b: Permission denied", 3),
        (MemoryError(), "memory of this machine", 3),
        (InputError("a\x1b[2Jb", next_step="c\u202ed"), r"a\x1b[2Jb", 3),
        (IndexError("\x1b[2J"), "this is a bug in fsarctl", 1),
        (OSError("odd"), "this is a bug in fsarctl", 1),
    ],
)
def test_bugs_alone_are_called_bugs(
    error: Exception,
    said: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(**_: object) -> None:
        raise error

    monkeypatch.setattr("fsarctl.cli._command_tree", lambda: fails)
    monkeypatch.setattr("sys.argv", ["fsarctl"])
    with pytest.raises(SystemExit) as ended:
        main()
    written = capsys.readouterr().err
    assert ended.value.code == code
    assert said in written
    assert "\x1b" not in written
    assert ("bug in fsarctl" in written) == (code == 1)


@pytest.mark.parametrize("words", [(), ("status",), ("cache",), ("run", "--engine"), ("train", "--shots")])
def test_words_that_no_command_takes_are_harmless(tmp_path: Path, words: tuple[str, ...]) -> None:
    for word in (ESCAPE, TURNED, f"--{TURNED}", "y" * 5000):
        done = type_in(tmp_path, *words, word, expect=2)
        assert_harmless(done)
        assert "y" * 80 not in done.stderr
