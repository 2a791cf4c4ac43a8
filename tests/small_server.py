"""A server for tests: a small model on real clips, on a port of its own, answered by a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from small_model import small_model
from video_zoo import write

from fsarctl.datasets.clip_files import open_support_folder
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.recogniser import Recogniser
from fsarctl.serving.app import Served, make_app
from fsarctl.serving.listening import bound
from fsarctl.serving.run import server_of
from fsarctl.serving.support_sets import SupportSets
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.processes.decoding_pool import Decoders

__all__ = ["running", "served", "write_examples"]


def write_examples(folder: Path) -> Path:
    """Two classes with a clip each, of one second."""
    for label, first in (("early", 0), ("late", 200)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        write(folder / label / "0.mp4", numbers=range(first, first + 12), rate=12)
    return folder


def served(supports: Path, **options: Any) -> Served:
    """What a server is given, with a small model of random weights."""
    predictor = Predictor(small_model(), size=18)

    def load(place: Path) -> Recogniser:
        examples = predictor.examples(open_support_folder(place).clips)
        return Recogniser(predictor, predictor.knowing(predictor.support_of(examples), examples))

    return Served(SupportSets(supports, load), Decoders(decode_clip, 1, 64, 1, 60.0), **options)


@contextmanager
def running(given: Served) -> Iterator[str]:
    """The address of a server, while the block lasts."""
    with bound("127.0.0.1", 0) as listening:
        ready = threading.Event()
        server = server_of(make_app(given), ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(60)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
