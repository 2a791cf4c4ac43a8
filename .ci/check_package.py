"""Whether what `python -m build` made is what a user should get: `python .ci/check_package.py dist`."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINKED = ("stages", "prompts")
"""Folders of the repository that are packaged as fsarctl.NAME, through a link."""
MACHINES = (("aarch64-apple-darwin", "macOS 14 on ARM"), ("aarch64-unknown-linux-gnu", "Linux on ARM"))
PYTHONS = ("3.11", "3.14")


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
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(sdist))
        (again,) = Path(folder).glob("*.whl")
        other = {n for n in files | contents(again) if files.get(n) != contents(again).get(n)}
    require(not other, f"a wheel of the sdist differs in {', '.join(sorted(other))}")
    for machine, called in MACHINES:
        for python in PYTHONS:
            resolve(machine, python)
            print(f"resolves on {called}, Python {python}")
        resolve(machine, PYTHONS[0], "--resolution", "lowest-direct")
        print(f"and with the lowest that is declared of each, Python {PYTHONS[0]}")
    print(f"{wheel.name}: {len(got)} files, the repository's; {sdist.name} makes the same")


def contents(wheel: Path) -> dict[str, bytes]:
    """Every file of a wheel by name; none may stand there twice."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        require(len(names) == len(set(names)), f"{wheel.name} holds a file twice")
        return {name: archive.read(name) for name in names}


def resolve(machine: str, python: str, *more: str) -> None:
    """Whether wheels of everything that is required are to be had for a machine."""
    uv = shutil.which("uv", path=Path(sys.executable).parent) or "uv"
    words = ("--python-platform", machine, "--python-version", python, "--only-binary", ":all:", "--quiet")
    run(
        "env",
        "MACOSX_DEPLOYMENT_TARGET=14.0",
        uv,
        "pip",
        "compile",
        *words,
        *more,
        "--output-file",
        "/dev/null",
        "pyproject.toml",
    )


def run(*words: str) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(words)}:\n{done.stderr}")


def require(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(message)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
