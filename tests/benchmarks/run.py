"""All benchmarks, or those named: python tests/benchmarks/run.py [evaluation] [training] [...] [--quick]

Every ratio is of two things measured side by side in the same run.
"""

import argparse
import importlib
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
NAMES = ("evaluation", "training", "extraction", "command_line", "growth", "precision", "gpu")


def main() -> None:
    """Run them one after the other."""
    from timing import NothingToMeasureError, Options

    parser = argparse.ArgumentParser(description="Speed, as ratios measured side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; by default all")
    parser.add_argument("--quick", action="store_true", help="at a tiny size, to see that they work")
    parser.add_argument("--compile", action="store_true", help="gpu: with torch.compile as well")
    parser.add_argument(
        "--clips", nargs="+", type=int, default=Options.clips, metavar="N",
        help="command_line: sizes of the projects; making one of 100,000 takes minutes",
    )  # fmt: skip
    asked = parser.parse_args()
    for name in asked.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}; known: {', '.join(NAMES)}")
    options = Options(asked.quick, asked.compile, tuple(asked.clips))
    for name in asked.names or NAMES:
        try:
            importlib.import_module(name).main(options)
        except NothingToMeasureError as reason:
            print(f"\n{name}: {reason}", flush=True)
            if asked.names == [name]:
                sys.exit(1)


if __name__ == "__main__":
    main()
