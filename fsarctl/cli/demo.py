"""`fsarctl demo`: the embedded default from nothing to its report."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from fsarctl.cli.report import report
from fsarctl.cli.run import run
from fsarctl.cli.terminal.console import say
from fsarctl.errors import InputError

__all__ = ["demo"]

NEXT = """
three next steps:
  fsarctl report {flags} --open
      looks at it: results with intervals, curves, and where the models look
  fsarctl run {flags} --shots 1 --set model.metric=otam
      changes one thing, and does again only what depends on it; `fsarctl status {flags} --why` says what
  fsarctl init FOLDER
      begins with your own clips, FOLDER/<class>/<clip>
"""


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="The folder to make; it must not be another project's.")
    ] = Path("fsarctl-demo"),
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Shots at once, one core each.")] = 2,
    opens: Annotated[bool, typer.Option("--open", help="Open the report when it is written.")] = False,
) -> None:
    """Set up a project of drawn shapes in a new folder, run all of it, and write its report.

    It fetches nothing and takes a few minutes on two cores. Interrupted, the same command goes on from there.
    """
    _set_up(folder)
    project: dict[str, Any] = {"project": folder, "cache": None, "overrides": None, "debug": False}
    run.run(**project, jobs=jobs)
    report.run(**project, output=folder / "report.html", opens=opens)
    for line in NEXT.format(flags=shlex.join(["--project", str(folder)])).rstrip().splitlines():
        say(line)


def _set_up(folder: Path) -> None:
    """Make the folder with its fsarctl.toml, unless it is there as this would make it.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    from fsarctl.artifacts.atomic_write import write_whole
    from fsarctl.config.demo import demo_file
    from fsarctl.config.tables import FILE_NAME

    target = folder / FILE_NAME
    try:
        if target.is_file():
            if target.read_text(encoding="utf-8") == demo_file():
                return
            raise _taken(folder, f"{target} is not the demo's")
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise _taken(folder, f"{folder} is {'not empty' if folder.is_dir() else 'no folder'}")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(target, demo_file().encode())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{target} cannot be written: {reason}", next_step="Name another folder.") from None
    say(f"made {folder} with its {FILE_NAME}")


def _taken(folder: Path, reason: str) -> InputError:
    number = next(n for n in range(2, 1000) if not folder.with_name(f"{folder.name}-{n}").exists())
    other = shlex.quote(str(folder.with_name(f"{folder.name}-{number}")))
    return InputError(f"{reason}, and nothing is overwritten", next_step=f"fsarctl demo {other}")
