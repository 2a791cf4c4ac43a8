"""`fsarctl compare`: the paired difference of two results."""

from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import Json
from fsarctl.cli.command.session import Session, command
from fsarctl.errors import InputError

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact

__all__ = ["compare"]


@command("compare", example='fsarctl compare "eval shapes 1-shot frozen" 7712dc')
def compare(
    session: Session,
    first: Annotated[str, typer.Argument(metavar="A", help="A result: how its key begins, or its slot.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another result on the same episodes.")],
    as_json: Json = False,
) -> None:
    """The paired difference of two results (`fsarctl cache ls`): B - A, 95 % interval, test."""
    from fsarctl.cli.terminal.results import print_comparison
    from fsarctl.results.result import compare as paired
    from fsarctl.results.result import load_result

    artifacts = [_result(session, name) for name in (first, second)]
    results = [load_result(artifact.path) for artifact in artifacts]
    found = paired(*results)
    print_comparison(list(zip(artifacts, results, strict=True)), found, as_json=as_json)


def _result(session: Session, name: str) -> "Artifact":
    """The result that a key's beginning or a slot names; of a slot's several, the newest."""
    slots = [each for each in session.store.artifacts() if each.manifest.slot == name]
    artifact = slots[-1] if slots else session.artifact(name)
    if "result.json" not in artifact.manifest.files:
        raise InputError(
            f"{artifact.manifest.slot} is no evaluation, so it has no accuracy to compare",
            next_step="`fsarctl cache ls` lists the keys; those of `eval` artifacts can be compared.",
        )
    return session.store.checked(artifact)
