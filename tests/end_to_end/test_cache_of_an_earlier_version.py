"""A cache that the first build of fsarctl wrote: what is still right is used, the rest is made anew.

`tests/golden/caches/make.py` made it, with a server that is gone: an answer that was paid for is found again.
"""

import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from typed import type_in

CACHE = Path(__file__).parents[1] / "golden" / "caches" / "first.tar.xz"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    with tarfile.open(CACHE) as tar:
        tar.extractall(folder, filter="data")
    return folder


def digests(project: Path) -> dict[str, str]:
    """Slot -> digest, of the newest where there are two."""
    listed = json.loads(type_in(project, "fsarctl cache ls --json").stdout)["artifacts"]
    ordered = sorted(listed, key=lambda each: each["created"])
    return {each["slot"]: each["digest"] for each in ordered}


@pytest.mark.slow
def test_what_is_right_is_used_and_the_rest_is_made_anew(project: Path, tmp_path: Path) -> None:
    before = digests(project)
    assert len(before) == 8
    said = type_in(project, "fsarctl cache verify").stderr
    assert "8 of 8 artifacts, 1 of 1 unfinished build, 7 of 7 records are whole" in said
    assert "checkpoint.safetensors of unfinished train/" in said
    assert "is of an earlier version, which wrote no checksums" in said
    assert "DAMAGED" not in said
    states = re.findall("^(done|stale|waiting)", type_in(project, "fsarctl status --why").stdout, re.M)
    assert states == ["done"] * 3 + ["stale"] * 3 + ["waiting"] * 2
    assert (
        "nothing is evaluated yet with the present settings"
        in type_in(project, "fsarctl report", expect=4).stderr
    )
    shutil.rmtree(project / "cache" / "artifacts" / "describe")
    assert "3 artifacts made" in type_in(project, "fsarctl describe").stderr, (
        "from the answers that were kept"
    )
    assert "0 folders" not in type_in(project, "fsarctl cache gc --dry-run").stderr, "the unfinished training"
    said = type_in(project, "fsarctl run").stderr
    # The same frames come out of the new extraction, so that what was trained on them is right.
    assert "4 artifacts made, 4 were up to date" in said
    assert not re.search("copied|Resuming|DAMAGED", said)
    assert "nothing to do" in type_in(project, "fsarctl run").stderr

    # As where there was no cache but the answers.
    empty = tmp_path / "empty"
    shutil.copytree(project, empty, ignore=shutil.ignore_patterns("cache"))
    shutil.copytree(project / "cache" / "records", empty / "cache" / "records")
    type_in(empty, "fsarctl run")
    made, anew = digests(project), digests(empty)
    trained = "train mine 1-shot"
    assert made[trained] == before[trained], "it is kept"
    if anew[trained] != made[trained]:  # the CPU is of another kind than the one that trained it
        for slot in (trained, "eval mine 1-shot task-adapter++"):
            assert anew.pop(slot)
    assert made == {**made, **anew}
    assert len(anew) >= 6
    assert {slot for slot in made if made[slot] == before[slot]} >= {
        slot for slot in made if "describe" in slot
    }
    type_in(project, "fsarctl cache gc --yes")
    assert "8 of 8 artifacts, 7 of 7 records are whole" in type_in(project, "fsarctl cache verify").stderr
