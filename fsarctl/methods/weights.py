"""The weights that [model] names: which files they are, and whether they can be loaded at all."""

from functools import cache
from pathlib import Path

from fsarctl.config.model_table import ModelConfig
from fsarctl.config.paths import located
from fsarctl.errors import ConfigError, FsarctlError, InputError
from fsarctl.models import tiny_clip
from fsarctl.models.backbone_catalogue import TINY
from fsarctl.models.weights.sharded import shards_of

__all__ = ["check_weights", "look_for_weights", "require_weights_here", "weight_files"]


def weight_files(model: ModelConfig, root: Path) -> dict[str, Path]:
    """The weight files that ``model`` reads from this machine, by name; none for a hub tag or random.

    A file of that name in the project wins over a hub tag; an index brings the files that it names.

    Raises:
        ConfigError: weights and backbone do not go together.
        InputError: the local file does not exist, or is no file.
    """
    if model.weights == "shipped":
        if model.backbone != TINY:
            raise ConfigError(
                f"no weights ship for backbone {model.backbone!r}",
                next_step='Set model.weights to a tag, such as "openai" or torchvision\'s "IMAGENET1K_V1",'
                " or to a local file.",
            )
        return {
            "weights": Path(tiny_clip.WEIGHTS),
            "bpe": Path(tiny_clip.BPE),
            "config": Path(tiny_clip.CONFIG),
        }
    if model.backbone == TINY and model.weights == "openai":
        raise ConfigError(
            "there are no OpenAI weights for the tiny backbone", next_step='Set model.weights = "shipped".'
        )
    if model.weights == "random":
        return {}
    path = located(model.weights, root)
    if path.is_file():
        shards = {f"weights/{each.name}": each for each in shards_of(path) if each != path}
        return {"weights": path, **shards}
    if "/" in model.weights or "." in model.weights:
        from fsarctl.models.weights.hub import offer

        what = "that is a folder" if path.is_dir() else "there is no such file"
        raise InputError(
            f"model.weights names {model.weights}, and {what}",
            next_step=f"Put the weights of {model.backbone} at {path}, or correct model.weights"
            f"{offer(model.backbone)}.",
        )
    return {}


def check_weights(model: ModelConfig, root: Path) -> tuple[str, ...]:
    """Read the weights and let go of them, before work that would be lost without them.

    A hub tag that is not on this machine is fetched. Returns what a user should know of the weights.

    Raises:
        ConfigError, InputError: they cannot be loaded, as ``load_backbone`` says.
    """
    files = weight_files(model, root)
    if model.weights in ("random", "shipped"):
        return ()
    # One sweep asks for the same weights again and again.
    seen = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files.values())
    return _remarks(model.backbone, model.weights, root, seen)


def require_weights_here(model: ModelConfig, root: Path) -> tuple[str, ...]:
    """Like ``check_weights``, but nothing is fetched: a hub tag must be on this machine."""
    if not weight_files(model, root) and model.weights != "random":
        from fsarctl.models.weights.hub import require_here

        require_here(model.backbone, model.weights, root)
    return check_weights(model, root)


def look_for_weights(model: ModelConfig, root: Path) -> tuple[str, ...]:
    """What a user should know of the weights, that they are missing or no weights included."""
    try:
        return require_weights_here(model, root)
    except FsarctlError as error:
        return (f"{error.message}. {error.next_step}",)


@cache
def _remarks(
    backbone: str, weights: str, root: Path, _files: tuple[tuple[str, int, int], ...]
) -> tuple[str, ...]:
    from fsarctl.models.backbone import load_weights

    return load_weights(backbone, weights, root=root).remarks
