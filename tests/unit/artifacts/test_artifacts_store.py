"""The store: skip, why, force, plan, upstream errors, provenance, gc."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from notes import Notes

from fsarctl.artifacts import Build, Files, Store, Unit, cache_layout, keys
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.process import Process
from fsarctl.errors import FsarctlError, InputError, IntegrityError, UpstreamError
from fsarctl.execution.engine import Place


class Pipeline:
    """videos -> extract -> train -> eval, counting how often each is built."""

    def __init__(self, folder: Path):
        self.built = []
        self.videos = folder / "videos"
        self.videos.mkdir(parents=True)
        for number in range(3):
            (self.videos / f"{number}.mp4").write_bytes(b"video %d" % number)

    def extract(self, **changes):
        paths = {path.name: path for path in sorted(self.videos.iterdir())}
        return self._unit("extract", {"frames": 8}, {"videos": Files(paths)}, changes)

    def train(self, extract=None, lr=0.001, **changes):
        return self._unit("train", {"train": {"lr": lr}}, {"frames": extract or self.extract()}, changes)

    def evaluate(self, train=None, **changes):
        return self._unit("eval", {}, {"adapters": train or self.train()}, changes)

    def _unit(self, stage, config, inputs, changes):
        def build(given: Build):
            self.built.append(stage)
            given.record("device", "cpu")
            (given.folder / "deep").mkdir()
            text = json.dumps([config, sorted(given.inputs)])
            (given.folder / "deep" / "result.txt").write_text(changes.pop("writes", text))

        fields = {"version": 1, "slot": f"{stage} shapes", "command": Command(stage), "build": build}
        fields |= {name: value for name, value in changes.items() if name != "writes"}
        return Unit(stage=stage, config=config, inputs=inputs, **fields)


@pytest.fixture
def pipeline(tmp_path):
    return Pipeline(tmp_path)


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def store(tmp_path, notes):
    return Store(tmp_path / "cache", reporter=notes)


def names(states):
    return [(state.unit.stage, state.name) for state in states]


def test_a_finished_unit_is_not_built_again(store, pipeline):
    first = store.realise_all([pipeline.evaluate()])
    assert [(outcome.unit.stage, outcome.made) for outcome in first] == [
        ("extract", True),
        ("train", True),
        ("eval", True),
    ]
    again = store.realise_all([pipeline.evaluate()])
    assert [outcome.made for outcome in again] == [False] * 3
    assert [outcome.artifact for outcome in again] == [outcome.artifact for outcome in first]
    assert pipeline.built == ["extract", "train", "eval"]
    assert store.realise(pipeline.evaluate()) == first[-1].artifact == store.find(pipeline.evaluate())


def test_what_two_units_need_is_made_once(store, pipeline):
    extract = pipeline.extract()
    trains = [pipeline.train(extract, lr) for lr in (0.1, 0.2)]
    outcomes = store.realise_all([*trains, pipeline.train(pipeline.extract(), 0.1), extract])
    assert [outcome.unit.stage for outcome in outcomes] == ["extract", "train", "train"]
    assert pipeline.built == ["extract", "train", "train"]


def test_the_layout_is_what_the_readme_of_the_cache_says(store, pipeline):
    artifact = store.realise(pipeline.extract())
    assert artifact.path == store.root / "artifacts" / "extract" / artifact.key[:20]
    assert sorted(path.name for path in artifact.path.iterdir()) == ["deep", "manifest.json", "sources.json"]
    assert not list((store.root / "work").glob("*/*"))
    assert store.records == store.root / "records"
    assert store.records.is_dir()


def test_a_removed_cache_needs_no_chmod(store, pipeline):
    store.realise_all([pipeline.train()])
    shutil.rmtree(store.root)
    assert [state.name for state in store.plan([pipeline.train()])] == ["missing", "waiting"]


def test_the_manifest_changes_last(store, pipeline, monkeypatch):
    """A file that is changed later than it was changed after publishing."""
    changed, chmod = [], Path.chmod

    def noted(path, mode):
        changed.append(path)
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", noted)
    home = store.realise(pipeline.extract()).path
    within = [each for each in changed if each.is_relative_to(home)]
    assert {*within} == {home, *home.rglob("*")}
    assert within[-1] == home / "manifest.json"


def test_states_follow_the_graph(store, pipeline):
    assert names(store.plan([pipeline.evaluate()])) == [
        ("extract", "missing"),
        ("train", "waiting"),
        ("eval", "waiting"),
    ]
    assert store.state(pipeline.train()).key is None
    store.realise_all([pipeline.evaluate()])
    changed = store.plan([pipeline.evaluate(pipeline.train(lr=0.01))])
    assert names(changed) == [("extract", "done"), ("train", "stale"), ("eval", "waiting")]
    assert pipeline.built == ["extract", "train", "eval"], "looking builds nothing"


def test_why_names_the_field_that_changed_and_what_waits_for_it(store, pipeline):
    store.realise_all([pipeline.evaluate()])
    _, train, evaluate = store.plan([pipeline.evaluate(pipeline.train(lr=0.01))])
    assert [(change.field, change.old, change.new) for change in train.why] == [
        ("config.train.lr", 0.001, 0.01)
    ]
    assert str(train.why[0]) == "config.train.lr: 0.001 -> 0.01"
    digest = store.find(pipeline.train()).digest[:12]
    assert [(change.field, change.old, change.new) for change in evaluate.why] == [
        ("inputs.adapters", digest, "not made yet: train shapes")
    ]


def test_early_cutoff_same_bytes_upstream_make_nothing_downstream(store, pipeline):
    store.realise_all([pipeline.evaluate(pipeline.train(writes="weights"))])
    outcomes = store.realise_all([pipeline.evaluate(pipeline.train(lr=0.5, writes="weights"))])
    assert [outcome.made for outcome in outcomes] == [False, True, False]
    outcomes = store.realise_all([pipeline.evaluate(pipeline.train(lr=0.6, writes="other"))])
    assert [outcome.made for outcome in outcomes] == [False, True, True]


def test_only_contents_and_names_of_files_count(store, pipeline, tmp_path):
    artifact = store.realise(pipeline.extract())
    moved = pipeline.videos.rename(tmp_path / "elsewhere")
    pipeline.videos = moved
    os.utime(moved / "0.mp4", (1, 1))
    assert store.find(pipeline.extract()) == artifact


def test_an_upstream_that_is_not_done_is_named_with_the_commands_that_make_it(store, pipeline):
    with pytest.raises(UpstreamError, match="train shapes needs extract shapes, which is not done") as error:
        store.realise(pipeline.train())
    assert error.value.next_step == "Run: fsarctl extract"
    with pytest.raises(
        UpstreamError, match="eval shapes needs extract shapes, train shapes, which are not done"
    ) as error:
        store.realise(pipeline.evaluate())
    assert error.value.next_step == "Run: fsarctl extract && fsarctl train"
    store.realise_all([pipeline.train()])
    with pytest.raises(UpstreamError, match=r"out of date \(config\.train\.lr: 0\.001 -> 0\.5\)") as error:
        store.realise(pipeline.evaluate(pipeline.train(lr=0.5)))
    assert error.value.next_step == "Run: fsarctl train"
    assert "eval" not in pipeline.built


def test_force_builds_again_and_says_when_the_bytes_differ(store, pipeline, notes):
    store.realise_all([pipeline.train()])
    outcomes = store.realise_all([pipeline.train()], force=True)
    assert [outcome.made for outcome in outcomes] == [False, True], "force is for what was asked for"
    assert notes.said == []
    replaced = store.realise(pipeline.train(writes="other"), force=True)
    assert (replaced.path / "deep" / "result.txt").read_text() == "other"
    assert len(notes.said) == 1
    assert "train shapes came out with other bytes than before in 1 files (deep/result.txt)" in notes.said[0]
    assert store.find(pipeline.train()) == replaced
    assert len(store.artifacts()) == 2


def test_force_keeps_the_old_artifact_until_the_new_one_is_there(store, pipeline):
    artifact = store.realise(pipeline.extract())

    def fail(_):
        assert artifact.path.is_dir()
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        store.realise(pipeline.extract(build=fail), force=True)
    assert store.find(pipeline.extract()) == artifact


def test_the_manifest_says_what_with_what_where_and_how_to_rerun(tmp_path, store, pipeline, monkeypatch):
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "fsarctl.toml").write_text("")
    subprocess.run(["git", "-C", tmp_path, "add", "fsarctl.toml"], check=True)
    subprocess.run(["git", "-C", tmp_path, *identity, "commit", "-qm", "start"], check=True)
    head = subprocess.check_output(["git", "-C", tmp_path, "rev-parse", "HEAD"], encoding="ascii").strip()
    (tmp_path / "fsarctl.toml").write_text("[train]\n")

    _, outcome = store.realise_all([pipeline.train()])
    manifest = json.loads((outcome.artifact.path / "manifest.json").read_text())
    made = manifest["provenance"]
    extract = store.find(pipeline.extract())
    assert manifest["inputs"]["frames"]["digest"] == extract.digest
    assert manifest["inputs"]["frames"]["key"] == extract.key
    assert manifest["config"] == {"train": {"lr": 0.001}}
    assert manifest["command"] == "fsarctl train"
    assert made["git"] == {"commit": head, "modified": True}
    assert made["facts"] == {"device": "cpu"}
    assert made["seconds"] >= 0
    assert made["host"]
    assert made["created"].endswith("+00:00")
    if made["packages"]:  # installed, not merely on the path
        assert {"fsarctl", "torch", "zarr"} <= made["packages"].keys()
        assert "pytest" not in made["packages"]


def test_no_git_is_no_obstacle(store, pipeline, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert store.realise(pipeline.extract()).manifest.provenance["git"] is None


def test_a_missing_input_is_the_users_to_mend(store, pipeline):
    unit = pipeline.extract()
    (pipeline.videos / "1.mp4").unlink()
    with pytest.raises(InputError, match=r"1\.mp4 cannot be read: No such file"):
        store.find(unit)


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_an_input_that_changes_during_the_build_fails_it_and_is_named(store, pipeline, change):
    victim = pipeline.videos / "1.mp4"

    def build(given):
        (given.folder / "result.txt").write_text("half old, half new")
        if change == "edit":
            victim.write_bytes(b"VIDEO 1")
        else:
            victim.unlink()

    with pytest.raises(IntegrityError, match=r"extract shapes.*: 1\.mp4\. Nothing was published") as error:
        store.realise(pipeline.extract(build=build))
    assert error.value.exit_code == 5
    assert error.value.next_step.endswith("fsarctl extract")
    assert store.artifacts() == []
    assert not list((store.root / "work").glob("*/*")), "work on mixed inputs is never resumed"


def test_an_input_rewritten_with_the_same_bytes_is_no_change(store, pipeline):
    def build(given):
        (given.folder / "result.txt").write_text("done")
        (pipeline.videos / "1.mp4").write_bytes(b"video 1")

    assert store.realise(pipeline.extract(build=build))


def test_an_interrupted_build_goes_on_with_what_it_left(store, pipeline, notes):
    def build(given):
        steps = given.scratch / "steps"
        count = int(steps.read_text()) if steps.exists() else 0
        (given.folder / f"{count}.txt").write_text(str(count))
        steps.write_text(str(count + 1))
        if count < 2:
            raise [KeyboardInterrupt, RuntimeError][count]

    with pytest.raises(KeyboardInterrupt):
        store.realise(pipeline.extract(build=build))
    assert store.find(pipeline.extract()) is None
    with pytest.raises(RuntimeError):
        store.realise(pipeline.extract(build=build))
    artifact = store.realise(pipeline.extract(build=build))
    assert sorted(artifact.manifest.files) == ["0.txt", "1.txt", "2.txt"], "and scratch is not published"
    assert artifact.manifest.provenance["resumed"] is True
    assert notes.said == ["Resuming extract shapes, which was interrupted."] * 2


@pytest.mark.parametrize("leaves", ["link", "manifest.json", "sources.json"])
def test_what_a_stage_may_not_leave(store, pipeline, leaves):
    def build(given):
        if leaves == "link":
            (given.folder / "link").symlink_to(pipeline.videos)
        else:
            (given.folder / leaves).write_text("{}")

    with pytest.raises(FsarctlError, match=leaves):
        store.realise(pipeline.extract(build=build))
    assert store.artifacts() == []


def test_a_fact_that_no_manifest_can_hold_is_refused_where_it_is_recorded(store, pipeline):
    with pytest.raises(FsarctlError, match="loss is nan"):
        store.realise(pipeline.extract(build=lambda given: given.record("loss", float("nan"))))


def test_gc_keeps_what_the_units_reach(store, pipeline):
    store.realise_all([pipeline.evaluate(), pipeline.train(lr=0.7)])
    kept = {outcome.artifact.path for outcome in store.realise_all([pipeline.evaluate()])}
    doomed = store.find(pipeline.train(lr=0.7))
    abandoned = store.root / "work" / "train" / ("0" * 20)
    (abandoned / "folder").mkdir(parents=True)
    (abandoned / "folder" / "x").write_bytes(b"1234")
    (store.records / "answer.json").write_text("{}")

    planned = store.gc([pipeline.evaluate()], dry_run=True)
    assert {removal.path for removal in planned} == {doomed.path, abandoned}
    assert {removal.bytes for removal in planned} == {doomed.manifest.bytes, 4}
    assert doomed.path.is_dir()
    assert store.gc([pipeline.evaluate()]) == planned
    assert {artifact.path for artifact in store.artifacts()} == kept
    assert not abandoned.exists()
    assert (store.records / "answer.json").exists()
    assert not (store.root / "trash").exists()
    assert store.gc([pipeline.evaluate()]) == []


def test_what_a_kill_left_is_swept_by_the_next_build(store, pipeline):
    mark = Process.current().mark.replace(str(os.getpid()), "999999999", 1)  # above any number of a process
    torn = [store.root / "leases" / f".a.json.0123.{mark}.partial", store.root / "trash" / "0123" / "x"]
    torn += [store.records / "describe" / f".b.json.0123.{mark}.partial"]
    torn += [place / f".c.0123.{mark}.partial" for place in (store.root, store.root / "doubted")]
    mine = store.root / "leases" / f".a.json.0123.{Process.current().mark}.partial"
    for path in (*torn, mine):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    store.realise(pipeline.extract())
    assert not any(path.exists() for path in torn)
    assert not (store.root / "trash").exists()
    assert mine.exists()


def test_gc_removes_what_workers_were_told_long_ago(store, pipeline):
    store.realise_all([pipeline.evaluate()])
    old, new = (store.root / f".seen-{name}" for name in ("old", "new"))
    for path in (old, new):
        path.touch()
    for path, days in ((old, 31), (new, 29)):
        os.utime(path, (0, time.time() - days * 24 * 3600))
    store.gc([pipeline.evaluate()])
    assert (old.exists(), new.exists()) == (False, True), "a job may wait for a month"


def test_gc_removes_what_a_killed_command_told_its_workers(store, pipeline):
    store.realise_all([pipeline.evaluate()])
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        ended = replace(Process.current(), number=process.pid)
    with (
        Place.here().signed(store.root, b"told") as mine,
        Place.here().signed(store.root, b"told", lasting=True) as jobs,
    ):
        killed = Path(mine.sign.replace(Process.current().mark, ended.mark))
        another = Path(mine.sign.replace(Process.current().mark, "1-1-0abcdef0"))  # on another machine
        for path in (killed, another):
            path.touch()
        store.gc([pipeline.evaluate()])
        assert not killed.exists()
        assert all(Path(each).exists() for each in (mine.sign, jobs.sign, another))


def test_gc_keeps_the_newest_answer_of_a_named_slot(store, pipeline):
    store.realise(pipeline.extract())
    old, new = (store.realise(pipeline.train(lr=lr, slot="train list.txt")) for lr in (0.1, 0.2))
    named = [("train", "train list.txt"), ("train", "no such slot")]
    assert old.path in [each.path for each in store.gc([pipeline.extract()], newest=named)]
    assert [each.path for each in store.artifacts() if each.manifest.stage == "train"] == [new.path]


def test_gc_spares_work_that_can_be_resumed_and_answers_whose_upstream_is_gone(store, pipeline):
    def interrupt(given):
        (given.scratch / "half").write_text("x")
        raise KeyboardInterrupt

    store.realise_all([pipeline.evaluate()])
    extract = store.find(pipeline.extract())
    shutil.rmtree(extract.path)
    with pytest.raises(KeyboardInterrupt):
        store.realise(pipeline.extract(build=interrupt))
    assert store.gc([pipeline.evaluate()]) == []
    assert [outcome.made for outcome in store.realise_all([pipeline.evaluate()])] == [True, False, False]


def test_what_was_read_and_has_not_changed_is_not_read_again(tmp_path, pipeline, monkeypatch):
    """Within one process; a change that keeps size and time of writing is still seen."""
    monkeypatch.setattr(cache_layout, "RESTED_NS", 0)
    read = []
    monkeypatch.setattr(
        cache_layout, "file_sha256", lambda path: (read.append(path), keys.file_sha256(path))[1]
    )
    store = Store(tmp_path / "cache")
    unit = pipeline.extract()
    artifact = store.realise(unit)
    read.clear()
    for _ in range(3):
        assert store.find(unit) is not None
    assert len(read) == len(set(read)) == len([*artifact.manifest.files, "sources.json"])

    path = artifact.path / "deep" / "result.txt"
    seen, content = path.stat(), path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1] + b"?")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert store.find(unit) is None
