"""The command tree, put together from one file a verb."""

from typing import Annotated

import typer

from fsarctl.cli.ablate import ablate
from fsarctl.cli.cache import (
    collect,
    export_artifacts,
    import_artifacts,
    list_artifacts,
    pull,
    push,
    show_artifact,
    verify,
)
from fsarctl.cli.calibrate import calibrate
from fsarctl.cli.command.usage import EscapingGroup
from fsarctl.cli.compare import compare
from fsarctl.cli.config import print_schema, show_settings
from fsarctl.cli.data import check, ls
from fsarctl.cli.demo import demo
from fsarctl.cli.describe import describe
from fsarctl.cli.doctor import doctor
from fsarctl.cli.eval import evaluate
from fsarctl.cli.export import export as export_model
from fsarctl.cli.extract import extract
from fsarctl.cli.film import film
from fsarctl.cli.init import init
from fsarctl.cli.methods import methods
from fsarctl.cli.predict import predict
from fsarctl.cli.report import report
from fsarctl.cli.results import export
from fsarctl.cli.run import run
from fsarctl.cli.serve import serve
from fsarctl.cli.show import show
from fsarctl.cli.spot import spot
from fsarctl.cli.status import status
from fsarctl.cli.terminal.console import echo
from fsarctl.cli.train import train
from fsarctl.cli.watch import watch

__all__ = ["app"]

app = typer.Typer(
    name="fsarctl",
    cls=EscapingGroup,
    help="Few-shot action recognition: describe, extract, train, eval. Finished work is never done twice.",
    epilog="Start with: fsarctl demo\n\nFSARCTL_CACHE, FSARCTL_PROJECT and FSARCTL_DEVICE stand for --cache, "
    "--project and --device; FSARCTL_TRAIN_LR=0.01, and so on for every setting, for --set train.lr=0.01.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Few-shot action recognition: describe, extract, train, eval."""
    if version:
        from fsarctl import __version__

        echo(f"fsarctl {__version__}")
        raise typer.Exit


app.command("demo", epilog="Example: fsarctl demo my-demo")(demo)
app.command("init", epilog="Example: fsarctl init clips --dry-run")(init)
app.command("methods", epilog="Example: fsarctl methods clip-fsar")(methods)
for verb in (
    describe, extract, train, evaluate, run, ablate, report, show, compare, calibrate, predict, spot, serve,
    watch, export_model, status, doctor,
):  # fmt: skip
    verb.add_to(app)

for name, meaning, verbs in (
    (
        "cache",
        "Look into the artifact store, check it, clear it, and share it.",
        (list_artifacts, show_artifact, verify, collect, push, pull, export_artifacts, import_artifacts),
    ),
    ("results", "Finished results, for others to compare with and to read.", (export,)),
    ("data", "The datasets: what they hold, and whether it is enough.", (ls, check, film)),
    ("config", "Settings: values, meanings, and where they come from.", (show_settings,)),
):
    group = typer.Typer(help=meaning, no_args_is_help=True)
    for verb in verbs:
        verb.add_to(group)
    if name == "config":
        group.command("schema", epilog="Example: fsarctl config schema > fsarctl.schema.json")(print_schema)
    app.add_typer(group, name=name)
