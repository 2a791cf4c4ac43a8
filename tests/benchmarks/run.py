"""Speed, as ratios: how many times better ours is than something measured beside it in the same run.

Without a NAME all of them, about an hour on two cores that do nothing else:

evaluation    an episode against a forward pass of all its clips, ViT-B/16 and the tiny CLIP: 7 minutes
training      a step against gradients through all blocks, time and peak memory: 9 minutes, 16 GB
extraction    clips/s against a bare loop and against ffmpeg's JPEG files, and reading back: 8 minutes
images        folders of JPEG frames against torchvision: half a minute
command_line  --help, and run and status with nothing to do: 8 minutes, most of them to make 100,000 clips
many          time, memory and open files at 1, 4 and 16 times the clips and the artifacts: 15 minutes
growth        time and memory at 1, 4 and 16 times the clips, episodes, way and shots: 10 minutes
starting      predict of one clip from the shell, and a backbone's weights: 4 minutes
spotting      windows of a long video against predict, window by window: 6 minutes
sweeping      a row of a sweep after another one, in a process of its own: 15 minutes
serving       answers a second and their 95th percentile, for 1, 8 and 32 clients: 2 minutes; needs locust
engines       overhead a unit and speed-up on 1 to 8 nodes, 100,000 units of nothing: 10 minutes; needs ray
exporting     accuracy and time of exported models, after `make demo`: 3 minutes
precision     accuracy and time in bf16 and in float32: 3 minutes
gpu           all of that which a GPU is for; without one it says so

"asked for" is what the project wants of a ratio, or of a time.
"""

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
NAMES = (
    *(
        "evaluation",
        "training",
        "extraction",
        "images",
        "command_line",
        "many",
        "growth",
        "starting",
        "spotting",
        "sweeping",
        "serving",
    ),
    *("engines", "exporting", "precision", "gpu"),
)


def main() -> None:
    """Run them one after the other."""
    from timing import NothingToMeasureError, Options

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; by default all")
    parser.add_argument("--quick", action="store_true", help="at a tiny size, to see that they work")
    parser.add_argument("--compile", action="store_true", help="gpu: with torch.compile as well")
    parser.add_argument(
        "--clips", nargs="+", type=int, default=Options.clips, metavar="N",
        help="command_line: sizes of the projects",
    )  # fmt: skip
    asked = parser.parse_args()
    for name in asked.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}; known: {', '.join(NAMES)}")
    options = Options(asked.quick, asked.compile, tuple(asked.clips))
    import torch

    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads of torch"
        f" {torch.__version__}, Python {platform.python_version()}",
        flush=True,
    )
    for name in asked.names or NAMES:
        try:
            importlib.import_module(name).main(options)
        except NothingToMeasureError as reason:
            print(f"\n{name}: {reason}", flush=True)
            if asked.names == [name]:
                sys.exit(1)


if __name__ == "__main__":
    main()
