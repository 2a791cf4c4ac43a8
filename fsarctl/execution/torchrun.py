"""One training in several processes: those that torchrun started on one machine or many, or those of --gpus.

The first process finds out what is to be trained, as if it were alone, and calls the others when a training
begins; they read the same cache, on a file system that all of them share.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from fsarctl.datasets.findings import Findings
from fsarctl.episodes.ranks import ALONE, RankLostError, Ranks
from fsarctl.errors import ConfigError, FsarctlError, InputError, UsageError
from fsarctl.execution.engine import Place
from fsarctl.execution.local import end_all
from fsarctl.video.processes.lifetime import STDIN, named_parent
from fsarctl.video.processes.worker_pool import environment

__all__ = ["LAUNCHED", "answer", "call", "dismiss", "joined", "next_order", "run_ranks", "telling", "told"]

LAUNCHED = "_FSARCTL_GPUS"
"""In the environment of the processes of ``run_ranks``, which says itself that one was lost."""
PATIENCE_S = 15.0
"""For the others to end by themselves, once one has failed."""


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """This process among those that torchrun started, by its environment; alone without one.

    Raises:
        ConfigError: the machines have different versions, or the environment is not whole.
        RankLostError: another process has ended.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    # Loaded after the group is there, as an optimiser would, it keeps the group and its threads for ever.
    import torch.distributed.nn

    try:
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local = int(os.environ.get("LOCAL_RANK", rank))
        ranks = Ranks(rank, world, local, int(os.environ.get("LOCAL_WORLD_SIZE", world)))
        on_gpus = device != "cpu" and torch.cuda.is_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, and the processes cannot meet: {error}",
            next_step="Start them by torchrun (docs/cluster.md), or unset WORLD_SIZE.",
        ) from None
    try:
        here = f"fsarctl {version('fsarctl')}, torch {torch.__version__}"
        others = sorted(set(ranks.words(here)) - {here})
        if others:
            raise ConfigError(
                f"the processes of this training differ: {here} here, and {others[0]}",
                next_step="Install the same versions on every machine.",
            )
        yield ranks
    finally:
        with suppress(RuntimeError):
            dist.destroy_process_group()


@contextmanager
def telling(ranks: Ranks, cache: Path, found: Callable[[], bytes]) -> Iterator[None]:
    """Tell the other processes, from the first, what ``Findings`` it has, by a file in the store ``cache``.

    Raises:
        InputError: it cannot be written.
    """
    if ranks.world == 1:
        yield
        return
    with Place.here().signed(cache, found()) as place:
        ranks.words(json.dumps(asdict(place)))
        yield


def told(ranks: Ranks) -> Findings:
    """What the first process has found, so that none looks at every clip; nothing, if that is not seen."""
    content = Place(**json.loads(ranks.words()[0])).read()
    return Findings() if content is None else Findings.parse(content)


def call(ranks: Ranks, order: Mapping[str, Any]) -> None:
    """Tell the other processes, from the first, what all of them work at now.

    Raises:
        InputError: one of them cannot; see ``answer``.
    """
    ranks.words(json.dumps(order))
    answer(ranks)


def answer(ranks: Ranks, objection: str = "") -> None:
    """Say whether this process can do what it is called to.

    Raises:
        InputError: any of them cannot; it is what the first of these says.
    """
    for said in filter(None, ranks.words(objection)):
        raise InputError(
            said, next_step="Use the same project, settings and cache on every machine (docs/cluster.md)."
        )


def next_order(ranks: Ranks) -> dict[str, Any] | None:
    """What the first process calls this one to; None once all is done."""
    said = ranks.words()[0]
    return json.loads(said) if said else None


def dismiss(ranks: Ranks) -> None:
    """Tell the other processes, from the first, that all is done."""
    if ranks.world > 1:
        ranks.words()


def run_ranks(count: int, arguments: Sequence[str], device: str, cores: int) -> int:
    """Run ``fsarctl`` with these arguments in ``count`` processes that train together; the exit code.

    On GPUs each has one of its own, on the CPU its part of the ``cores``. The first one talks; where another
    fails, what that said is in the error.

    Raises:
        UsageError: there are not so many GPUs.
        FsarctlError: a process was killed, or failed by itself.
    """
    _require_gpus(count, device)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    place |= {"LOCAL_WORLD_SIZE": str(count), LAUNCHED: "1"}
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count)))
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        stack.callback(end_all, processes)
        said: list[IO[bytes] | None] = []
        for rank in range(count):
            said.append(stack.enter_context(tempfile.TemporaryFile()) if rank else None)
            numbers = {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": threads}
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "fsarctl", *arguments],
                    env={**environment(), **named_parent(), **place, **numbers},
                    stdin=STDIN,
                    stdout=subprocess.DEVNULL if rank else None,
                    stderr=said[rank],
                )
            )
        return _outcome(processes, said)


def _require_gpus(count: int, device: str) -> None:
    if device == "cpu":
        return
    import torch

    there = torch.cuda.device_count()
    if count > there:
        raise UsageError(
            f"--gpus {count} needs so many GPUs, and there {'is' if there == 1 else 'are'} {there} here",
            next_step="Name fewer; or add --device cpu, for processes that share the cores.",
        )


def _outcome(processes: "Sequence[subprocess.Popen[bytes]]", said: Sequence[IO[bytes] | None]) -> int:
    """Wait until all have ended, or one has failed; the exit code of the first process."""
    while not any(each.poll() for each in processes) and any(each.poll() is None for each in processes):
        time.sleep(0.05)
    last = time.monotonic() + PATIENCE_S
    while any(each.poll() is None for each in processes) and time.monotonic() < last:
        time.sleep(0.05)
    codes = [each.poll() for each in processes]
    lost = RankLostError.exit_code
    if codes[0] is not None and codes[0] >= 0 and codes[0] != lost:
        return codes[0]  # it has said why
    first = next((rank for rank, code in enumerate(codes) if code not in (0, lost)), 0)
    raise _RankFailedError(first, len(codes), codes[first], said[first])


class _RankFailedError(FsarctlError):
    """A process of a training failed, which the first one knows nothing of."""

    exit_code = 7

    def __init__(self, rank: int, count: int, code: int | None, said: IO[bytes] | None) -> None:
        if code is None or code < 0:
            how = f"was killed ({signal.Signals(-code).name})" if code else "does not end"
        else:
            how = f"failed with exit code {code}"
            if said is not None:
                said.seek(0)
                lines = said.read().decode(errors="replace").splitlines()
                how = next((line[7:] for line in lines if line.startswith("error: ")), how)
        super().__init__(
            f"process {rank + 1} of {count}: {how}",
            next_step="Run the same command again, with any number of processes: it goes on from the last"
            " checkpoint.",
        )
