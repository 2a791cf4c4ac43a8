"""`fsarctl init`: the first fsarctl.toml."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.terminal.console import print_data, say
from fsarctl.errors import InputError, UsageError

if TYPE_CHECKING:
    from fsarctl.datasets.class_levels import Level

__all__ = ["init"]


def init(
    place: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Class directories, a public benchmark, or a list file."),
    ] = Path(),
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Of a list file: the directory that its paths are relative to."),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth", min=1, help="How deep the directories are that name the classes: 2 for PERSON/CLASS."
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Write the demo's: drawn shapes and a tiny CLIP, nothing to fetch.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the fsarctl.toml that is here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print it, and write nothing.")] = False,
) -> None:
    """Look at a folder of clips, and write a commented fsarctl.toml for it here."""
    from fsarctl.artifacts.atomic_write import write_whole
    from fsarctl.config.demo import demo_file
    from fsarctl.config.json_schema import SCHEMA_FILE, schema
    from fsarctl.config.tables import FILE_NAME
    from fsarctl.datasets.new_project import project_file

    target = Path.cwd() / FILE_NAME
    if target.exists() and not force and not dry_run:
        raise InputError(
            f"there is a {FILE_NAME} here already",
            next_step="Look at --dry-run for what would be written; --force replaces it.",
        )
    if demo and place != Path():
        raise UsageError(f"--demo looks at no folder, and {place} is one", next_step="Leave out one of them.")
    if not place.exists():
        raise InputError(f"{place} is not there", next_step="Name a directory of clips: fsarctl init FOLDER")
    if root and not place.is_file():
        raise UsageError(f"--root is of a list file, and {place} is none", next_step="Leave out --root.")
    if depth and not place.is_dir():
        raise UsageError(f"--depth is of a folder, and {place} is none", next_step="Leave out --depth.")

    def choose(levels: "Sequence[Level]") -> int:
        return depth or (1 if len(levels) < 2 else _asked(place, levels))

    if demo:
        text = f"#:schema ./{SCHEMA_FILE}\n{demo_file()}"
    else:
        text = project_file(place, target.parent, _all_described, say, root, choose)
    if dry_run:
        print_data(text)
        return
    for path, content in (
        (target.with_name(SCHEMA_FILE), json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"),
        (target, text),
    ):
        try:
            write_whole(path.resolve(), content.encode())
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}", next_step="Go elsewhere."
            ) from None
    say(f"wrote {FILE_NAME}, and {SCHEMA_FILE}, by which editors complete and check it")
    say("next: fsarctl data check, then fsarctl run")


def _asked(place: Path, levels: "Sequence[Level]") -> int:
    """At what depth the classes are, where the same names stand in several directories.

    Raises:
        InputError: nobody is there to say it.
    """
    found = f"the classes of {place} may be its directories ({levels[0]})"
    found += "".join(f", or those {level.depth} deep ({level})" for level in levels[1:])
    if not sys.stdin.isatty():
        commands = [f"fsarctl init {shlex.quote(str(place))} --depth {level.depth}" for level in levels[::-1]]
        raise InputError(
            f"{found}: names return in several places", next_step=f"Say which: {', or '.join(commands)}"
        )
    say(found)
    known = [level.depth for level in levels]
    while (given := typer.prompt("How deep are the classes?", type=int, err=True)) not in known:
        say(f"it is {' or '.join(map(str, known))}")
    return int(given)


def _all_described(labels: Sequence[str]) -> bool:
    """Whether the shipped descriptions hold all of these labels."""
    from fsarctl.text.corpus import load_corpus

    return len(load_corpus(()).find(labels)) == len(labels)
