"""``fsarctl describe`` as a user types it, with a server on loopback, an editor, and a key to keep secret."""

import json
import os
import pty
import re
import select
import shlex
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Loopback, Reply, Request, completion, failure, good, loopback, sentences
from typed import FSARCTL, Typed, plain_environment, type_in

from fsarctl.artifacts.command import Option
from fsarctl.stages.describe import edit_command

KEY = "sk-secret-0123456789abcdef"
GROWS, FADES = "a shape grows", "a shape shrinks"
WRITES = "s/^beginning:/& Hold./;s/^process:/& Throw./;s/^end:/& Catch./"
FILE = """
[datasets.shapes]
kind = "shapes"
[describe]
source = "openai"
model = "m"
template = "ask.txt"
base_url = "{url}"
price_in = 2.0
price_out = 10.0
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "ask.txt").write_text("{label}\n")
    (tmp_path / "list.txt").write_text("long jump\njuggling\n")
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    """The key, a loopback that no proxy stands before, and no editor."""
    return {"OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1", "EDITOR": "", "VISUAL": "", **more}


def describe(project: Path, server: Loopback | str, *words: str, expect: int = 0, **more: str) -> Typed:
    """Run ``fsarctl describe`` and check its exit code."""
    url = server if isinstance(server, str) else server.url
    (project / "fsarctl.toml").write_text(FILE.replace("{url}", url))
    return run_in(project, "describe", *words, expect=expect, **more)


def run_in(project: Path, *words: str, expect: int = 0, **more: str) -> Typed:
    """Run ``fsarctl`` and check its exit code."""
    return type_in(project, *words, expect=expect, **environment(**more))


def editor(project: Path, *scripts: str) -> str:
    """An editor that runs one sed script after the other, one a call."""
    path = project / "editor.sh"
    lines = [f"{n}) sed -i '{script}' \"$1\" ;;" for n, script in enumerate(scripts)]
    counter = project / "edited"
    path.write_text(
        f"#!/bin/sh\nn=$(cat '{counter}' 2>/dev/null || echo 0)\ncp \"$1\" '{project}/seen-'$n\n"
        f"case $n in\n{chr(10).join(lines)}\nesac\necho $((n + 1)) > '{counter}'\n"
    )
    path.chmod(0o755)
    return str(path)


def test_all_splits_are_asked_in_one_go_and_a_failure_stops_no_other(project: Path) -> None:
    def reply(asked: Request) -> Reply:
        return Reply(completion("no")) if asked.prompt == GROWS else good(asked.prompt)

    with loopback(reply) as server:
        done = describe(project, server, "--json", expect=7)
        answer = json.loads(done.stdout)
        assert answer["schema"] == "fsarctl.describe/1"
        # the label is one of the base classes; the other two splits are made
        assert [each["slot"] for each in answer["artifacts"]] == [
            "describe shapes/val",
            "describe shapes/test",
        ]
        counts = answer["answers"]
        labels = counts["new"] + 1
        assert list(counts["failed"]) == [GROWS]
        # 10 + 5 tokens a reply; the failed label was asked three times
        assert (counts["prompt_tokens"], counts["completion_tokens"]) == (10 * (labels + 2), 5 * (labels + 2))
        assert counts["cost"] == pytest.approx((labels + 2) * (10 * 2.0 + 5 * 10.0) / 1e6)
        assert f"1 of {labels} labels has no description: '{GROWS}'" in done.stderr
        assert done.stderr.count("are new (") == 1
        server.requests.clear()
        describe(project, server, expect=7)
        assert set(server.prompts) == {GROWS}
    with loopback() as recovered:
        said = describe(project, recovered).stderr
        assert recovered.prompts == [GROWS]
        assert " descriptions were there, 1 is new (10 + 5 tokens, about 0.000070 at 2 and 10" in said
        assert "nothing to do" in describe(project, recovered).stderr
        assert "3 artifacts made" in describe(project, recovered, "--force").stderr
        assert recovered.prompts == [GROWS]


def test_a_dry_run_shows_prompts_and_estimates_and_sends_nothing(project: Path) -> None:
    with loopback() as server:
        done = describe(project, server, "--labels", "list.txt", "--dry-run")
        assert done.stdout == "--- juggling\njuggling\n\n--- long jump\nlong jump\n\n"
        # "juggling" and "long jump": 2 and 3 tokens of four letters; 60 an answer; 5 x 2 + 120 x 10 a million
        assert "2 calls would be made (about 5 + 120 tokens, about 0.0012 at your prices)" in done.stderr
        plan = json.loads(describe(project, server, "--labels", "list.txt", "--dry-run", "--json").stdout)
        assert (plan["calls"], plan["prompt_tokens"], plan["completion_tokens"]) == (2, 5, 120)
        assert server.requests == []
        describe(project, server, "--labels", "list.txt")
        assert (
            "0 calls would be made" in describe(project, server, "--labels", "list.txt", "--dry-run").stderr
        )


def test_show_says_what_there_is_and_from_where(project: Path) -> None:
    with loopback() as server:
        before = describe(project, server, "--show", "--labels", "list.txt")
        assert before.stdout.splitlines() == [
            "long jump  (not described yet)",
            "juggling  (not described yet)",
        ]
        assert server.requests == []
        describe(project, server, "--labels", "list.txt")
        shown = describe(project, server, "--show", "juggling", "--labels", "list.txt")
        assert shown.stdout.splitlines() == [
            "juggling  (openai, m)",
            "  beginning  Start juggling.",
            "  process    Go on juggling.",
            "  end        Stop juggling.",
        ]
        document = json.loads(describe(project, server, "--show", "--json", "--labels", "list.txt").stdout)
        assert document["schema"] == "fsarctl.descriptions/1"
        row: dict[str, Any] = document["descriptions"][1]
        assert {name: row[name] for name in sentences("juggling")} == sentences("juggling")
        assert (row["label"], row["source"], row["answered_by"]) == ("juggling", "openai", "loopback-2024")
        typo = describe(project, server, "--show", "jugling", "--labels", "list.txt")
        assert typo.stdout == "jugling  (not described yet)\n"
        assert typo.stderr.splitlines() == [
            "'jugling' is in neither list.txt nor a dataset; did you mean 'juggling'?",
            "0 of 1 label is described",
        ]


def test_a_correction_wins_and_stays(project: Path) -> None:
    edit = editor(project, "s/^process:.*/process: Throw three balls in turn./")
    words = ("--labels", "list.txt")
    with loopback() as server:
        describe(project, server, *words)
        said = describe(project, server, "--edit", "juggling", *words, EDITOR=edit).stderr
        assert "edited-descriptions.json" in said
        assert (project / "seen-0").read_text().splitlines()[-3:] == [
            "beginning: Start juggling.",
            "process: Go on juggling.",
            "end: Stop juggling.",
        ]
        kept = {"juggling": ["Start juggling.", "Throw three balls in turn.", "Stop juggling."]}
        server.requests.clear()
        for how in (
            (),
            ("--force",),
            ("--set", "describe.model=another"),
            ("--set", "describe.source=corpus"),
        ):
            if "describe.source=corpus" in how:
                (project / "list.txt").write_text("juggling\n")
            done = describe(project, server, *words, *how)
            assert "edited-descriptions.json describes 1 label: 'juggling'" in done.stderr
            assert "juggling" not in server.prompts
        assert json.loads((project / "edited-descriptions.json").read_text()) == kept
        shown = describe(project, server, "--show", *words).stdout
        assert shown.startswith(
            "juggling  (edited)\n  beginning  Start juggling.\n  process    Throw three balls"
        )


def test_a_label_that_nobody_described_can_be_written(project: Path) -> None:
    url = "http://127.0.0.1:1/v1"
    describe(project, url, "--edit", GROWS, EDITOR=editor(project, WRITES))
    assert describe(project, url, "--show", GROWS).stdout.startswith(f"{GROWS}  (edited)")


def suggested(error: str) -> list[str]:
    """The words of the command that an error suggests for writing a description."""
    command = re.search(r"fsarctl describe (--edit [^`;]*)", error)
    assert command, error
    return shlex.split(command[1])


@pytest.mark.parametrize("label", ["-dash", "an odd action", "it's", "a\nb", "\udcff", "--set"])
@pytest.mark.parametrize("datasets", [True, False])
def test_any_label_can_be_described(project: Path, label: str, datasets: bool) -> None:
    kept = FILE if datasets else FILE.replace('[datasets.shapes]\nkind = "shapes"', "")
    (project / "fsarctl.toml").write_text(kept.replace("{url}", ""))
    for words in (edit_command([label]), edit_command([label], [Option("--set", ("train.lr=1",))])):
        run_in(project, *words.arguments, EDITOR=editor(project, WRITES, "s/Catch/Drop/"))
    (written,) = json.loads((project / "edited-descriptions.json").read_text()).items()
    assert written == (label, ["Hold.", "Throw.", "Drop."])
    assert "(edited)" in run_in(project, "describe", "--show", "--", label).stdout


def test_what_is_suggested_for_a_label_without_a_description_works(project: Path) -> None:
    (project / "list.txt").write_text("-odd one\nodd two\n")
    words = ("--labels", "list.txt", "--set", "describe.model=n")
    written = (*words, "--set", "describe.source=corpus")
    for how, code in ((words, 7), (written, 3)):
        with loopback(lambda _: Reply(completion("no"))) as server:
            command = suggested(describe(project, server, *how, expect=code).stderr)
            done = describe(project, server, *command, EDITOR=editor(project, WRITES, WRITES))
        assert "next: fsarctl describe" not in done.stderr  # it is about datasets
        with loopback() as server:
            describe(project, server, *how)
            assert server.requests == []
        (project / "edited-descriptions.json").unlink()
        (project / "edited").unlink()


def test_a_correction_of_no_dataset_is_kept_and_said(project: Path) -> None:
    edit = editor(project, WRITES, WRITES, WRITES)
    words = ("--set", "describe.source=corpus")
    done = describe(project, "", "--edit", "a shape growz", *words, EDITOR=edit)
    assert f"'a shape growz' is in no dataset; did you mean {GROWS!r}?\n" in done.stderr
    assert "next:" not in done.stderr
    said = describe(project, "", *words).stderr
    assert f"edited-descriptions.json also describes 'a shape growz' (did you mean {GROWS!r}?), in no" in said
    # another spelling of a dataset's label is that label
    done = describe(project, "", "--edit", "A_Shape_Grows", *words, EDITOR=edit)
    assert f"{GROWS!r} is kept" in done.stderr
    assert f"next: fsarctl describe {shlex.join(words)}" in done.stderr
    many = {f"{name} unlike any": ["One.", "Two.", "Three."] for name in "abcde"}
    (project / "edited-descriptions.json").write_text(json.dumps(many))
    said = describe(project, "", "--show", *words).stderr
    assert "describes 'a unlike any', 'b unlike any', 'c unlike any' and 2 more, in no dataset" in said


def test_a_project_without_datasets_says_so(project: Path) -> None:
    (project / "fsarctl.toml").write_text("")
    for words in (("describe",), ("describe", "--show"), ("run",), ("status",)):
        assert run_in(project, *words, expect=3).stderr.startswith("error: fsarctl.toml has no dataset\n")
    assert "a label is empty" in run_in(project, "describe", "--edit", " ", expect=2).stderr


def test_the_same_answer_to_several_labels_is_kept_and_said(project: Path) -> None:
    same = {"beginning": "One.", "process": "Two.", "end": "Three."}
    (project / "list.txt").write_text("long jump\njuggling\nrowing\ndiving\n")
    twins = ("long jump", "juggling", "rowing")

    def reply(asked: Request) -> Reply:
        return Reply(completion(json.dumps(same))) if asked.prompt in twins else good(asked.prompt)

    with loopback(reply) as server:
        done = describe(project, server, "--labels", "list.txt", "--json")
    said = "warning: 3 labels ('juggling', 'long jump', 'rowing') were given the very same description"
    assert done.stderr.count("very same") == done.stderr.count(said) == 1
    assert json.loads(done.stdout)["answers"]["alike"] == [["juggling", "long jump", "rowing"]]


def test_one_is_one(project: Path) -> None:
    (project / "list.txt").write_text("juggling\n")
    words = ("--labels", "list.txt")
    with loopback() as server:
        assert "; 0 descriptions are there" in describe(project, server, *words, "--dry-run").stderr
        said = describe(project, server, *words).stderr
        assert "describe: 1 label in " in said
        assert "0 descriptions were there, 1 is new" in said
        assert "; 1 description is there already" in describe(project, server, *words, "--dry-run").stderr
        assert "1 of 1 label is described" in describe(project, server, *words, "--show").stderr


@pytest.mark.parametrize("words", [(), ("--origin",), ("--json",)])
def test_settings_are_shown_without_a_password(project: Path, words: tuple[str, ...]) -> None:
    url = "http://me:hunter2@127.0.0.1/v1?key=hunter2"
    (project / "fsarctl.toml").write_text(FILE.replace("{url}", url))
    for override in ((), ("--set", f"describe.base_url={url}")):
        done = run_in(project, "config", "show", *words, *override)
        assert "http://***@127.0.0.1/v1?***" in done.stdout.replace("\n", "")
        assert "hunter2" not in done.stdout + done.stderr
    done = run_in(project, "config", "show", "--set", f"describe.base_urll={url}", expect=3)
    assert "base_urll=http://***@" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        ("", 0, "nothing was changed"),
        ("s/.*//", 0, "nothing was changed"),
        ("/^end/d", 3, "has no line for the end"),
        (f"s/^end:.*/end: {'0 1 2 3 4 5 6 7 8 9 ' * 8}/", 3, "is too long: the end makes"),
        ("q7", 3, "ended with status 7"),
    ],
)
def test_an_edit_that_is_none_changes_nothing(project: Path, script: str, code: int, says: str) -> None:
    edit = editor(project, script)
    if code == 3 and script == "q7":
        Path(edit).write_text("#!/bin/sh\nexit 7\n")
    words = ("--set", "describe.source=corpus")
    done = describe(project, "", "--edit", GROWS, *words, expect=code, EDITOR=edit)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "edited-descriptions.json").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--edit",), "--edit needs a label"),
        (("--edit", GROWS), "no editor"),
        (("--edit", GROWS, "--show"), "--show and --edit"),
        (("list.txt",), "fsarctl describe --labels list.txt"),
    ],
)
def test_what_is_no_command_says_so(project: Path, words: tuple[str, ...], says: str) -> None:
    done = describe(project, "", *words, "--set", "describe.source=corpus", expect=2)
    assert says in done.stderr


def test_a_mistake_is_shown_in_the_editor_again(project: Path) -> None:
    """In a terminal, where somebody is there to answer."""
    edit = editor(project, "s/^end:.*/end:/", "s/^end:.*/end: The shape is huge./")
    (project / "fsarctl.toml").write_text(FILE.replace("{url}", "").replace('source = "openai"', ""))
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [str(FSARCTL), "describe", "--edit", GROWS],
        cwd=project,
        env=plain_environment(**environment(EDITOR=edit)),
        stdin=inside,
        stdout=inside,
        stderr=inside,
    )
    os.close(inside)
    said, answered, end = "", False, time.monotonic() + 300
    while time.monotonic() < end:
        try:
            said += os.read(outside, 4096).decode() if select.select([outside], [], [], 0.1)[0] else ""
        except OSError:
            break
        if "Edit it again?" in said and not answered:
            os.write(outside, b"\n")
            answered = True
    os.close(outside)
    assert process.wait(60) == 0, said
    assert f"the description of {GROWS!r} has an empty end" in said
    assert (project / "seen-1").read_text().splitlines()[0] == "# NOT KEPT: the description has an empty end"
    (edited,) = json.loads((project / "edited-descriptions.json").read_text()).values()
    assert edited[2] == "The shape is huge."


def test_what_a_label_list_was_answered_with_survives_gc(project: Path) -> None:
    with loopback() as server:
        describe(project, server, "--labels", "list.txt")
        describe(project, server)
        (project / "list.txt").write_text("long jump\n")
        describe(project, server, "--labels", "list.txt")
        done = run_in(project, "cache", "gc", "--yes", "--json")
        removed = [each["what"] for each in json.loads(done.stdout)["removed"]]
        assert removed == ["describe describe --labels list.txt"]  # the older one of the two
        server.requests.clear()
        assert "nothing to do" in describe(project, server, "--labels", "list.txt").stderr
        assert server.requests == []


@pytest.mark.parametrize("login", ["", "someone:hunter2hunter2@"])
def test_no_secret_is_in_a_file_or_in_what_is_printed(project: Path, login: str) -> None:
    """With a server that repeats the key wherever it can, and a password or a token in the address."""

    def reply(asked: Request) -> Reply:
        if asked.prompt == "juggling":
            return failure(500, f"your headers were {asked.authorization}, your query {asked.query}")
        answer = completion(json.dumps([f"Say {asked.authorization}.", "Go.", "Stop."]))
        return Reply(answer.replace(b"loopback", asked.authorization.encode()))

    token = b64encode(b"someone:hunter2hunter2").decode()
    with loopback(reply) as server:
        url = server.url.replace("://", f"://{login}")
        words = ("--labels", "list.txt", "--set", f"describe.base_url={url}?token=hunter2hunter2")
        outputs = [
            describe(project, "", *words, "--debug", expect=7, OPENAI_LOG="debug", HTTPX_LOG_LEVEL="trace"),
            describe(project, "", *words, "--json", expect=7),
            describe(project, "", *words, "--show", "--json"),
            describe(project, "", *words, "--dry-run"),
        ]
        assert {asked.authorization for asked in server.requests} == {
            f"Basic {token}" if login else f"Bearer {KEY}"
        }
        assert {asked.query for asked in server.requests} == {"token=hunter2hunter2"}
    with loopback(lambda asked: failure(401, asked.authorization)) as server:
        outputs.append(describe(project, server, *words[:2], "--debug", expect=3))
    (project / "list.txt").write_text("long jump\n")
    with loopback() as server:
        outputs.append(describe(project, "", *words, "--json"))  # makes an artifact, with its manifest
    assert list((project / "cache" / "artifacts" / "describe").glob("*/manifest.json"))
    texts = [done.stdout + done.stderr for done in outputs]
    texts += [path.read_bytes().decode("latin-1") for path in project.rglob("*") if path.is_file()]
    for secret in (KEY, "hunter2", token):
        assert not [text for text in texts if secret in text]
