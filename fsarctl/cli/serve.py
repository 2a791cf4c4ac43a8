"""`fsarctl serve`: answers over HTTP, and a page to record examples and try them."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import CORES, Device, Frozen, TrainedFor, Workers
from fsarctl.cli.command.recognition import require_one_model, setup_of
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import make_reporter, say
from fsarctl.errors import UsageError
from fsarctl.errors.addresses import LOOPBACK, LOOPBACK_HOSTS
from fsarctl.errors.extras import require_extra
from fsarctl.execution.device import Machine

if TYPE_CHECKING:
    from fsarctl.predict.recogniser import Recogniser

__all__ = ["TOKEN", "serve"]

TOKEN = "FSARCTL_TOKEN"
"""The variable whose value every request has to bear."""


@command("serve", example="fsarctl serve supports --port 8000")
def serve(
    session: Session,
    supports: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Support sets by name: folders of examples, files of --save-support. Made if need be.",
        ),
    ] = Path("supports"),
    videos: Annotated[
        Path | None, typer.Option("--videos", help="A folder; requests may name the files below it.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Which of this machine's addresses.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8000,
    megabytes: Annotated[int, typer.Option("--max-size", min=1, help="MiB of a video.")] = 200,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=1, help="Seconds for an upload, and for its answer.")
    ] = 60,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Requests that are worked on.")] = 8,
    waiting: Annotated[int, typer.Option("--waiting", min=0, help="Others that may wait.")] = 64,
    shots: TrainedFor = None,
    frozen: Frozen = False,
    workers: Workers = CORES,
    device: Device = "auto",
) -> None:
    """Answer over HTTP: /predict, /spot, and a page to record examples and try them.

    Where FSARCTL_TOKEN is set, every request has to bear it. Other machines are answered only with one:
    --host 0.0.0.0 needs it.
    """
    require_one_model(frozen, shots)
    require_extra("serve", "serve", "fastapi", "fastapi_offline", "uvicorn")
    from fsarctl.serving.listening import bound

    token = os.environ.get(TOKEN, "")
    if host not in LOOPBACK and not token:
        raise UsageError(
            f"--host {host} lets other machines in, and {TOKEN} is not set",
            next_step=f"Set it to a secret, which every request then has to bear: export {TOKEN}=...",
        )
    if supports.exists() and not supports.is_dir():
        raise UsageError(f"{supports} is a file", next_step="Name a folder of support sets.")
    if videos is not None and not videos.is_dir():
        raise UsageError(f"there is no folder {videos} for --videos", next_step="Make it first.")
    with bound(host, port) as listening:  # before what takes seconds
        from functools import partial

        from fsarctl.predict.recogniser import Recogniser
        from fsarctl.serving.app import Served, make_app
        from fsarctl.serving.run import server_of
        from fsarctl.serving.support_sets import SupportSets
        from fsarctl.serving.uploads import Limits
        from fsarctl.stages.spot import window_sizes
        from fsarctl.video.decode_clip import decode_clip
        from fsarctl.video.processes.decoding_pool import Decoders

        session = replace(session, reporter=make_reporter(bars=False))
        setup = setup_of(session, Machine(device), workers, time_limit)

        def load(place: Path) -> "Recogniser":
            ready = setup.ready(place, shot=shots, frozen=frozen)
            return Recogniser(ready.predictor, ready.support, partial(window_sizes, place, None, None))

        place = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        served = Served(
            SupportSets(supports, load),
            Decoders(decode_clip, 1, 64, 1, time_limit),
            videos,
            Limits(megabytes, time_limit, at_once, waiting),
            token,
            LOOPBACK_HOSTS if host in LOOPBACK else (),
            say,
        )
        said = f"serving {supports}: {place} (API: {place}/docs). Ctrl-C ends it"
        debug = "--debug" in sys.argv or os.environ.get("FSARCTL_DEBUG", "") not in ("", "0")
        server_of(make_app(served), lambda: say(said), debug=debug).run(sockets=[listening])
