"""Pages of the site that are made from the code (mkdocs calls ``on_files``), and copies of others.

`python docs/generated_pages.py` prints them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from fsarctl.cli.app import app
from fsarctl.cli.command.variadic import usage_of
from fsarctl.config.json_schema import known_parts
from fsarctl.config.methods import method_names
from fsarctl.config.tables import NAMED_TABLES, TABLES
from fsarctl.methods.catalogue import describe

HERE = Path(__file__).parent
COPIES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
COMMANDS = """\
# Commands

Made from the command line itself; `--help` after any command says the same.

Data goes to stdout and everything else to stderr. `--json` prints one document with a stable schema. What a
name holds that would move a cursor (control characters, escape sequences, direction marks) is shown escaped.
Exit codes: 0 done, 1 a bug, 2 usage, 3 settings or input, 4 something upstream is missing (the message is the
command that makes it), 5 integrity, 6 lock, 7 finished with failures, 130 interrupted, 141 the reader of a
pipe has gone.
"""
SETTINGS = """\
# Settings

Made from the tables that check `fsarctl.toml`. A setting comes from `--set table.name=value`, else from the
environment (`FSARCTL_TABLE_NAME`), else from the file, else it has its default:
`fsarctl config show --origin` says which. All of them change results and so enter the keys of artifacts. What
changes no result (workers, device, where the cache is) is a flag of a [command](commands.md).
`fsarctl config schema` prints a JSON schema that editors read.
"""
METHODS = """\
# Method reference

Made from the methods themselves; `fsarctl methods NAME` says the same, with every published setting.
`--set model.method=NAME` chooses one, `--set model.options.OPTION=VALUE` sets an option of it. What is
published for a benchmark holds for it where nothing else sets it; *any* is for clips of one's own.
"""
SHARED_OPTIONS = ("--project", "--cache", "--set", "--debug")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    for name, content in pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def pages() -> dict[str, str]:
    """Each page's Markdown by its name."""
    return {
        "commands.md": "\n".join(commands()),
        "settings.md": "\n".join(settings()),
        "method-reference.md": "\n".join(methods()),
        **{name: _copy(file) for file, name in COPIES.items()},
        **{f"{file.stem}.md": "\n\n".join(notebook(file)) for file in HERE.glob("*.ipynb")},
    }


def _copy(file: str) -> str:
    """A page that is written elsewhere in the repository; its links start from here."""
    text = (HERE.parent / file).read_text(encoding="utf-8").replace("](docs/", "](")
    for other, name in COPIES.items():
        text = text.replace(f"]({other}", f"]({name}")
    return text


def notebook(file: Path) -> Iterator[str]:
    """A notebook with what its cells gave, as it is stored."""
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield text
            continue
        yield f"```python\n{text}\n```"
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/webp" in data:
                picture = "".join(data["image/webp"]).strip()
                yield f'<img alt="" src="data:image/webp;base64,{picture}">'
            else:
                yield f"```text\n{''.join(data['text/plain']).strip()}\n```"
    yield f"[The notebook itself]({file.name})"


def commands() -> Iterator[str]:
    """Every command of the Typer application, with its options."""
    yield COMMANDS
    tree = typer.main.get_command(app)
    shared: dict[str, str] = {}
    for path, command in _leaves(tree, "fsarctl"):
        yield f"## {path}\n"
        yield f"{_prose(command.help)}\n"
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        words = [f" {usage_of(each)}" for each in arguments]
        yield f"```text\n{path} [OPTIONS]{''.join(words)}\n```\n"
        rows = [_option(each) for each in command.params if not getattr(each, "hidden", False)]
        shared |= {name: row for name, row in rows if name in SHARED_OPTIONS}
        rows = [row for row in rows if row[0] not in (*SHARED_OPTIONS, "--help")]
        if rows:
            yield "| option | meaning | default |\n|---|---|---|"
            yield from (row for _, row in rows)
            yield ""
        example = (command.epilog or "").removeprefix("Example: ")
        if example:
            yield f"For example `{example}`\n"
    yield "## Options of every command that works on a project\n"
    yield "| option | meaning | default |\n|---|---|---|"
    yield from shared.values()
    yield ""


def settings() -> Iterator[str]:
    """Every setting of fsarctl.toml, from the tables that check it."""
    yield SETTINGS
    titled: Mapping[str, type[Any]] = {
        **TABLES,
        **{f"{name}.NAME": table for name, table in NAMED_TABLES.items()},
    }
    for name, table in titled.items():
        yield f"## [{name}]\n"
        about = (table.__doc__ or "").strip().partition("\n")[0].partition(": ")[2]
        yield f"{about[:1].upper()}{about[1:]}\n"
        yield "| setting | values | default | meaning |\n|---|---|---|---|"
        hints = get_type_hints(table)
        for each in fields(table):
            if f"{name}.{each.name}" in TABLES:
                continue
            cells = (
                f"`{each.name}`",
                _values(hints[each.name], each),
                _default(each),
                each.metadata["meaning"],
            )
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
        yield ""


def methods() -> Iterator[str]:
    """Every method, its options, and what its settings are published for."""
    yield METHODS
    for name in method_names():
        method = describe(name)
        yield f"## {name}\n"
        yield f"{_cell(_prose(method.about))}\n"
        queries = "see each other" if method.queries_meet else "each alone"
        yield f"{method.paper}. It reads text: {_cell(method.text)}. Queries: {queries}."
        yield f"Settings: {', '.join(method.presets)}.\n"
        if method.options:
            yield "| option | values | default | meaning |\n|---|---|---|---|"
            for each in method.options:
                values = ", ".join(f"`{value}`" for value in each.allowed) or type(each.default).__name__
                cells = (f"`{each.name}`", values, f"`{_plain(each.default)}`", each.meaning)
                yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
            yield ""


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from _leaves(inner, f"{path} {name}")


def _option(parameter: Any) -> tuple[str, str]:
    """A row of the table, with what it begins with."""
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [usage_of(parameter)]
    value = "" if getattr(parameter, "is_flag", False) or parameter.param_type_name == "argument" else " "
    if value:
        value += parameter.metavar or parameter.name.upper().strip("_")
    default = parameter.default
    shown = "" if default in (None, False, (), []) or callable(default) else f"`{_plain(default)}`"
    if parameter.name == "workers":  # the cores of the machine that builds the site
        shown = ""
    if parameter.required:
        shown = "required"
    label = ", ".join(f"`{name}{value if name == names[-1] else ''}`" for name in names)
    return parameter.opts[-1], f"| {label} | {_cell(_prose(parameter.help))} | {shown} |"


def _values(hint: Any, field: Field[Any]) -> str:
    if known := known_parts().get(field.metadata.get("part", "")):
        return ", ".join(f"`{name}`" for name in known) + ", or your own"
    if get_origin(hint) is Literal:
        return ", ".join(f"`{_plain(value)}`" for value in get_args(hint))
    if get_origin(hint) is tuple:
        inner = _values(get_args(hint)[0], field)
        return f"list of {inner}"
    names = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
    return names.get(hint, "table" if "Mapping" in str(hint) else str(hint))


def _default(field: Field[Any]) -> str:
    value = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
    return f"`{_plain(value)}`" if value not in ("", (), {}, []) else "none"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return '""' if value == "" else str(getattr(value, "value", value))


def _prose(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    """Text that ends no cell and is no HTML."""
    parts = text.split("`")
    parts[::2] = [each.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_") for each in parts[::2]]
    return "`".join(parts).replace("|", "\\|")


if __name__ == "__main__":
    print("\n".join(pages().values()))
