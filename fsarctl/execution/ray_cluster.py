"""The engine of a Ray cluster: actors on its nodes, each with a worker process and the weights it loads.

Ray finds the nodes, lends cores and GPUs, and notices what is lost; what is made, and whether it is there, is
for the store alone to know. Tasks travel as a line of JSON, what workers say comes back as they say it.
"""

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from fsarctl.config.tables import RayConfig
from fsarctl.errors import FsarctlError, InputError
from fsarctl.errors.addresses import LOOPBACK, hidden
from fsarctl.execution.engine import Ended, Heard, Need, Task
from fsarctl.execution.waiting_tasks import Line
from fsarctl.execution.worker_process import WorkerProcess
from fsarctl.progress import GIB

__all__ = ["RayEngine"]

TRIES = 4
"""Of a task whose worker or node was lost; a node that is taken away takes several of them."""
ANSWER_S, JOIN_S = 5.0, 45.0
"""How long an address may take to answer, and a cluster to take this process in."""
TIMES_ASKED = "3"
"""How often Ray asks, once a second, who answers and refuses: 20 times, unless somebody says otherwise."""
PATIENCE_S = 15.0
"""After which it is said that the cluster has nothing to lend."""
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""What a client of HTTP/2 begins with; a server, and so every Ray, answers with its own frame of settings."""
SETTINGS = 0x04
BATCH_S = 0.2
"""Messages of a worker travel together for so long."""


class RayEngine:
    """At most ``jobs`` tasks at a time (0: as many as the cluster has cores), each as large as its ``Need``.

    Without an address in ``config`` a cluster is started on this machine, with so many ``cores``.
    ``uses_gpus``: whether tasks that like one are given one where there are any, ``beside`` tasks to a GPU.
    """

    is_elsewhere, goes_on = True, False

    def __init__(self, config: RayConfig, jobs: int, cores: int, *, uses_gpus: bool, beside: int = 1) -> None:
        self._config = config
        self._address = config.address
        self._asked = jobs
        self._cores = cores
        self._uses_gpus, self._beside = uses_gpus, beside
        self._waiting = Line()
        self._hands: list[_Hand] = []
        self._done: SimpleQueue[tuple[_Hand, Task, int, Ended]] = SimpleQueue()
        self._largest: Mapping[str, float] = {}
        self._total: Mapping[str, float] = {}
        self._over = Event()

    @property
    def jobs(self) -> int:
        return self._asked or max(1, int(self._total.get("CPU", 1)))

    def tasks_of(self, parts: int) -> int:
        return min(parts, 8 * self.jobs)  # a worker keeps what the parts of a unit share

    def require(self) -> None: ...  # who answers is found out by joining

    def begin(self, heard: Heard) -> None:
        ray = _ray()
        self._heard = heard
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        logging.getLogger("ray").setLevel(logging.ERROR)
        _join(self._address, self._cores, self._over)
        self._look_at_nodes()
        if not self._total["CPU"]:
            ray.shutdown()
            raise InputError(
                f"the Ray cluster at {hidden(self._address) or 'this machine'} has no cores to lend",
                next_step="Start nodes with some: ray start --address=HOST:PORT --num-cpus=N",
            )

    def _look_at_nodes(self) -> None:
        nodes = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
        self._total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
        self._largest = {
            name: max((node.get(name, 0) for node in nodes), default=0) for name in ("CPU", "GPU", "memory")
        }

    def start(self, tasks: Sequence[Task]) -> None:
        self._waiting.extend(tasks, TRIES)
        self._hand_out()

    def ended(self) -> list[tuple[Task, Ended]]:
        while True:
            hand, task, tries, ended = self._done.get()
            hand.task = None
            if not hand.is_well:
                self._let_go(hand)
            if ended.lost:
                self._look_at_nodes()
                if tries > 1:
                    self._heard(task, {"note": f"{ended.error}; it is begun again"})
                    self._waiting.put_back(task, tries - 1)
            self._hand_out(hand.last)
            if not ended.lost or tries <= 1:
                return [(task, ended)]

    def end(self) -> None:
        ray = _ray()
        self._waiting.clear()
        for hand in self._hands:
            hand.dismiss()
        ray.shutdown()
        self._over.set()
        for hand in self._hands:
            hand.thread.join(1.0)

    def _hand_out(self, key: str = "") -> None:
        """Give tasks to hands, at first of the unit ``key``, until as many are at work as may be."""
        while (waiting := self._waiting.first(key)) and len([h for h in self._hands if h.task]) < self.jobs:
            _, task, tries = each = waiting[0]
            self._waiting.take(each)
            hand = self._hand_for(task)
            hand.task, hand.last = task, task.key
            hand.orders.put((task, tries))
        # Nodes die unnoticed for a while, so that there are fewer cores than hands: who has nothing to do
        # gives his to who waits for some.
        if any(hand.task and not hand.is_begun for hand in self._hands):
            for hand in [hand for hand in self._hands if hand.task is None]:
                self._let_go(hand)

    def _let_go(self, hand: "_Hand") -> None:
        hand.dismiss()
        self._hands.remove(hand)

    def _hand_for(self, task: Task) -> "_Hand":
        """An idle hand of the right size, rather the one that was at the same unit; else a new one."""
        size = self._size(task.need)
        idle = [hand for hand in self._hands if hand.task is None]
        for hand in sorted(idle, key=lambda hand: hand.last != task.key):
            if hand.size == size:
                return hand
        if (
            len(self._hands) >= self.jobs
            or sum(hand.size.cores for hand in self._hands) >= self._total["CPU"]
        ):
            for hand in idle:  # what they hold is needed
                self._let_go(hand)
        hand = _Hand(size, self._done, self._heard)
        self._hands.append(hand)
        return hand

    def _size(self, need: Need) -> "_Size":
        gpus = need.gpus if self._uses_gpus and self._total["GPU"] else 0
        cores = min(float(self._config.cores or need.cores), self._largest["CPU"])
        memory = min((self._config.memory_gib or need.memory_gib) * GIB, self._largest["memory"])
        return _Size(cores, gpus / self._beside, int(memory))


@dataclass(frozen=True)
class _Size:
    """What Ray lends to an actor."""

    cores: float
    gpus: float
    memory: int


class _Hand:
    """An actor, and the thread that listens to it."""

    def __init__(
        self, size: _Size, done: "SimpleQueue[tuple[_Hand, Task, int, Ended]]", heard: Heard
    ) -> None:
        ray = _ray()
        self.size = size
        self.task: Task | None = None
        self.last = ""
        self.is_well = True
        self.is_begun = False
        self.orders: SimpleQueue[tuple[Task, int] | None] = SimpleQueue()
        lent = {"num_cpus": size.cores, "num_gpus": size.gpus, "memory": size.memory}
        self._actor = ray.remote(_Worker).options(**lent, max_restarts=0).remote()
        self._done, self._heard = done, heard
        self.thread = Thread(target=self._serve, daemon=True)
        self.thread.start()

    def dismiss(self) -> None:
        """End it, and what it is at."""
        ray = _ray()
        self.orders.put(None)
        with suppress(Exception):  # it may be gone, or the cluster
            ray.kill(self._actor)

    def _serve(self) -> None:
        ray = _ray()
        while order := self.orders.get():
            task, tries = order
            try:
                ended = self._perform(task)
            except ray.exceptions.RayActorError as error:
                self.is_well = False
                ended = _of_lost(task, str(error))
            except ray.exceptions.RayTaskError as error:
                self.is_well = False
                ended = Ended(1, f"{task.title}: {error.cause}", _same_everywhere())
            except Exception as error:  # a cluster that is gone is no reason to wait for ever
                self.is_well = False
                ended = Ended(1, f"{task.title}: {type(error).__name__}: {error}".split("\n")[0])
            self._done.put((self, task, tries, ended))

    def _perform(self, task: Task) -> Ended:
        ray = _ray()
        ready = self._actor.__ray_ready__.remote()
        if not ray.wait([ready], timeout=PATIENCE_S)[0]:
            cores = f"{self.size.cores:g} cores" + (f", {self.size.gpus:g} GPUs" if self.size.gpus else "")
            self._heard(task, {"note": f"waiting for the cluster to lend {cores} to {task.title}"})
        ray.get(ready)
        self.is_begun = True
        for batch in self._actor.perform.options(num_returns="streaming").remote(task.text):
            for message in ray.get(batch):
                if "ended" in message:
                    return Ended(**message["ended"])
                self._heard(task, message)
        return Ended(1, f"the worker of {task.title} said nothing of its end", lost=True)


class _Worker:
    """What is on a node: a worker process, as on any machine, which ends when this does."""

    def __init__(self) -> None:
        self._process = WorkerProcess()
        # The thread that starts it has to last.
        self._thread = ThreadPoolExecutor(1)

    def perform(self, text: str) -> Iterator[list[Mapping[str, Any]]]:
        """Make a task; what is said meanwhile, and last how it ended."""
        said: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        ended = self._thread.submit(self._process.perform, Task.parse(text), said.put)
        while wait([ended], BATCH_S).not_done:
            if batch := _taken(said):
                yield batch
        yield [*_taken(said), {"ended": asdict(ended.result())}]


def _ray() -> Any:
    """The package, which is not there unless somebody asked for it."""
    return import_module("ray")


def _taken(said: "SimpleQueue[Mapping[str, Any]]") -> list[Mapping[str, Any]]:
    """All that is in a queue."""
    batch = []
    with suppress(Empty):
        while True:
            batch.append(said.get_nowait())
    return batch


def _of_lost(task: Task, error: str) -> Ended:
    """How a task ended whose actor could not be begun, or is gone."""
    if "ModuleNotFoundError" in error:
        return Ended(3, f"a node of the cluster has no fsarctl ({task.title})", _same_everywhere())
    where = "its node was lost" if "node" in error.lower() else "its worker was lost"
    return Ended(
        1, f"{task.title}: {where}", "Look at that node, then run the same command again.", lost=True
    )


def _same_everywhere() -> str:
    return f'Install the same on every node: pip install "fsarctl[ray]=={version("fsarctl")}"'


def _join(address: str, cores: int, over: Event) -> None:
    """Be a driver of the cluster at ``address``, or of one that is started here, until it is ``over``.

    Raises:
        InputError: nobody answers there, or who answers is no cluster, or one of other versions.
    """
    ray = _ray()
    if address and address != "auto":
        _require_answer(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if address:
        quiet["address"] = address
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", TIMES_ASKED)
    else:
        quiet |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    outcome: SimpleQueue[BaseException | None] = SimpleQueue()

    def init() -> None:  # a thread, since it may wait for minutes; and it takes no signals there
        try:
            ray.init(**quiet)
            outcome.put(None)
            over.wait()  # what a thread has started is killed when that thread ends
        except BaseException as error:
            outcome.put(error)

    Thread(target=init, daemon=True).start()
    try:
        error = outcome.get(timeout=JOIN_S)
    except Empty:
        error = TimeoutError(f"it did not take this process in within {JOIN_S:.0f} s")
    if error is not None:
        raise _refusal(address, " ".join(str(error).split()))


def _refusal(address: str, said: str) -> FsarctlError:
    if "ersion mismatch" in said:
        return InputError(
            f"the Ray cluster at {hidden(address)} has other versions than this machine: {said}",
            next_step="Install the same Ray and Python on every machine.",
        )
    if address == "auto":
        return InputError(
            "no Ray cluster runs on this machine",
            next_step="Start one: ray start --head; or name one: --ray-address HOST:PORT; or leave it out.",
        )
    where = f"at {hidden(address)}" if address else "on this machine"
    return InputError(
        f"no Ray cluster could be joined {where}: {said[:300]}",
        next_step="Look at `ray status` there, or leave --ray-address out to use this machine alone.",
    )


def _require_answer(address: str) -> None:
    """That somebody listens there who may be a Ray, before Ray is asked, which waits for minutes.

    Raises:
        InputError: nobody does, or it is no address.
    """
    if address.startswith("ray://"):
        raise InputError(
            f"{hidden(address)} is an address of Ray's client, to which workers do not say how far they are",
            next_step="Name HOST:PORT, as `ray start --head` says it, from within its network.",
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "@" in host or "://" in host:
        named = f"{address!r} is" if "@" not in address else "what is set with a login is"
        raise InputError(
            f"{named} no address of a Ray cluster",
            next_step="Name HOST:PORT, as `ray start --head` says it; or auto.",
        )
    host = host.strip("[]")
    asked, instead = host, ""
    if host in LOOPBACK and (own := _own_address()) not in LOOPBACK:
        asked, instead = own, f"; Ray asks {own} instead, so a tunnel does not do"
    try:
        with socket.create_connection((asked, int(port)), timeout=ANSWER_S) as connection:
            answer = _hello(connection)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"nobody answers at {hidden(address)}, where the Ray cluster is said to be ({reason}{instead})",
            next_step="Start it there (ray start --head), or correct --ray-address or RAY_ADDRESS.",
        ) from None
    if answer != SETTINGS and os.environ.get("RAY_USE_TLS", "0") == "0":
        raise InputError(
            f"who answers at {hidden(address)} is no Ray cluster",
            next_step="Name HOST:PORT, as `ray start --head` says it: not the port of its dashboard.",
        )


def _own_address() -> str:
    """What Ray takes this machine's address for."""
    own: str = _ray().util.get_node_ip_address()
    return own


def _hello(connection: socket.socket) -> int | None:
    """Which kind of frame is answered to a client of HTTP/2; None where none is."""
    try:
        connection.sendall(HELLO)
        head = b""
        while len(head) < 4 and (more := connection.recv(4 - len(head))):
            head += more
    except OSError:  # it hangs up, or says nothing
        return None
    return head[3] if len(head) == 4 else None
