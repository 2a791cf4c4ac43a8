"""render: *shapes*, or a probe, as video files, one unit per split; and a film of *shapes*."""

from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unit import Build, Unit
from fsarctl.config.dataset_table import DatasetConfig

__all__ = ["RENDERED", "STAGE", "VERSION", "film", "unit"]

STAGE = "render"
VERSION = 1
RENDERED = ("shapes", "probe")
"""Kinds of dataset whose videos are made here."""


def unit(name: str, dataset: DatasetConfig, split: str, *, workers: int) -> Unit:
    """The videos of one split, with clips.json: [{"name", "label", "file"}]; of a probe also its sets.

    ``name`` is the dataset's name in fsarctl.toml; it is shown and never hashed.
    """

    def build(run: Build) -> None:
        from fsarctl.artifacts.unfinished.journal import Journal

        finished = Journal(run.scratch, run.of)
        rest = (run.folder, split, dataset.clips_per_class, dataset.seed, workers, run.reporter, finished)
        if dataset.kind == "probe":
            from fsarctl.datasets.probes.rendering import render_probe

            render_probe(dataset.name, *rest)
        else:
            from fsarctl.datasets.shapes.rendering import render_split

            render_split(*rest)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"render {name}/{split}",
        command=Command("extract"),
        config={
            **({"probe": dataset.name} if dataset.kind == "probe" else {}),
            "split": split,
            "clips_per_class": dataset.clips_per_class,
            "seed": dataset.seed,
        },
        build=build,
    )


def film(name: str, dataset: DatasetConfig, split: str, command: Command) -> Unit:
    """``film.mp4`` of ``dataset.film_s`` seconds in which the classes of a split act, and ``events.csv``."""

    def build(run: Build) -> None:
        from fsarctl.datasets.shapes.film import write_film

        write_film(run.folder, split, dataset.film_s, dataset.seed, run.reporter)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"render {name}/{split} film",
        command=command,
        config={"film_s": dataset.film_s, "split": split, "seed": dataset.seed},
        build=build,
        apart=True,
    )
