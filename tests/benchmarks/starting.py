"""From the shell to an answer: `fsarctl predict` of one clip, beside the import of packages alone."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from made import VIT
from safetensors.torch import save_file
from timing import Options, Row, print_rows, side_by_side

from fsarctl.models.backbone import build_backbone, load_backbone, load_weights
from fsarctl.models.backbone_catalogue import architecture

PROJECT = '[datasets.shapes]\nkind = "shapes"\n[model]\nbackbone = "{0}"\nweights = "{1}"\n'
# Without bytecode every start compiles all modules; and settings of the user's own are not measured.
OTHERS = ("PYTHONDONTWRITEBYTECODE", "FSARCTL_")
REPEATS = 5


def main(options: Options) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        print_rows("From the shell to an answer, seconds of the processor", starts(Path(name), options))
        if not options.quick:
            print_rows(f"The weights of {VIT} from a file of float32", [loading(Path(name))])


def starts(folder: Path, options: Options) -> list[Row]:
    """One clip with a saved support set, and what importing torch and open_clip takes by itself."""
    predict = {"tiny": prepared(folder / "tiny", "tiny", "shipped")}
    if not options.quick:
        weights = folder / "weights.safetensors"
        save_file(load_backbone(VIT, "random").clip.state_dict(), weights)
        predict[VIT] = prepared(folder / "vit", VIT, str(weights))
    commands = [
        (folder, (sys.executable, "-c", "import torch")),
        (folder, (sys.executable, "-c", "import open_clip")),
        *((each, FSARCTL + PREDICT) for each in predict.values()),
    ]
    torch_alone, open_clip, *ours = seconds_of_processor(commands, 1 if options.quick else REPEATS)
    rows = [Row("import torch; import open_clip", f"{torch_alone:.2f}", f"{open_clip:.2f}",
                open_clip / torch_alone, "")]  # fmt: skip
    rows += [
        Row(f"predict, {name}; import open_clip", f"{taken:.2f}", f"{open_clip:.2f}", open_clip / taken, "")
        for name, taken in zip(predict, ours, strict=True)
    ]
    return rows


def loading(folder: Path) -> Row:
    """A frozen backbone from a file, against open_clip's own model that is built and then filled."""
    import open_clip

    file, configuration = str(folder / "weights.safetensors"), architecture(VIT)

    def ours() -> None:
        build_backbone(VIT, configuration, load_weights(VIT, file))

    def other() -> None:
        open_clip.CLIP(**configuration).load_state_dict(torch.load(filled, weights_only=True))

    filled = folder / "weights.pt"
    torch.save(load_backbone(VIT, file).clip.state_dict(), filled)
    mine, theirs = side_by_side([ours, other], REPEATS)
    return Row("read, checked for NaN, in its place; open_clip.CLIP and load_state_dict",
               f"{mine:.2f} s", f"{theirs:.2f} s", theirs / mine, "")  # fmt: skip


FSARCTL: tuple[str, ...] = (sys.executable, "-m", "fsarctl")
PREDICT: tuple[str, ...] = ("predict", "--frozen", "--support", "support.safetensors", "clip.mp4")


def prepared(project: Path, backbone: str, weights: str) -> Path:
    """A project with a saved support set of two classes, and a clip."""
    project.mkdir()
    (project / "fsarctl.toml").write_text(PROJECT.format(backbone, weights))
    run(project, *FSARCTL, "data", "film", "film", "--seconds", "5", "--shots", "1")
    classes = sorted((project / "film" / "support").iterdir())
    for each in classes[:2]:
        place = project / "support" / each.name
        place.mkdir(parents=True)
        for clip in each.iterdir():
            os.link(clip, place / clip.name)
    os.link(next(classes[2].iterdir()), project / "clip.mp4")
    saved = ("--support", "support", "--save-support", "support.safetensors")
    run(project, *FSARCTL, "predict", "--frozen", *saved)
    return project


def seconds_of_processor(commands: Sequence[tuple[Path, Sequence[str]]], repeats: int) -> list[float]:
    """Median of each command (its folder first), which ran before; they take turns."""
    taken: list[list[float]] = [[] for _ in commands]
    for _ in range(1 + repeats):
        for (folder, words), each in zip(commands, taken, strict=True):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run(folder, *words)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            each.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return [median(each[1:]) for each in taken]


def run(folder: Path, *words: str) -> None:
    """A command that must not fail."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)


if __name__ == "__main__":
    main(Options())
