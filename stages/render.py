"""render: the *shapes* benchmark as video files, one unit per split."""

from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unit import Build, Unit
from fsarctl.config.dataset_table import DatasetConfig

__all__ = ["STAGE", "VERSION", "unit"]

STAGE = "render"
VERSION = 1


def unit(name: str, dataset: DatasetConfig, split: str, *, workers: int) -> Unit:
    """The videos of one split, with clips.json: [{"name", "label", "file"}].

    ``name`` is the dataset's name in fsarctl.toml; it is shown and never hashed.
    """

    def build(run: Build) -> None:
        from fsarctl.datasets.shapes.rendering import render_split

        render_split(run.folder, split, dataset.clips_per_class, dataset.seed, workers, run.reporter)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"render {name}/{split}",
        command=Command("extract"),
        config={"split": split, "clips_per_class": dataset.clips_per_class, "seed": dataset.seed},
        build=build,
    )
