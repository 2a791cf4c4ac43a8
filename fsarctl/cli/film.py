"""`fsarctl data film`: a long video of *shapes* with known events, to see what `spot` finds of them."""

from pathlib import Path
from typing import Annotated

import typer

from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo
from fsarctl.config.setting_field import Split
from fsarctl.progress import counted

__all__ = ["film"]


@command("film", example="fsarctl data film test-film --seconds 60", needs_project=False)
def film(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where it goes; made if need be.")],
    split: Annotated[Split, typer.Option("--split", help="Whose classes act in it.")] = "test",
    seconds: Annotated[float, typer.Option("--seconds", min=5, max=36_000, help="How long it is.")] = 300,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another one, another film.")] = 0,
    shots: Annotated[int, typer.Option("--shots", min=1, max=100, help="Examples of each class.")] = 5,
) -> None:
    """Render a long video of shapes: film.mp4, events.csv (what happens when), support/ with examples."""
    from fsarctl.datasets.shapes.film import write_film_folder

    events = write_film_folder(folder, split, seconds, seed, shots, session.reporter)
    echo(f"{folder}: {seconds:g} s, {counted(len(events), 'event')} of the {split} classes")
