"""A Slurm of one machine: its commands on PATH, and a controller that runs what they submit.

What its jobs come to is the test's to say: see ``FakeSlurm``. What it prints is what Slurm 23 prints.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FakeSlurm", "Step", "slurm_of_one_machine"]

COMMANDS = {
    "sbatch": """
script = open(sys.argv[1]).read()
flags = dict(re.findall(r"^#SBATCH --([a-z-]+)=(.*)$", script, re.M))
if "nowhere" in flags.get("partition", ""):
    sys.exit("sbatch: error: invalid partition specified: nowhere\\n"
             "sbatch: error: Batch job submission failed: Invalid partition name specified")
number = 100 + len(os.listdir(spool / "jobs"))
(spool / f"{number}.new").write_text(json.dumps({"script": script, "flags": flags}))
(spool / f"{number}.new").rename(spool / "jobs" / f"{number}.json")
print(f"Submitted batch job {number}")
""",
    "srun": """
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[1:] if words[0] == "--unbuffered" else words[2:]
os.execvp(words[0], words)
""",
    "squeue": """
if (spool / "down").exists():
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
for job, state in json.loads((spool / "states.json").read_text()).items():
    if state in ("PENDING", "RUNNING", "COMPLETING"):
        print(job, state)
""",
    "sacct": """
print(json.loads((spool / "states.json").read_text()).get(sys.argv[sys.argv.index("--jobs") + 1], ""))
""",
    "scancel": """
for job in sys.argv[1:]:
    (spool / "orders" / f"cancel {job}").touch()
""",
    "scontrol": """
if sys.argv[1] == "requeue":
    (spool / "orders" / f"requeue {sys.argv[2]}").touch()
else:
    print("Configuration data as of 2026-01-01T00:00:00\\nMaxArraySize            = 2\\nMaxJobCount = 10000")
