"""oracle: what an oracle that cheats makes of a probe's episodes, to stand beside the methods.

Only ``fsarctl ablate`` comes here. It is a result like any other, on the same episodes.
"""

from fsarctl.artifacts import JSON, Build, Unit
from fsarctl.artifacts.command import Command
from fsarctl.config.dataset_table import Ability, DatasetConfig
from fsarctl.config.training_tables import EvalConfig
from fsarctl.errors import ConfigError
from fsarctl.results import RECORDED

__all__ = ["STAGE", "VERSION", "unit"]

STAGE = "oracle"
VERSION = 1


def unit(
    ability: Ability,
    name: str,
    dataset: DatasetConfig,
    shot: int,
    config: EvalConfig,
    *,
    frames: Unit,
    command: Command,
) -> Unit:
    """The episodes of probe ``name`` scored by the oracle of ``ability``; the artifact is a result.

    Raises:
        ConfigError: the dataset is no probe.
    """
    if dataset.kind != "probe":
        raise ConfigError(
            f"an oracle reads what was rendered of a probe, and {name} is of kind = {dataset.kind}",
            next_step="Leave its rows out, or evaluate on a probe.",
        )
    probe: dict[str, JSON] = {
        "probe": dataset.name,
        "clips_per_class": dataset.clips_per_class,
        "rendered": dataset.seed,
    }

    def build(build: Build) -> None:
        from fsarctl.episodes.oracle import cheat
        from fsarctl.results.result import write_result

        predictions, clips = cheat(ability, build.inputs["frames"], dataset, shot, config)
        facts = {
            "model": f"oracle of {ability}",
            **{field: getattr(config, field) for field in RECORDED},
            "shot": shot,
            "clips": len(clips),
        }
        write_result(build.folder, predictions, clips, facts)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"oracle of {ability} {name} {shot}-shot",
        command=command,
        config={
            "oracle": ability,
            **probe,
            "shot": shot,
            **{field: getattr(config, field) for field in RECORDED},
        },
        inputs={"frames": frames},
        build=build,
    )
