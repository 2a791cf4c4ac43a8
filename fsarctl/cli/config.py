"""`fsarctl config`: settings with their meanings and where they come from."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from fsarctl.cli.command.options import Json
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import print_json, print_table, styled
from fsarctl.progress import shortened

__all__ = ["print_schema", "show_settings"]


@command("show", example="fsarctl config show --origin", needs_project=False)
def show_settings(
    session: Session,
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    as_json: Json = False,
) -> None:
    """Every setting with its value and meaning."""
    from fsarctl.config.settings import rows

    _print_settings(rows(session.settings), origin=origin, as_json=as_json)


def print_schema() -> None:
    """A JSON schema of fsarctl.toml, for editors that complete and check it."""
    from fsarctl.config.json_schema import schema

    print_json(schema())


def _print_settings(rows: Sequence[tuple[str, Any, str, str]], *, origin: bool, as_json: bool) -> None:
    """Every setting: key, value, meaning, and with ``origin`` where the value comes from."""
    if as_json:
        print_json(
            {
                "schema": "fsarctl.config/1",
                "settings": [
                    {"key": key, "value": value, "origin": source, "meaning": meaning}
                    for key, value, source, meaning in rows
                ],
            }
        )
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    if origin:
        table.add_column("from", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for key, value, source, meaning in rows:
        middle = [styled(source, "dim" if source.startswith("default") else "")] if origin else []
        table.add_row(styled(key), styled(_short(value)), *middle, styled(meaning, "dim"))
    print_table(table)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shortened(text, 60)
