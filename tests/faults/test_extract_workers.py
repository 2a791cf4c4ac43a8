"""A decoder that hangs, dies or is killed costs its own clip and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import stand_in_decoders
from stand_in_decoders import clips_in, extract, obey

from fsarctl.datasets.clips import Clip
from fsarctl.errors import FsarctlError
from fsarctl.frames.frame_store import FrameStore
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes import decoding_pool as decoding
from fsarctl.video.processes.decoding_pool import decode_all

EXTRACTING = [sys.executable, stand_in_decoders.__file__, "obey"]


def plant(folder: Path, texts: list[str]) -> list[Clip]:
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:03}.txt").write_text(text)
    return clips_in(folder)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("hang", "no answer within the time limit"),
        ("hang deaf", "no answer within the time limit"),
        ("segfault", "the decoder crashed (SIGSEGV)"),
        ("exit", "the decoder crashed (exit code 3)"),
    ],
)
def test_only_that_clip_is_lost(tmp_path: Path, does: str, reason: str) -> None:
    texts = [str(number) for number in range(30)]
    texts[5] = texts[17] = does
    time_limit_s = 1 if does.startswith("hang") else 60
    extract(obey, plant(tmp_path / "in", texts), tmp_path, time_limit_s=time_limit_s)
    failures = json.loads((tmp_path / "artifact" / "failures.json").read_text())
    assert failures == [
        {"name": name, "label": "a", "reason": reason, "retry": True} for name in ("005", "017")
    ]
    store = FrameStore(tmp_path / "artifact")
    good = store.rows_of("a")
    assert store.read(good)[:, 0, 0, 0, 0].tolist() == good == [n for n in range(30) if n not in (5, 17)]


@pytest.mark.parametrize("count", [1, 100])
def test_frames_stay_while_they_are_looked_at(tmp_path: Path, count: int) -> None:
    """However far ahead the workers are by then: they write to memory that is used over and over."""
    clips = plant(tmp_path / "in", [str(number) for number in range(count)])
    tasks = [(number, clip.path) for number, clip in enumerate(clips)]
    seen = []
    for number, answer in decode_all(tasks, obey, 2, 16, 2, 10):
        time.sleep(0.3 if number in (0, 50) else 0.0)
        assert isinstance(answer, DecodedClip)
        assert (answer.frames == number).all()
        seen.append(number)
    assert seen == list(range(count))


def test_few_clips_wait_where_they_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place for each worker and one that is looked at is the least."""
    sizes = []
    monkeypatch.setattr(decoding, "WAITING_BYTES", 1)
    monkeypatch.setattr(decoding, "_shared_memory", lambda size: sizes.append(size) or SHARE(size))
    clips = plant(tmp_path / "in", [str(number) for number in range(20)])
    tasks = [(number, clip.path) for number, clip in enumerate(clips)]
    for number, answer in decode_all(tasks, obey, 2, 16, 2, 10):
        assert isinstance(answer, DecodedClip)
        assert (answer.frames == number).all()
    assert sizes == [3 * 2 * 16 * 16 * 3]


def test_too_little_shared_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Touching what is not there would end the process by SIGBUS."""
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    (clip,) = plant(tmp_path / "in", ["1"])
    with pytest.raises(FsarctlError, match="MiB of shared memory") as caught:
        list(decode_all([(0, clip.path)], obey, 2, 16, 1, 10))
    assert "TMPDIR" in caught.value.next_step


SHARE = decoding._shared_memory


def test_every_worker_may_crash(tmp_path: Path) -> None:
    extract(obey, plant(tmp_path / "in", [*["segfault"] * 4, "7"]), tmp_path)
    assert FrameStore(tmp_path / "artifact").rows_of("a") == [4]


def test_a_time_out_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    given = plant(tmp_path / "in", ["1", "hang", "3"])
    assert [row.valid for row in extract(obey, given, tmp_path, time_limit_s=1)] == [True, False, True]
    given[1].path.write_text("2")  # the machine is no longer busy
    assert [row.valid for row in extract(obey, given, tmp_path)] == [True, True, True]
    assert FrameStore(tmp_path / "artifact").read([0, 1, 2])[:, 0, 0, 0, 0].tolist() == [1, 2, 3]


def test_no_decoding_process_outlives_a_killed_main_process(tmp_path: Path) -> None:
    plant(tmp_path / "in", ["pid", "pid"])
    main = subprocess.Popen([*EXTRACTING, str(tmp_path / "in"), str(tmp_path)])
    notes = [tmp_path / "in" / f"{number:03}.pid" for number in range(2)]
    wait_for(lambda: all(note.exists() and note.read_text() for note in notes))
    main.kill()
    main.wait()
    wait_for(lambda: not any(alive(int(note.read_text())) for note in notes))


def test_the_temporary_folder_may_have_a_long_name(tmp_path: Path) -> None:
    """The fork server's socket lies there, and the address of one is at most 107 bytes long."""
    plant(tmp_path / "in", ["7"])
    long = tmp_path / ("long-" * 40)
    long.mkdir()
    words = [*EXTRACTING, str(tmp_path / "in"), str(tmp_path)]
    subprocess.run(words, env={**os.environ, "TMPDIR": str(long)}, timeout=120, check=True)
    assert FrameStore(tmp_path / "artifact").rows_of("a") == [0]


@pytest.mark.parametrize("after_s", [0, 0.2])
def test_ctrl_c_while_workers_start_is_no_traceback(tmp_path: Path, after_s: float) -> None:
    plant(tmp_path / "in", ["pid", "pid"])
    words = [sys.executable, "-c", PRESSED, *EXTRACTING[1:], str(tmp_path / "in"), str(tmp_path)]
    main = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    children = Path(f"/proc/{main.pid}/task/{main.pid}/children")
    wait_for(lambda: len(children.read_text().split()) == 2)  # the resource tracker and the fork server
    time.sleep(after_s)
    os.killpg(main.pid, signal.SIGINT)
    assert main.communicate(timeout=60)[1] == "interrupted\n"


PRESSED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
"""


def wait_for(condition: "object", limit_s: float = 300) -> None:
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
