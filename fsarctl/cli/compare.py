"""`fsarctl compare`: the difference of two results, of this store or of somebody's file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import Json
from fsarctl.cli.command.session import Session, command
from fsarctl.errors import InputError

if TYPE_CHECKING:
    from fsarctl.results.exchange.reading import ExportedResult

__all__ = ["compare"]

WITHIN = "::"
"""Stands between a file and which of its results is meant."""
ENDINGS = (".json", ".gz")
HELP = "A result: how its key begins, its slot, or a file of `fsarctl results export`"


@command("compare", example='fsarctl compare "eval shapes 1-shot frozen" theirs.json.gz', needs_project=False)
def compare(
    session: Session,
    first: Annotated[str, typer.Argument(metavar="A", help=f"{HELP} (FILE::RESULT: one of several).")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: Json = False,
) -> None:
    """The paired difference of two results (`fsarctl cache ls`): B - A, 95 % interval, test.

    Two of this store are paired by episode. With somebody's file, what both have is compared: the episodes
    that are the same, or else the clips.
    """
    words = (first, second)
    files = [_file(word) for word in words]
    if not any(files):
        _of_store(session, words, as_json=as_json)
        return
    from fsarctl.cli.terminal.results import print_shared_comparison
    from fsarctl.results.exchange.comparison import compare_exported
    from fsarctl.results.exchange.reading import choose_pair, read_results

    sides = [
        [each for each in read_results(file[0]) if _is_meant(each, file[1])]
        if file
        else [_own(session, word)]
        for word, file in zip(words, files, strict=True)
    ]
    pair = choose_pair(*sides)
    print_shared_comparison(pair, compare_exported(*pair), as_json=as_json)


def _of_store(session: Session, words: tuple[str, str], *, as_json: bool) -> None:
    from fsarctl.cli.terminal.results import print_comparison
    from fsarctl.results.result import compare as paired
    from fsarctl.results.result import load_result

    session.settings.require_file()
    artifacts = [session.result(name) for name in words]
    results = [load_result(artifact.path) for artifact in artifacts]
    found = paired(*results)
    print_comparison(list(zip(artifacts, results, strict=True)), found, as_json=as_json)


def _own(session: Session, name: str) -> "ExportedResult":
    """A result of the store as another person would have it."""
    from fsarctl.results.exchange.reading import parse_results
    from fsarctl.stages.results_export import collect

    session.settings.require_file()
    return parse_results(collect(session.store, [session.result(name)]))[0]


def _file(word: str) -> tuple[Path, str] | None:
    """The file that a word names, and which of its results; None where it names none.

    Raises:
        InputError: it can only mean a file, and there is none.
    """
    for name, which in ((word, ""), word.rpartition(WITHIN)[::2]):
        try:
            if name and Path(name).is_file():
                return Path(name), which
        except OSError:  # no file has such a name
            continue
    name = word.rpartition(WITHIN)[0] or word
    if name.endswith(ENDINGS):
        raise InputError(
            f"there is no file {name}", next_step="Name one that `fsarctl results export` wrote."
        )
    return None


def _is_meant(result: "ExportedResult", which: str) -> bool:
    return not which or which == result.slot or result.key.startswith(which)
