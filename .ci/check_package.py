"""Whether what `uv build` made is what a user should get: `python .ci/check_package.py dist`."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINKED = ("stages", "prompts")
"""Folders of the repository that are packaged as fsarctl.NAME, through a link."""
MACHINES = (("aarch64-apple-darwin", "macOS 14 on ARM"), ("aarch64-unknown-linux-gnu", "Linux on ARM"))
RESOLVED = [
    (*machine, *choice)
    for machine in MACHINES
    for choice in (("3.11", "highest"), ("3.14", "highest"), ("3.11", "lowest-direct"))
]
UV = shutil.which("uv", path=Path(sys.executable).parent) or "uv"


def main(dist: Path) -> None:
    """Complain about the first thing that is wrong."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    files = contents(wheel)
    tops = {name.partition("/")[0] for name in files if ".dist-info/" not in name}
    require(tops == {"fsarctl"}, f"the wheel installs {', '.join(sorted(tops))}")
    tracked = subprocess.run(
        ["git", "ls-files", "fsarctl", *LINKED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    wanted = {f"fsarctl/{name}" if name.partition("/")[0] in LINKED else name for name in tracked}
    wanted -= {f"fsarctl/{name}" for name in LINKED}  # the links themselves
    got = {name for name in files if name.startswith("fsarctl/")}
    require(got == wanted, f"the wheel differs from the repository: {', '.join(sorted(got ^ wanted)[:9])}")
    with tarfile.open(sdist) as archive:
        inside = [each.name.partition("/")[2] for each in archive if not each.isdir()]
        links = [each.name for each in archive if each.issym() or each.islnk()]
    require(not links, f"the sdist holds links: {', '.join(links)}")
    for name in LINKED:
        again = [each for each in inside if each.startswith(f"{name}/")]
        require(not again, f"the sdist holds {name}/ twice: {', '.join(again[:3])}")
    with tempfile.TemporaryDirectory() as folder:
        run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, str(sdist))
        (again,) = Path(folder).glob("*.whl")
        other = {n for n in files | contents(again) if files.get(n) != contents(again).get(n)}
    require(not other, f"a wheel of the sdist differs in {', '.join(sorted(other))}")
    with ThreadPoolExecutor() as beside:  # they wait for the registry
        for said in beside.map(resolve, *zip(*RESOLVED, strict=True)):
            print(said)
    print(f"{wheel.name}: {len(got)} files, the repository's; {sdist.name} makes the same")


def contents(wheel: Path) -> dict[str, bytes]:
    """Every file of a wheel by name; none may stand there twice."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        require(len(names) == len(set(names)), f"{wheel.name} holds a file twice")
        return {name: archive.read(name) for name in names}


def resolve(machine: str, called: str, python: str, resolution: str) -> str:
    """Whether wheels of everything that is required are to be had for a machine; in words."""
    words = ("--python-platform", machine, "--python-version", python, "--resolution", resolution, "--quiet")
    place = ("--only-binary", ":all:", "--output-file", os.devnull, "pyproject.toml")
    run("env", "MACOSX_DEPLOYMENT_TARGET=14.0", UV, "pip", "compile", *words, *place)
    return f"resolves on {called}, Python {python}, {resolution} versions"


def run(*words: str) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(words)}:\n{done.stderr}")


def require(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(message)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
