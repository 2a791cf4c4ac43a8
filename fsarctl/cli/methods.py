"""`fsarctl methods`: what methods, metrics, backbones and dataset kinds there are, and what one method is."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import Json, Project, start_of
from fsarctl.cli.terminal.console import echo, keeping_stdout, print_json, print_table, say, styled
from fsarctl.config.plugins import GROUPS
from fsarctl.errors import ConfigError

if TYPE_CHECKING:
    from fsarctl.config.named_parts import NamedPart
    from fsarctl.methods.catalogue import Described

__all__ = ["methods"]


@keeping_stdout()
def methods(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[METHOD]", help="What this one is, its options, its published settings."),
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Methods, metrics, backbones and dataset kinds that settings may name; or one method in full."""
    from fsarctl.methods.catalogue import describe, parts

    if name is not None:
        _print_method(describe(name), as_json=as_json)
        return
    found = parts(_of_project(project))
    if as_json:
        print_json({"schema": "fsarctl.methods/1", "parts": [asdict(each) for each in found]})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("kind", "name", "setting", "from"):
        table.add_column(heading, overflow="fold")
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in found:
        source = f"{each.source}: {each.fault}" if each.fault else each.source
        alike.setdefault((each.kind, each.setting, source), []).append(each.name)
    for (kind, setting, source), names in alike.items():
        table.add_row(*(styled(text) for text in (kind, ", ".join(names), setting, source)))
    print_table(table)
    groups = ", ".join(entry_points for _, entry_points in GROUPS.values())
    echo("", "One method, its options and its published settings: fsarctl methods NAME")
    echo(f'Your own: "package.module:name" in place of a name, or an entry point of {groups}.')


def _of_project(project: Path | None) -> "list[NamedPart]":
    """What the project names; where one is asked for and not there, or it cannot be read, that is said."""
    from fsarctl.config.named_parts import parts_named

    asked_for = project is not None or "FSARCTL_PROJECT" in os.environ
    try:
        return parts_named(start_of(project), required=asked_for)
    except (ConfigError, OSError) as error:
        say(f"parts that a project names are not listed: {error}")
        return []


def _print_method(method: "Described", *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "fsarctl.method/1", **asdict(method)})
        return
    from rich.table import Table

    echo(method.title, method.paper, method.about, "")
    echo(f"text: {method.text}; queries {'see each other' if method.queries_meet else 'each alone'}")
    if method.options:
        echo("", "options (model.options):")
        table = Table(box=None, pad_edge=False, show_header=False)
        for each in method.options:
            allowed = f" ({', '.join(each.allowed)})" if each.allowed else ""
            table.add_row(
                styled(f"  {each.name}"), styled(str(each.default)), styled(each.meaning + allowed, "dim")
            )
        print_table(table)
    elif method.settings:
        echo("", f"options: {method.settings}")
    for benchmark, preset in method.presets.items():
        where = "any other data" if benchmark == "any" else benchmark
        echo("", f"for {where} ({preset.source}):")
        _print_settings(preset.settings, "")
        for shot, changed in preset.shots.items():
            _print_settings(changed, f", {shot}-shot")
    echo("", f"use it: fsarctl run --set model.method={method.name}")


def _print_settings(settings: Mapping[str, Any], when: str) -> None:
    for key, value in settings.items():
        echo(f"  {key} = {value}{when}")