""",
}


@dataclass
class Step:
    """A job, or one of an array, that runs or has run; ``tries``: how often it was begun."""

    job: str
    tries: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    doomed: str = ""
    kill_at: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)
    script: str = ""
    output: str = ""


class FakeSlurm:
    """``fate`` is asked of each step that runs, again and again: "" (let it run), or what happens to it.

    timeout, preempt: it is warned by SIGUSR2 and killed after ``grace_s``; node_fail, oom, fail: killed.
    ``slots``: how many steps run beside each other; it may change.
    """

    def __init__(self, folder: Path, fate: Callable[[Step], str], slots: int, grace_s: float) -> None:
        self.folder, self._fate, self.slots, self._grace_s = folder, fate, slots, grace_s
        self.states: dict[str, str] = {}
        self.steps: dict[str, Step] = {}
        self.flags: dict[str, dict[str, str]] = {}
        self._over = threading.Event()
        for name in ("jobs", "orders", "bin"):
            (folder / name).mkdir(parents=True)
        self._write()
        head = f"#!{sys.executable} -S\nimport json, os, pathlib, re, sys\n"
        head += f"spool = pathlib.Path({str(folder)!r})\n"
        for name, body in COMMANDS.items():
            (folder / "bin" / name).write_text(head + body)
            (folder / "bin" / name).chmod(0o755)

    def down(self, is_down: bool) -> None:
        """Whether the controller answers nobody."""
        (self.folder / "down").touch() if is_down else (self.folder / "down").unlink()

    def run(self) -> None:
        """Run what is submitted until ``end``."""
        while not self._over.wait(0.02):
            self._take()
            self._obey()
            running = [each for each in self.steps.values() if each.process]
            for step in running:
                self._watch(step)
            for step in self.steps.values():
                if len([each for each in self.steps.values() if each.process]) < self.slots:
                    self._begin(step)
            self._write()
        for step in self.steps.values():
            self._signal(step, signal.SIGKILL)
            if step.process:
                step.process.wait()

    def end(self) -> None:
        """End all that runs."""
        self._over.set()

    def _take(self) -> None:
        for path in sorted((self.folder / "jobs").glob("*.json")):
            if path.stem in self.flags:
                continue
            job = json.loads(path.read_text())
            self.flags[path.stem] = {name: shlex.split(value)[0] for name, value in job["flags"].items()}
            flags = self.flags[path.stem]
            array = re.match(r"0-(\d+)", flags.get("array", ""))
            names = [f"{path.stem}_{n}" for n in range(int(array[1]) + 1)] if array else [path.stem]
            for name in names:
                _, _, index = name.partition("_")
                output = (
                    flags["output"].replace("%A", path.stem).replace("%a", index).replace("%j", path.stem)
                )
                given = {"SLURM_JOB_ID": name, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
                given |= {"SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
                given |= {"SLURM_ARRAY_JOB_ID": path.stem, "SLURM_ARRAY_TASK_ID": index} if index else {}
                self.steps[name] = Step(name, environment=given, script=job["script"], output=output)
                self.states[name] = "PENDING"

    def _obey(self) -> None:
        for order in (self.folder / "orders").iterdir():
            order.unlink()
            what, job = order.name.split()
            for step in [
                each for each in self.steps.values() if each.job == job or each.job.startswith(f"{job}_")
            ]:
                if what == "requeue":
                    step.doomed = "PENDING"
                elif self.states[step.job] in ("PENDING", "RUNNING"):
                    step.doomed = self.states[step.job] = "CANCELLED"
                    self._signal(step, signal.SIGTERM)
                    step.kill_at = step.kill_at or time.monotonic() + self._grace_s

    def _begin(self, step: Step) -> None:
        if self.states[step.job] != "PENDING" or step.process:
            return
        step.tries, step.doomed, step.kill_at = step.tries + 1, "", 0.0
        script = self.folder / f"{step.job}.sh"
        script.write_text(step.script)
        with open(step.output, "ab") as out:  # noqa: PTH123
            step.process = subprocess.Popen(
                ["bash", str(script)],
                env={**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", **step.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.states[step.job] = "RUNNING"

    def _watch(self, step: Step) -> None:
        assert step.process is not None
        code = step.process.poll()
        if code is not None:
            step.process = None
            self.states[step.job] = (step.doomed or "FAILED") if code else "COMPLETED"
            return
        if step.kill_at and time.monotonic() >= step.kill_at:
            self._signal(step, signal.SIGKILL)
        if step.doomed:
            return
        match self._fate(step):
            case "timeout" | "preempt" as what:
                step.doomed = {"timeout": "TIMEOUT", "preempt": "PREEMPTED"}[what]
                step.kill_at = time.monotonic() + self._grace_s
                for blow in [signal.SIGTERM, signal.SIGCONT] if what == "preempt" else []:
                    self._signal(step, blow)
                self._signal(step, signal.SIGUSR2)
            case "node_fail" | "oom" | "fail" as what:
                step.doomed = {"node_fail": "NODE_FAIL", "oom": "OUT_OF_MEMORY", "fail": "FAILED"}[what]
                self._signal(step, signal.SIGKILL)

    def _signal(self, step: Step, blow: signal.Signals) -> None:
        """To the Python of a step and what it started; the shell around it hears of nothing but a kill."""
        if step.process is None:
            return
        for pid in _session(step.process.pid):
            if blow == signal.SIGKILL or pid != step.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, blow)

    def _write(self) -> None:
        (self.folder / "states.new").write_text(json.dumps(self.states))
        (self.folder / "states.new").rename(self.folder / "states.json")


def _session(leader: int) -> list[int]:
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(OSError, IndexError):
                fields = (each / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader:
                    found.append(int(each.name))
    return found


@contextmanager
def slurm_of_one_machine(
    folder: Path, fate: Callable[[Step], str] = lambda step: "", slots: int = 2, grace_s: float = 20.0
) -> Iterator[FakeSlurm]:
    """While this lasts it runs what is submitted; its ``bin`` is for PATH. Nothing of it is left."""
    slurm = FakeSlurm(folder, fate, slots, grace_s)
    thread = threading.Thread(target=slurm.run)
    thread.start()
    try:
        yield slurm
    finally:
        slurm.end()
        thread.join()
