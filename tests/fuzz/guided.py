"""The same readers, led by coverage: what reaches new code is kept and changed further.

    pip install atheris                        CPython 3.11 on Linux
    python tests/fuzz/guided.py READER [--runs 20000] [--seconds 600]

What it finds is written to ./crash-...; ``--input FILE`` reads one such file again. atheris is no dependency:
`make fuzz` needs none of it.
"""

import argparse
import os
import signal
import sys
import tempfile
import warnings
from pathlib import Path

sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["fsarctl", "yaml", "tomllib", "json", "csv", "email", "zipfile"]):
    from readers import READERS
    from run import HANG_S, Watch, attempt

    # Readers import what they need when they read: that is done here, to be instrumented.
    for _each in (READERS[_word] for _word in sys.argv[1:] if _word in READERS):
        for _file in _each.corpus[:1]:
            with tempfile.TemporaryDirectory() as _folder:
                attempt(_each, _file.name, _file.read_bytes(), Path(_folder), Watch())


SILENT_S = 300
"""How long an input may take by the clock, for what neither computes nor ends; a busy machine is none."""


def main() -> None:
    """Fuzz one reader until it fails, or the time is over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--input", type=Path)
    asked = parser.parse_args()
    reader, folder = READERS[asked.reader], Path(tempfile.mkdtemp())
    names = sorted({file.suffix: file.name for file in reader.corpus}.values())
    watch = Watch()
    warnings.simplefilter("ignore")

    def hangs(number: int, frame: object) -> None:
        raise TimeoutError(f"computes for more than {HANG_S:.0f} s")

    signal.signal(signal.SIGVTALRM, hangs)

    def one(data: bytes) -> None:
        # The first byte says which kind of file it is; a file of the corpus is of some kind, too.
        name = names[data[0] % len(names)] if data else names[0]
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
        fault, how = attempt(reader, name, data, folder, watch)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if fault:
            raise RuntimeError(f"{asked.reader}: {name}: {fault}\n{how}")

    if asked.input:
        one(asked.input.read_bytes())
        return
    found = Path(tempfile.mkdtemp())
    flags = [f"-atheris_runs={asked.runs}", f"-max_total_time={asked.seconds}", f"-timeout={SILENT_S}"]
    flags += ["-max_len=65536", "-rss_limit_mb=4096", str(found), str(Path(reader.corpus[0]).parent)]
    os.environ.update(HOME=str(folder), TMPDIR=str(folder))
    atheris.Setup([sys.argv[0], *flags], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
