"""All benchmarks, or those named: python tests/benchmarks/run.py [evaluation] [training] [...]

Every ratio is of two things measured side by side in the same run.
"""

import importlib
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
NAMES = ("evaluation", "training")


def main() -> None:
    """Run them one after the other."""
    names = sys.argv[1:] or NAMES
    for name in names:
        if name not in NAMES:
            sys.exit(f"there is no benchmark {name!r}; known: {', '.join(NAMES)}")
        importlib.import_module(name).main()


if __name__ == "__main__":
    main()
