"""`fsarctl methods`: what methods, metrics, backbones and dataset kinds there are, fsarctl's and others'."""

from dataclasses import asdict

import typer

from fsarctl.cli.command.options import Json
from fsarctl.cli.terminal.console import print_json, print_table
from fsarctl.config.parts import GROUPS

__all__ = ["methods"]


def methods(as_json: Json = False) -> None:
    """Methods, metrics, backbones and dataset kinds that settings may name, with where they are from."""
    from fsarctl.methods.catalogue import parts

    found = parts()
    if as_json:
        print_json({"schema": "fsarctl.methods/1", "parts": [asdict(each) for each in found]})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("kind", "name", "setting", "from"):
        table.add_column(heading, overflow="fold")
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in found:
        alike.setdefault((each.kind, each.setting, each.source), []).append(each.name)
    for (kind, setting, source), names in alike.items():
        table.add_row(*(Text(text) for text in (kind, ", ".join(names), setting, source)))
    print_table(table)
    groups = ", ".join(entry_points for _, entry_points in GROUPS.values())
    typer.echo(f'\nYour own: "package.module:name" in place of a name, or an entry point of {groups}.')
