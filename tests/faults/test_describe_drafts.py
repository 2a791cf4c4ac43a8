"""``describe --edit`` loses nothing that was typed, whatever ends it; each editor here is a script."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from typed import FSARCTL, plain_environment, type_in

LABEL = "long jump"
TYPED, EDITED = "A long sentence typed by hand.", "edited-descriptions.json"


def editor(folder: Path, script: str) -> dict[str, str]:
    """An editor that does as a shell script does, whose $1 is the file."""
    path = folder / "editor.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"EDITOR": str(path)}


def writes(*sentences: str) -> str:
    stages = zip(("beginning", "process", "end"), sentences, strict=True)
    lines = [f"{stage}: {sentence}" for stage, sentence in stages]
    return f"printf '%s\\n' {shlex.join(lines)} > \"$1\""


WRONG = f"printf 'beginning: {TYPED}\\nprocess: Another one.\\nending: Wrong key.\\n' > \"$1\""
RIGHT = ("He runs up.", "He leaps.", "He lands.")


def test_what_was_typed_wrong_is_opened_again_by_the_command_that_is_named(tmp_path: Path) -> None:
    command = f"fsarctl describe --edit '{LABEL}'"
    said = type_in(tmp_path, command, expect=3, **editor(tmp_path, WRONG)).stderr
    assert "begins with none of beginning, process, end: 'ending: Wrong key.'" in said
    (again,) = re.findall(r"go on with it: (fsarctl .*)", said)
    mends = 'cp "$1" seen; sed -i \'s/^ending/end/\' "$1"'
    said = type_in(tmp_path, again, **editor(tmp_path, mends)).stderr
    assert "what was typed and not kept is opened again" in said
    seen = (tmp_path / "seen").read_text()
    assert TYPED in seen
    assert "# NOT KEPT: the description has a line that begins with none of" in seen
    assert json.loads((tmp_path / EDITED).read_text()) == {LABEL: [TYPED, "Another one.", "Wrong key."]}
    assert not (tmp_path / "edit-drafts").exists()


def test_an_editor_that_crashes_and_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    command = f"fsarctl describe --edit '{LABEL}'"
    for script, says in (
        (f"{writes(TYPED, 'Two.', 'Three.')}; exit 7", "ended with status 7"),
        ("printf 'end: \\377' >> \"$1\"", "is not in UTF-8 (line 4)"),
        ('cp "$1" seen; printf \'Four\' > "$1"', "begins with none of"),
    ):
        said = type_in(tmp_path, command, expect=3, **editor(tmp_path, script)).stderr
        assert says in said
        assert "What was typed is in " in said
    end = f"beginning: {TYPED}\nprocess: Two.\nend: Three.\nend: \xff".encode("latin-1")
    assert (tmp_path / "seen").read_bytes().endswith(end)
    type_in(tmp_path, command, **editor(tmp_path, '> "$1"'))  # who empties it gives it up
    assert not (tmp_path / "edit-drafts").exists()
    said = type_in(tmp_path, command, expect=3, **editor(tmp_path, "exit 7")).stderr
    assert "next:  Nothing was changed." in said
    assert not (tmp_path / "edit-drafts").exists()


def test_a_kill_during_the_edit_loses_nothing(tmp_path: Path) -> None:
    killing = f"{writes(TYPED, 'Two.', 'Three.')}; kill -9 $PPID"
    words = [str(FSARCTL), "describe", "--edit", LABEL]
    done = subprocess.run(
        words, cwd=tmp_path, env=plain_environment(**editor(tmp_path, killing)), check=False
    )
    assert done.returncode == -9
    # it was saved, and is good: who opens it and leaves keeps it
    type_in(tmp_path, *words[1:], **editor(tmp_path, ":"))
    assert json.loads((tmp_path / EDITED).read_text()) == {LABEL: [TYPED, "Two.", "Three."]}


def test_edits_at_the_same_time_lose_neither(tmp_path: Path) -> None:
    kept = {"another": ["1.", "2.", "3."], LABEL: ["4.", "5.", "6."]}
    (tmp_path / "others").write_text(json.dumps(kept))
    second = shlex.join([sys.executable, "-m", "fsarctl", "describe", "--edit", LABEL])
    meanwhile = f"{second} 2> second; echo $? >> second; cp others {EDITED}; {writes(*RIGHT)}"
    command = f"fsarctl describe --edit '{LABEL}'"
    said = type_in(tmp_path, command, expect=3, **editor(tmp_path, meanwhile)).stderr
    second_said = (tmp_path / "second").read_text()
    assert f"is editing {LABEL!r}." in second_said
    assert second_said.endswith("\n6\n")
    assert "was changed meanwhile, to '4. 5. 6.'" in said
    assert json.loads((tmp_path / EDITED).read_text()) == kept
    type_in(tmp_path, command, **editor(tmp_path, ":"))
    assert json.loads((tmp_path / EDITED).read_text()) == {**kept, LABEL: list(RIGHT)}
    # what others keep of other labels meanwhile stays, too
    shutil.copy(tmp_path / "others", tmp_path / EDITED)
    type_in(tmp_path, "describe", "--edit", "x", **editor(tmp_path, f"cp others {EDITED}; {writes(*RIGHT)}"))
    assert json.loads((tmp_path / EDITED).read_text()) == {**kept, "x": list(RIGHT)}


def test_a_file_of_corrections_that_breaks_meanwhile_leaves_the_draft(tmp_path: Path) -> None:
    breaking = f"{writes(*RIGHT)}; echo '{{' > {EDITED}"
    said = type_in(tmp_path, "describe", "--edit", LABEL, expect=3, **editor(tmp_path, breaking)).stderr
    assert f"{EDITED} is not JSON" in said
    (tmp_path / EDITED).unlink()
    type_in(tmp_path, "describe", "--edit", LABEL, **editor(tmp_path, ":"))
    assert json.loads((tmp_path / EDITED).read_text()) == {LABEL: list(RIGHT)}


def test_an_old_draft_that_nobody_typed_in_is_none(tmp_path: Path) -> None:
    """What a kill leaves of an edit in which nothing was typed must not bring back an older description."""
    from fsarctl.text.drafts import Draft
    from fsarctl.text.edits import keep_edit

    Draft(tmp_path, LABEL).begin(("Old.", "Older.", "Oldest."))
    keep_edit(tmp_path, LABEL, RIGHT)
    said = type_in(tmp_path, "describe", "--edit", LABEL, **editor(tmp_path, ":")).stderr
    assert "nothing was changed" in said
    assert json.loads((tmp_path / EDITED).read_text()) == {LABEL: list(RIGHT)}
