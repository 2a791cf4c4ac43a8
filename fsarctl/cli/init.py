"""`fsarctl init`: the first fsarctl.toml."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fsarctl.cli.terminal.console import say
from fsarctl.config.sources import FILE_NAME
from fsarctl.errors import InputError

__all__ = ["init"]


def init(
    place: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Class directories, a public benchmark, or a list file."),
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace the fsarctl.toml that is here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print it, and write nothing.")] = False,
) -> None:
    """Look at a folder of clips, and write a commented fsarctl.toml for it here."""
    from fsarctl.config.schema import SCHEMA_FILE, schema
    from fsarctl.datasets.new_project import project_file
    from fsarctl.text.corpus import load_corpus

    target = Path.cwd() / FILE_NAME
    if target.exists() and not force and not dry_run:
        raise InputError(
            f"there is a {FILE_NAME} here already",
            next_step="Look at --dry-run for what would be written; --force replaces it.",
        )
    if not place.exists():
        raise InputError(f"{place} is not there", next_step="Name a directory of clips: fsarctl init FOLDER")
    text = project_file(place, target.parent, lambda labels: len(load_corpus(()).find(labels)) == len(labels))
    if dry_run:
        typer.echo(text, nl=False)
        return
    for path, content in (
        (target.with_name(SCHEMA_FILE), json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"),
        (target, text),
    ):
        try:
            path.write_text(content, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}", next_step="Go elsewhere."
            ) from None
    say(f"wrote {FILE_NAME}; next: fsarctl data check, then fsarctl run")
